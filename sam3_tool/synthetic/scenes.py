"""Generated scenes: one to ten shapes and everyday things on all sorts of backgrounds, with exact masks.

`draw_scene(seed)` is a pure function: the same seed gives the same scene on every machine with the same libraries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, PATTERNS, SHAPES, SIZES, THING_COLOURS, THINGS
from sam3_tool.synthetic.sprites import load_sprites

SIZE_RANGES = {"small": (0.15, 0.21), "medium": (0.25, 0.33), "large": (0.38, 0.55)}
"""Largest extent of an object before rotation, as a share of sqrt(width * height); the gaps keep the words honest."""
MIN_VISIBLE_AREA = 0.0025
"""Share of the image below which a (mostly hidden) object does not count as being there."""
MAX_OBJECTS = 10
HELD_OUT = 2**40
"""Training draws scene seeds below this number; held-out scenes have seeds from here on."""
IMAGE_SIZES = (
    (160, 160), (192, 144), (144, 192), (208, 156), (224, 128), (192, 128), (256, 192), (320, 240),
)  # fmt: skip
"""(width, height) in pixels of training scenes."""
SUPERSAMPLING = 4
PHOTOGRAPHS = (
    "brick",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "text",
)
"""Photographs in scikit-image's wheel that show nothing the vocabulary names."""


@dataclass(frozen=True)
class SceneObject:
    """What can truthfully be said of one object."""

    noun: str
    colour: str | None
    """None for things of many colours, or of none with a common name."""
    pattern: str | None
    """None for things."""
    size: str

    @property
    def kind(self) -> tuple[str, str | None]:
        """Objects of one kind look alike: what one exemplar box stands for."""
        return (self.noun, self.colour)


@dataclass(frozen=True, eq=False)
class Scene:
    pixels: np.ndarray
    """uint8, (height, width, 3), RGB."""
    ids: np.ndarray
    """uint8, (height, width): index + 1 of the object whose pixel it is; 0 is background."""
    objects: tuple[SceneObject, ...]

    @property
    def masks(self) -> np.ndarray:
        """bool, (N, height, width): the visible pixels of each object."""
        return np.asarray(self.ids[None] == np.arange(1, len(self.objects) + 1)[:, None, None])

    @property
    def boxes(self) -> np.ndarray:
        """float32, (N, 4), x0 y0 x1 y1 in pixels: the tight extents of the masks."""
        return np.array([_find_extent(mask) for mask in self.masks], np.float32).reshape(-1, 4)


def _find_extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, eq=False)
class Stamp:
    """An object about to be placed."""

    scene_object: SceneObject
    colour: np.ndarray
    """uint8, (h, w, 3)."""
    alpha: np.ndarray
    """float32, (h, w), in [0, 1]."""


@dataclass(frozen=True)
class SceneStyle:
    """How scenes look: three steps, each of which draws its chances from the generator that it is given."""

    draw_background: Callable[[np.random.Generator, int, int, list[tuple[int, int, int]]], np.ndarray]
    """(generator, width, height, RGB colours to keep away from) -> uint8, (height, width, 3)."""
    restyle_object: Callable[[np.random.Generator, Stamp], Stamp]
    """Give an object another look; its alpha stays, so that masks stay exact."""
    finish_image: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    """uint8, (height, width, 3) -> the same shape and type: what paper, lens and file do to the whole image."""


def draw_scene(
    seed: int, *, size: tuple[int, int] | None = None, shapes_only: bool = False, style: SceneStyle | None = None
) -> Scene:
    """Draw the scene of this seed.

    Args:
        seed: The same seed gives the same scene.
        size: (width, height) in pixels, which the seed chooses if it is left out.
        shapes_only: No everyday things.
        style: Another look than that of the world which the embedded checkpoint learnt (`shifted.PRINTED`).
    """
    rng = np.random.default_rng(seed)
    style = style or PLAIN
    width, height = size or IMAGE_SIZES[rng.integers(len(IMAGE_SIZES))]
    kinds = choose_kinds(rng, shapes_only=shapes_only)
    pixels = style.draw_background(rng, width, height, [COLOURS[c] for _, c in kinds if c])
    ids = np.zeros((height, width), np.uint8)
    objects: list[SceneObject] = []
    outlined = rng.random() < 0.25
    for _ in range(int(rng.integers(1, MAX_OBJECTS + 1))):
        stamp = draw_object(rng, kinds[rng.integers(len(kinds))], float(np.sqrt(width * height)), outlined)
        stamp = style.restyle_object(rng, stamp)
        corner = _find_place(rng, ids, stamp.alpha > 0.5, nested=rng.random() < 0.2)
        if corner is not None:
            _paste_stamp(pixels, ids, stamp, corner, len(objects) + 1)
            objects.append(stamp.scene_object)
    return _keep_visible(style.finish_image(rng, pixels), ids, objects)


