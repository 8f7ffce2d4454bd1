"""A picture among the lines of a terminal: Kitty's protocol, iTerm2's, or sixels, as far as the terminal has one."""

import base64
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

Inline = Literal["kitty", "iterm", "sixel", "never"]

SIDE = 800
"""Pixels of the long side: what fits a window, and travels over a slow line."""
CHUNK = 4096
"""Letters that Kitty's protocol takes at a time."""
COLOURS = 255
"""Of a picture in sixels."""
BAND = 6
"""Rows of pixels that one line of sixels holds."""


def inline_of(environment: Mapping[str, str]) -> Inline:
    """What the terminal is known to show, by what it says of itself in the environment.

    Inside tmux and screen, which keep pictures to themselves, and in any terminal that is not known: never.

    >>> inline_of({"TERM": "xterm-kitty"}), inline_of({"TERM_PROGRAM": "iTerm.app"}), inline_of({"TERM": "xterm"})
    ('kitty', 'iterm', 'never')
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return "never"
    if term in ("xterm-kitty", "xterm-ghostty") or "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    return "sixel" if term.startswith(("foot", "mlterm", "contour", "yaft")) else "never"


def escape(image: Image.Image, inline: Inline) -> str:
    """What to print so that the terminal shows the picture; "" for never."""
    if inline == "never":
        return ""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    match inline:
        case "kitty":
            return "".join(_kitty(_png(small)))
        case "iterm":
            png = _png(small)
            return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{base64.b64encode(png).decode()}\a"
    return "".join(_sixel(small))


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _kitty(png: bytes) -> Iterator[str]:
    """Transmitted and shown at once; the terminal is told not to answer, as it would answer into our input."""
    text = base64.b64encode(png).decode()
    for start in range(0, len(text), CHUNK):
        first = "a=T,f=100,q=2," if start == 0 else ""
        more = int(start + CHUNK < len(text))
        yield f"\x1b_G{first}m={more};{text[start : start + CHUNK]}\x1b\\"


def _sixel(image: Image.Image) -> Iterator[str]:
    paletted = image.quantize(COLOURS, dither=Image.Dither.NONE)
    colours = np.array(paletted.getpalette() or [], int).reshape(-1, 3) * 100 // 255
    pixels = np.asarray(paletted)
    yield f'\x1bP0;1q"1;1;{image.width};{image.height}'
    for number, (red, green, blue) in enumerate(colours.tolist()):
        yield f"#{number};2;{red};{green};{blue}"
    for top in range(0, len(pixels), BAND):
        yield _band(pixels[top : top + BAND])
    yield "\x1b\\"


def _band(rows: np.ndarray) -> str:
    """Up to six rows, one colour over the other. `rows`: uint8, (1 to 6, width), numbers of colours."""
    weights = 1 << np.arange(len(rows))
    present = np.unique(rows).tolist()
    return "$".join(f"#{colour}{_runs((rows == colour).T @ weights)}" for colour in present) + "-"


def _runs(sixels: np.ndarray) -> str:
    """Run lengths. `sixels`: int, (width,), 0 to 63, the lowest bit on top.

    >>> _runs(np.array([0, 0, 0, 0, 1, 1, 63]))
    '!4?@@~'
    """
    ends = np.flatnonzero(np.diff(sixels, append=-1)) + 1
    lengths = np.diff(ends, prepend=0)
    letters = [chr(63 + value) for value in sixels[ends - 1].tolist()]
    runs = zip(letters, lengths.tolist(), strict=True)
    return "".join(f"!{length}{letter}" if length > 3 else letter * length for letter, length in runs)
