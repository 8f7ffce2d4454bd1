"""A Label Studio task with brush predictions: https://labelstud.io/guide/predictions."""

from base64 import b64encode
from html import escape
from io import BytesIO
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from agent.core.workspace import Candidate
from agent.exports.answer import GENERATOR_NAME, ExportAnswer, get_category, to_json_bytes
from agent.exports.base import Exporter

FROM_NAME, TO_NAME = "label", "image"
"""The names of the tags of the labelling interface to which the masks belong."""

_WORD_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
"""Bits that the length of a run may take, less one word."""


def encode_task(answer: ExportAnswer) -> bytes:
    """A JSON file for Label Studio's import, with one task: the image itself, and a brush mask for each mask.

    The project's labelling interface must have the tags of `meta.interface`, which can be pasted into it as it is.
    """
    png_file = BytesIO()
    answer.image.to_pil().save(png_file, "PNG")
    image = f"data:image/png;base64,{b64encode(png_file.getvalue()).decode()}"
    content = {
        "data": {"image": image, "file_name": answer.name},
        "meta": {"interface": build_interface(answer.categories)},
        "predictions": [build_prediction(answer)],
    }
    return to_json_bytes([content])


def build_prediction(answer: ExportAnswer) -> dict[str, Any]:
    """Return the masks of an answer as a prediction of a task."""
    regions = [_build_region(answer, candidate, mask) for candidate, mask in answer.iterate_masks()]
    scores = [candidate.score for candidate in answer.candidates]
    return {
        "model_version": GENERATOR_NAME,
        "score": round(fmean(scores), 4) if scores else 0.0,
        "result": regions,
    }


def build_interface(labels: list[str]) -> str:
    """Label Studio's configuration of a project with these labels."""
    tags = "".join(f'<Label value="{escape(label)}"/>' for label in labels)
    brush_tag = f'<BrushLabels name="{FROM_NAME}" toName="{TO_NAME}">{tags}</BrushLabels>'
    return f'<View><Image name="{TO_NAME}" value="$image" zoom="true"/>{brush_tag}</View>'


def _build_region(answer: ExportAnswer, candidate: Candidate, mask: np.ndarray) -> dict[str, Any]:
    facts = answer.describe_mask(candidate)
    return {
        "id": f"mask{candidate.id}",
        "type": "brushlabels",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": answer.image.width,
        "original_height": answer.image.height,
        "image_rotation": 0,
        "score": facts["score"],
        "value": {"format": "rle", "rle": list(encode_brush(mask)), "brushlabels": [get_category(candidate)]},
        **({"meta": {"text": [facts["reason"]]}} if "reason" in facts else {}),
    }


def encode_brush(mask: np.ndarray) -> bytes:
    """`mask`, bool (H, W), as Label Studio keeps a brush: runs over the bytes of an RGBA image, row by row.

    In the layout of @thi.ng/rle-pack: 32 bits say how many bytes there are, 5 how long a word is, 4 times 4 how
    long the lengths of runs may be; then the runs.
    """
    header = f"{4 * mask.size:032b}{_WORD_BITS - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in _LENGTH_BITS)
    flat = mask.ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    bits = header + "".join(_encode_run(4 * (end - start), 255 * int(flat[start])) for start, end in pairwise(edges))
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def _encode_run(length: int, value: int) -> str:
    """Encode a run in bits: 1 for a repeated word, which of `_LENGTH_BITS`, the length less one, the word.

    A run that is too long is written in pieces.
    """
    most = 1 << _LENGTH_BITS[-1]
    pieces = [most] * (length // most) + ([length % most] if length % most else [])
    return "".join(
        f"1{(kind := _find_length_kind(piece)):02b}{piece - 1:0{_LENGTH_BITS[kind]}b}{value:08b}" for piece in pieces
    )


def _find_length_kind(length: int) -> int:
    return next(kind for kind, bits in enumerate(_LENGTH_BITS) if length <= 1 << bits)


TASK = Exporter(".label-studio.json", "Label Studio JSON", encode_task)
