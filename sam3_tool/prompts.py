"""What SAM 3 can be asked for: a concept, everywhere in an image or a video; or the one object that clicks show."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite

import numpy as np

from sam3_tool.concepts.concept import Concept
from sam3_tool.image import Image
from sam3_tool.masks.boxes import mask_to_box

PUBLISHED_THRESHOLDS = (0.88, 0.95)
"""Predicted IoU and stability that everything mode asks for, as published for SAM with its largest encoder."""
Point = tuple[float, float]
"""x y in pixels of the upright image."""
Box = tuple[float, float, float, float]
"""x0 y0 x1 y1 in pixels of the upright image."""


@dataclass(frozen=True)
class ConceptPrompt:
    """A question for every instance of a concept: a noun phrase, exemplar boxes, or both; or one that was described.

    Raises:
        ValueError: There is neither phrase nor box nor concept, a box has no area, the labels do not fit the boxes, the
            threshold lies outside [0, 1), or there are both boxes and a concept.

    >>> ConceptPrompt("striped cup", boxes=((10, 10, 40, 50),)).box_labels
    (1,)
    """

    phrase: str | None = None
    """A short noun phrase, e.g. 'striped cup'."""
    boxes: tuple[Box, ...] = ()
    """Exemplars: objects of the concept (label 1) or objects that are not (label 0)."""
    box_labels: tuple[int, ...] = ()
    """1 = positive, 0 = negative, one per box; left out, every box is positive."""
    threshold: float = 0.5
    """In [0, 1): instances with a score strictly above it are kept."""
    exemplar_image: Image | None = None
    """The image that the boxes lie in, where it is another one."""
    concept: Concept | None = field(default=None, repr=False)
    """Examples that were described before. SAM 3 reads their own phrase; `phrase` is what the instances are called,
    and by default the same."""

    def __post_init__(self) -> None:
        if self.concept is not None:
            self._complete_concept(self.concept)
        elif not (self.phrase or "").strip() and not self.boxes:
            raise ValueError("a concept prompt needs a noun phrase, an exemplar box, or both")
        if not self.box_labels:
            object.__setattr__(self, "box_labels", (1,) * len(self.boxes))
        if len(self.box_labels) != len(self.boxes) or not set(self.box_labels) <= {0, 1}:
            raise ValueError(f"{len(self.boxes)} boxes need as many labels out of 0 and 1, got {self.box_labels}")
        if not 0.0 <= self.threshold < 1.0:
            raise ValueError(f"`threshold` must lie in [0, 1), got {self.threshold}")
        if self.exemplar_image is not None and not self.boxes:
            raise ValueError("`exemplar_image` needs `boxes` that lie in it, but there is no box")
        for box in self.boxes:
            _check_box(box)

    def _complete_concept(self, concept: Concept) -> None:
        if self.boxes or self.exemplar_image is not None:
            raise ValueError(
                "a concept and boxes cannot be asked for together; describe what is in the boxes, and take what"
                " `Concept.combine` makes of both"
            )
        if self.phrase is None:
            object.__setattr__(self, "phrase", concept.phrase)


@dataclass(frozen=True)
class FramePrompt:
    """A question for a concept through a video, with exemplar boxes that lie in one of its frames.

    As in the published model, the boxes count on that frame alone. What they find there is followed; the phrase, where
    there is one, is looked for on every frame.

    Raises:
        ValueError: The frame is negative.

    >>> FramePrompt(12, ConceptPrompt("cup", boxes=((10, 10, 40, 50),))).get_at(13)
    ConceptPrompt(phrase='cup', boxes=(), box_labels=(), threshold=0.5, exemplar_image=None)
    """

    frame: int
    """Index of the frame that the boxes lie in."""
    prompt: ConceptPrompt

    def __post_init__(self) -> None:
        if self.frame < 0:
            raise ValueError(f"frames count from 0, got {self.frame}")

    def get_at(self, frame: int) -> ConceptPrompt | None:
        """Return what is asked on a frame.

        Args:
            frame: Index of a frame of the video.

        Returns:
            The prompt, on another frame without its boxes; None if nothing is left of it then.
        """
        prompt = self.prompt
        if frame == self.frame or not prompt.boxes or prompt.exemplar_image is not None:
            return prompt
        return replace(prompt, boxes=(), box_labels=()) if (prompt.phrase or "").strip() else None


@dataclass(frozen=True, eq=False)
class VisualPrompt:
    """A question for one object, shown by clicks, a box, an earlier mask of it, or several of these.

    Raises:
        ValueError: None of these is given, the labels do not fit the points, a place is not finite, the box has no
            area, or the mask is not bool (height, width).

    >>> VisualPrompt(points=((12, 30), (40, 8)), labels=(1, 0)).box is None
    True
    """

    points: tuple[Point, ...] = ()
    """Clicks on the object (label 1) or on what does not belong to it (label 0)."""
    labels: tuple[int, ...] = ()
    """1 = positive, 0 = negative, one per point; left out, every point is positive."""
    box: Box | None = None
    """Around the object."""
    mask: np.ndarray | None = None
    """bool, (height, width) of the image: an answer that is nearly right, to be mended."""
    multimask: bool = True
    """Whether the answer is three candidates, for prompts that may mean several things, or the single mask that the
    published notebooks take for several clicks, for a box and for a correction."""
    fill_holes: bool = False
    """Whether small holes of the masks are filled, as the published predictor for clicks does it."""
    mask_side: int | None = None
    """Pixels, at least 1: masks of a larger image may be given at a reduced size with this long side, and boxes in its
    pixels. That is for a quick look; a backend may ignore it. None asks for the image's own size."""

    def __post_init__(self) -> None:
        if not self.points and self.box is None and self.mask is None:
            raise ValueError("a visual prompt needs a point, a box, a mask, or several of these")
        if not self.labels:
            object.__setattr__(self, "labels", (1,) * len(self.points))
        if len(self.labels) != len(self.points) or not set(self.labels) <= {0, 1}:
            raise ValueError(f"{len(self.points)} points need as many labels out of 0 and 1, got {self.labels}")
        for point in self.points:
            if not (len(point) == 2 and all(map(isfinite, point))):
                raise ValueError(f"a point is finite x y, got {point}")
        if self.box is not None:
            _check_box(self.box)
        if self.mask is not None and (self.mask.dtype != bool or self.mask.ndim != 2):
            raise ValueError(f"`mask` must be bool (H, W), got {self.mask.dtype} {self.mask.shape}")
        if self.mask_side is not None and self.mask_side < 1:
            raise ValueError(f"`mask_side` must be at least 1, got {self.mask_side}")

    @property
    def is_ambiguous(self) -> bool:
        """Whether this may mean several things, such as a part and its whole: one click and nothing else."""
        return len(self.points) == 1 and self.box is None and self.mask is None

    def check_fits(self, height: int, width: int) -> None:
        """Check that the prompt lies within an image.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Raises:
            ValueError: A point or the box lies outside the image, or the mask has another size.

        >>> VisualPrompt(points=((12, 30),)).check_fits(height=48, width=64)
        """
        for x, y in self.points:
            if not (0 <= x <= width and 0 <= y <= height):
                raise ValueError(f"the point {(x, y)} lies outside the image, which is {width} wide and {height} high")
        if self.box is not None:
            _check_overlap(self.box, height, width)
        if self.mask is not None and self.mask.shape != (height, width):
            raise ValueError(f"`mask` must have the image's size ({height}, {width}), got {self.mask.shape}")

    def choose_mask_size(self, height: int, width: int) -> tuple[int, int]:
        """Choose how large the masks of the answer are.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            Height and width in pixels, each at least 1.

        >>> VisualPrompt(points=((12, 30),), mask_side=600).choose_mask_size(3000, 4000)
        (450, 600)
        >>> VisualPrompt(points=((12, 30),)).choose_mask_size(3000, 4000)
        (3000, 4000)
        """
        longest = max(height, width)
        if self.mask_side is None or longest <= self.mask_side:
            return height, width
        share = self.mask_side / longest
        return max(1, round(height * share)), max(1, round(width * share))


