"""What axe-core says of a page in a real browser."""

from typing import Any

from playwright.sync_api import Page

from tests.support.browser import ROOT

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
CONTRAST = {"runOnly": ["color-contrast"]}
"""What other colours can change."""
FIND_JS = """async (rules) => {
  const { violations } = await axe.run(document, { ...rules, resultTypes: ['violations'] });
  return violations.map(({ id, nodes }) => [id, nodes.map((one) => `${one.target} ${one.failureSummary}`)]);
}"""
"""All that passes stays in the browser: written out and read, it takes longer than the search."""


def find_violations(page: Page, rules: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """Return what is amiss by rule of axe-core; `rules` are options of `axe.run`. The page must bypass its policy."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    return dict(page.evaluate(FIND_JS, rules or {}))
