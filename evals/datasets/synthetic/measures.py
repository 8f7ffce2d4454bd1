"""Measurements of a drawn scene's objects, which tell the objects that a query describes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sam3_tool.synthetic.phrases import Concept
from sam3_tool.synthetic.scenes import Scene


@dataclass(frozen=True, eq=False)
class MeasuredScene:
    scene: Scene

    @cached_property
    def areas(self) -> np.ndarray:
        """float, (N,), pixels."""
        return np.asarray(self.scene.masks.sum(axis=(1, 2)), float)

    @cached_property
    def centres(self) -> np.ndarray:
        """float, (N, 2): x, y of the centroids, as shares of the image."""
        height, width = self.scene.ids.shape
        rows = [np.argwhere(mask).mean(axis=0) for mask in self.scene.masks]
        return np.array([(x / width, y / height) for y, x in rows])

    def find_matches(self, concept: Concept) -> tuple[int, ...]:
        """The indices of the objects that it describes."""
        return concept.find_matches(self.scene.objects)
