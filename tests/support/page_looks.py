"""One state of the page at every size and in every colour: what axe-core says, and a sheet of screenshots.

A test looks at a phone and a desk, and at other colours for their contrast alone. With a folder in the variable
`PAGE_SHEETS` every state is looked at in all sizes and colours with all rules, and pictured there.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL.Image
from playwright.sync_api import Page

from tests.support.axe import CONTRAST, find_violations

SHEETS = os.environ.get("PAGE_SHEETS", "")
"""Where sheets go; '' for the small look."""
Look = tuple[dict[str, int], dict[str, str], dict[str, Any]]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 720}
TABLET, WALL = {"width": 820, "height": 1180}, {"width": 2560, "height": 1440}
SIZES = (PHONE, TABLET, DESK, WALL)
LIGHT, DARK = {"color_scheme": "light", "forced_colors": "none"}, {"color_scheme": "dark", "forced_colors": "none"}
FORCED = {"color_scheme": "light", "forced_colors": "active"}
SMALL_LOOKS: Sequence[Look] = [
    *((size, LIGHT, {}) for size in (PHONE, DESK)),
    *((size, DARK, CONTRAST) for size in (DESK, PHONE)),
    *((size, FORCED, CONTRAST) for size in (PHONE, DESK)),
]
"""Sizes and colours, with what axe-core looks for: other colours change nothing but the contrast."""
ALL_LOOKS: Sequence[Look] = [(size, colors, {}) for colors in (LIGHT, DARK, FORCED) for size in SIZES]
RECOLORED = "() => document.body.classList.contains('dark') === matchMedia('(prefers-color-scheme: dark)').matches"
SMALL = """() => [...document.querySelectorAll('button, summary, select, textarea, input, [role=button]')]
  .filter((one) => !one.disabled && one.checkVisibility({visibilityProperty: true, opacityProperty: false}))
  .map((one) => [one, (one.closest('label') ?? one).getBoundingClientRect(), one.getBoundingClientRect()])
  .filter(([, label, own]) => label.width > 1 && Math.max(label.width, own.width) > 1)
  .filter(([, label, own]) => Math.max(label.width, own.width) < 43.5 || Math.max(label.height, own.height) < 43.5)
  .map(([one, label]) => `${one.outerHTML.slice(0, 90)} ${label.width.toFixed(0)}x${label.height.toFixed(0)}`)"""
"""Controls that are smaller than 44 pixels of the screen; the label of a box is part of it."""
HIDDEN_JS = """() => [['.stage', 'the image'], ['#question', 'the question']].flatMap(([selector, name]) => {
  const box = document.querySelector(selector)?.getBoundingClientRect();
  const width = box ? Math.min(box.right, innerWidth) - Math.max(box.left, 0) : 0;
  const height = box ? Math.min(box.bottom, innerHeight) - Math.max(box.top, 0) : 0;
  return width > 100 && height > 30 ? [] : [`${name}: ${width.toFixed(0)}x${height.toFixed(0)} is on the screen`];
})"""
"""The image and the question, where they are not on the screen together."""
SETTLED_JS = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
IN_ALL_COLORS = ("start", "a step open", "classes and strip")
"""States that are pictured in every colour; the others are pictured in light."""
SHEET_HEIGHT, GAP = 420, 12
"""Pixels of a sheet."""


@dataclass
class Inspector:
    """Looks at one state of the page after the other."""

    page: Page
    looks: Sequence[Look] = tuple(ALL_LOOKS if SHEETS else SMALL_LOOKS)
    found: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    """What is amiss, by state, size and colours."""
    states: list[str] = field(default_factory=list)

    def inspect(self, state: str, *, has_question: bool = True) -> None:
        """Look at the page as it is now; `has_question`: whether image and question are to be on the screen."""
        self.states.append(state)
        shots: dict[str, list[PIL.Image.Image]] = {}
        for size, colors, rules in self.looks:
            self._show(size, colors)
            look = (state, f"{size['width']}x{size['height']}", *colors.values())
            self._note(look, rules)
            if has_question and (hidden := self.page.evaluate(HIDDEN_JS)):
                self.found[(*look, "off the screen")] = hidden
            name = "forced" if colors is FORCED else colors["color_scheme"]
            if SHEETS and (name == "light" or state in IN_ALL_COLORS):
                shots.setdefault(name, []).append(PIL.Image.open(io.BytesIO(self.page.screenshot())))
        for name, images in shots.items():
            save_sheet(images, Path(SHEETS) / f"{state.replace(' ', '-')}-{name}.webp")
        self._show(PHONE, LIGHT)
        assert self.page.evaluate("matchMedia('(pointer: coarse)').matches")
        if small := self.page.evaluate(SMALL):
            self.found[state, "smaller than 44 pixels"] = small

    def check_nothing_found(self) -> None:
        """Fail with a line for everything that is amiss."""
        lines = [f"{', '.join(look)}: {nodes}" for look, nodes in self.found.items()]
        assert not lines, "\n".join(lines)

    def _show(self, size: dict[str, int], colors: dict[str, Any]) -> None:
        self.page.set_viewport_size(size)  # type: ignore[arg-type]
        self.page.emulate_media(**colors, reduced_motion="reduce")
        self.page.wait_for_function(RECOLORED)
        self.page.evaluate(SETTLED_JS)

    def _note(self, look: tuple[str, ...], rules: dict[str, Any]) -> None:
        for rule, nodes in find_violations(self.page, rules).items():
            self.found[(*look, rule)] = nodes


def save_sheet(images: Sequence[PIL.Image.Image], path: Path) -> None:
    """Put screenshots side by side into one small image."""
    sizes = [(round(image.width * SHEET_HEIGHT / image.height), SHEET_HEIGHT) for image in images]
    scaled = [
        image.convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS)
        for image, size in zip(images, sizes, strict=True)
    ]
    width = sum(image.width for image in scaled) + GAP * (len(scaled) + 1)
    sheet = PIL.Image.new("RGB", (width, SHEET_HEIGHT + 2 * GAP), (120, 125, 135))
    left = GAP
    for image in scaled:
        sheet.paste(image, (left, GAP))
        left += image.width + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=66, method=6)
