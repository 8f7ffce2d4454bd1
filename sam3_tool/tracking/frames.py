"""What tracking gives for a frame, and the masklets that all frames make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask
from sam3_tool.video.masklets import Masklet, Masklets
from sam3_tool.video.video import Video


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What is seen on one frame of a video.

    >>> TrackedFrame(0, (Instances.empty(4, 6, phrase="cup"),), ((),)).ids
    ((),)
    """

    frame: int
    """Its index in the video."""
    instances: tuple[Instances, ...]
    """One per prompt, in the order of prompts: what is seen, ordered by id. `scores` say how sure SAM 3 is that the
    object is on this frame, `boxes` are the extents of the masks, and no two masks of a prompt share a pixel."""
    ids: tuple[tuple[int, ...], ...]
    """The ids of these instances: from 1, unique over all prompts, the same for an object on every frame."""
    object_scores: tuple[tuple[float, ...], ...] = ()
    """The score of each of these objects as a whole: of the detection that began it. Empty where clicks began them."""

    def __post_init__(self) -> None:
        counts = tuple(map(len, self.instances))
        if tuple(map(len, self.ids)) != counts or tuple(map(len, self.object_scores)) not in ((), counts):
            raise ValueError(f"{counts} instances per prompt, but {self.ids} ids and {self.object_scores} scores")


def collect_masklets(frames: Iterable[TrackedFrame], video: Video, phrases: Sequence[str]) -> list[Masklets]:
    """Join what tracking gave frame by frame.

    Args:
        frames: What `Sam3.track` or `TrackingSession.propagate` yields, in any order. Of a frame that comes twice, the
            later one counts. Only run lengths are kept.
        video: The video that they are of.
        phrases: One per prompt, "" for clicks and boxes.

    Returns:
        One value per prompt: its objects, ordered by id. A frame that did not come has no masks and presence 0.

    Raises:
        ValueError: A frame has more or fewer prompts than there are phrases.

    >>> from sam3_tool import Image
    >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))])
    >>> [found] = collect_masklets([TrackedFrame(0, (Instances.empty(4, 6),), ((),))], video, ["cup"])
    >>> len(found), found.length, found.phrase
    (0, 1, 'cup')
    """
    collected = [_Collection(np.zeros(len(video), np.float32), {}, {}) for _ in phrases]
    for tracked in frames:
        for row, (collection, instances, ids) in enumerate(zip(collected, tracked.instances, tracked.ids, strict=True)):
            collection.presence[tracked.frame] = instances.presence
            collection.seen[tracked.frame] = dict(
                zip(ids, zip(instances.rles, instances.scores.tolist(), strict=True), strict=True)
            )
            if tracked.object_scores:
                collection.object_scores.update(zip(ids, tracked.object_scores[row], strict=True))
    return [collection.to_masklets(video, phrase) for collection, phrase in zip(collected, phrases, strict=True)]


@dataclass(frozen=True, eq=False)
class _Collection:
    """What came for one prompt so far."""

    presence: np.ndarray
    seen: dict[int, dict[int, tuple[RleMask, float]]]
    """Frame -> id -> mask and score."""
    object_scores: dict[int, float]

    def to_masklets(self, video: Video, phrase: str) -> Masklets:
        ids = sorted({id for masks in self.seen.values() for id in masks})
        return Masklets(
            masklets=tuple(self._build_masklet(id) for id in ids),
            ids=tuple(ids),
            size=(video.height, video.width),
            length=len(video),
            phrase=phrase,
            presence=self.presence,
        )

    def _build_masklet(self, id: int) -> Masklet:
        frames = tuple(frame for frame in sorted(self.seen) if id in self.seen[frame])
        rles, scores = zip(*(self.seen[frame][id] for frame in frames), strict=True)
        return Masklet(frames, rles, scores, self.object_scores.get(id, float(np.mean(scores))))
