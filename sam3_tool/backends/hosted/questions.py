"""What is asked: a noun phrase, or objects that boxes and points show, as the text of a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np

from sam3_tool.backends.hosted.sent_images import SentImage
from sam3_tool.backends.hosted.settings import HostedSettings
from sam3_tool.prompts import Box, Point, VisualPrompt

MOST_LETTERS = 500
"""Of a noun phrase."""


@dataclass(frozen=True)
class ShownObject:
    """One object by a box, points, or both."""

    box: Box | None = None
    """x0 y0 x1 y1 in pixels of the image."""
    points: tuple[Point, ...] = ()
    """x y in pixels of the image."""
    labels: tuple[int, ...] = ()
    """1 on the object, 0 not on it, one per point."""


def build_body(settings: HostedSettings, text: str, sent: SentImage) -> dict[str, Any]:
    """Build the body of a request: one text and one image."""
    content = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": sent.url}]
    return {
        "model": settings.model,
        "input": [{"type": "message", "role": "user", "content": content}],
        "metadata": {"mask_encoding": settings.mask_encoding, "include_confidence": "true"},
        "stream": False,
    }


def write_phrase(phrase: str) -> str:
    r"""Return a noun phrase on one line.

    Raises:
        ValueError: It would be read as boxes and points, or it is too long.

    >>> write_phrase(" striped\n cup ")
    'striped cup'
    """
    line = " ".join(phrase.split())
    if re.match(r"<\d+f\b", line) or "<|" in line:
        raise ValueError(f"{line[:40]!r} is no noun phrase: a hosted SAM 3 would read it as boxes and points")
    if len(line) > MOST_LETTERS:
        raise ValueError(f"the phrase has {len(line)} letters; expected is a noun phrase of at most {MOST_LETTERS}")
    return line


def write_objects(objects: Sequence[ShownObject], sent: SentImage) -> str:
    """Write objects as tokens. Their ids are their places.

    Raises:
        ValueError: A box lies outside the image.

    >>> sent = SentImage("", own_height=10, own_width=20, height=10, width=20, url="")
    >>> write_objects([ShownObject((2, 3, 5.5, 9), ((4, 4),), (0,))], sent)
    '<0f>0<|box;x1=2;y1=3;x2=5;y2=8;w=20;h=10|>-<|point;x=4;y=4;w=20;h=10|>'
    """
    return "<0f>" + ",".join(f"{id}{_write_object(shown, sent)}" for id, shown in enumerate(objects))


def _write_object(shown: ShownObject, sent: SentImage) -> str:
    size, (x_scale, y_scale) = f"w={sent.width};h={sent.height}", sent.scale
    written = ""
    if shown.box is not None:
        x0, y0, x1, y1 = _clip_box(shown.box, sent)
        left, top = min(floor(x0 * x_scale), sent.width - 1), min(floor(y0 * y_scale), sent.height - 1)
        # the corner at the lower right belongs to the box there
        right, bottom = max(left, ceil(x1 * x_scale) - 1), max(top, ceil(y1 * y_scale) - 1)
        written = f"<|box;x1={left};y1={top};x2={right};y2={bottom};{size}|>"
    for (x, y), label in zip(shown.points, shown.labels, strict=True):
        column, row = min(floor(x * x_scale), sent.width - 1), min(floor(y * y_scale), sent.height - 1)
        written += f"{'' if label else '-'}<|point;x={column};y={row};{size}|>"
    return written


def _clip_box(box: Box, sent: SentImage) -> Box:
    x0, y0 = max(0.0, box[0]), max(0.0, box[1])
    x1, y1 = min(float(sent.own_width), box[2]), min(float(sent.own_height), box[3])
    if x0 >= x1 or y0 >= y1:
        size = f"{sent.own_width} wide and {sent.own_height} high"
        raise ValueError(f"the box {box} lies outside the image, which is {size}")
    return x0, y0, x1, y1


def show_object(prompt: VisualPrompt) -> ShownObject:
    """Convert a prompt. The protocol has no masks: where there is no box, an earlier mask is shown by its extent.

    Raises:
        ValueError: There is nothing but a mask without a pixel.
    """
    box = prompt.box
    if box is None and prompt.mask is not None and prompt.mask.any():
        rows, columns = np.flatnonzero(prompt.mask.any(axis=1)), np.flatnonzero(prompt.mask.any(axis=0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    if box is None and not prompt.points:
        raise ValueError("the mask has no pixel; give a point or a box with it")
    return ShownObject(box, prompt.points, prompt.labels)
