"""The conversation as entries for the page's script, which writes every text as text: none is ever read as markup."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import Event, ImageShown
from agent.core.episode import Episode, Step, Task
from agent.core.outcome import EARLY_STOP_OUTCOMES
from agent.core.text.english import pluralize
from agent.core.text.sanitizing import make_encodable
from agent.core.workspace import Candidate
from agent.planners.chat.views import draw_overlay
from agent.report.html import format_arguments
from agent.report.tracks import draw_tracks
from demo.remarks import Remark, describe_words
from demo.requests import ShownStep
from demo.sessions import Session
from demo.studio.rows import encode_data_url
from demo.talk.comparison import compare_versions
from demo.talk.costs import describe_cost, describe_tokens, make_chip
from demo.talk.pending import describe_pending
from demo.talk.step_titles import describe_step, is_talk
from demo.talk.suggestions import suggest_queries
from demo.talk.ways import TurnInfo
from demo.talk.wording import describe_answer, describe_early_end, has_operator_words
from sam3_tool import Image
from sam3_tool.video.time_stamps import format_time

STEP_IMAGE_SIDE = 560
"""Pixels of the long side of a step's image."""
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
        "version": session.version,
        "entries": add_keys(list_entries(session)),
        "pending": None if pending is None else describe_pending(pending),
        "suggestions": [] if pending else suggest_queries(session.conversation),
        "placeholder": "only the two largest" if selected else "all the watermelons",
    }


