"""What the text of a request asks for: a phrase, or objects that boxes and points show on frames."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sam3_tool.errors import UserError
from sam3_tool.prompts import Box, Point

_FRAME = re.compile(r"<(\d{1,9})f>")
_OBJECT = re.compile(r",?\s*(\d{1,15})((?:\s*-?<\|[a-z]+;[^|]*\|>)+)")
_TOKEN = re.compile(r"(-?)<\|([a-z]+);([^|]*)\|>")


MAX_OBJECTS = 64
"""Objects and frames that a text may name."""


class PromptError(UserError):
    """The text of a request looks like boxes and points, and cannot be read as such."""


@dataclass(frozen=True)
class ObjectPrompt:
    """One object on one frame."""

    id: int
    frame: int
    box: Box | None
    """x0 y0 x1 y1 in pixels; the lower right corner lies outside."""
    points: tuple[Point, ...]
    """x y in pixels: the middles of the pixels that were named."""
    labels: tuple[int, ...]
    """1 on the object, 0 not on it, one per point."""


def is_object_prompt(text: str) -> bool:
    """Tell whether a text names objects, and not a phrase.

    >>> is_object_prompt("<0f>1<|point;x=20;y=40;w=640;h=480|>"), is_object_prompt("a cup")
    (True, False)
    """
    return _FRAME.match(text.lstrip()) is not None


def parse_object_prompts(text: str, *, width: int, height: int) -> list[ObjectPrompt]:
    """Read the objects that a text names, as `build_object_prompt` of `meta-sam-parser` writes them.

    Args:
        text: For each frame `<Nf>` and objects with commas between them: an id, at most one box, and points, of which
            a minus before one says that it is not on the object.
        width: Of the image or the video, in pixels, as displayed.
        height: The same.

    Returns:
        One value per object and frame, in the order of the text.

    Raises:
        PromptError: The text cannot be read, or something lies outside the image.

    >>> (prompt,) = parse_object_prompts("<0f>7<|box;x1=1;y1=2;x2=4;y2=5;w=9;h=9|>", width=9, height=9)
    >>> prompt.id, prompt.box
    (7, (1.0, 2.0, 5.0, 6.0))
    """
    prompts = [
        _parse_object(int(frame), int(found["id"]), found["tokens"], width, height)
        for frame, objects in _split_frames(text.strip())
        for found in _split_objects(objects)
    ]
    if len(prompts) > MAX_OBJECTS:
        raise PromptError(f"the text prompts {len(prompts)} times; at most {MAX_OBJECTS} are answered at once")
    places = [(prompt.id, prompt.frame) for prompt in prompts]
    for place in places:
        if places.count(place) > 1:
            raise PromptError(f"object {place[0]} is prompted twice on frame {place[1]}; give all of it at once")
    return prompts


def _split_frames(text: str) -> Iterator[tuple[str, str]]:
    parts = _FRAME.split(text)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def _split_objects(text: str) -> Iterator[dict[str, str]]:
    """Yield the id and the tokens of each object of a frame, and miss no letter of it."""
    position = 0
    for match in _OBJECT.finditer(text):
        if match.start() != position:
            break
        yield {"id": match[1], "tokens": match[2]}
        position = match.end()
    if position == 0 or text[position:].strip():
        raise PromptError(
            f"the text cannot be read as boxes and points from {text[position : position + 40]!r} on; "
            "expected is <0f>1<|box;x1=…;y1=…;x2=…;y2=…;w=…;h=…|>, or a noun phrase without tokens"
        )


def _parse_object(frame: int, id: int, tokens: str, width: int, height: int) -> ObjectPrompt:
    boxes: list[Box] = []
    points: list[tuple[Point, int]] = []
    for minus, name, fields in _TOKEN.findall(tokens):
        values = _parse_fields(fields)
        _check_size(values, width, height)
        if name == "box" and not minus:
            boxes.append(_read_box(values, width, height))
        elif name == "point":
            points.append((_read_point(values, width, height), 0 if minus else 1))
        else:
            raise PromptError(f"object {id} has a token {minus + name!r}; expected is `box`, `point` or `-` `point`")
    if len(boxes) > 1:
        raise PromptError(f"object {id} has {len(boxes)} boxes on frame {frame}; expected is one at most")
    labels = tuple(label for _, label in points)
    return ObjectPrompt(id, frame, boxes[0] if boxes else None, tuple(point for point, _ in points), labels)


def _parse_fields(fields: str) -> dict[str, int]:
    values = {}
    for field in filter(None, (field.strip() for field in fields.split(";"))):
        name, _, number = (part.strip() for part in field.partition("="))
        if not re.fullmatch(r"\d{1,9}", number, re.ASCII):
            raise PromptError(f"{field[:40]!r} is no field of a token; expected is a name, = and a whole number from 0")
        values[name] = int(number)
    return values


def _check_size(values: dict[str, int], width: int, height: int) -> None:
    size = (values.get("w", width), values.get("h", height))
    if size != (width, height):
        raise PromptError(f"coordinates are given for {size[0]} x {size[1]} pixels; the image has {width} x {height}")


def _read_box(values: dict[str, int], width: int, height: int) -> Box:
    x0, y0, x1, y1 = _read_numbers(values, ("x1", "y1", "x2", "y2"))
    if not (x0 <= x1 < width and y0 <= y1 < height):
        raise PromptError(f"the box {x0} {y0} {x1} {y1} does not lie in the image of {width} x {height} pixels")
    return float(x0), float(y0), float(x1 + 1), float(y1 + 1)


def _read_point(values: dict[str, int], width: int, height: int) -> Point:
    x, y = _read_numbers(values, ("x", "y"))
    if not (x < width and y < height):
        raise PromptError(f"the point {x} {y} does not lie in the image of {width} x {height} pixels")
    return x + 0.5, y + 0.5


def _read_numbers(values: dict[str, int], names: tuple[str, ...]) -> list[int]:
    missing = [name for name in names if name not in values]
    if missing:
        raise PromptError(f"a token lacks {', '.join(missing)}; expected are {', '.join(names)}")
    return [values[name] for name in names]
