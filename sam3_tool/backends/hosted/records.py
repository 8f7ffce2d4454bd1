"""The text of an answer, read strictly: one line with the box, the mask and the confidence of each object.

The grammar is that of https://github.com/meta-models/meta-sam/blob/main/protocol/sam3.md. As it asks for, fields and
tokens that nobody knows yet are passed over; everything else that is wrong is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam3_tool.backends.hosted.answers import HostedAnswerError
from sam3_tool.masks.range_coded.decoding import decode_mask
from sam3_tool.masks.range_coded.errors import MaskTextError

MOST_OBJECTS = 1000
"""SAM 3 itself has 200 queries."""
MOST_COVERAGE = 32
"""Pixels of all boxes together, as a multiple of the image's: a short text may claim to hold any number."""
_LINE = re.compile(r"<(\d{1,15})f(?:;[^<>|]*)?>\s*(.*)")
_OBJECT = re.compile(r",?\s*(\d{1,15})((?:<\|[^|<>]*\|>)+)\s*(?=,|\d|$)")
_TOKEN = re.compile(r"<\|([^;|]*)(?:;([^|]*))?\|>")
_DATA = re.compile(r"(\d{1,7}),(\d{1,7}),([!-~]+)")
_CONFIDENCE = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One object."""

    id: int
    box: tuple[int, int, int, int]
    """x0 y0 x1 y1 in pixels of what was sent; the lower right corner lies outside."""
    inside: np.ndarray
    """bool, (y1 - y0, x1 - x0): the mask within the box."""
    confidence: float | None
    """In [0, 1]; None where the server does not say."""


@dataclass(frozen=True)
class _Record:
    id: int
    box: tuple[int, int, int, int]
    payload: str
    confidence: float | None

    @property
    def size(self) -> tuple[int, int]:
        return self.box[3] - self.box[1], self.box[2] - self.box[0]


def parse_objects(text: str, height: int, width: int) -> list[FoundObject]:
    r"""Read the objects of an image.

    Args:
        text: Of an answer, with a line for the one frame that an image has; empty where nothing was found.
        height: Of what was sent, in pixels.
        width: The same.

    Returns:
        The objects in the order of the text. Of several with one id the last one counts.

    Raises:
        HostedAnswerError: The text is something else, or is about something else.

    >>> parse_objects("<0f>3<|box;x1=2;y1=1;x2=4;y2=2;w=6;h=4|><|mask;x=0;y=0;data=2,3,!!!!!&w{Dcs|>\n", 4, 6)[0].box
    (2, 1, 5, 3)
    """
    records = [
        _read_record(int(id), tokens, height, width)
        for line in filter(None, map(str.strip, text.split("\n")))
        for id, tokens in _split_line(line)
    ]
    if len(records) > MOST_OBJECTS:
        raise HostedAnswerError(f"answered with {len(records)} objects, expected are at most {MOST_OBJECTS}")
    pixels = sum(size[0] * size[1] for size in (record.size for record in records))
    if pixels > MOST_COVERAGE * height * width:
        raise HostedAnswerError(f"answered with masks of {pixels} pixels for an image of {height * width}")
    latest = {record.id: record for record in records}
    return [FoundObject(record.id, record.box, _decode_inside(record), record.confidence) for record in latest.values()]


def _split_line(line: str) -> Iterator[tuple[str, str]]:
    """Yield the id and the tokens of each object, and miss no letter of the line."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise HostedAnswerError(f"answered with words, not with masks ({_shorten(line)})")
    if int(found[1]) != 0:
        raise HostedAnswerError(f"answered about frame {found[1]} of an image, which has frame 0 only")
    objects, position = found[2], 0
    while position < len(objects) or not objects:
        match = _OBJECT.match(objects, position)
        if match is None:
            raise HostedAnswerError(f"answered with an object that cannot be read ({_shorten(objects[position:])})")
        yield match[1], match[2]
        position = match.end()


def _read_record(id: int, tokens: str, height: int, width: int) -> _Record:
    named = [(name.strip(), body) for name, body in _TOKEN.findall(tokens)]
    bodies = {kind: [body for name, body in named if name == kind] for kind in ("box", "mask")}
    if any(len(found) != 1 for found in bodies.values()):
        raise HostedAnswerError(f"answered with object {id} without exactly one box and one mask")
    box_fields, mask_fields = (_read_fields(id, *bodies[kind]) for kind in ("box", "mask"))
    box = _read_box(id, box_fields, height, width)
    data = _DATA.fullmatch(mask_fields.get("data", ""))
    if data is None or mask_fields.get("x") != "0" or mask_fields.get("y") != "0":
        raise HostedAnswerError(f"answered with a mask of object {id} that cannot be read")
    size = (box[3] - box[1], box[2] - box[0])
    if (int(data[1]), int(data[2])) != size:
        raise HostedAnswerError(
            f"answered with a mask of {data[2]} x {data[1]} pixels for object {id}, whose box has {size[1]} x {size[0]}"
        )
    confidence = _read_confidence(mask_fields)
    return _Record(id, box, data[3], _read_confidence(box_fields) if confidence is None else confidence)


def _read_fields(id: int, body: str) -> dict[str, str]:
    """Return the fields of a token. One that is there twice is no value that can be trusted."""
    fields: dict[str, str] = {}
    for field in filter(None, map(str.strip, body.split(";"))):
        name, _, value = (part.strip() for part in field.partition("="))
        if name in fields and name in ("x1", "y1", "x2", "y2", "w", "h", "x", "y", "data"):
            raise HostedAnswerError(f"answered with `{name}` twice for object {id}")
        fields[name] = "" if name in fields else value
    return fields


def _read_box(id: int, fields: dict[str, str], height: int, width: int) -> tuple[int, int, int, int]:
    texts = [fields.get(name, "") for name in ("x1", "y1", "x2", "y2", "w", "h")]
    if not all(re.fullmatch(r"-?[0-9]{1,9}", text) for text in texts):
        raise HostedAnswerError(f"answered with a box of object {id} that is not made of whole numbers")
    left, top, right, bottom, said_width, said_height = map(int, texts)
    if (said_height, said_width) != (height, width):
        raise HostedAnswerError(
            f"answered about an image of {said_width} x {said_height} pixels; what was sent has {width} x {height}"
        )
    if not (0 <= left <= right < width and 0 <= top <= bottom < height):
        raise HostedAnswerError(f"answered with object {id} outside the image ({left} {top} {right} {bottom})")
    return left, top, right + 1, bottom + 1


def _read_confidence(fields: dict[str, str]) -> float | None:
    text = fields.get("c", "")
    number = float(text) if len(text) < 40 and _CONFIDENCE.fullmatch(text) else -1.0
    return number if 0.0 <= number <= 1.0 else None


def _decode_inside(record: _Record) -> np.ndarray:
    try:
        return decode_mask(record.payload, *record.size)
    except MaskTextError as error:
        raise HostedAnswerError(f"answered with a mask of object {record.id} that cannot be read: {error}") from None


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
