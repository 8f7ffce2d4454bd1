"""What SAM 3 returns: N masks with their boxes and scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


@dataclass(frozen=True, eq=False)
class Instances:
    """N object instances of one picture for one concept, best score first; ties keep SAM 3's query order.

    Instances are numbered from 0 here; only what a planner or a person sees counts from 1.
    """

    masks: np.ndarray
    """bool, (N, height, width), at the picture's own resolution."""
    boxes: np.ndarray
    """float32, (N, 4), x0 y0 x1 y1 in pixels: the detector's boxes, not the extents of the masks (which candidates for
    one object have)."""
    scores: np.ndarray
    """float32, (N,), in [0, 1]: sigmoid(query) * sigmoid(presence); of candidates for one object, the predicted IoU."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that the concept is in the picture at all (meaningful for N = 0 too); of candidates
    for one object, that there is one."""
    phrase: str
    """The noun phrase that made them; empty when only exemplar boxes did."""

    def __post_init__(self) -> None:
        if self.masks.dtype != bool or self.masks.ndim != 3:
            raise ValueError(f"`masks` must be bool (N, H, W), got {self.masks.dtype} {self.masks.shape}")
        self._check_counts(len(self.masks))

    def _check_counts(self, n: int) -> None:
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise ValueError(f"{n} masks, but boxes are {self.boxes.shape} and scores are {self.scores.shape}")

    @classmethod
    def empty(cls, height: int, width: int, *, presence: float = 0.0, phrase: str = "") -> "Instances":
        return cls(
            masks=np.zeros((0, height, width), dtype=bool),
            boxes=np.zeros((0, 4), dtype=np.float32),
            scores=np.zeros(0, dtype=np.float32),
            presence=presence,
            phrase=phrase,
        )

    @classmethod
    def from_rles(
        cls,
        rles: Sequence[RleMask],
        size: tuple[int, int],
        *,
        boxes: np.ndarray,
        scores: np.ndarray,
        presence: float,
        phrase: str,
    ) -> "Instances":
        """Of masks that are runs already: the array is made when somebody asks for it. `size`: height, width."""
        if any(mask.size != size for mask in rles):
            raise ValueError(
                f"a mask of {next(mask.size for mask in rles if mask.size != size)} pixels, expected {size}"
            )
        found = object.__new__(_CompressedInstances)
        found.__dict__.update(rles=tuple(rles), size=size, boxes=boxes, scores=scores, presence=presence, phrase=phrase)
        found._check_counts(len(rles))
        return found

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        height, width = self.masks.shape[1:]
        return height, width

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, keep: Sequence[int] | np.ndarray) -> "Instances":
        """The instances at these indices, or where a bool (N,) array is true; itself when these are all, in order."""
        every = np.arange(len(self))
        index = every[np.asarray(keep, dtype=bool if np.asarray(keep).dtype == bool else int)]
        return self if np.array_equal(index, every) else self._select_rows(index)

    def _select_rows(self, index: np.ndarray) -> "Instances":
        chosen = replace(self, masks=self.masks[index], boxes=self.boxes[index], scores=self.scores[index])
        if "rles" in self.__dict__:
            chosen.__dict__["rles"] = tuple(self.rles[row] for row in index)
        return chosen

    @cached_property
    def rles(self) -> tuple[RleMask, ...]:
        """The masks, compressed. Kept, also by what is chosen of them: encoding takes longer than most that follows."""
        return tuple(rle.encode_masks(self.masks))

    @property
    def areas(self) -> np.ndarray:
        """int64, (N,), pixels."""
        # far quicker than a sum, which would make numbers of the pixels first
        return np.array([np.count_nonzero(mask) for mask in self.masks], dtype=np.int64)

    def compute_union(self) -> np.ndarray:
        """bool, (height, width): the pixels any instance covers."""
        return np.asarray(self.masks.any(axis=0))


class _CompressedInstances(Instances):
    """Runs first; an array when somebody asks for it."""

    @cached_property
    def masks(self) -> np.ndarray:
        return rle.decode_masks(self.rles, *self.size)

    @property
    def areas(self) -> np.ndarray:
        return rle.compute_areas(self.rles)

    def _select_rows(self, index: np.ndarray) -> Instances:
        return Instances.from_rles(
            [self.rles[row] for row in index],
            self.size,
            boxes=self.boxes[index],
            scores=self.scores[index],
            presence=self.presence,
            phrase=self.phrase,
        )
