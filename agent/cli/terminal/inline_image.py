"""An image among the lines of a terminal: Kitty's protocol, iTerm2's, or sixels, as far as the terminal has one."""

import base64
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Literal

import numpy as np
import PIL.Image

InlineMode = Literal["kitty", "iterm", "sixel", "never"]

MAX_SIDE = 800
"""Pixels of the long side: what fits a window, and travels over a slow line."""
KITTY_CHUNK = 4096
"""Letters that Kitty's protocol takes at a time."""
SIXEL_COLOURS = 255
"""Of an image in sixels."""
SIXEL_ROWS = 6
"""Rows of pixels that one line of sixels holds."""


def detect_inline_mode(environment: Mapping[str, str]) -> InlineMode:
    """What the terminal is known to show, by what it says of itself in the environment.

    Inside tmux and screen, which keep images to themselves, and in any terminal that is not known: never.

    >>> known = ({"TERM": "xterm-kitty"}, {"TERM_PROGRAM": "iTerm.app"}, {"TERM": "xterm"})
    >>> [detect_inline_mode(environment) for environment in known]
    ['kitty', 'iterm', 'never']
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return "never"
    if term in ("xterm-kitty", "xterm-ghostty") or "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    return "sixel" if term.startswith(("foot", "mlterm", "contour", "yaft")) else "never"


def encode_inline_image(image: PIL.Image.Image, mode: InlineMode) -> str:
    """What to print so that the terminal shows the image; "" for never."""
    if mode == "never":
        return ""
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    match mode:
        case "kitty":
            return "".join(_encode_kitty(_encode_png(small)))
        case "iterm":
            png = _encode_png(small)
            return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{base64.b64encode(png).decode()}\a"
    return "".join(_encode_sixel(small))


def _encode_png(image: PIL.Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _encode_kitty(png: bytes) -> Iterator[str]:
    """Transmitted and shown at once; the terminal is told not to answer, as it would answer into our input."""
    text = base64.b64encode(png).decode()
    for start in range(0, len(text), KITTY_CHUNK):
        first = "a=T,f=100,q=2," if start == 0 else ""
        more = int(start + KITTY_CHUNK < len(text))
        yield f"\x1b_G{first}m={more};{text[start : start + KITTY_CHUNK]}\x1b\\"


def _encode_sixel(image: PIL.Image.Image) -> Iterator[str]:
    paletted = image.quantize(SIXEL_COLOURS, dither=PIL.Image.Dither.NONE)
    colours = np.array(paletted.getpalette() or [], int).reshape(-1, 3) * 100 // 255
    pixels = np.asarray(paletted)
    yield f'\x1bP0;1q"1;1;{image.width};{image.height}'
    for number, (red, green, blue) in enumerate(colours.tolist()):
        yield f"#{number};2;{red};{green};{blue}"
    for top in range(0, len(pixels), SIXEL_ROWS):
        yield _encode_band(pixels[top : top + SIXEL_ROWS])
    yield "\x1b\\"


def _encode_band(rows: np.ndarray) -> str:
    """Up to six rows, one colour over the other. `rows`: uint8, (1 to 6, width), numbers of colours."""
    weights = 1 << np.arange(len(rows))
    present = np.unique(rows).tolist()
    return "$".join(f"#{colour}{_encode_runs((rows == colour).T @ weights)}" for colour in present) + "-"


def _encode_runs(sixels: np.ndarray) -> str:
    """Run lengths. `sixels`: int, (width,), 0 to 63, the lowest bit on top.

    >>> _encode_runs(np.array([0, 0, 0, 0, 1, 1, 63]))
    '!4?@@~'
    """
    ends = np.flatnonzero(np.diff(sixels, append=-1)) + 1
    lengths = np.diff(ends, prepend=0)
    letters = [chr(63 + value) for value in sixels[ends - 1].tolist()]
    runs = zip(letters, lengths.tolist(), strict=True)
    return "".join(f"!{length}{letter}" if length > 3 else letter * length for letter, length in runs)
