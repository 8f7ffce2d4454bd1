"""Frames that are held back until it is known which young masklets are taken back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.tracking.frames import TrackedFrame
from sam3_tool.tracking.suppression import resolve_overlaps


@dataclass(frozen=True)
class SeenObject:
    """An object on one frame."""

    mask: RleMask
    score: float
    """How sure SAM 3 is that it is on this frame."""
    object_score: float
    """Of the detection that began it."""


@dataclass(frozen=True, eq=False)
class SeenByPrompt:
    """What is seen on one frame for one prompt. Masks may overlap."""

    phrase: str
    presence: float
    objects: Mapping[int, SeenObject]
    """By id."""


@dataclass(frozen=True, eq=False)
class HeldFrame:
    """What is seen on a frame for each prompt, before anything of it is taken back."""

    frame: int
    size: tuple[int, int]
    prompts: tuple[SeenByPrompt, ...]

    def release(self, removed: Collection[int]) -> TrackedFrame:
        """Make the frame that is shown.

        Args:
            removed: Ids that were taken back.

        Returns:
            The other objects; of two that overlap, the surer one has the pixels.
        """
        shown = [
            _resolve_objects({id: each for id, each in prompt.objects.items() if id not in removed})
            for prompt in self.prompts
        ]
        return TrackedFrame(
            frame=self.frame,
            instances=tuple(
                self._build_instances(prompt, list(objects.values()))
                for prompt, objects in zip(self.prompts, shown, strict=True)
            ),
            ids=tuple(tuple(objects) for objects in shown),
            object_scores=tuple(tuple(each.object_score for each in objects.values()) for objects in shown),
        )

    def _build_instances(self, prompt: SeenByPrompt, objects: list[SeenObject]) -> Instances:
        masks = [each.mask for each in objects]
        return Instances.from_rles(
            masks,
            self.size,
            boxes=rle.compute_boxes(masks),
            scores=np.array([each.score for each in objects], np.float32),
            presence=prompt.presence,
            phrase=prompt.phrase,
        )


def _resolve_objects(objects: Mapping[int, SeenObject]) -> dict[int, SeenObject]:
    """Give every pixel to one object, and leave out objects without a pixel."""
    masks = resolve_overlaps([each.mask for each in objects.values()], [each.score for each in objects.values()])
    return {
        id: replace(each, mask=mask)
        for (id, each), mask, area in zip(objects.items(), masks, rle.compute_areas(masks), strict=True)
        if area
    }
