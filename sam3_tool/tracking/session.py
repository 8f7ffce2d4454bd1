"""Objects that somebody shows by clicks, boxes or masks, followed through a video and corrected on the way."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from sam3_tool.backends.base import LowMasks, VideoBackend
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.prompts import VisualPrompt
from sam3_tool.tracking.frames import TrackedFrame
from sam3_tool.tracking.holding import HeldFrame, SeenByPrompt, SeenObject
from sam3_tool.tracking.holes import clean_logits
from sam3_tool.tracking.rules import TrackingRules
from sam3_tool.tracking.streaming import FRAMES_AHEAD
from sam3_tool.video.video import Video


class TrackingSession:
    """Objects of one video, followed from where they were shown. `Sam3.open_tracking` makes it.

    Objects are known by ids from 1, which are never used again. They do not influence one another but for the pixels of
    the output: each belongs to the object that is the surest to be on the frame. What is remembered does not grow with
    the length of the video, so that there is no need to cut a long one: whoever wants parts gives `propagate` a `stop`
    and goes on from there, with the same ids. Not for two threads at a time.

    >>> from sam3_tool import Image, Sam3
    >>> from sam3_tool.synthetic.clips import draw_clip
    >>> clip = draw_clip(3, length=4)
    >>> session = Sam3.load("tiny").open_tracking(Video.from_images([Image(frame) for frame in clip.frames]))
    >>> id, shown = session.add_prompt(0, VisualPrompt(mask=clip.find_masks(0)[0]))
    >>> [tracked.frame for tracked in session.propagate()]
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        video: Video,
        backend: VideoBackend,
        embed: Callable[[Sequence[Image]], Sequence[Any]],
        *,
        rules: TrackingRules,
    ) -> None:
        self._video, self._backend, self._embed, self._rules = video, backend, embed, rules
        self._memory = backend.open_memory(video.height, video.width, len(video))
        self._new_ids = count(1)
        self._prompted: dict[int, set[int]] = {}
        """Id -> the frames on which it was prompted."""
        self._scores: dict[int, float] = {}
        """Id -> the predicted IoU of its latest prompt's mask."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they came."""
        return tuple(self._prompted)

    def add_prompt(self, frame: int, prompt: VisualPrompt, *, id: int | None = None) -> tuple[int, Instances]:
        """Show a new object on a frame, or correct one that is followed.

        As in the published code, what other frames show of the object plays no part in the answer. What is known of it
        on this very frame, from an earlier prompt or because it was followed to there, is what clicks mend. Later
        frames are followed anew by `propagate`.

        Args:
            frame: Its number, from 0.
            prompt: All clicks on this frame, those of earlier prompts included; a box; or a mask. A mask alone is taken
                as it is, a mask with clicks is mended. There is one answer, whatever `multimask` says: the best of
                three to a single click, and the single mask to more.
            id: The object that is corrected. Left out, it is a new one.

        Returns:
            The object's id, and its mask on this frame: one instance, or none if the network says that the object is
            not there. Its score is the predicted IoU.

        Raises:
            IndexError: The video has no such frame.
            TypeError: The frame is no whole number.
            ValueError: There is no object with this id, or the prompt does not fit the video.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))])
        >>> session = Sam3(ScriptedBackend({})).open_tracking(video)
        >>> id, shown = session.add_prompt(0, VisualPrompt(((2, 2),)))
        >>> id, len(shown)  # the script has no object there
        (1, 0)
        """
        self._check_frame(frame)
        prompt.check_fits(self._video.height, self._video.width)
        if id is not None:
            self._check_id(id)
        [embedding] = self._embed([self._video.read_frame(frame)])
        object_id = next(self._new_ids) if id is None else id
        low = self._memory.prompt(embedding, frame, object_id, prompt)
        self._prompted.setdefault(object_id, set()).add(frame)
        self._scores[object_id] = float(np.clip(low.scores[0], 0, 1))
        return object_id, self._build_answer(low, prompt)

    def propagate(
        self, start: int | None = None, *, reverse: bool = False, stop: int | None = None
    ) -> Iterator[TrackedFrame]:
        """Follow all objects, frame by frame.

        Frames on which an object was prompted show that answer. Objects may be added, corrected and removed while this
        runs; what was yielded before stays as it was.

        Args:
            start: The first frame. Default: the first frame that was prompted; in reverse, the last one.
            reverse: Go backwards.
            stop: The frame to end before, in the direction of travel. Default: none.

        Returns:
            An iterator over frames with one set of instances each: the objects that are seen, ordered by id. Scores
            say how sure SAM 3 is that an object is on the frame.

        Raises:
            IndexError: The video has no such frame.
            TypeError: The frame is no whole number.
            ValueError: There is no object, or `stop` lies behind `start`.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.full((4, 6, 3), value, np.uint8)) for value in range(3)])
        >>> session = Sam3(ScriptedBackend({})).open_tracking(video)
        >>> id, shown = session.add_prompt(1, VisualPrompt(((2, 2),)))
        >>> [tracked.frame for reverse in (False, True) for tracked in session.propagate(reverse=reverse)]
        [1, 2, 1, 0]
        """
        if not self._prompted:
            raise ValueError("there is no object to follow; show one by `add_prompt` first")
        prompted = {frame for frames in self._prompted.values() for frame in frames}
        first = (max(prompted) if reverse else min(prompted)) if start is None else start
        self._check_frame(first)
        end = (-1 if reverse else len(self._video)) if stop is None else stop
        if not -1 <= end <= len(self._video):
            raise IndexError(f"`stop` is {end}, but the video has {len(self._video)} frames, counted from 0")
        frames = range(first, end, -1 if reverse else 1)
        if not frames:
            raise ValueError(f"there is no frame from {first} to before {end}{' in reverse' * reverse}")
        return self._follow(frames)

    def remove(self, id: int) -> None:
        """Follow an object no longer.

        Args:
            id: The object. Its id is not used again.

        Raises:
            ValueError: There is no object with this id.

        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))])
        >>> session = Sam3(ScriptedBackend({})).open_tracking(video)
        >>> id, shown = session.add_prompt(0, VisualPrompt(((2, 2),)))
        >>> session.remove(id); session.ids
        ()
        """
        self._check_id(id)
        self._memory.forget((id,))
        del self._prompted[id], self._scores[id]

    def _follow(self, frames: range) -> Iterator[TrackedFrame]:
        for place in range(0, len(frames), FRAMES_AHEAD):
            batch = frames[place : place + FRAMES_AHEAD]
            embeddings = self._embed([self._video.read_frame(frame) for frame in batch])
            for frame, embedding in zip(batch, embeddings, strict=True):
                yield self._show_frame(frame, self._memory.propagate(embedding, frame, reverse=frames.step < 0))

    def _show_frame(self, frame: int, low: LowMasks) -> TrackedFrame:
        scores = [_to_share(presence) for presence in low.presences.tolist()]
        objects = {
            id: SeenObject(mask, score, self._scores[id])
            for id, mask, score in zip(low.ids, self._upsample(low), scores, strict=True)
        }
        seen = SeenByPrompt("", max(scores, default=0.0), objects)
        return HeldFrame(frame, (self._video.height, self._video.width), (seen,)).release(())

    def _build_answer(self, low: LowMasks, prompt: VisualPrompt) -> Instances:
        size = (self._video.height, self._video.width)
        is_given = prompt.mask is not None and not prompt.points and prompt.box is None
        masks = [rle.encode_mask(prompt.mask)] if is_given and prompt.mask is not None else self._upsample(low)
        found = Instances.from_rles(
            masks,
            size,
            boxes=rle.compute_boxes(masks),
            scores=low.scores.clip(0, 1),
            presence=_to_share(float(low.presences[0])),
            phrase="",
        )
        return found[found.areas > 0]

    def _upsample(self, low: LowMasks) -> list[rle.RleMask]:
        clean = clean_logits(low.logits, most_area=self._rules.hole_area)
        return self._backend.upsample_masks(clean, self._video.height, self._video.width)

    def _check_frame(self, frame: int) -> None:
        if not isinstance(frame, int | np.integer) or isinstance(frame, bool):
            raise TypeError(f"a frame is a whole number, got {frame!r}; seconds are found in `Video.times`")
        if not 0 <= frame < len(self._video):
            raise IndexError(f"there is no frame {frame}: the video has {len(self._video)} frames, counted from 0")

    def _check_id(self, id: int) -> None:
        if id not in self._prompted:
            known = ", ".join(map(str, self._prompted)) or "none"
            raise ValueError(f"there is no object {id}; there are: {known}")


def _to_share(logit: float) -> float:
    """Return the sigmoid, in [0, 1]."""
    return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))
