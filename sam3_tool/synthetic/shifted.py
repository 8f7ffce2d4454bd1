"""The same world in another style: worn colour prints, which the embedded checkpoint has never seen.

Words, shapes, sizes and places follow the same rules as in `scenes`, and masks stay exact. Grounds, textures, colours,
outlines and noise differ: `draw_scene(seed, style=PRINTED)`.
"""

from dataclasses import replace

import cv2
import numpy as np

from sam3_tool.synthetic.scenes import SceneStyle, Stamp, pick_unlike_colour

INK = np.array((38.0, 30.0, 46.0))
"""RGB of outlines, hatching and dots."""


def draw_printed_ground(
    rng: np.random.Generator, width: int, height: int, avoid: list[tuple[int, int, int]]
) -> np.ndarray:
    """Draw a ground unlike the colours in `avoid`: terrazzo, scribbles, weave or marble.

    Returns:
        uint8, (height, width, 3), RGB.
    """
    base = pick_unlike_colour(rng, avoid)
    ground: np.ndarray = np.broadcast_to(base, (height, width, 3)).astype(np.float32)
    tone = rng.normal(0, 45, 3)
    match rng.choice(["terrazzo", "scribbles", "weave", "marble"]):
        case "terrazzo":
            ground = _scatter_chips(rng, ground)
        case "scribbles":
            ground = _scribble_lines(rng, ground, base + tone)
        case "weave":
            y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(width, height) * rng.uniform(80, 220)
            ground = ground + (np.sin(x) * np.sin(y))[..., None] * tone + (np.sin(x / 9) > 0.6)[..., None] * tone
        case _:
            ground = ground + _draw_marble(rng, width, height)[..., None] * tone
    return np.clip(ground, 0, 255).astype(np.uint8)


def _scatter_chips(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Return the ground with small many-sided chips of all colours: clutter that no word names."""
    height, width = ground.shape[:2]
    canvas = np.ascontiguousarray(ground)
    for _ in range(int(rng.integers(60, 160))):
        centre = rng.uniform((0, 0), (width, height))
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 8))))
        radius = rng.uniform(0.008, 0.03) * max(width, height) * rng.uniform(0.5, 1, len(angles))
        chip = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius[:, None]
        colour = rng.uniform(0, 255, 3) * 0.5 + ground[0, 0] * 0.5
        cv2.fillPoly(canvas, [np.round(chip).astype(np.int32)], colour.tolist(), cv2.LINE_AA)
    return canvas


def _scribble_lines(rng: np.random.Generator, ground: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return the ground with long wavy pencil lines."""
    height, width = ground.shape[:2]
    canvas = np.ascontiguousarray(ground)
    t = np.linspace(-0.1, 1.1, 60)
    for _ in range(int(rng.integers(12, 40))):
        start, stop = rng.uniform((0, 0), (width, height), (2, 2))
        line = start + (stop - start) * t[:, None]
        line += rng.uniform(2, 14) * np.sin(t * rng.uniform(5, 60) + rng.uniform(0, 6))[:, None] * rng.normal(0, 1, 2)
        cv2.polylines(canvas, [np.round(line).astype(np.int32)], False, colour.tolist(), 1, cv2.LINE_AA)
    return canvas


def _draw_marble(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return float32, (height, width), about -1 to 1: folded noise of three sizes."""
    total = np.zeros((height, width), np.float32)
    for octave in range(3):
        coarse = rng.normal(0, 1, rng.integers(4, 8, 2) * 2**octave).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.asarray(np.sin(total * 3))


def print_object(rng: np.random.Generator, stamp: Stamp) -> Stamp:
    """Print the object: fewer tones, faded or dense ink, hatching or dots over it, and a rim of ink or of paper."""
    rgb = stamp.colour.astype(np.float32)
    steps = int(rng.integers(3, 6))
    rgb = np.round(rgb / 255 * steps) / steps * 255 * 0.5 + rgb * 0.5
    rgb = rgb.mean(axis=2, keepdims=True) + (rgb - rgb.mean(axis=2, keepdims=True)) * rng.uniform(0.65, 0.95)
    rgb += (_draw_screen(rng, stamp.alpha.shape[0]) * rng.uniform(0.2, 0.45))[..., None] * (INK - rgb)
    rim = np.clip(stamp.alpha - cv2.erode(stamp.alpha, np.ones((int(rng.integers(2, 5)),) * 2)), 0, 1)[..., None]
    rgb += rim * ((INK if rng.random() < 0.6 else np.array((236.0, 228.0, 208.0))) - rgb)
    return replace(stamp, colour=np.clip(rgb, 0, 255).astype(np.uint8))


def _draw_screen(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return float32, (side, side), 0 or 1: fine hatching or dots, finer than the patterns that words name."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    period = rng.uniform(2.5, 4.5)
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if rng.random() < 0.5:
        return np.asarray(u % period < 0.4 * period, np.float32)
    away = (u % period - period / 2) ** 2 + (v % period - period / 2) ** 2
    return np.asarray(away < (0.35 * period) ** 2, np.float32)


def age_print(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Age the whole print: a cast, less contrast, colours out of register, specks, and a blur at times."""
    # a stronger cast would make words of colour untrue
    cast = np.array((1.0, rng.uniform(0.9, 1.0), rng.uniform(0.8, 1.0)))[:: 1 if rng.random() < 0.7 else -1]
    paper = rng.uniform(60, 190)
    aged = (pixels * cast - paper) * rng.uniform(0.55, 0.85) + paper
    for channel in (0, 2):
        aged[..., channel] = np.roll(aged[..., channel], rng.integers(-1, 2, 2), axis=(0, 1))
    if rng.random() < 0.4:
        aged = cv2.GaussianBlur(aged, (0, 0), rng.uniform(0.6, 1.2))
    aged += rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None] * rng.uniform(6, 18)
    specks = rng.random(pixels.shape[:2]) < rng.uniform(0, 0.02)
    aged[specks] = rng.choice([20.0, 235.0])
    return np.asarray(np.clip(aged, 0, 255), np.uint8)


PRINTED = SceneStyle(draw_printed_ground, print_object, age_print)
"""Worn colour prints."""