def choose_kinds(rng: np.random.Generator, *, shapes_only: bool) -> list[tuple[str, str | None]]:
    """Choose a few (noun, colour) that the objects are drawn from, so that kinds repeat and near misses occur."""
    share_of_things = rng.choice([0.0, 0.5, 1.0], p=[0.35, 0.35, 0.30]) * (not shapes_only)
    shapes = rng.choice(SHAPES, rng.integers(1, 5), replace=False)
    colours = rng.choice(list(COLOURS), rng.integers(1, 5), replace=False)
    family = sorted(HYPERNYMS[rng.choice(["animal", "vehicle", "fruit", "food", "object", "object"])] & THINGS.keys())
    things = rng.choice(family, min(len(family), int(rng.integers(2, 6))), replace=False)
    kinds: list[tuple[str, str | None]] = []
    for _ in range(int(rng.choice(6, p=[0.08, 0.2, 0.25, 0.2, 0.15, 0.12])) + 1):
        if rng.random() < share_of_things:
            noun = str(rng.choice(things))
            kinds.append((noun, THING_COLOURS.get(noun)))
        else:
            kinds.append((str(rng.choice(shapes)), str(rng.choice(colours))))
    return kinds


# --- objects ---------------------------------------------------------------------------------------------------------


def draw_object(rng: np.random.Generator, kind: tuple[str, str | None], scale: float, outlined: bool) -> Stamp:
    """Draw an object of a (noun, colour). `scale`: sqrt(width * height) of the image; `outlined`: if it is plain."""
    noun, colour = kind
    size = str(rng.choice(SIZES, p=[0.34, 0.33, 0.33]))
    side = max(8, round(rng.uniform(*SIZE_RANGES[size]) * scale))
    if noun in THINGS:
        rgb, alpha = _draw_thing(rng, noun, side)
        return Stamp(SceneObject(noun, colour, None, size), rgb, alpha)
    pattern = "plain" if side < 18 else str(rng.choice(PATTERNS, p=[0.64, 0.18, 0.18]))
    alpha = _draw_shape_alpha(rng, noun, side)
    rgb = _draw_texture(rng, COLOURS[str(colour)], pattern, side)
    if outlined and pattern == "plain":
        rim = alpha - cv2.erode(alpha, np.ones((3, 3)))
        rgb = (rgb * (1 - 0.55 * rim[..., None])).astype(np.uint8)
    return Stamp(SceneObject(noun, colour, pattern, size), rgb, alpha)


