"""What SAM 3 returns: N masks with their boxes and scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sam3_tool.costs import NO_COST, CallCost
from sam3_tool.errors import MissingPackageError
from sam3_tool.masks import rle
from sam3_tool.masks.boxes import masks_to_boxes, xyxy_to_xywh
from sam3_tool.masks.rle import RleMask
from sam3_tool.masks.tidying import holds_clicks, tidy_mask

if TYPE_CHECKING:
    from supervision import Detections


@dataclass(frozen=True, eq=False)
class Instances:
    """N object instances of one image for one concept, best score first; ties keep SAM 3's query order.

    Instances are numbered from 0 here; only what a planner or a person sees counts from 1.

    >>> mask = np.zeros((1, 4, 6), bool)
    >>> mask[0, 1:3, 2:5] = True
    >>> cups = Instances(mask, np.array([[2, 1, 5, 3]], np.float32), np.array([0.75], np.float32), 0.9, "cup")
    >>> len(cups), cups.size, cups.areas.tolist()
    (1, (4, 6), [6])
    """

    masks: np.ndarray
    """bool, (N, height, width), at the image's own resolution."""
    boxes: np.ndarray
    """float32, (N, 4), x0 y0 x1 y1 in pixels: the detector's boxes, not the extents of the masks (which candidates for
    one object have)."""
    scores: np.ndarray
    """float32, (N,), in [0, 1]: sigmoid(query) * sigmoid(presence); of candidates for one object, the predicted IoU."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that the concept is in the image at all (meaningful for N = 0 too); of candidates
    for one object, that there is one."""
    phrase: str
    """The noun phrase that made them; empty when only exemplar boxes did."""
    cost: CallCost = NO_COST
    """What the answer cost, where it is paid for; a choice of its instances cost nothing more."""

    def __post_init__(self) -> None:
        if self.masks.dtype != bool or self.masks.ndim != 3:
            raise ValueError(f"`masks` must be bool (N, H, W), got {self.masks.dtype} {self.masks.shape}")
        self._check_counts(len(self.masks))

    def _check_counts(self, n: int) -> None:
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise ValueError(f"{n} masks, but boxes are {self.boxes.shape} and scores are {self.scores.shape}")

    @classmethod
    def empty(cls, height: int, width: int, *, presence: float = 0.0, phrase: str = "") -> "Instances":
        """Make the result of a search that found nothing.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.
            presence: In [0, 1]: how sure SAM 3 is that the concept is there all the same.
            phrase: What was searched for.

        Returns:
            No instances, with arrays of the right shapes.

        >>> Instances.empty(4, 6).masks.shape
        (0, 4, 6)
        """
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
        cost: CallCost = NO_COST,
    ) -> "Instances":
        """Make instances of compressed masks. Their array is decoded when somebody asks for it.

        Args:
            rles: N masks.
            size: Height and width of the image in pixels.
            boxes: float32, (N, 4), x0 y0 x1 y1 in pixels.
            scores: float32, (N,), in [0, 1].
            presence: In [0, 1].
            phrase: The noun phrase that made them.
            cost: What the answer cost, where it is paid for.

        Returns:
            Instances with these masks.

        Raises:
            ValueError: A mask has another size, or the counts differ.

        >>> box, score = np.array([[0, 0, 3, 2]], np.float32), np.array([0.5], np.float32)
        >>> mask = RleMask((2, 3), "06")
        >>> Instances.from_rles([mask], (2, 3), boxes=box, scores=score, presence=1.0, phrase="cup").masks.all()
        np.True_
        """
        if any(mask.size != size for mask in rles):
            raise ValueError(
                f"a mask of {next(mask.size for mask in rles if mask.size != size)} pixels, expected {size}"
            )
        # the dataclass would ask for the array of masks, which is what is put off here
        found = object.__new__(_CompressedInstances)
        found.__dict__.update(rles=tuple(rles), size=size, boxes=boxes, scores=scores, presence=presence, phrase=phrase)
        found.__dict__["cost"] = cost
        found._check_counts(len(rles))
        return found

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the masks, in pixels: those of the image, but where `mask_side` asked for less."""
        height, width = self.masks.shape[1:]
        return height, width

    def __len__(self) -> int:
        return len(self.scores)

    def tidy(self, points: Sequence[tuple[float, float]], labels: Sequence[int]) -> "Instances":
        """Tidy each candidate for one clicked object, as `Sam3.refine` does it.

        Args:
            points: Clicks, x y in pixels.
            labels: 1 = on the object, 0 = on what does not belong to it, one per point.

        Returns:
            The candidates that hold all positive clicks, without specks and small holes, in the same order; there may
            be none.

        >>> mask = np.zeros((1, 20, 20), bool)
        >>> mask[0, 2:12, 2:12] = mask[0, 18, 18] = True
        >>> found = Instances(mask, np.array([[2, 2, 19, 19]], np.float32), np.array([0.9], np.float32), 1.0, "")
        >>> found.tidy([(5, 5)], [1]).boxes.tolist(), len(found.tidy([(15, 5)], [1]))
        ([[2.0, 2.0, 12.0, 12.0]], 0)
        """
        tidied = [tidy_mask(mask, points, labels) for mask in self.masks]
        kept = [index for index, mask in enumerate(tidied) if mask.any() and holds_clicks(mask, points, labels)]
        masks = np.stack([tidied[index] for index in kept]) if kept else self.masks[:0]
        return Instances(masks, masks_to_boxes(masks), self.scores[kept], self.presence, self.phrase, cost=self.cost)

    def __getitem__(self, keep: Sequence[int] | np.ndarray) -> "Instances":
        """Return the instances at these indices, or where a bool (N,) array is true.

        The result is this object itself when these are all instances, in order.
        """
        every = np.arange(len(self))
        index = every[np.asarray(keep, dtype=bool if np.asarray(keep).dtype == bool else int)]
        return self if np.array_equal(index, every) else self._select_rows(index)

    def _select_rows(self, index: np.ndarray) -> "Instances":
        chosen = replace(
            self, masks=self.masks[index], boxes=self.boxes[index], scores=self.scores[index], cost=NO_COST
        )
        if "rles" in self.__dict__:
            chosen.__dict__["rles"] = tuple(self.rles[row] for row in index)
        return chosen

    @cached_property
    def rles(self) -> tuple[RleMask, ...]:
        """The masks, compressed.

        They are kept, also by what is chosen of these instances: encoding takes longer than most that follows.
        """
        return tuple(rle.encode_masks(self.masks))

    @property
    def areas(self) -> np.ndarray:
        """int64, (N,): pixels of each mask."""
        # far quicker than a sum, which would make numbers of the pixels first
        return np.array([np.count_nonzero(mask) for mask in self.masks], dtype=np.int64)

    def compute_union(self) -> np.ndarray:
        """Compute which pixels any instance covers.

        Returns:
            bool, (height, width).

        >>> Instances.empty(4, 6).compute_union().any()
        np.False_
        """
        return np.asarray(self.masks.any(axis=0))

    def to_coco(
        self, *, image_id: int = 1, category_id: int = 1, first_id: int = 1, polygons: bool = False
    ) -> list[dict[str, Any]]:
        """Convert to annotations as COCO files hold them and pycocotools reads them.

        Args:
            image_id: The `id` of the image in the COCO file.
            category_id: The `id` of the category of all instances.
            first_id: The `id` of the first annotation; the others count on from it.
            polygons: Write masks as polygons instead of run lengths. COCO's rasteriser draws exactly the masks from
                them, holes included.

        Returns:
            One JSON-ready annotation per instance, in order: `id`, `image_id`, `category_id`, `segmentation`, `area`
            in pixels, `bbox` (x y width height around the mask, in pixels), `iscrowd` (0) and `score`.

        >>> mask = np.zeros((1, 4, 6), bool)
        >>> mask[0, 1:3, 2:5] = True
        >>> cup = Instances(mask, np.array([[2, 1, 5, 3]], np.float32), np.array([0.75], np.float32), 0.9, "cup")
        >>> [annotation] = cup.to_coco()
        >>> annotation["bbox"], annotation["area"], annotation["score"]
        ([2.0, 1.0, 3.0, 2.0], 6, 0.75)
        """
        segmentations: list[Any] = [mask.to_coco() for mask in self.rles]
        if polygons:
            # OpenCV, which traces them, would slow down every start of the program
            from sam3_tool.masks.polygons import mask_to_polygons

            segmentations = [mask_to_polygons(mask) for mask in self.masks]
        extents = xyxy_to_xywh(rle.compute_boxes(self.rles)).tolist()
        return [
            {
                "id": first_id + index,
                "image_id": image_id,
                "category_id": category_id,
                "segmentation": segmentation,
                "area": area,
                "bbox": box,
                "iscrowd": 0,
                "score": score,
            }
            for index, (segmentation, area, box, score) in enumerate(
                zip(segmentations, self.areas.tolist(), extents, self.scores.tolist(), strict=True)
            )
        ]

    def to_supervision(self) -> "Detections":
        """Convert to the detections of the supervision library, which draws, tracks and counts them.

        Returns:
            `supervision.Detections` with `xyxy` (the detector's boxes), `mask`, `confidence`, `class_id` (all 0) and
            the phrase as `data["class_name"]`.

        Raises:
            MissingPackageError: supervision is not installed.

        >>> len(Instances.empty(4, 6).to_supervision())
        0
        """
        try:
            from supervision import Detections  # an optional package, which takes a second to import
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "`to_supervision` needs the package supervision, which is not installed; run `pip install supervision`"
            ) from error
        return Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=np.zeros(len(self), dtype=int),
            data={"class_name": np.array([self.phrase] * len(self), dtype=str)},
        )

    @classmethod
    def from_supervision(cls, detections: "Detections", *, phrase: str | None = None) -> "Instances":
        """Convert from detections of the supervision library, e.g. what is left after its filters and trackers.

        Args:
            detections: They need masks, all of one size. Without `confidence`, all scores are 1.
            phrase: Only those whose `data["class_name"]` is this are taken. Default: all, which must have one name.

        Returns:
            The instances, best score first. Their presence is the best score, for detections have none.

        Raises:
            ValueError: There are no masks, or the names differ and no phrase is given.

        >>> mask = np.ones((1, 4, 6), bool)
        >>> cup = Instances(mask, np.array([[0, 0, 6, 4]], np.float32), np.array([0.75], np.float32), 0.9, "cup")
        >>> again = Instances.from_supervision(cup.to_supervision())
        >>> again.phrase, again.scores.tolist(), again.presence
        ('cup', [0.75], 0.75)
        """
        if detections.mask is None:
            raise ValueError("the detections have no masks; `Sam3.refine(image, box=…)` makes one of each box")
        count = len(detections)
        names = np.asarray(detections.data.get("class_name", np.full(count, phrase or "")), dtype=str)
        different = sorted(set(names.tolist()))
        if phrase is None and len(different) > 1:
            raise ValueError(f"the detections are of several classes, {', '.join(different)}; name one as `phrase`")
        confidence = detections.confidence if detections.confidence is not None else np.ones(count)
        scores = np.asarray(confidence, np.float32)
        best_first = np.argsort(-scores, kind="stable")
        rows = best_first[names[best_first] == phrase] if phrase is not None else best_first
        return cls(
            masks=np.asarray(detections.mask, bool)[rows],
            boxes=np.asarray(detections.xyxy, np.float32)[rows],
            scores=scores[rows],
            presence=float(scores[rows].max(initial=0.0)),
            phrase=phrase if phrase is not None else next(iter(different), ""),
        )


class _CompressedInstances(Instances):
    """Instances that hold run lengths, and decode an array when somebody asks for it."""

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
