"""Places in an image as families of language models write them, and as pixels."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

Convention = Literal["pixels", "qwen", "gemini"]
"""pixels: x0 y0 x1 y1 in pixels of the image as it is shown. qwen: x0 y0 x1 y1 in thousandths of its width and
height. gemini: y0 x0 y1 x1 in thousandths."""

CONVENTION_BY_FAMILY: tuple[tuple[str, Convention], ...] = (
    (r"qwen-?_?2[._-]?5-?_?(vl|omni)", "pixels"),
    (r"qwen|qwq|internvl|glm-?_?[45]", "qwen"),
    (r"gemini", "gemini"),
)
"""Part of a model's name -> how that family was trained to write places; the first that fits."""

AXES: dict[Convention, str] = {
    "pixels": "x0, y0, x1, y1 in pixels",
    "qwen": "x0, y0, x1, y1 in thousandths of the picture's width and height (0 to 1000)",
    "gemini": "y0, x0, y1, x1 in thousandths of the picture's height and width (0 to 1000)",
}

MAX_PIXEL = 1e6
"""Pixels from the image's corner: farther out, one place is like another."""

UNITS: dict[Convention, str] = {
    "pixels": "pixels",
    "qwen": "thousandths of the picture's width and height (0 to 1000)",
    "gemini": "thousandths of the picture's width and height (0 to 1000)",
}
"""Of points, whose x and y are written by name."""

BOX_FIELDS, BOX_LIST_FIELDS, POINTS_FIELD = ("region", "box"), ("boxes", "negative_boxes"), "points"
"""The fields of tools that hold places."""

_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_BARE_BOX = re.compile(rf"((?:looked in|the box) ){_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}")
_BRACKETED_BOX = re.compile(rf"((?:[Rr]egion|[Bb]ox) )\[{_NUMBER}, {_NUMBER}, {_NUMBER}, {_NUMBER}\]")
_POINT = re.compile(rf"([Pp]oint )\[{_NUMBER}, {_NUMBER}\]")
_MIN_DISTANCE = re.compile(r"at least \d+ apart")
_IMAGE_SIZE = re.compile(r" in a picture \d+ wide and \d+ high|, which is \d+ wide and \d+ high")
"""How tools speak of places: they know pixels of the whole image alone."""


def detect_convention(model_name: str) -> Convention:
    """Find how a model of this name writes places; pixels where nothing is known.

    >>> [detect_convention(name) for name in ("openai:Qwen/Qwen3-VL-8B-Instruct", "Qwen2.5-VL-7B", "gemini-3-pro")]
    ['qwen', 'pixels', 'gemini']
    """
    return next(
        (convention for part, convention in CONVENTION_BY_FAMILY if re.search(part, model_name.lower())), "pixels"
    )


