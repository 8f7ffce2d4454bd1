"""Following objects through a video: frame by frame, with progress, until it is done or has to stop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.core.budget import get_remaining_seconds
from agent.core.episode import Episode, Observation
from agent.core.outcome import Outcome
from agent.core.text.sanitizing import to_one_line
from agent.core.timeline import Timeline
from agent.core.usage import Usage
from agent.tools.video.progress import note_interruption, report_progress
from sam3_tool import Masklets, UserError, Video
from sam3_tool.tracking.frames import TrackedFrame, collect_masklets
from sam3_tool.video.time_stamps import format_time


@dataclass(frozen=True, eq=False)
class Tracking:
    """What was followed, as far as that went."""

    found: list[Masklets]
    """One per prompt."""
    usage: Usage
    stopped: str = ""
    """Why it ended early, and when in the video; "" where it went to the end."""
    reach: float | None = None
    """When in the video it ended early, in seconds."""
    is_over: bool = False
    """Whether nothing else can be done after that."""

    def finish_observation(self, observation: Observation, best: str) -> Observation:
        """Return the observation; where nothing else can be done, with an end. `best`: the tracks so far, in words."""
        if not self.is_over:
            return observation
        outcome: Outcome = "failed"
        text = f"{observation.text} The best answer so far is {best or 'none'}."
        return Observation(text, observation.workspace, observation.shown, outcome, usage=observation.usage)


def get_video(episode: Episode) -> Video:
    """Return the video of an episode that is under way."""
    if episode.task.video is None:
        raise UserError("the video itself is not at hand, so nothing new can be looked for in it; open it again")
    return episode.task.video


def follow_objects(
    frames: Iterator[TrackedFrame], video: Video, phrases: Sequence[str], timeline: Timeline, *, count: int
) -> Tracking:
    """Take frames as they come, and say how far it is. What was found before it had to stop is kept.

    It stops when the time of the episode is over, at Ctrl-C (where that is wanted: `keep_interrupted_work`), and where
    the network or the video fails. Before the first frame there is nothing to keep, so the error is raised.

    Args:
        frames: What `Sam3.track` or a session gives.
        video: The video.
        phrases: One per prompt.
        timeline: The part that is looked at.
        count: Frames that will come, at most.
    """
    taken: list[TrackedFrame] = []
    named, reason, is_over = ", ".join(map(repr, filter(None, phrases))) or "the object", "", False
    try:
        for tracked in frames:
            taken.append(tracked)
            _report_frame(tracked, named, len(taken), count, timeline)
            if get_remaining_seconds() <= 0:
                reason = "as the time is over"
                break
    except KeyboardInterrupt as interruption:
        if not taken:
            raise
        note_interruption(interruption)
        reason, is_over = "as it was interrupted", True
    except UserError as error:
        if not taken:
            raise
        reason, is_over = f"because {to_one_line(error)}", True
    finally:
        _close_stream(frames)
    usage = Usage(sam_encodes=len(taken), sam_decodes=len(taken) * len(phrases))
    found = collect_masklets(taken, video, phrases)
    if len(taken) == count or not reason:
        return Tracking(found, usage, is_over=is_over)
    reach = timeline.times[taken[-1].frame] if taken else timeline.times[timeline.start]
    last = format_time(timeline.times[timeline.stop - 1])
    return Tracking(found, usage, f"stopped at {format_time(reach)} of {last}, {reason}", reach, is_over)


def _close_stream(frames: Iterator[TrackedFrame]) -> None:
    close: Callable[[], None] | None = getattr(frames, "close", None)
    if close is not None:
        close()


def _report_frame(tracked: TrackedFrame, named: str, taken: int, count: int, timeline: Timeline) -> None:
    seen = sum(map(len, tracked.ids))
    report_progress(
        f"following {named}: frame {taken} of {count} ({format_time(timeline.times[tracked.frame])}), {seen} in sight"
    )
