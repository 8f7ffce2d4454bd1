"""What a simulated model knows of a sample: the objects of its scene, which of them are meant, and what might be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evals.datasets.synthetic.scenes import SceneQuery
from evals.simulation.chance import hash_to_share
from sam3_tool import Image
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, compute_areas, compute_coverage, compute_ious, encode_masks, merge_masks
from sam3_tool.synthetic.nouns import HYPERNYMS
from sam3_tool.synthetic.scenes import SceneObject

Meaning = tuple[int, ...]
"""Indices of the objects that a query is taken to mean."""


@dataclass(frozen=True, eq=False)
class SampleTruth:
    """The ground truth of a sample, and of everything else in its image."""

    key: str
    """Of the image."""
    objects: tuple[SceneObject, ...]
    rles: tuple[RleMask, ...]
    """One mask per object."""
    boxes: np.ndarray
    """float32, (N, 4), x0 y0 x1 y1 in pixels."""
    targets: Meaning
    query: str

    @classmethod
    def from_query(cls, query: SceneQuery, image: Image) -> "SampleTruth":
        """Take the truth of a generated query. `image`: as it is asked about, as files change pixels."""
        masks = query.scene.masks
        return cls(
            image.key,
            query.scene.objects,
            tuple(encode_masks(masks)),
            masks_to_boxes(masks),
            query.targets,
            query.text,
        )

    @cached_property
    def areas(self) -> np.ndarray:
        """float, (N,), as shares of the image."""
        height, width = self.size
        return compute_areas(self.rles) / (height * width)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rles[0].size

    @cached_property
    def decoy(self) -> Meaning:
        """What a reader who misunderstands the query takes it for: others of the same noun, else any other kind."""
        nouns = {self.objects[index].noun for index in self.targets}
        others = [index for index in range(len(self.objects)) if index not in self.targets]
        alike = [index for index in others if self.objects[index].noun in nouns]
        if not others:
            return self.targets
        place = hash_to_share(f"decoy|{self.key}")
        if alike:
            return (alike[int(place * len(alike))],)
        noun = self.objects[others[int(place * len(others))]].noun
        return tuple(index for index in others if self.objects[index].noun == noun)

    def measure_fit(self, mask: RleMask, meaning: Meaning) -> float:
        """In [0, 1]: how well a mask shows one of the objects that are meant, or all of them together."""
        wanted = [self.rles[index] for index in meaning]
        together = [merge_masks(wanted)] if len(wanted) > 1 else []
        return float(compute_ious([mask], [*wanted, *together]).max(initial=0.0))

    def find_object(self, mask: RleMask) -> int | None:
        """Find the object that a mask shows for the most part."""
        overlap = compute_ious([mask], list(self.rles))[0]
        return int(overlap.argmax()) if overlap.max(initial=0) > 0.1 else None

    def list_missing(self, masks: Sequence[RleMask], meaning: Meaning) -> list[int]:
        """List the objects that are meant and that no mask shows for the greater part."""
        if not masks:
            return list(meaning)
        covered = compute_coverage([self.rles[index] for index in meaning], [merge_masks(masks)])[:, 0]
        return [index for index, share in zip(meaning, covered, strict=True) if share < 0.5]

    def list_nouns(self, meaning: Meaning) -> list[str]:
        """List the nouns of what is meant, each once."""
        return list(dict.fromkeys(self.objects[index].noun for index in meaning))

    def find_common_noun(self, meaning: Meaning) -> str:
        """Find the noun, or the narrowest wider word, that covers all that is meant."""
        nouns = set(self.list_nouns(meaning))
        if len(nouns) == 1:
            return nouns.pop()
        return min((word for word in HYPERNYMS if nouns <= HYPERNYMS[word]), key=lambda word: len(HYPERNYMS[word]))


Truths = Mapping[str, SampleTruth]
"""By the key of the image: a simulated model has one query for each."""