@dataclass(frozen=True)
class CoordinateFrame:
    """Hold how one model writes places in one image.

    Example:
        >>> frame = CoordinateFrame("qwen", width=1920, height=1080, shown_width=1280, shown_height=720)
        >>> frame.from_pixels([960, 108, 1920, 1080])
        [500, 100, 1000, 1000]
    """

    convention: Convention
    width: int
    """Of the whole image, in pixels; so is `height`."""
    height: int
    shown_width: int
    """Of the image as the model is shown it; so is `shown_height`."""
    shown_height: int

    def to_pixels(self, box: Sequence[float]) -> list[float]:
        """Convert a box that the model wrote to pixels.

        Args:
            box: Four numbers in the order and the unit of the convention.

        Returns:
            x0 y0 x1 y1 in pixels of the whole image; they may lie around it.

        >>> CoordinateFrame("gemini", 1920, 1080, 1280, 720).to_pixels([0, 500, 1000, 1000])
        [960.0, 0.0, 1920.0, 1080.0]
        """
        x0, y0, x1, y1 = _swap_axes(box) if self.convention == "gemini" else box
        across, down = self._pixels_per_unit
        return [_clamp_pixel(x0 * across), _clamp_pixel(y0 * down), _clamp_pixel(x1 * across), _clamp_pixel(y1 * down)]

    def from_pixels(self, box: Sequence[float]) -> list[int]:
        """Convert a box in pixels to what the model would write.

        Args:
            box: x0 y0 x1 y1 in finite pixels of the whole image.

        Returns:
            Four whole numbers in the order and the unit of the convention.
        """
        x0, y0, x1, y1 = box
        across, down = self._pixels_per_unit
        place = [round(x0 / across), round(y0 / down), round(x1 / across), round(y1 / down)]
        return _swap_axes(place) if self.convention == "gemini" else place

    def to_pixel_units(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Convert every place in the arguments of a call to pixels.

        Args:
            arguments: The arguments as the model wrote them, validated.

        Returns:
            The arguments, with places in pixels of the whole image.

        >>> CoordinateFrame("qwen", 1920, 1080, 1280, 720).to_pixel_units({"id": 3, "points": [{"x": 500, "y": 100}]})
        {'id': 3, 'points': [{'x': 960.0, 'y': 108.0}]}
        """
        across, down = self._pixels_per_unit
        return _map_places(arguments, self.to_pixels, lambda x, y: (_clamp_pixel(x * across), _clamp_pixel(y * down)))

    def to_model_units(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Convert every place in the arguments of a call to what the model would write.

        Args:
            arguments: The arguments, with places in pixels of the whole image.

        Returns:
            The arguments, with places in the order and the unit of the convention.
        """
        across, down = self._pixels_per_unit
        return _map_places(arguments, self.from_pixels, lambda x, y: (round(x / across), round(y / down)))

    @property
    def is_plain(self) -> bool:
        """Whether the model writes pixels of the whole image."""
        return self.convention == "pixels" and (self.width, self.height) == (self.shown_width, self.shown_height)

    def rewrite_coordinates(self, text: str) -> str:
        """Rewrite what a tool says about places in the whole image as the model would write it.

        Args:
            text: A tool's sentences, with places in pixels of the whole image.

        Returns:
            The sentences, with places in the order and the unit of the convention.

        >>> frame = CoordinateFrame("qwen", 2000, 500, 1280, 320)
        >>> frame.rewrite_coordinates("Found nothing; looked in 1000,0,2000,250.")
        'Found nothing; looked in 500,0,1000,500.'
        """
        if self.is_plain:
            return text
        across, down = self._pixels_per_unit
        text = _BARE_BOX.sub(lambda found: found[1] + ",".join(map(str, self._convert_match(found))), text)
        text = _BRACKETED_BOX.sub(lambda found: f"{found[1]}{self._convert_match(found)}", text)
        text = _POINT.sub(
            lambda found: f"{found[1]}[{round(float(found[2]) / across)}, {round(float(found[3]) / down)}]", text
        )
        text = _MIN_DISTANCE.sub("farther apart", _IMAGE_SIZE.sub("", text))
        return text.replace(AXES["pixels"], AXES[self.convention])

    def describe_convention(self) -> str:
        """Return one sentence, or two, that tell the model how to write places."""
        size = f" The picture is {self.shown_width} wide and {self.shown_height} high."
        return f"A region is written as {AXES[self.convention]}.{size if self.convention == 'pixels' else ''}"

    @property
    def _pixels_per_unit(self) -> tuple[float, float]:
        """Pixels of the whole image to one unit of the model, across and down."""
        if self.convention == "pixels":
            return self.width / self.shown_width, self.height / self.shown_height
        return self.width / 1000, self.height / 1000

    def _convert_match(self, match: re.Match[str]) -> list[int]:
        return self.from_pixels([float(number) for number in match.groups()[1:]])


def adapt_schema(schema: dict[str, Any], convention: Convention) -> dict[str, Any]:
    """A tool's schema whose places are described as the model writes them."""
    changed = deepcopy(schema)
    for name, field in changed["function"]["parameters"].get("properties", {}).items():
        if name in (*BOX_FIELDS, *BOX_LIST_FIELDS, POINTS_FIELD) and "description" in field:
            description = field["description"].replace(AXES["pixels"], AXES[convention])
            field["description"] = re.sub(r"(?<=^In )pixels", UNITS[convention], description)
    return changed


def _map_places(
    arguments: Mapping[str, Any],
    convert_box: Callable[[Sequence[float]], list[Any]],
    convert_point: Callable[[float, float], tuple[float, float]],
) -> dict[str, Any]:
    """The arguments with `convert_box` and `convert_point` applied to every place in them."""
    placed = dict(arguments)
    for name in arguments.keys() & {*BOX_FIELDS, *BOX_LIST_FIELDS, POINTS_FIELD}:
        value = arguments[name]
        if name == POINTS_FIELD:
            placed[name] = [
                {**entry, **dict(zip("xy", convert_point(entry["x"], entry["y"]), strict=True))} for entry in value
            ]
        elif value is not None:
            placed[name] = convert_box(value) if name in BOX_FIELDS else [convert_box(entry) for entry in value]
    return placed


def _clamp_pixel(value: float) -> float:
    """Finite: a model may write 1e308 thousandths."""
    return round(min(max(value, -MAX_PIXEL), MAX_PIXEL), 2)


def _swap_axes(box: Sequence[Any]) -> list[Any]:
    return [box[1], box[0], box[3], box[2]]
