"""Tabs of one browser for one visitor after the other: a tab that was used has the page's scripts compiled."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, Error, Page

DESKTOP = {"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, "reduced_motion": "reduce"}
"""Motion takes half a core of a machine that draws it without a GPU."""
PATIENCE = 60_000
"""Milliseconds that anything on the page may take: many tests share the machine."""
LOOKS = {"color_scheme": "light", "forced_colors": "none", "reduced_motion": "no-preference"}
"""What can be changed while a tab is open, with its size; a browser's own choices."""
NOTHING = "/there-is-no-such-page"
FORGET_JS = """async () => {
  sessionStorage.clear();
  localStorage.clear();
  for (const { name } of await indexedDB.databases())
    await new Promise((done) => { indexedDB.deleteDatabase(name).onsuccess = done; });
}"""


@dataclass
class TabPool:
    """Opens tabs, and keeps those that were given back for the next visitor, who finds nothing of the former there."""

    browser: Browser
    _free: dict[str, list[Page]] = field(default_factory=dict)
    _kinds: dict[Page, str] = field(default_factory=dict)

    def open_tab(self, **how: Any) -> Page:
        """Return an empty tab; the keyword arguments are those of a browser's context."""
        wanted = {**DESKTOP, **how}
        size, looks = wanted.pop("viewport"), {name: wanted.pop(name, default) for name, default in LOOKS.items()}
        free = self._free.setdefault(kind := repr(sorted(wanted.items())), [])
        if free:
            page = free.pop()
        else:
            page = self.browser.new_context(**wanted, viewport=size).new_page()
            self._kinds[page] = kind
        page.set_default_timeout(PATIENCE)
        page.set_viewport_size(size)
        page.emulate_media(**looks)
        return page

    def take_back(self, page: Page) -> None:
        """Forget what a visitor has left behind in a tab; one that cannot be used any more is closed."""
        context = page.context
        for other in context.pages:
            if other != page:
                other.close()
        try:
            page.goto(urljoin(page.url, NOTHING))
            page.evaluate(FORGET_JS)
            page.mouse.move(0, 0)
        except Error:  # its server has ended, or the visitor has closed it
            context.close()
            return
        context.clear_cookies()
        self._free[self._kinds[page]].append(page)
