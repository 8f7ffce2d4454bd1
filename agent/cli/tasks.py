"""The task of a query on the command line."""

from typing import TYPE_CHECKING

from agent.core.errors import UsageError

if TYPE_CHECKING:
    from agent.core.episode import Task
    from sam3_tool import Image, Video


def build_task(subject: "Image | Video", query: str, *, start: float | None, end: float | None) -> "Task":
    """Build the task of a query about an image, or about a video from `start` to `end` seconds. Raises UsageError."""
    from agent.core.episode import Task
    from sam3_tool import Image

    if isinstance(subject, Image):
        if start is not None or end is not None:
            raise UsageError(f"{'--end' if start is None else '--start'} is for videos, and here stands an image")
        return Task(subject, query)
    try:
        return Task.from_video(subject, query, since=start, until=end)
    except ValueError as error:
        raise UsageError(f"with --start and --end as given, {error}") from error
