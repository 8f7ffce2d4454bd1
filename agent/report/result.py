"""What `result.json` holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from agent.core.episode import Episode
from agent.core.outcome import Outcome
from agent.core.usage import Usage
from agent.core.workspace import Candidate
from agent.records.base import Text
from sam3_tool.masks.boxes import xyxy_to_xywh
from sam3_tool.masks.rle import compute_areas


class ImageSize(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    width: int
    height: int
    notes: list[Text] = []
    """What had to be decided when its file was read; left out where nothing had to be."""

    @model_serializer(mode="wrap")
    def _leave_out_missing_notes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        held: dict[str, Any] = handler(self)
        return {name: value for name, value in held.items() if (name, value) != ("notes", [])}


class Segmentation(BaseModel):
    """One mask as COCO files hold it; `pycocotools.mask.decode` reads it as it is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    size: tuple[int, int]
    """(height, width) in pixels."""
    counts: str


class Mask(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: int
    """The mask's number in the episode and on the overlay."""
    phrase: str
    """The noun phrase that found it."""
    score: float
    """In [0, 1]."""
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels: the detector's box."""
    area: int
    """Pixels."""
    segmentation: Segmentation
    reason: Text = ""
    """Why it belongs to the answer, where the planner said so."""

    @classmethod
    def from_candidate(cls, candidate: Candidate, reason: str = "") -> "Mask":
        x, y, width, height = xyxy_to_xywh(np.array(candidate.box)).tolist()
        return cls(
            id=candidate.id,
            phrase=candidate.phrase,
            score=candidate.score,
            bbox=(x, y, width, height),
            area=int(compute_areas([candidate.rle])[0]),
            segmentation=Segmentation(size=candidate.rle.size, counts=candidate.rle.counts),
            reason=reason,
        )


class Result(BaseModel):
    """What `result.json` holds: the answer to one query about one picture."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    query: Text
    outcome: Outcome
    message: Text
    """The answer in words."""
    image: ImageSize
    masks: list[Mask]
    """The answer; when the outcome is neither answered nor no_match, the best answer so far."""
    count: int
    """How many masks."""
    usage: Usage
    """What the episode cost; its seconds are the episode's alone."""
    seconds: float
    """From the command to the answer, loading the network included."""
    options: list[Text] = []
    """When the outcome is 'asked': the readings between which the user may choose."""
    warnings: list[Text] = []
    """What one must know of how the answer was made, e.g. that the language model sees no images; absent for none."""

    @classmethod
    def from_episode(cls, episode: Episode, *, seconds: float, warnings: Sequence[str] = ()) -> "Result":
        """Build the result of a finished episode.

        Args:
            episode: An episode with an outcome.
            seconds: Time from the command to the answer, loading the network included.
            warnings: What one must know of how the answer was made.

        Raises:
            ValueError: The episode has no outcome yet.
        """
        if episode.outcome is None:
            raise ValueError(f"the episode has no outcome yet, after {len(episode.steps)} steps")
        image = episode.task.image
        chosen, reasons = episode.workspace.pick(episode.current_ids), episode.reasons
        return cls(
            query=episode.task.query,
            outcome=episode.outcome,
            message=episode.message,
            image=ImageSize(width=image.width, height=image.height, notes=[*image.notes]),
            masks=[Mask.from_candidate(candidate, reasons.get(candidate.id, "")) for candidate in chosen],
            count=len(chosen),
            usage=episode.usage,
            seconds=round(seconds, 3),
            options=list(episode.steps[-1].observation.options),
            warnings=list(warnings),
        )

    @property
    def is_conclusive(self) -> bool:
        """Whether the agent came to an answer, be it that nothing matches."""
        return self.outcome in ("answered", "no_match")

    def to_json(self) -> str:
        """Return the content of `result.json`, without the line break at its end; warnings only if there are any."""
        return self.model_dump_json(indent=2, exclude=None if self.warnings else {"warnings"})


def build_result_schema() -> dict[str, Any]:
    """Return the JSON schema of `result.json`, with a description of each field.

    Example:
        >>> sorted(build_result_schema()["properties"])[:4]
        ['count', 'image', 'masks', 'message']
    """
    schema = Result.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