def _draw_thing(rng: np.random.Generator, noun: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a thing `side` pixels large: perhaps mirrored, a little tilted and relit."""
    sprite = load_sprites()[noun].astype(np.float32)
    sprite[..., :3] *= sprite[..., 3:] / 255  # premultiplied, so that resizing mixes no colour from outside
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
    small = cv2.resize(sprite, (side, side), interpolation=cv2.INTER_AREA if side < len(sprite) else cv2.INTER_CUBIC)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-14, 14), 0.96)
    small = np.clip(cv2.warpAffine(small, turn, (side, side), flags=cv2.INTER_LINEAR), 0, 255)
    alpha = small[..., 3] / 255
    rgb = small[..., :3] / np.maximum(alpha, 1e-3)[..., None] * rng.uniform(0.88, 1.08)
    return np.clip(rgb, 0, 255).astype(np.uint8), alpha


def _draw_shape_alpha(rng: np.random.Generator, noun: str, side: int) -> np.ndarray:
    """Return float32, (side, side): how much of each pixel the shape covers."""
    tilt = np.deg2rad(rng.uniform(-1, 1) * MAX_TILT.get(noun, 12))
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    mirror = np.array([rng.choice([-1.0, 1.0]), 1.0])
    fine = side * SUPERSAMPLING
    loops = [((loop * mirror @ turn.T) * 0.96 + 1) / 2 * fine for loop in trace_outline(noun, rng)]
    canvas = np.zeros((fine, fine), np.uint8)
    cv2.fillPoly(canvas, [np.round(loop).astype(np.int32) for loop in loops], 255)
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


MAX_TILT = {"circle": 0, "ring": 0, "triangle": 180, "star": 180, "crescent": 180, "pentagon": 180, "arrow": 180}
"""Degrees either way; other shapes keep close to upright."""


def trace_outline(noun: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the loops, float (K, 2) in [-1, 1], y down, that bound a shape; an inner loop is a hole (even-odd)."""
    if noun not in _OUTLINES:
        raise ValueError(f"no shape is called {noun!r}; shapes are {', '.join(SHAPES)}")
    return _OUTLINES[noun](rng)


def _trace_arc(start: float, stop: float) -> np.ndarray:
    angles = np.deg2rad(np.linspace(start, stop, 48))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _trace_polygon(corners: int, radius: float = 1.0, first: float = -90) -> np.ndarray:
    angles = np.deg2rad(first + 360 / corners * np.arange(corners))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _trace_star(rng: np.random.Generator) -> list[np.ndarray]:
    inner = _trace_polygon(5, rng.uniform(0.38, 0.5), -54)
    return [np.stack([_trace_polygon(5), inner], axis=1).reshape(-1, 2)]


def _trace_cross(rng: np.random.Generator) -> list[np.ndarray]:
    t = rng.uniform(0.26, 0.36)
    quarter = np.array([(t, -1), (t, -t), (1, -t)])
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return [np.concatenate([quarter @ turn for turn in turns])]


def _trace_heart(rng: np.random.Generator) -> list[np.ndarray]:
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    return [np.stack([16 * np.sin(turn) ** 3, 2.5 - y], axis=1) / 17]


def _trace_crescent(rng: np.random.Generator) -> list[np.ndarray]:
    bite = _trace_arc(118, 242)[::-1] * np.array([rng.uniform(0.2, 0.55), 1.0])
    return [np.concatenate([_trace_arc(118, 242), bite]) + np.array([0.65, 0])]


def _trace_arrow(rng: np.random.Generator) -> list[np.ndarray]:
    t = rng.uniform(0.2, 0.3)
    return [np.array([(-1, -t), (0.1, -t), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, t), (-1, t)])]


# each shape draws as many random numbers as it always did: the saved scenes depend on their order
_OUTLINES: dict[str, Callable[[np.random.Generator], list[np.ndarray]]] = {
    "circle": lambda rng: [_trace_arc(0, 360)],
    "square": lambda rng: [_trace_polygon(4, 1.15, -45)],
    "triangle": lambda rng: [_trace_polygon(3)],
    "star": _trace_star,
    "ring": lambda rng: [_trace_arc(0, 360), _trace_arc(0, 360) * rng.uniform(0.5, 0.64)],
    "cross": _trace_cross,
    "heart": _trace_heart,
    "crescent": _trace_crescent,
    "pentagon": lambda rng: [_trace_polygon(5)],
    "arrow": _trace_arrow,
    "diamond": lambda rng: [np.array([(0, -1), (0.6, 0), (0, 1), (-0.6, 0)])],
    "semicircle": lambda rng: [_trace_arc(180, 360) + np.array([0, 0.5])],
}
"""Shape -> what traces it."""


def _draw_texture(rng: np.random.Generator, colour: tuple[int, int, int], pattern: str, side: int) -> np.ndarray:
    """Return uint8, (side, side, 3): about this colour, with light shading, stripes or dots in a contrasting tone."""
    base = np.clip(np.array(colour) + rng.normal(0, 9, 3), 0, 255)
    if pattern == "plain":
        shade = np.linspace(-1, 1, side)[:, None, None] * rng.uniform(-18, 18) * (rng.random() < 0.4)
        return np.repeat(np.clip(base + shade, 0, 255).astype(np.uint8), side, axis=1)
    period = max(4.5, side * rng.uniform(0.17, 0.23))
    along = np.arange(side, dtype=np.float32)
    x, y = along[None], along[:, None]
    marks = _draw_stripes(rng, x, y, period) if pattern == "striped" else _draw_dots(x, y, period)
    contrast = 255.0 if base.mean() < 150 else 0.0
    tones = np.stack([base, base + (contrast - base) * rng.uniform(0.5, 0.7)]).astype(np.uint8)
    return np.asarray(tones[marks.view(np.uint8)])


