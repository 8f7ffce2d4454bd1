"""The conversation as messages of a chat: each step of a turn is an accordion with its image."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown
from agent.core.english import pluralize
from agent.core.episode import Episode, Step, Task
from agent.core.text import make_encodable
from agent.core.workspace import Candidate
from agent.planners.chat.views import draw_overlay
from agent.report.coverage import Coverage
from agent.report.html import format_arguments
from agent.report.tracks import draw_tracks
from demo.canvas import encode_data_url
from demo.sessions import PendingAnswer, Session
from sam3_tool import Image
from sam3_tool.video.time_stamps import format_time

STEP_IMAGE_SIDE = 560
"""Pixels of the long side of a step's image."""
TURNS_WITH_IMAGES = 3
"""Only the steps of so many latest turns keep their images, so that a page does not grow without end."""
PROSE_ARGUMENTS = ("message", "question", "reason", "reasons")
"""Arguments of tools that are sentences; a step's title leaves them out."""
Message = dict[str, Any]

WELCOME = (
    "Drop an image or a video, then ask for something in it: **all the watermelons**, **only the two largest**,"
    " **not number 3**."
)


def build_messages(session: Session) -> list[Message]:
    """Return the messages of a session.

    They are all turns, the query that is being answered, and the note on what went wrong with the latest one.
    """
    said = [] if session.conversation is None else list(_format_events(session.conversation))
    if session.pending_answer is not None:
        said += _format_running_turn(session.pending_answer)
    if session.note:
        refused = session.unanswered_query and (
            session.pending_answer is None or session.unanswered_query != session.pending_answer.query
        )
        said += [_make_user_message(escape_text(session.unanswered_query))] if refused else []
        said.append(_make_agent_message(f"<span class='note'>{escape_text(session.note)}</span>"))
    return said


def escape_text(text: str) -> str:
    """Escape a text of anybody, so that neither Markdown nor HTML is read in it: no link, no image, no request.

    >>> escape_text("![x](http://e)")
    '&#33;&#91;x&#93;&#40;http&#58;&#47;&#47;e&#41;'
    """
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    return "<br>".join(re.sub(r"[^\w\s]|_", lambda mark: f"&#{ord(mark[0])};", line) for line in lines)


def _format_events(conversation: Conversation) -> Iterator[Message]:
    events = conversation.events[: conversation.cursor]
    asked = [event for event in events if isinstance(event, Episode) and not event.task.by_hand][-TURNS_WITH_IMAGES:]
    for event in events:
        match event:
            case ImageShown():
                yield _make_agent_message(f"<span class='note'>{escape_text(_describe_image(event))}</span>")
            case Episode():
                yield from _format_turn(event, with_images=event in asked, with_options=event is conversation.last_turn)


def _describe_image(event: ImageShown) -> str:
    size = f"{event.image.width} x {event.image.height} pixels"
    if event.timeline is None:
        return f"{event.name or 'Your image'}, {size}."
    times = event.timeline.times
    return f"{event.name or 'Your video'}, {size}, {pluralize(len(times), 'frame')}, {format_time(event.timeline.end)}."


def _format_turn(episode: Episode, *, with_images: bool, with_options: bool) -> Iterator[Message]:
    if episode.task.by_hand:
        yield _make_user_message(f"<span class='hand'>{escape_text(episode.task.query)}</span>")
        return
    yield _make_user_message(escape_text(episode.task.query))
    for step in episode.steps:
        yield _format_step(step, episode, with_image=with_images)
    offered = episode.steps[-1].observation.options if with_options and episode.steps else ()
    options = [{"value": make_encodable(option)} for option in offered]
    yield {**_make_agent_message(f"{escape_text(episode.message)}{_format_coverage(episode)}"), "options": options}


def _format_coverage(episode: Episode) -> str:
    """What is in doubt and what was not looked at, below the answer; nothing where there is nothing to say."""
    lines = "".join(f"<br>{escape_text(line)}" for line in Coverage.from_episode(episode).lines)
    return f"<span class='note'>{lines}</span>" if lines and episode.outcome else ""


