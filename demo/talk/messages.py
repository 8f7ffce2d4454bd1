"""The conversation as entries for the page's script, which writes every text as text: none is ever read as markup."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from time import monotonic
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import Event, ImageShown
from agent.core.english import pluralize
from agent.core.episode import Episode, Step, Task
from agent.core.outcome import EARLY_STOP_OUTCOMES
from agent.core.text import make_encodable
from agent.core.workspace import Candidate
from agent.planners.chat.views import draw_overlay
from agent.report.html import format_arguments
from agent.report.text import format_css_color
from agent.report.tracks import draw_tracks
from demo.canvas import choose_mask_ink, encode_data_url
from demo.sessions import PendingAnswer, Remark, Session
from demo.talk.step_titles import describe_step, is_talk
from demo.talk.suggestions import suggest_queries
from demo.talk.wording import describe_answer, describe_early_end, has_operator_words
from sam3_tool import Image
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.video.time_stamps import format_time

STEP_IMAGE_SIDE = 560
"""Pixels of the long side of a step's image."""
PENDING_TURN = -1
"""Stands for the turn that is under way where the number of an event is asked for."""
Entry = dict[str, Any]
_serial = count(1)


def build_talk(session: Session) -> dict[str, Any]:
    """Return what the right column shows of a session.

    Args:
        session: What is shown.

    Returns:
        `entries`, oldest first; `pending`, what is under way and for how many seconds, or None; `suggestions` to tap;
        `placeholder`; and a `serial` that makes each value differ from the one before.
    """
    pending = session.pending_answer
    selected = session.conversation is not None and session.conversation.selected
    return {
        "serial": next(_serial),
        "entries": list(_list_entries(session)),
        "pending": None if pending is None else _describe_pending(pending),
        "suggestions": [] if pending else suggest_queries(session.conversation),
        "placeholder": "only the two largest" if selected else "all the watermelons",
    }


def draw_step(session: Session, event: int, step: int) -> str:
    """Draw what a step of a session's turn was about.

    Args:
        session: Whose conversation it is.
        event: The number of the turn among the conversation's events, or `PENDING_TURN`.
        step: The number of the step, from 0.

    Returns:
        The image as a data URL; '' where there is none.
    """
    episode = _find_episode(session, event)
    if episode is None or not 0 <= step < len(episode.steps):
        return ""
    ids = tuple(episode.steps[step].observation.shown or ())
    candidates = tuple(episode.workspace.pick(ids))
    if not ids:
        return ""
    if episode.task.video is not None:
        return _encode_sheet(episode.task, ids, candidates)
    return _encode_overlay(episode.task.image, candidates, ids)


def _find_episode(session: Session, event: int) -> Episode | None:
    if event == PENDING_TURN:
        return None if session.pending_answer is None else session.pending_answer.episode
    events = () if session.conversation is None else session.conversation.events
    found = events[event] if 0 <= event < len(events) else None
    return found if isinstance(found, Episode) else None


def _list_entries(session: Session) -> Iterator[Entry]:
    events: Sequence[Event] = () if session.conversation is None else session.conversation.events
    for place in range(len(events) + 1):
        for remark in session.remarks:
            if remark.position == place or (place == len(events) and remark.position > place):
                yield from _format_remark(remark)
        if place < len(events):
            yield from _format_event(place, events[place], session.conversation)
    yield from _format_latest(session)


def _format_event(place: int, event: Event, conversation: Conversation | None) -> Iterator[Entry]:
    is_undone = conversation is not None and place >= conversation.cursor
    if isinstance(event, ImageShown):
        entries = [{"kind": "image", "text": make_encodable(_describe_image(event)), "undone": is_undone}]
    else:
        is_last = conversation is not None and event is conversation.last_turn
        entries = list(_format_turn(place, event, is_undone=is_undone, is_last=is_last))
    if conversation is not None and place == conversation.cursor:
        entries[0]["redo"] = True  # this is what comes back next
    yield from entries


def _format_remark(remark: Remark) -> Iterator[Entry]:
    if remark.query:
        yield _format_query(remark.query, is_undone=remark.kind == "undone")
    if remark.text:
        yield {"kind": remark.kind, "text": make_encodable(remark.text)}


def _format_latest(session: Session) -> Iterator[Entry]:
    """The query that is under way, and the note on the latest action."""
    pending, query = session.pending_answer, session.unanswered_query
    if pending is not None:
        yield _format_query(pending.query)
        if pending.episode is not None:
            yield from _format_steps(PENDING_TURN, pending.episode)
    if session.note:
        if query and (pending is None or query != pending.query):
            yield _format_query(query)
        yield {"kind": session.note_kind, "text": make_encodable(session.note)}


