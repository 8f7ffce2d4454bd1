"""The calls about a video as plain JSON values.

Mask logits are kept as what they say: which cells are inside. Whatever decides between them looks at nothing else, and
what the network made of the numbers themselves, masks of the video's size, is recorded as such.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sam3_tool.backends.base import Detections, LowMasks
from sam3_tool.backends.recording.calls import build_prompt_question
from sam3_tool.backends.recording.format import Question, hash_question
from sam3_tool.masks import rle
from sam3_tool.prompts import ConceptPrompt, VisualPrompt

INSIDE, OUTSIDE = np.float32(1), np.float32(-1)
"""Logits that stand for those of the network in a replay."""


class CallHistory:
    """What the memory of a video was told so far, in one hash: its answers depend on all of it."""

    def __init__(self, height: int, width: int, length: int) -> None:
        self._key = hash_question({"what": "follow", "height": height, "width": width, "length": length})

    def add_call(self, call: Question) -> Question:
        """Return the call as a question that no other history has."""
        question = {**call, "after": self._key}
        self._key = hash_question(question)
        return question


def build_detection_question(key: str, prompt: ConceptPrompt) -> Question:
    return {**build_prompt_question(key, prompt), "what": "detect"}


def build_upsampling_question(logits: np.ndarray, height: int, width: int) -> Question:
    """`logits`: (h, w), of one object."""
    return {"what": "upsample", "height": height, "width": width, **logits_to_json(logits[None])}


def build_object_call(key: str, frame: int, object_id: int, prompt: VisualPrompt) -> Question:
    return {**build_prompt_question(key, prompt), "what": "prompt", "frame": frame, "object": object_id}


def build_begin_call(key: str, frame: int, ids: Sequence[int], logits: np.ndarray) -> Question:
    return {"what": "begin", "picture": key, "frame": frame, "objects": list(ids), **logits_to_json(logits)}


def build_propagation_call(key: str, frame: int, *, reverse: bool, remember: bool) -> Question:
    return {"what": "propagate", "picture": key, "frame": frame, "reverse": reverse, "remember": remember}


def build_memory_call(
    key: str,
    frame: int,
    ids: Sequence[int],
    logits: np.ndarray,
    *,
    groups: Sequence[int] | None,
    conditioning: Sequence[int],
) -> Question:
    how = {"groups": None if groups is None else list(groups), "conditioning": list(conditioning)}
    return {**build_begin_call(key, frame, ids, logits), "what": "remember", **how}


def build_forgetting_call(ids: Sequence[int]) -> Question:
    return {"what": "forget", "objects": list(ids)}


def logits_to_json(logits: np.ndarray) -> dict[str, Any]:
    """Convert which cells of logits, (N, h, w), are inside."""
    return {"cells": list(logits.shape[1:]), "masks": [mask.counts for mask in rle.encode_masks(logits > 0)]}


def logits_from_json(saved: dict[str, Any]) -> np.ndarray:
    """Return float32, (N, h, w). Raises KeyError, TypeError or ValueError where it is damaged."""
    height, width = map(int, saved["cells"])
    logits = np.full((len(saved["masks"]), height, width), OUTSIDE, np.float32)
    for row, counts in zip(logits, saved["masks"], strict=True):
        row[rle.decode_mask(mask_from_json(counts, height, width))] = INSIDE
    return logits


def mask_from_json(counts: Any, height: int, width: int) -> rle.RleMask:
    """Return a mask. Raises TypeError or ValueError where it is damaged."""
    mask = rle.RleMask((height, width), counts)
    rle.check_runs(mask)
    return mask


def detections_to_json(found: Detections) -> dict[str, Any]:
    numbers = {"scores": found.scores.tolist(), "boxes": found.boxes.tolist(), "presence": float(found.presence)}
    return {**logits_to_json(found.logits), **numbers}


def detections_from_json(saved: dict[str, Any]) -> Detections:
    """Convert back what `detections_to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    scores, boxes = np.array(saved["scores"], np.float32), np.array(saved["boxes"], np.float32).reshape(-1, 4)
    return Detections(logits_from_json(saved), scores, boxes, float(saved["presence"]))


def low_masks_to_json(low: LowMasks) -> dict[str, Any]:
    numbers = {"ids": list(low.ids), "presences": low.presences.tolist(), "scores": low.scores.tolist()}
    return {**logits_to_json(low.logits), **numbers}


def low_masks_from_json(saved: dict[str, Any]) -> LowMasks:
    """Convert back what `low_masks_to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    presences, scores = (np.array(saved[name], np.float32) for name in ("presences", "scores"))
    return LowMasks(tuple(map(int, saved["ids"])), logits_from_json(saved), presences, scores)