def _format_running_turn(pending: PendingAnswer) -> Iterator[Message]:
    episode = pending.episode
    yield _make_user_message(escape_text(pending.query))
    if episode is not None:
        yield from (_format_step(step, episode, with_image=True) for step in episode.steps)
    if episode is None or episode.outcome is None:
        title = clean_title(pending.progress) or "Thinking"
        yield {**_make_agent_message(""), "metadata": {"title": title, "status": "pending"}}


def _format_step(step: Step, episode: Episode, *, with_image: bool) -> Message:
    call = escape_text(_shorten_arguments(step.decision.arguments))
    image_html = _render_step_image(step, episode) if with_image else ""
    thought = f"<p class='thought'>{escape_text(step.decision.thought)}</p>" if step.decision.thought.strip() else ""
    title = f"{step.decision.tool or 'no tool'} {_summarize_arguments(step.decision.arguments)}"
    title = f"{title} (refused)" if step.observation.is_error else title
    content = f"{thought}<p class='call'>{call}</p><p>{escape_text(step.observation.text)}</p>{image_html}"
    return {
        **_make_agent_message(content),
        "metadata": {"title": clean_title(title), "status": "done", "duration": round(step.seconds, 2)},
    }


def _summarize_arguments(arguments: str) -> str:
    """The values of a call's arguments, in short.

    >>> _summarize_arguments('{"phrases": ["red cup", "dog"], "threshold": 0.5}')
    'red cup, dog, 0.5'
    """
    try:
        return ", ".join(map(str, _iterate_leaves(json.loads(arguments))))
    except (ValueError, RecursionError):
        return ""


def _iterate_leaves(value: Any) -> Iterator[Any]:
    match value:
        case dict():
            yield from (
                leaf for name, inner in value.items() if name not in PROSE_ARGUMENTS for leaf in _iterate_leaves(inner)
            )
        case list():
            yield from (leaf for inner in value for leaf in _iterate_leaves(inner))
        case _:
            yield value


def clean_title(text: str) -> str:
    """Return the title with letters, digits and harmless marks alone, at most 60 characters."""
    return re.sub(r"[^\w (),.-]", " ", text)[:60].strip()


def _shorten_arguments(arguments: str) -> str:
    """A call's arguments on one line.

    >>> _shorten_arguments('{"phrases": ["cup", "dog"], "threshold": 0.5}')
    'phrases: ["cup", "dog"], threshold: 0.5'
    """
    lines = format_arguments(arguments).strip("{}\n").splitlines()
    return " ".join(re.sub(r'^ *"(\w+)":', r"\1:", line) for line in lines)[:400]


def _render_step_image(step: Step, episode: Episode) -> str:
    ids = step.observation.shown or ()
    if not ids:
        return ""
    if episode.task.video is not None:
        alt = f"Frames with {pluralize(len(ids), 'object')} outlined: {', '.join(map(str, ids))}"
        return f'<img alt="{alt}" src="{_encode_sheet(episode.task, tuple(ids), tuple(episode.workspace.pick(ids)))}">'
    candidates = tuple(episode.workspace.pick(ids))
    alt = f"The image with {pluralize(len(ids), 'mask')} outlined: {', '.join(map(str, ids))}"
    return f'<img alt="{alt}" src="{_encode_overlay(episode.task.image, candidates, tuple(ids))}">'


@lru_cache(maxsize=16)
def _encode_sheet(task: Task, ids: Sequence[int], candidates: Sequence[Candidate]) -> str:
    masklets = [candidate.masklet for candidate in candidates if candidate.masklet is not None]
    return encode_data_url(draw_tracks(task, ids, masklets, side=STEP_IMAGE_SIDE), quality=80)


@lru_cache(maxsize=64)
def _encode_overlay(image: Image, candidates: Sequence[Candidate], ids: Sequence[int]) -> str:
    return encode_data_url(draw_overlay(image, candidates, ids, STEP_IMAGE_SIDE), quality=80)


def _make_user_message(content: str) -> Message:
    return {"role": "user", "content": content}


def _make_agent_message(content: str) -> Message:
    return {"role": "assistant", "content": content}