def _describe_image(event: ImageShown) -> str:
    size = f"{event.image.width} x {event.image.height} pixels"
    if event.timeline is None:
        return f"{event.name or 'Your image'}, {size}"
    times = event.timeline.times
    return f"{event.name or 'Your video'}, {size}, {pluralize(len(times), 'frame')}, {format_time(event.timeline.end)}"


def _format_query(query: str, *, by_hand: bool = False, is_undone: bool = False) -> Entry:
    return {"kind": "query", "text": make_encodable(query), "byHand": by_hand, "undone": is_undone}


def _format_turn(place: int, episode: Episode, *, is_undone: bool, is_last: bool) -> Iterator[Entry]:
    by_hand = episode.task.by_hand
    yield _format_query(episode.task.query, by_hand=by_hand, is_undone=is_undone)
    if is_undone:
        return
    if by_hand:
        yield {"kind": "note", "text": make_encodable(describe_answer(episode.message))}
        return
    yield from _format_steps(place, episode)
    yield _format_answer(episode, is_last=is_last)


def _format_answer(episode: Episode, *, is_last: bool) -> Entry:
    is_early = episode.outcome in EARLY_STOP_OUTCOMES
    question, options = _split_question(episode)
    text = describe_early_end(episode.message, len(episode.current_ids)) if is_early else describe_answer(question)
    return {
        "kind": "error" if episode.outcome == "failed" else "answer",
        "text": make_encodable(text),
        "masks": [_format_chip(id) for id in episode.current_ids] if episode.outcome != "no_match" else [],
        "options": [make_encodable(option) for option in options] if is_last else [],
        "cost": _describe_cost(episode),
    }


def _split_question(episode: Episode) -> tuple[str, Sequence[str]]:
    """The message without its numbered options, which are buttons; and the options."""
    options = episode.steps[-1].observation.options if episode.steps else ()
    message = episode.message
    place = message.find(" (1) ") if options else -1
    return (message[:place] if place > 0 else message), options


def _describe_cost(episode: Episode) -> str:
    """What a turn took: '0.4 s, 2 model calls, 1,200 tokens'."""
    usage = episode.usage
    tokens = usage.prompt_tokens + usage.completion_tokens
    parts = [f"{usage.seconds:.1f} s"]
    parts += [pluralize(usage.model_calls, "call") + " of the language model"] * bool(usage.model_calls)
    return ", ".join([*parts, *[f"{tokens:,} tokens"] * bool(tokens)])


def _format_steps(place: int, episode: Episode) -> Iterator[Entry]:
    for number, step in enumerate(episode.steps):
        if not is_talk(step):
            yield _format_step(place, number, step, episode)


def _format_step(place: int, number: int, step: Step, episode: Episode) -> Entry:
    decision, observation = step.decision, step.observation
    text = "" if has_operator_words(observation.text) else observation.text
    ids = observation.shown or ()
    noun = "mask" if episode.task.timeline is None else "object"
    return {
        "kind": "step",
        "title": make_encodable(describe_step(step, episode)),
        "seconds": round(step.seconds, 2),
        "thinking": round(decision.usage.seconds, 1),
        "failed": observation.is_error,
        "thought": make_encodable(decision.thought.strip()),
        "reasoning": make_encodable(decision.reasoning.strip()),
        "call": make_encodable(f"{decision.tool or 'no tool'} {format_arguments(decision.arguments)}"[:2000]),
        "text": make_encodable(text),
        "verdicts": [
            {
                **_format_chip(verdict.id),
                "accept": verdict.accept,
                "share": verdict.probability,
                "reason": make_encodable(verdict.reason),
            }
            for verdict in observation.verdicts
        ],
        "image": [place, number, f"{pluralize(len(ids), noun)} outlined: {', '.join(map(str, ids))}"] if ids else None,
    }


@lru_cache(maxsize=1024)
def _make_chip(mask_id: int) -> Mapping[str, Any]:
    return {"id": mask_id, "color": format_css_color(mask_id), "ink": choose_mask_ink(get_mask_color(mask_id))}


def _format_chip(mask_id: int) -> dict[str, Any]:
    """A mask's number, in its colour."""
    return dict(_make_chip(mask_id))


def _describe_pending(pending: PendingAnswer) -> dict[str, Any]:
    title = make_encodable(pending.progress) or "Thinking"
    return {"title": title, "seconds": round(monotonic() - pending.started, 1)}


@lru_cache(maxsize=16)
def _encode_sheet(task: Task, ids: Sequence[int], candidates: Sequence[Candidate]) -> str:
    masklets = [candidate.masklet for candidate in candidates if candidate.masklet is not None]
    return encode_data_url(draw_tracks(task, ids, masklets, side=STEP_IMAGE_SIDE), quality=80)


@lru_cache(maxsize=64)
def _encode_overlay(image: Image, candidates: Sequence[Candidate], ids: Sequence[int]) -> str:
    return encode_data_url(draw_overlay(image, candidates, ids, STEP_IMAGE_SIDE), quality=80)