@dataclass(frozen=True, eq=False)
class PointsPrompt:
    """A question for whatever lies under each of many points, one click each; only good masks are wanted.

    Raises:
        ValueError: The points are no (N, 2) array of finite numbers, or another number is out of its range.

    >>> points = np.array([[12, 30], [40, 8]], np.float32)
    >>> len(PointsPrompt(points, min_score=0.88, min_stability=0.95, stability_offset=1.0).points)
    2
    """

    points: np.ndarray
    """float32, (N, 2), x y in pixels."""
    min_score: float
    """In [0, 1): candidates with a predicted IoU strictly above it are kept."""
    min_stability: float
    """In [0, 1]: those are kept whose mask hardly changes where its logits are cut: the IoU of the masks at an offset
    above and below 0 is at least that."""
    stability_offset: float
    """Of the logits."""

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2 or not np.isfinite(self.points).all():
            raise ValueError(f"`points` must be finite (N, 2), got {self.points.shape}")
        if not (0 <= self.min_score < 1 and 0 <= self.min_stability <= 1):
            raise ValueError(
                "`min_score` must lie in [0, 1) and `min_stability` in [0, 1],"
                f" got {self.min_score} and {self.min_stability}"
            )
        if not 0 < self.stability_offset < inf:
            raise ValueError(f"`stability_offset` must be above 0, got {self.stability_offset}")


