"""What a conversation consists of, and what its events have come to: the context of the next turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.context import EMPTY_CONTEXT, ConversationContext, PastTurn
from agent.core.episode import Episode, Task
from agent.core.outcome import EARLY_STOP_OUTCOMES
from agent.core.timeline import Timeline
from agent.doubt.policy import read_doubt
from sam3_tool import Image, Video
from sam3_tool.video.decoding import REMEMBERED_BYTES


@dataclass(frozen=True, eq=False)
class ImageShown:
    """The conversation turns to this image, or to this video."""

    image: Image
    """Of a video, the first frame of the part that is talked about."""
    name: str = ""
    """The file name of the image or the video, without folders."""
    video: Video | None = None
    """None for an image, and where a saved conversation is read without the video."""
    timeline: Timeline | None = None
    """When the frames of the video are shown, and which of them are talked about; None for an image."""
    video_key: str = ""
    """The content key of the video, of a saved conversation that is read without it."""

    def build_task(self, query: str, context: ConversationContext = EMPTY_CONTEXT, *, by_hand: bool = False) -> Task:
        """Build the task of a query about it.

        Args:
            query: What the user says or does.
            context: The conversation before it.
            by_hand: Whether the user does it with a mouse or a command.

        Returns:
            The task, about the image or the video.
        """
        return Task(self.image, query, context, by_hand, self.video, self.timeline, self.video_key)


Event = ImageShown | Episode


def count_image_bytes(events: Sequence[Event]) -> int:
    """Return the bytes of the images shown, and of frames of the videos, in memory, each counted once."""
    shown = [event for event in events if isinstance(event, ImageShown)]
    images = {id(event.image): event.image.pixels.nbytes for event in shown}
    videos = {id(event.video): weigh_video(event.video) for event in shown if event.video is not None}
    return sum(images.values()) + sum(videos.values())


def weigh_video(video: Video) -> int:
    """Bytes of the frames that a video remembers, at most: some as they are decoded, and some as images."""
    return min(3 * len(video) * video.width * video.height, 2 * REMEMBERED_BYTES)


def build_context(events: Sequence[Event]) -> ConversationContext:
    """Return what these events have come to; masks of an earlier image mean nothing in the latest one."""
    latest = next((event for event in reversed(events) if isinstance(event, Episode)), None)
    if latest is None:
        return EMPTY_CONTEXT
    context = context_after(latest)
    if latest is events[-1]:
        return context
    return ConversationContext(turns=tuple(replace(turn, elsewhere=True) for turn in context.turns))


def context_after(episode: Episode) -> ConversationContext:
    """Return what a finished turn has come to."""
    task, outcome = episode.task, episode.outcome or "failed"
    options = episode.steps[-1].observation.options if episode.steps else ()
    shown = _choose_selected_ids(episode) if outcome == "no_match" else episode.current_ids
    turn = PastTurn(task.query, outcome, episode.message, shown, options, task.by_hand, plan=episode.plan)
    return ConversationContext(episode.workspace, _choose_selected_ids(episode), (*task.context.turns, turn))


def _choose_selected_ids(episode: Episode) -> tuple[int, ...]:
    """Take the answer where there is one; else the earlier answer; else the best that a stopped turn found."""
    if episode.outcome == "answered" or episode.task.by_hand:
        return episode.current_ids
    if episode.outcome == "asked" and (doubt := read_doubt(episode)).asked:
        return doubt.certain  # what is certain is answered, whatever becomes of the rest
    stopped = episode.outcome in EARLY_STOP_OUTCOMES
    return episode.task.context.selected or (episode.current_ids if stopped else ())
