"""Words printed on the objects of generated scenes, in several fonts, sizes and angles."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from evals.errors import DatasetError
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

FIRST_SCENE = 500_000
"""Number of the first held-out scene; other measurements use other scenes."""
SIZES = ((480, 360), (360, 480), (512, 384))
"""(width, height) of the scenes, in turn."""
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono"),
    *("STIXGeneral", "cmr10", "cmss10", "cmtt10"),
)
"""Files in matplotlib's wheel: sans serif, serif and monospaced, bold, slanted and light."""
HEIGHTS = (10, 13, 17, 22, 28, 36)
"""Of the letters, in pixels per em."""
ANGLES = (0, 15, -15, 90)
"""Degrees, counterclockwise."""
WORDS = (
    *("milk", "cola", "tea", "sugar", "salt", "open", "exit", "sale", "taxi", "hotel", "fresh", "juice", "bread"),
    *("honey", "flour", "stop", "OAT", "MILK", "RICE", "Cafe", "Bus", "Soap", "Apple", "Push", "Lucky", "12", "47"),
    *("112", "305", "2026", "No. 9", "A4"),
)
MOST_WORDS = 3
"""In a scene."""
INSIDE = 0.97
"""At least this share of a word's box lies on its object."""


@dataclass(frozen=True)
class PrintedWord:
    """A word, and how it is printed."""

    text: str
    target: int
    """Index of the object that it is printed on."""
    font: str
    height: int
    """Of the letters, in pixels per em."""
    angle: int
    """Degrees, counterclockwise."""
    pattern: str
    """Of the object: 'plain', 'striped', 'dotted', or 'thing' for a drawn thing."""


@dataclass(frozen=True, eq=False)
class PrintedScene:
    """A scene with words on some of its objects."""

    scene: Scene
    words: tuple[PrintedWord, ...]
    """No two have one text, and no two are on one object."""


def draw_printed_scenes(first: int = FIRST_SCENE) -> Iterator[PrintedScene]:
    """Draw held-out scenes in which a word or more fits on an object.

    Args:
        first: Number of the first scene that is tried.

    Yields:
        Scenes with one to `MOST_WORDS` words.

    Raises:
        DatasetError: matplotlib, whose fonts are used, is not installed.
    """
    for number in count(first):
        scene = draw_scene(HELD_OUT + number, size=SIZES[number % len(SIZES)])
        printed = print_words(scene, np.random.default_rng(number))
        if printed.words:
            yield printed


def print_words(scene: Scene, rng: np.random.Generator) -> PrintedScene:
    """Print a word on up to `MOST_WORDS` objects that have room for it."""
    pixels, words = scene.pixels.copy(), list[PrintedWord]()
    texts = [str(text) for text in rng.permutation(WORDS)]
    for target in rng.permutation(len(scene.objects))[: 2 * MOST_WORDS].tolist():
        text, font, angle = texts[target], str(rng.choice(FONTS)), int(rng.choice(ANGLES))
        fitting = [
            (height, inked)
            for height in HEIGHTS
            if (inked := place_word(scene.masks[target], text, font, height, angle)) is not None
        ]
        if not fitting or len(words) == MOST_WORDS:
            continue
        height, inked = fitting[int(rng.integers(len(fitting)))]
        colour = choose_ink(pixels[inked > 0.5])
        pixels = np.rint(pixels + (colour - pixels) * inked[..., None]).astype(np.uint8)
        words.append(PrintedWord(text, target, font, height, angle, scene.objects[target].pattern or "thing"))
    return PrintedScene(replace(scene, pixels=pixels), tuple(words))


def place_word(mask: np.ndarray, text: str, font: str, height: int, angle: int) -> np.ndarray | None:
    """Put a word on the innermost pixel of an object.

    Args:
        mask: bool, (H, W): the object.
        text: The word.
        font: One of `FONTS`.
        height: Of its letters, in pixels per em.
        angle: Degrees, counterclockwise.

    Returns:
        float, (H, W), in [0, 1]: how much ink a pixel gets; None where the word does not fit on the object.
    """
    x, y = find_innermost_pixel(mask)
    loaded = PIL.ImageFont.truetype(find_font(font), height)
    drawn, box = (PIL.Image.new("L", mask.shape[::-1]) for _ in range(2))
    extent = PIL.ImageDraw.Draw(drawn).textbbox((x, y), text, font=loaded, anchor="mm")
    PIL.ImageDraw.Draw(drawn).text((x, y), text, fill=255, font=loaded, anchor="mm")
    PIL.ImageDraw.Draw(box).rectangle(extent, fill=255)
    inked, around = (
        np.asarray(layer.rotate(angle, PIL.Image.Resampling.BICUBIC, center=(x, y)), float) / 255
        for layer in (drawn, box)
    )
    area = (extent[2] - extent[0]) * (extent[3] - extent[1])
    fits = around[mask].sum() >= INSIDE * max(area, around.sum())
    return inked if fits else None


def choose_ink(under: np.ndarray) -> float:
    """Return 0 for black or 255 for white: what stands out more from the pixels under it where it stands out least.

    Args:
        under: uint8, (N, 3), RGB.

    >>> choose_ink(np.array([[255, 255, 255], [200, 30, 30]], np.uint8))
    0.0
    """
    light = under @ np.array([0.299, 0.587, 0.114])
    darkest, lightest = np.percentile(light, (5, 95)) if len(light) else (0.0, 0.0)
    return 255.0 if 255 - lightest > darkest else 0.0


def find_innermost_pixel(mask: np.ndarray) -> tuple[int, int]:
    """Return x, y of the pixel that is farthest from the mask's outside."""
    import cv2

    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def find_font(name: str) -> Path:
    """Return the file of a font. Raises DatasetError where matplotlib is not installed."""
    found = find_spec("matplotlib")  # it is not loaded: its fonts are files
    if found is None or found.origin is None:
        raise DatasetError("the fonts of matplotlib are needed; run `pip install matplotlib`")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