def compute_exemplar_box(mask: np.ndarray, image: Image) -> Box:
    """Compute the exemplar box of a mask: SAM 3 was published without weights for the pixels of an exemplar's mask.

    Args:
        mask: bool, (height, width) of the image.
        image: The image that it lies in.

    Returns:
        The box around the mask, x0 y0 x1 y1 in pixels.

    Raises:
        ValueError: The mask is not bool, has another size, or covers nothing.

    >>> compute_exemplar_box(np.eye(4, 6, dtype=bool), Image(np.zeros((4, 6, 3), np.uint8)))
    (0.0, 0.0, 4.0, 4.0)
    """
    expected = (image.height, image.width)
    if mask.dtype != bool or mask.shape != expected:
        raise ValueError(
            f"an exemplar mask is bool and of the size of its image, {expected}; got {mask.dtype} {mask.shape}"
        )
    x0, y0, x1, y1 = mask_to_box(mask)
    if x0 == x1:
        raise ValueError("an exemplar mask covers no pixel; give one that covers an object")
    return float(x0), float(y0), float(x1), float(y1)


def collect_exemplars(
    image: Image,
    boxes: Sequence[Box],
    box_labels: Sequence[int],
    masks: Sequence[np.ndarray],
    mask_labels: Sequence[int],
) -> tuple[tuple[Box, ...], tuple[int, ...]]:
    """Return the boxes of all examples, and their labels; () for the labels where all are left out.

    Raises ValueError for a box or a mask that is none of the image, and where masks and their labels are not as many.
    """
    exemplars = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes)
    for box in exemplars:
        _check_overlap(box, image.height, image.width)
    labels = tuple(int(label) for label in box_labels)
    if not len(masks):
        if len(mask_labels):
            raise ValueError(f"{len(mask_labels)} mask labels, but there is no mask")
        return exemplars, labels
    if len(mask_labels) not in (0, len(masks)) or len(labels) not in (0, len(exemplars)):
        raise ValueError(
            f"{len(exemplars)} boxes and {len(masks)} masks need as many labels each, or none;"
            f" got {len(labels)} and {len(mask_labels)}"
        )
    of_masks = tuple(compute_exemplar_box(np.asarray(mask), image) for mask in masks)
    every = (labels or (1,) * len(exemplars)) + (tuple(map(int, mask_labels)) or (1,) * len(masks))
    return exemplars + of_masks, every


Prompt = ConceptPrompt | VisualPrompt
"""A question about one image."""


def _check_box(box: Box) -> None:
    x0, y0, x1, y1 = box
    if not (-inf < x0 < x1 < inf and -inf < y0 < y1 < inf):
        raise ValueError(f"a box is finite x0 y0 x1 y1 with x0 < x1 and y0 < y1, got {box}")


def _check_overlap(box: Box, height: int, width: int) -> None:
    _check_box(box)
    x0, y0, x1, y1 = box
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise ValueError(f"the box {box} lies outside the image, which is {width} wide and {height} high")
