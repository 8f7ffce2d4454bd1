"""From a video and prompts to a stream of frames: each prompt on its frames, encoding ahead, and the hot start."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sam3_tool.backends.base import CrossImageEmbedding, Detections, VideoBackend
from sam3_tool.image import Image
from sam3_tool.prompts import ConceptPrompt, FramePrompt
from sam3_tool.tracking.concepts import ConceptTracker
from sam3_tool.tracking.frames import TrackedFrame
from sam3_tool.tracking.holding import HeldFrame
from sam3_tool.tracking.rules import TrackingRules
from sam3_tool.video.video import Video

FRAMES_AHEAD = 4
"""Frames that are encoded and searched in one pass. A GPU gains by a batch; whoever waits for the first frame, and
whoever stops early, loses little."""

TrackingPrompt = str | ConceptPrompt | FramePrompt
"""What is followed through a video: a phrase, or boxes that lie in one frame, or both."""
EmbedFn = Callable[[Sequence[Image]], Sequence[Any]]
"""Images -> what the backend's `encode` gives for them."""


@dataclass(frozen=True, eq=False)
class TrackingRun:
    """A part of a video and what is followed in it.

    Raises:
        ValueError: There is no prompt, a prompt has boxes but no frame, or its frame lies outside the part.
        IndexError: The part lies outside the video.
    """

    video: Video
    prompts: tuple[FramePrompt, ...]
    frames: range
    """In the order in which they are taken in."""
    rules: TrackingRules

    @classmethod
    def from_arguments(
        cls,
        video: Video,
        prompts: TrackingPrompt | Sequence[TrackingPrompt],
        *,
        start: int,
        stop: int | None,
        reverse: bool,
        rules: TrackingRules,
    ) -> "TrackingRun":
        """Read the arguments of `Sam3.track`."""
        stop = len(video) if stop is None else stop
        if not 0 <= start < stop <= len(video):
            raise IndexError(f"frames {start} to before {stop}: the video has {len(video)} frames, counted from 0")
        frames = range(stop - 1, start - 1, -1) if reverse else range(start, stop)
        several = _to_list(prompts)
        if not several:
            raise ValueError("there is no prompt; give a phrase, or boxes in one frame")
        return cls(video, tuple(_to_frame_prompt(prompt, frames) for prompt in several), frames, rules)

    def stream(self, backend: VideoBackend, embed: EmbedFn) -> Iterator[TrackedFrame]:
        """Follow the prompts, and yield each frame once nothing of it can be taken back any more.

        Raises CheckpointError at once if these weights cannot follow objects.
        """
        height, width = self.video.height, self.video.width
        tracker = ConceptTracker(
            backend.open_memory(height, width, len(self.video)),
            lambda logits: backend.upsample_masks(logits, height, width),
            get_phrases(self.prompts),
            size=(height, width),
            rules=self.rules,
            reverse=self.frames.step < 0,
        )
        return self._hold_back(tracker, self._search_frames(backend, embed))

    def _hold_back(
        self, tracker: ConceptTracker, searched: Iterator[tuple[int, Any, list[Detections | None]]]
    ) -> Iterator[TrackedFrame]:
        held: deque[HeldFrame] = deque()
        for frame, embedding, found in searched:
            held.append(tracker.step(frame, embedding, found))
            if len(held) >= self.rules.hot_start:
                yield held.popleft().release(tracker.removed)
        for last in held:
            yield last.release(tracker.removed)

    def _search_frames(
        self, backend: VideoBackend, embed: EmbedFn
    ) -> Iterator[tuple[int, Any, list[Detections | None]]]:
        """Yield each frame's number, its embedding, and what the detector says for each prompt that is asked there."""
        exemplars = [
            None if (image := prompt.prompt.exemplar_image) is None else embed([image])[0] for prompt in self.prompts
        ]
        images = ((frame, self.video.read_frame(frame)) for frame in self.frames)
        while batch := list(islice(images, FRAMES_AHEAD)):
            embeddings = embed([image for _, image in batch])
            asked = [[prompt.get_at(frame) for prompt in self.prompts] for frame, _ in batch]
            requests = [
                (embedding if exemplar is None else CrossImageEmbedding(embedding, exemplar), prompt)
                for embedding, prompts in zip(embeddings, asked, strict=True)
                for exemplar, prompt in zip(exemplars, prompts, strict=True)
                if prompt is not None
            ]
            found = iter(backend.detect([each for each, _ in requests], [prompt for _, prompt in requests]))
            for (frame, _), embedding, prompts in zip(batch, embeddings, asked, strict=True):
                yield frame, embedding, [None if prompt is None else next(found) for prompt in prompts]


def get_phrases(prompts: TrackingPrompt | Sequence[TrackingPrompt]) -> list[str]:
    """Return the phrase of each prompt; "" for boxes alone."""
    concepts = [prompt.prompt if isinstance(prompt, FramePrompt) else prompt for prompt in _to_list(prompts)]
    return [concept if isinstance(concept, str) else concept.phrase or "" for concept in concepts]


def _to_list(prompts: TrackingPrompt | Sequence[TrackingPrompt]) -> list[TrackingPrompt]:
    return [prompts] if isinstance(prompts, str | ConceptPrompt | FramePrompt) else list(prompts)


def _to_frame_prompt(prompt: TrackingPrompt, frames: range) -> FramePrompt:
    """Return a prompt that says which frame its boxes lie in. For one without boxes of its own any frame will do."""
    if isinstance(prompt, str):
        prompt = ConceptPrompt(prompt)
    if isinstance(prompt, FramePrompt):
        if prompt.frame not in frames:
            raise ValueError(
                f"a prompt is for frame {prompt.frame}, but frames {min(frames)} to {max(frames)} are tracked"
            )
        return prompt
    if prompt.boxes and prompt.exemplar_image is None:
        raise ValueError("boxes lie in one frame of the video; say in which by `FramePrompt(frame, prompt)`")
    return FramePrompt(frames[0], prompt)
