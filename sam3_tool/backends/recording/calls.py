"""SAM 3's calls as plain JSON values: what was asked, and what it found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from sam3_tool.backends.base import CrossImageEmbedding
from sam3_tool.backends.recording.format import Question
from sam3_tool.concepts.concept import Concept
from sam3_tool.errors import CheckpointError, RecordError
from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.prompts import ConceptPrompt, Prompt

SAM3_FOLDER = "sam3"
"""Folder of SAM 3's calls inside the folder of a recording."""
NAME_QUESTION: Question = {"what": "name"}
ESTIMATOR_QUESTION: Question = {"what": "probabilities"}
_BY_KEY = ("exemplar_image", "concept")
"""Fields of a prompt that stand in a question by their content hash."""
_USUAL = (("multimask", True), ("fill_holes", False), ("mask_side", None))


def to_json(instances: Instances) -> dict[str, Any]:
    """Convert to plain JSON values. Numbers have as many digits as tell them from all others of their type."""
    height, width = instances.size
    return {
        "height": height,
        "width": width,
        "masks": [mask.counts for mask in instances.rles],
        "boxes": instances.boxes.tolist(),
        "scores": instances.scores.tolist(),
        "presence": float(instances.presence),
        "phrase": instances.phrase,
    }


def from_json(saved: dict[str, Any]) -> Instances:
    """Convert back what `to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    size = int(saved["height"]), int(saved["width"])
    masks = [rle.RleMask(size, counts) for counts in saved["masks"]]
    for mask in masks:
        rle.check_runs(mask)
    return Instances.from_rles(
        masks,
        size,
        boxes=np.array(saved["boxes"], np.float32).reshape(-1, 4),
        scores=np.array(saved["scores"], np.float32),
        presence=float(saved["presence"]),
        phrase=saved["phrase"],
    )


def get_target(embedding: Any) -> Any:
    """Return the embedding of the image that is asked about."""
    return embedding.target if isinstance(embedding, CrossImageEmbedding) else embedding


def split_embedding(embedding: Any) -> list[Any]:
    return [embedding.target, embedding.exemplar] if isinstance(embedding, CrossImageEmbedding) else [embedding]


def build_prompt_question(key: str, prompt: Prompt) -> Question:
    if isinstance(prompt, ConceptPrompt):
        exemplar_key = {} if prompt.exemplar_image is None else {"like": prompt.exemplar_image.key}
        plain = {part.name: getattr(prompt, part.name) for part in fields(prompt) if part.name not in _BY_KEY}
        # left out where there is none, so that the question is that of recordings made before there were any
        concept_key = {} if prompt.concept is None else {"concept": prompt.concept.key}
        return {"what": "find", "picture": key, **plain, **exemplar_key, **concept_key}
    mask = None if prompt.mask is None else rle.encode_masks(prompt.mask[None])[0].counts
    question = {"what": "refine", "picture": key, **asdict(prompt), "mask": mask}
    # left out where they say nothing, so that the question is that of recordings made before there was a choice
    return {name: value for name, value in question.items() if (name, value) not in _USUAL}


def build_description_question(key: str, prompt: ConceptPrompt) -> Question:
    """Ask what is read of the boxes of a prompt. `key`: of the image that they lie in."""
    return {
        "what": "describe",
        "picture": key,
        "phrase": prompt.phrase,
        "boxes": prompt.boxes,
        "box_labels": prompt.box_labels,
    }


def concept_to_json(concept: Concept) -> dict[str, Any]:
    """Convert to plain JSON values, with as many digits as tell a number from all others of its type."""
    arrays = {"examples": concept.examples.tolist(), "surroundings": concept.surroundings.tolist()}
    return {part.name: getattr(concept, part.name) for part in fields(concept)} | arrays


def concept_from_json(saved: dict[str, Any]) -> Concept:
    """Convert back what `concept_to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
    return Concept(
        np.array(saved["examples"], np.float32),
        tuple(map(int, saved["labels"])),
        np.array(saved["surroundings"], np.float32),
        **{name: saved[name] for name in ("phrase", "fingerprint", "weights", "dtype")},
    )


def build_warning_question(phrase: str) -> Question:
    return {"what": "caveat", "phrase": phrase}


@contextmanager
def translate_errors(hint: str = "") -> Iterator[None]:
    """Raise a RecordError as the CheckpointError that a caller of a backend expects."""
    try:
        yield
    except RecordError as error:
        raise CheckpointError(f"{error}; {hint}" if hint else str(error)) from error
