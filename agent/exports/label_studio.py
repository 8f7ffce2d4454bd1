"""A Label Studio task with brush predictions: https://labelstud.io/guide/predictions."""

from base64 import b64encode
from html import escape
from io import BytesIO
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from agent.episode import Candidate
from agent.exports.answer import MODEL, Answer, as_json, category

FROM, TO = "label", "image"
"""The names of the tags of the labelling interface to which the masks belong."""

_WORD = 8
_LENGTHS = (3, 4, 8, 16)
"""Bits that the length of a run may take, less one word."""


def task(answer: Answer) -> bytes:
    """A JSON file for Label Studio's import, with one task: the picture itself, and a brush mask for each mask.

    The project's labelling interface must have the tags of `meta.interface`, which can be pasted into it as it is.
    """
    picture = BytesIO()
    answer.picture.to_pil().save(picture, "PNG")
    image = f"data:image/png;base64,{b64encode(picture.getvalue()).decode()}"
    regions = [_region(answer, one, mask) for one, mask in answer.masks()]
    scores = [one.score for one in answer.candidates]
    prediction = {"model_version": MODEL, "score": round(fmean(scores), 4) if scores else 0.0, "result": regions}
    content = {
        "data": {"image": image, "file_name": answer.name},
        "meta": {"interface": interface(answer.categories)},
        "predictions": [prediction],
    }
    return as_json([content])


def interface(labels: list[str]) -> str:
    """Label Studio's configuration of a project with these labels."""
    tags = "".join(f'<Label value="{escape(label)}"/>' for label in labels)
    brush = f'<BrushLabels name="{FROM}" toName="{TO}">{tags}</BrushLabels>'
    return f'<View><Image name="{TO}" value="$image" zoom="true"/>{brush}</View>'


def _region(answer: Answer, one: Candidate, mask: np.ndarray) -> dict[str, Any]:
    facts = answer.facts(one)
    return {
        "id": f"mask{one.id}",
        "type": "brushlabels",
        "from_name": FROM,
        "to_name": TO,
        "original_width": answer.picture.width,
        "original_height": answer.picture.height,
        "image_rotation": 0,
        "score": facts["score"],
        "value": {"format": "rle", "rle": list(brush(mask)), "brushlabels": [category(one)]},
        **({"meta": {"text": [facts["reason"]]}} if "reason" in facts else {}),
    }


def brush(mask: np.ndarray) -> bytes:
    """`mask`, bool (H, W), as Label Studio keeps a brush: runs over the bytes of an RGBA picture, row by row.

    In the layout of @thi.ng/rle-pack: 32 bits say how many bytes there are, 5 how long a word is, 4 times 4 how
    long the lengths of runs may be; then the runs.
    """
    header = f"{4 * mask.size:032b}{_WORD - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in _LENGTHS)
    flat = mask.ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    bits = header + "".join(_run(4 * (end - start), 255 * int(flat[start])) for start, end in pairwise(edges))
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def _run(length: int, value: int) -> str:
    """Bits: 1 for a repeated word, which of `_LENGTHS`, the length less one, the word; over and over if too long."""
    most = 1 << _LENGTHS[-1]
    pieces = [most] * (length // most) + ([length % most] if length % most else [])
    return "".join(f"1{(kind := _kind(piece)):02b}{piece - 1:0{_LENGTHS[kind]}b}{value:08b}" for piece in pieces)


def _kind(length: int) -> int:
    return next(kind for kind, bits in enumerate(_LENGTHS) if length <= 1 << bits)