def add_keys(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries with keys of their own: of several equal ones, each later one has its number in its key.

    >>> [entry["key"][12:] for entry in add_keys([{"text": "a"}, {"text": "b"}, {"text": "a"}])]
    ['', '', '.2']
    """
    keys = Counter[str]()
    keyed = []
    for entry in entries:
        key = compute_key(entry)
        keys[key] += 1
        keyed.append({"key": key if keys[key] == 1 else f"{key}.{keys[key]}", **entry})
    return keyed


def compute_key(entry: Entry) -> str:
    """Return a short name for an entry: equal entries have equal names.

    >>> compute_key({"kind": "note"}) == compute_key({"kind": "note"}) != compute_key({"kind": "error"})
    True
    """
    return blake2b(json.dumps(entry).encode(), digest_size=6).hexdigest()


def draw_step(session: Session, shown: ShownStep) -> str:
    """Draw what a step of a session's turn was about, or its answer.

    Args:
        session: Whose conversation it is.
        shown: Which step, or which answer.

    Returns:
        The image as a data URL; '' where there is none.
    """
    episode = find_episode(session, shown)
    if episode is None or not -1 <= shown.step < len(episode.steps):
        return ""
    ids = tuple(episode.current_ids if shown.step < 0 else episode.steps[shown.step].observation.shown or ())
    candidates = tuple(episode.workspace.pick(ids))
    if not ids:
        return ""
    if episode.task.video is not None:
        return _encode_sheet(episode.task, ids, candidates)
    return _encode_overlay(episode.task.image, candidates, ids)


def find_episode(session: Session, shown: ShownStep) -> Episode | None:
    """Return the turn that a visitor has opened; None where there is none.

    Args:
        session: Whose conversation it is.
        shown: Which turn: of the way that is shown, the one under way among them, or of another one.
    """
    pending, conversation = session.pending_answer, session.shown
    if shown.branch is not None:
        ways = session.tree.branches
        conversation = ways[shown.branch] if shown.branch < len(ways) else None
    elif pending is not None and not pending.is_beside and shown.event == _get_pending_place(conversation):
        return pending.episode
    events = () if conversation is None else conversation.events
    found = events[shown.event] if shown.event < len(events) else None
    return found if isinstance(found, Episode) else None


def _get_pending_place(conversation: Conversation | None) -> int:
    """The place that the turn under way will have."""
    return 0 if conversation is None else conversation.cursor


def list_entries(session: Session) -> Iterator[Entry]:
    """Yield what was said and done, oldest first.

    Args:
        session: What is shown.
    """
    conversation = session.shown
    events: Sequence[Event] = () if conversation is None else conversation.events
    remarks = _place_remarks(session, events)
    for place, event in enumerate(events):
        for remark in remarks.get(place, ()):
            yield from _format_remark(remark, session)
        yield from _format_event(place, event, session)
    for remark in remarks.get(len(events), ()):
        yield from _format_remark(remark, session)
    yield from _format_latest(session)


def _place_remarks(session: Session, events: Sequence[Event]) -> Mapping[int, list[Remark]]:
    """The remarks by the place of the event before which they stand; those of other ways are left out."""
    places = {id(event): place + 1 for place, event in enumerate(events)}
    placed: dict[int, list[Remark]] = {}
    for remark in session.remarks:
        if remark.after is None:
            place = min(remark.position, len(events))
        elif (found := places.get(id(remark.after))) is not None:
            place = found
        elif session.tree.find_branch(remark.after) is None:
            place = min(remark.position, len(events))
        else:
            continue
        placed.setdefault(place, []).append(remark)
    return placed


def _format_event(place: int, event: Event, session: Session) -> Iterator[Entry]:
    conversation = session.shown
    cursor = place if conversation is None else conversation.cursor
    is_undone = place >= cursor
    if isinstance(event, ImageShown):
        entries = [{"kind": "image", "text": make_encodable(_describe_image(event)), "undone": is_undone}]
    else:
        entries = list(_format_turn(place, event, session, is_undone=is_undone))
    if place == cursor:
        entries[0]["redo"] = True  # this is what comes back next
    yield from entries


def _format_remark(remark: Remark, session: Session) -> Iterator[Entry]:
    if remark.query:
        branch = None if remark.undone is None else session.tree.find_branch(remark.undone)
        restore = {} if branch is None else {"restore": branch}
        yield {**_format_query(remark.query, is_undone=remark.kind == "undone"), **restore}
    if remark.text:
        yield {"kind": remark.kind, "text": make_encodable(remark.text)}


def _format_latest(session: Session) -> Iterator[Entry]:
    """The query that is under way, and the note on the latest action."""
    pending, query = session.pending_answer, session.unanswered_query
    if pending is not None and not pending.is_beside:
        place = _get_pending_place(session.shown)
        yield _format_query(pending.query)
        if pending.episode is not None:
            yield from _format_steps(place, pending.episode)
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


def _format_turn(place: int, episode: Episode, session: Session, *, is_undone: bool) -> Iterator[Entry]:
    by_hand = episode.task.by_hand
    query = _format_query(describe_words(episode), by_hand=by_hand, is_undone=is_undone)
    yield query if is_undone else {**query, **_describe_ways(place, episode, session)}
    if is_undone:
        return
    if by_hand:
        yield {"kind": "note", "text": make_encodable(describe_answer(episode.message))}
        return
    yield from _format_steps(place, episode)
    is_last = session.shown is not None and episode is session.shown.last_turn
    yield _format_answer(episode, session.turn_infos.get(episode), is_last=is_last)
    yield from compare_versions(place, episode, session)


def _describe_ways(place: int, episode: Episode, session: Session) -> Entry:
    """Where a question stands, who answered it, and which ways there are beside it."""
    versions = session.tree.list_versions(place)
    at = next((number for number, version in enumerate(versions) if version.event is episode), 0)
    ways = {"versions": {"at": at, "branches": [version.branch for version in versions]}} if len(versions) > 1 else {}
    if episode.task.by_hand:
        return ways
    info = session.turn_infos.get(episode)
    return {"turn": place, "planner": "" if info is None else info.planner, **ways}


def _format_answer(episode: Episode, info: TurnInfo | None, *, is_last: bool) -> Entry:
    is_early = episode.outcome in EARLY_STOP_OUTCOMES
    question, options = _split_question(episode)
    text = describe_early_end(episode.message, len(episode.current_ids)) if is_early else describe_answer(question)
    return {
        "kind": "error" if episode.outcome == "failed" else "answer",
        "text": make_encodable(text),
        "masks": [make_chip(id) for id in episode.current_ids] if episode.outcome != "no_match" else [],
        "options": [make_encodable(option) for option in options] if is_last else [],
        "cost": describe_cost(episode.usage, info),
    }


def _split_question(episode: Episode) -> tuple[str, Sequence[str]]:
    """The message without its numbered options, which are buttons; and the options."""
    options = episode.steps[-1].observation.options if episode.steps else ()
    message = episode.message
    place = message.find(" (1) ") if options else -1
    return (message[:place] if place > 0 else message), options


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
                **make_chip(verdict.id),
                "accept": verdict.accept,
                "share": verdict.probability,
                "reason": make_encodable(verdict.reason),
            }
            for verdict in observation.verdicts
        ],
        "at": [place, number],
        "spent": describe_tokens(step.usage),
        "image": f"{pluralize(len(ids), noun)} outlined: {', '.join(map(str, ids))}" if ids else "",
    }


@lru_cache(maxsize=16)
def _encode_sheet(task: Task, ids: Sequence[int], candidates: Sequence[Candidate]) -> str:
    masklets = [candidate.masklet for candidate in candidates if candidate.masklet is not None]
    return encode_data_url(draw_tracks(task, ids, masklets, side=STEP_IMAGE_SIDE), quality=80)


@lru_cache(maxsize=64)
def _encode_overlay(image: Image, candidates: Sequence[Candidate], ids: Sequence[int]) -> str:
    return encode_data_url(draw_overlay(image, candidates, ids, STEP_IMAGE_SIDE), quality=80)
