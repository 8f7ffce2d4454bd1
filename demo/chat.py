"""The conversation as messages of a chat: each step of a turn an accordion with its picture."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from agent.conversation import Conversation, Shown
from agent.episode import Candidate, Episode, Step
from agent.page import pretty
from agent.text import encodable
from agent.tools.words import counted
from agent.views import overlay
from demo.stage import data_url
from demo.visits import Visit
from sam3_tool import Picture

STEP = 560
"""Pixels of the long side of a step's picture."""
WITH_PICTURES = 3
"""Turns, the latest ones, whose steps still have their pictures: a page must not grow without end."""
PROSE = ("message", "question", "reason", "reasons")
"""Arguments of tools that are sentences."""
Message = dict[str, Any]

WELCOME = (
    "Drop a picture, then ask for something in it: **all the watermelons**, **only the two largest**, **not number 3**."
)


def messages(visit: Visit) -> list[Message]:
    """All that was said, the question that is being answered, and what went wrong with the latest one."""
    said = [] if visit.conversation is None else list(_conversation(visit.conversation))
    if visit.answering is not None:
        said += _running(visit.answering.query, visit.answering.episode)
    if visit.note:
        refused = visit.asked and (visit.answering is None or visit.asked != visit.answering.query)
        said += [_user(plain(visit.asked))] if refused else []
        said.append(_agent(f"<span class='note'>{plain(visit.note)}</span>"))
    return said


def plain(text: str) -> str:
    """`text` so that neither Markdown nor HTML is read in it, whoever wrote it: no link, no picture, no request.

    >>> plain("![x](http://e)")
    '&#33;&#91;x&#93;&#40;http&#58;&#47;&#47;e&#41;'
    """
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    return "<br>".join(re.sub(r"[^\w\s]|_", lambda mark: f"&#{ord(mark[0])};", line) for line in lines)


def _conversation(conversation: Conversation) -> Iterator[Message]:
    events = conversation.events[: conversation.cursor]
    asked = [event for event in events if isinstance(event, Episode) and not event.task.by_hand][-WITH_PICTURES:]
    for event in events:
        match event:
            case Shown():
                yield _agent(f"<span class='note'>{plain(_picture(event))}</span>")
            case Episode():
                yield from _turn(event, pictures=event in asked, asks=event is conversation.last)


def _picture(event: Shown) -> str:
    return f"{event.name or 'Your picture'}, {event.picture.width} x {event.picture.height} pixels."


def _turn(episode: Episode, *, pictures: bool, asks: bool) -> Iterator[Message]:
    if episode.task.by_hand:
        yield _user(f"<span class='hand'>{plain(episode.task.query)}</span>")
        return
    yield _user(plain(episode.task.query))
    for step in episode.steps:
        yield _step(step, episode, picture=pictures)
    offered = episode.steps[-1].observation.options if asks and episode.steps else ()
    options = [{"value": encodable(option)} for option in offered]
    yield {**_agent(plain(episode.message)), "options": options}


def _running(query: str, episode: Episode | None) -> Iterator[Message]:
    yield _user(plain(query))
    if episode is not None:
        yield from (_step(step, episode, picture=True) for step in episode.steps)
    if episode is None or episode.outcome is None:
        yield {**_agent(""), "metadata": {"title": "Thinking", "status": "pending"}}


def _step(step: Step, episode: Episode, *, picture: bool) -> Message:
    call = plain(_in_short(step.decision.arguments))
    seen = _sight(step, episode) if picture else ""
    thought = f"<p class='thought'>{plain(step.decision.thought)}</p>" if step.decision.thought.strip() else ""
    title = f"{step.decision.tool or 'no tool'} {_named(step.decision.arguments)}"
    title = f"{title} (refused)" if step.observation.is_error else title
    content = f"{thought}<p class='call'>{call}</p><p>{plain(step.observation.text)}</p>{seen}"
    return {
        **_agent(content),
        "metadata": {"title": plain_title(title), "status": "done", "duration": round(step.seconds, 2)},
    }


def _named(arguments: str) -> str:
    """What a call is about, in short.

    >>> _named('{"phrases": ["red cup", "dog"], "threshold": 0.5}')
    'red cup, dog, 0.5'
    """
    try:
        return ", ".join(map(str, _leaves(json.loads(arguments))))
    except (ValueError, RecursionError):
        return ""


def _leaves(held: Any) -> Iterator[Any]:
    match held:
        case dict():
            yield from (leaf for name, inner in held.items() if name not in PROSE for leaf in _leaves(inner))
        case list():
            yield from (leaf for inner in held for leaf in _leaves(inner))
        case _:
            yield held


def plain_title(text: str) -> str:
    """Letters, digits and the most harmless marks alone."""
    return re.sub(r"[^\w (),.-]", " ", text)[:60].strip()


def _in_short(arguments: str) -> str:
    """
    >>> _in_short('{"phrases": ["cup", "dog"], "threshold": 0.5}')
    'phrases: ["cup", "dog"], threshold: 0.5'
    """
    lines = pretty(arguments).strip("{}\n").splitlines()
    return " ".join(re.sub(r'^ *"(\w+)":', r"\1:", line) for line in lines)[:400]


def _sight(step: Step, episode: Episode) -> str:
    ids = step.observation.shown or ()
    if not ids:
        return ""
    candidates = tuple(episode.workspace.pick(ids))
    alt = f"The picture with {counted(len(ids), 'mask')} outlined: {', '.join(map(str, ids))}"
    return f'<img alt="{alt}" src="{_marked(episode.task.picture, candidates, tuple(ids))}">'


@lru_cache(maxsize=64)
def _marked(picture: Picture, candidates: Sequence[Candidate], ids: Sequence[int]) -> str:
    return data_url(overlay(picture, candidates, ids, STEP), quality=80)


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _agent(content: str) -> Message:
    return {"role": "assistant", "content": content}