def _draw_stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, period: float) -> np.ndarray:
    angle = rng.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4])
    return np.asarray((x * np.cos(angle) + y * np.sin(angle)) % period < 0.42 * period)


def _draw_dots(x: np.ndarray, y: np.ndarray, period: float) -> np.ndarray:
    return np.asarray((x % period - period / 2) ** 2 + (y % period - period / 2) ** 2 < (0.3 * period) ** 2)


# --- placing ---------------------------------------------------------------------------------------------------------


def _find_place(
    rng: np.random.Generator, ids: np.ndarray, solid: np.ndarray, *, nested: bool
) -> tuple[int, int] | None:
    """Return (x, y) of the stamp's corner where every earlier object stays visible, or None after a dozen tries.

    Most objects keep apart, some hide up to a third of another; a `nested` one lies wholly within a larger one.
    """
    height, width = ids.shape
    h, w = solid.shape
    may_hide = 0.35 if rng.random() < 0.3 else 0.02
    whole = np.count_nonzero(solid)
    total = np.array([np.count_nonzero(ids == number) for number in range(1, MAX_OBJECTS + 1)])
    for _ in range(14):
        x = int(rng.integers(-w // 12, max(1, width - w + w // 12)))
        y = int(rng.integers(-h // 12, max(1, height - h + h // 12)))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
        inside = solid[y0 - y : y1 - y, x0 - x : x1 - x]
        area = np.count_nonzero(inside)
        # an object that the border cuts too much would not be what its words say
        if area < 0.85 * whole:
            continue
        hidden = np.bincount(ids[y0:y1, x0:x1][inside], minlength=MAX_OBJECTS + 1)[1:]
        most, host = hidden.max(), hidden.argmax()
        if nested and most > 0.98 * area and most < 0.45 * total[host]:
            return x, y
        if hidden.sum() < 0.5 * area and (hidden <= may_hide * total).all():
            return x, y
    return None


def _paste_stamp(pixels: np.ndarray, ids: np.ndarray, stamp: Stamp, corner: tuple[int, int], object_id: int) -> None:
    """Draw the stamp into `pixels` and write its number into `ids`."""
    height, width = ids.shape
    (x, y), (h, w) = corner, stamp.alpha.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    cut = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    alpha = stamp.alpha[cut][..., None]
    region = pixels[y0:y1, x0:x1]
    region[:] = region * (1 - alpha) + stamp.colour[cut] * alpha
    ids[y0:y1, x0:x1][stamp.alpha[cut] > 0.5] = object_id


def _keep_visible(pixels: np.ndarray, ids: np.ndarray, objects: list[SceneObject]) -> Scene:
    visible = [n for n in range(1, len(objects) + 1) if np.count_nonzero(ids == n) >= MIN_VISIBLE_AREA * ids.size]
    renumber = np.zeros(256, np.uint8)
    renumber[visible] = np.arange(1, len(visible) + 1)
    return Scene(pixels, renumber[ids], tuple(objects[n - 1] for n in visible))


# --- backgrounds -----------------------------------------------------------------------------------------------------


def draw_background(
    rng: np.random.Generator, width: int, height: int, *, avoid: list[tuple[int, int, int]]
) -> np.ndarray:
    """Return uint8, (height, width, 3), in a style chosen by chance and unlike the colours in `avoid`."""
    base = pick_unlike_colour(rng, avoid)
    x, y = (np.arange(side, dtype=np.float32) / max(width, height) for side in (width, height))
    angle, amplitude = rng.uniform(0, 2 * np.pi), rng.normal(0, 20, 3)
    slope = (x - 0.5) * np.cos(angle) + (y[:, None] - 0.5) * np.sin(angle)
    relief: np.ndarray
    styles = ["flat", "gradient", "stripes", "checks", "clouds", "photograph"]
    match rng.choice(styles, p=[0.2, 0.2, 0.1, 0.1, 0.2, 0.2]):
        case "flat":
            return np.broadcast_to(np.clip(base, 0, 255).astype(np.uint8), (height, width, 3)).copy()
        case "gradient":
            relief = slope[..., None] * amplitude * 2.5
        case "stripes":
            return _alternate_tones(np.sin(slope * rng.uniform(15, 60)) > 0, base, amplitude)
        case "checks":
            n = rng.integers(4, 14)
            return _alternate_tones((np.floor(x * n) + np.floor(y * n)[:, None]) % 2 > 0, base, amplitude)
        case "clouds":
            coarse = rng.normal(0, rng.uniform(5, 18), (*rng.integers(3, 12, 2), 3)).astype(np.float32)
            relief = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        case _:
            return _crop_photograph(rng, width, height)
    lit = base + relief
    return np.asarray(np.clip(lit, 0, 255, out=lit), np.uint8)


def _alternate_tones(is_raised: np.ndarray, base: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """Return uint8, (height, width, 3): one tone where bool (height, width) `is_raised` is true, another elsewhere."""
    tones = np.clip(np.stack([base, base + amplitude * 0.8]), 0, 255).astype(np.uint8)
    return np.asarray(tones[is_raised.view(np.uint8)])


def pick_unlike_colour(rng: np.random.Generator, avoid: list[tuple[int, int, int]]) -> np.ndarray:
    """Return float, (3,): an RGB colour at a distance from those in `avoid` (the best of many tries)."""
    tries = rng.uniform(0, 255, (40, 3))
    grey = rng.random(40) < 0.4
    tries[grey] = rng.uniform(20, 240, (40, 1))[grey] + rng.normal(0, 8, (40, 3))[grey]
    # with nothing to keep away from, the first colour is as good as any
    if not avoid:
        return np.asarray(tries[0])
    distance = np.abs(tries[:, None] - np.array(avoid)[None]).sum(axis=-1).min(axis=1)
    return np.asarray(tries[int(np.argmax(distance > 120)) if (distance > 120).any() else int(distance.argmax())])


def _crop_photograph(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a crop of a real photograph, at times softened or with less contrast."""
    photograph = _load_photographs()[rng.integers(len(PHOTOGRAPHS))]
    share = rng.uniform(0.35, 1.0)
    h, w = (max(16, int(side * share)) for side in photograph.shape[:2])
    y, x = rng.integers(photograph.shape[0] - h + 1), rng.integers(photograph.shape[1] - w + 1)
    crop = cv2.resize(photograph[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(1, 3))
    contrast = rng.uniform(0.3, 0.9)
    return np.clip(crop * contrast + rng.uniform(0, 255, 3) * (1 - contrast), 0, 255).astype(np.uint8)


@cache
def _load_photographs() -> list[np.ndarray]:
    """Return uint8, (h, w, 3) each, no longer than 320 pixels."""
    from skimage import data  # only the generator needs scikit-image

    return [_shrink_photograph(getattr(data, name)()) for name in PHOTOGRAPHS]


def _shrink_photograph(photograph: np.ndarray) -> np.ndarray:
    rgb = photograph if photograph.ndim == 3 else np.repeat(photograph[..., None], 3, axis=2)
    scale = min(1.0, 320 / max(rgb.shape[:2]))
    return np.asarray(cv2.resize(rgb[..., :3], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _add_film_grain(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    strength = rng.uniform(1, 8) * (rng.random() < 0.6)
    light = rng.uniform(0.85, 1.1) if rng.random() < 0.3 else 1.0
    if not strength and light == 1.0:
        return pixels
    grainy = pixels * np.float32(light)
    if strength:
        grainy += rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(strength)
    return np.clip(grainy, 0, 255, out=grainy).astype(np.uint8)


PLAIN = SceneStyle(
    lambda rng, width, height, avoid: draw_background(rng, width, height, avoid=avoid),
    lambda rng, stamp: stamp,
    _add_film_grain,
)
"""The look of the world that the embedded checkpoint learnt."""
