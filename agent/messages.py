"""What a language model is told of an episode: a pure function of the episode."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import prompts
from agent.coordinates import Frame, in_convention
from agent.episode import Decision, Episode, Search, Step
from agent.models import Call, Message, Messages
from agent.models.tokens import estimate_tokens
from agent.protocols import Protocol
from agent.retelling import MOST_TURNS, searches_in_words, turns_in_words
from agent.text import encodable
from agent.tools import TOOLS, TOOLS_OF, ToolError, parse_call
from agent.tools.finding import in_words
from agent.tools.segment import Segment
from agent.tools.words import listed
from agent.views import View, overlay, reduced, sheet, zoomed
from sam3_tool import Picture
from sam3_tool.contact_sheet import MOST

__all__ = ["Protocol", "View", "examination", "messages", "sheet_examination"]

LONGEST = 4000
"""Letters of any one text that the model is told; of a longer one, its beginning and its end."""
LONGEST_NAME = 64
"""Letters of a tool's name: more is no name, and servers refuse it."""
ROOM_FOR_REPLY = 1024
"""Tokens."""
MOST_SHEETS = 3
"""Of close-ups, in one turn."""
LAST_TURNS = 2
"""What a shortened conversation keeps."""


def messages(
    episode: Episode, protocol: Protocol = "workspace", view: View | None = None, *, short: bool = False
) -> Messages:
    """What the model sees next. Equal episodes have equal conversations, down to the last byte.

    Two pictures at most, three where the query goes on with a conversation, and the sheets of close-ups that the last
    call asked for.

    workspace: the query with the raw picture, then every turn, so that a conversation begins as the one before it;
    the last turn alone shows the masks that were found last, under their ids.
    What was said before the query, and the masks of the answer so far, are part of the first turn.
    paper: the published rule. The query, with the phrases that did not satisfy, and the turns since the last phrase
    that SAM 3 was given; the current masks are drawn in the turn that changed them last, numbered from 1.

    `short`: only the last two turns, without what the model said beside its calls, and the phrases of all others. That
    is also done, asked or not, where the whole would not fit into `view.context`.
    """
    view = view or View()
    talk = _talk(episode, protocol, view, short=short)
    if not short and view.context is not None:
        tokens = estimate_tokens(talk, schemas(protocol, view)) + ROOM_FOR_REPLY
        talk = talk if tokens <= view.context else _talk(episode, protocol, view, short=True)
    return within(talk, view.images)


def schemas(protocol: Protocol, view: View) -> list[dict[str, Any]]:
    """The tools, as they are offered to the model."""
    convention = "pixels" if view.coordinates == "auto" else view.coordinates
    return [in_convention(tool.schema_for_planner(), convention) for tool in TOOLS_OF[protocol]]


def examination(episode: Episode, id: int, protocol: Protocol, view: View) -> Messages:
    """A request to judge one mask: the raw picture, the mask alone over it, and two close-ups."""
    picture, candidate, number = episode.task.picture, episode.workspace[id], number_of(id, episode, protocol)
    shown = (
        reduced(picture, view.image_side),
        _query("examine_query", episode),
        overlay(picture, [candidate], [number], view.image_side),
        zoomed(picture, candidate, number, view.image_side),
        prompts.fill("examine_one_mask", number=number),
    )
    return within([Message("system", (prompts.load("examine_one"),)), Message("user", shown)], view.images)


def sheet_examination(
    episode: Episode, sheets: Sequence[Sequence[int]], protocol: Protocol, view: View
) -> list[Messages]:
    """Requests to judge many masks, one for each group of ids: all of them over the picture, and a sheet of close-ups.

    The requests differ in their sheet alone, so that a server reads the rest once.
    """
    picture, ids = episode.task.picture, [id for group in sheets for id in group]
    number = {id: number_of(id, episode, protocol) for id in ids}
    marked = overlay(picture, episode.workspace.pick(ids), [number[id] for id in ids], view.image_side)
    beginning = (marked, _query("examine_query", episode))
    return [
        within(
            [
                Message("system", (prompts.load("examine_sheet"),)),
                Message("user", (*beginning, *_sheet(episode, group, [number[id] for id in group], view))),
            ],
            view.images,
        )
        for group in sheets
    ]


def number_of(id: int, episode: Episode, protocol: Protocol) -> int:
    """What the model calls a mask: in the paper's protocol its place among the current ones, else its id."""
    return episode.shown.index(id) + 1 if protocol == "paper" and id in episode.shown else id


def turn(decision: Decision, answer: Sequence[str | Picture], frame: Frame, *, thoughts: bool = True) -> list[Message]:
    """A decision and what came of it. What cannot be sent as a call is sent as text: the model should see its slip."""
    thought = decision.thought.strip() if thoughts else ""
    call = _call(decision, frame)
    if call is not None:
        return [Message("assistant", (sayable(thought),) if thought else (), (call,)), Message("tool", tuple(answer))]
    said = "\n".join(filter(None, (thought, f"{decision.tool} {decision.arguments}".strip())))
    return [Message("assistant", (sayable(said or "(nothing)"),)), Message("user", tuple(answer))]


def sayable(text: str) -> str:
    """Text that a model can be told, whoever wrote it: valid, of sane length, without the marks of chat templates.

    >>> sayable("<|im_end|>" + "x" * 5000)[:12], len(sayable("x" * 5000))
    ('< |im_end|>x', 4000)
    """
    text = _harmless(text)
    if len(text) <= LONGEST:
        return text
    end = LONGEST // 4
    return f"{text[: LONGEST - end - 3]} … {text[-end:]}"


def _harmless(text: str) -> str:
    return encodable(text).replace("<|", "< |")


def within(talk: Sequence[Message], images: int | None) -> list[Message]:
    """The conversation with at most so many pictures: the last ones."""
    pictures = sum(isinstance(part, Picture) for message in talk for part in message.content)
    surplus = 0 if images is None else max(0, pictures - images)
    kept: list[Message] = []
    for message in talk:
        here = [part for part in message.content if isinstance(part, Picture)]
        content = _without_pictures(message.content, surplus)
        surplus = max(0, surplus - len(here))
        kept.append(Message(message.role, content, message.calls))
    return kept


def _without_pictures(content: tuple[str | Picture, ...], number: int) -> tuple[str | Picture, ...]:
    """Without the first `number` pictures."""
    places = [place for place, part in enumerate(content) if isinstance(part, Picture)][:number]
    return tuple(part for place, part in enumerate(content) if place not in places)


def _talk(episode: Episode, protocol: Protocol, view: View, *, short: bool) -> list[Message]:
    start = 0 if protocol == "workspace" else _last_search(episode)
    if short:
        start = max(start, len(episode.steps) - LAST_TURNS)
    frame = view.frame(episode.task.picture)
    drawn = _drawn_step(episode, protocol)
    talk = [Message("system", (prompts.load(protocol),)), _opening(episode, start, protocol, view, short=short)]
    for index, step in enumerate(episode.steps[start:], start=start):
        words = "\n".join(filter(None, (frame.retold(step.observation.text), step.decision.note)))
        shown = _current(episode, protocol, view) if index == drawn else ()
        talk += turn(step.decision, _one_text(sayable(words), *shown), frame, thoughts=not short)
    return talk


def _opening(episode: Episode, start: int, protocol: Protocol, view: View, *, short: bool) -> Message:
    """The raw picture, what was said before, the query, and what was tried in the turns before `start`."""
    picture = episode.task.picture
    drawn = _drawn_before(episode, protocol)
    query = _query(f"{protocol}_query", episode, coordinates=view.frame(picture).said())
    tried = _searches(episode, start)
    words = (*_before(episode, drawn, protocol, short=short), query)
    told = "\n\n".join((*words, _tried(tried, episode, protocol)) if tried else words)
    numbers = list(_numbers_before(drawn, protocol))
    marked = [overlay(picture, episode.workspace.pick(drawn), numbers, view.image_side)] if drawn else []
    return Message("user", (reduced(picture, view.image_side), *marked, told))


def _before(episode: Episode, drawn: Sequence[int], protocol: Protocol, *, short: bool) -> Iterator[str]:
    """What was said before in the conversation, and what was found."""
    before = episode.task.before
    if before.turns:
        most = LAST_TURNS if short else MOST_TURNS
        yield prompts.fill(f"{protocol}_before", turns=sayable(turns_in_words(before, protocol, most=most)))
    if before.workspace and before.workspace.searches and protocol == "workspace":
        yield prompts.fill("workspace_before_found", searches=sayable(searches_in_words(before.workspace)))
    if drawn:
        yield prompts.fill(f"{protocol}_before_drawn", numbers=listed(_numbers_before(drawn, protocol)))


def _drawn_before(episode: Episode, protocol: Protocol) -> tuple[int, ...]:
    """The masks of the answer so far; in the paper's protocol while they are the current ones, as numbers change."""
    changed = any(step.observation.shown is not None for step in episode.steps)
    return () if protocol == "paper" and changed else episode.task.before.selected


def _numbers_before(drawn: Sequence[int], protocol: Protocol) -> Sequence[int]:
    return range(1, len(drawn) + 1) if protocol == "paper" else drawn


def _tried(searches: Sequence[Search], episode: Episode, protocol: Protocol) -> str:
    if protocol == "paper":
        phrases = dict.fromkeys(sayable(search.phrase) for search in searches)
        return prompts.fill("paper_tried", phrases=", ".join(map(repr, phrases)))
    lines = [f"- {sayable(in_words(search, episode.workspace))}" for search in searches]
    return prompts.fill("workspace_tried", searches="\n".join(lines))


def _current(episode: Episode, protocol: Protocol, view: View) -> tuple[str | Picture, ...]:
    """What the model is told of the masks it may choose from now, and their picture."""
    ids = episode.best if protocol == "workspace" else episode.shown
    if protocol == "workspace" and not any(step.observation.shown for step in episode.steps):
        return ()  # what was there before is drawn at the beginning
    if not ids:
        return (_query("paper_none", episode),) if protocol == "paper" else ()
    numbers = [number_of(id, episode, protocol) for id in ids]
    words = _query(f"{protocol}_drawn", episode, numbers=listed(numbers))
    marked = overlay(episode.task.picture, episode.workspace.pick(ids), numbers, view.image_side)
    return words, marked, *(_close_ups(ids, episode, view) if _asks_for_close_ups(episode.steps[-1]) else ())


def _asks_for_close_ups(step: Step) -> bool:
    with suppress(ToolError):
        call = parse_call(step.decision, [Segment])
        return isinstance(call, Segment) and call.close_ups
    return False


def _close_ups(ids: Sequence[int], episode: Episode, view: View) -> tuple[str | Picture, ...]:
    """Sheets of the masks, and what they are. Coarser than those of an examination: they stand beside a picture."""
    ids = ids[: MOST_SHEETS * MOST]
    sheets = [ids[start : start + MOST] for start in range(0, len(ids), MOST)]
    side = view.image_side * 3 // 4
    words = prompts.fill("workspace_close_ups", numbers=listed(ids))
    return words, *(sheet(episode.task.picture, episode.workspace.pick(some), some, side) for some in sheets)


def _drawn_step(episode: Episode, protocol: Protocol) -> int:
    """The step whose turn shows the masks: the last one; in the paper's protocol, the one that changed them last."""
    if protocol == "workspace":
        return len(episode.steps) - 1
    changed = [index for index, step in enumerate(episode.steps) if step.observation.shown is not None]
    return changed[-1] if changed else -1


def _last_search(episode: Episode) -> int:
    """The last step that gave SAM 3 a phrase; 0 where there is none."""
    made = [len(_searches(episode, done)) for done in range(len(episode.steps) + 1)]
    searches = [index for index, (before, after) in enumerate(pairwise(made)) if after > before]
    return searches[-1] if searches else 0


def _searches(episode: Episode, steps: int) -> tuple[Search, ...]:
    """Made in the first so many steps."""
    return Episode(episode.task, episode.steps[:steps]).searches


def _sheet(episode: Episode, ids: Sequence[int], numbers: Sequence[int], view: View) -> tuple[Picture, str]:
    closeups = sheet(episode.task.picture, episode.workspace.pick(ids), numbers, view.image_side)
    return closeups, prompts.fill("examine_sheet_masks", numbers=", ".join(map(str, numbers)))


def _query(prompt: str, episode: Episode, **values: object) -> str:
    return prompts.fill(prompt, query=sayable(episode.task.query.strip()), **values)


def _one_text(words: str, *shown: str | Picture) -> tuple[str | Picture, ...]:
    """The texts as one, before the pictures, which some servers take in a turn of their own only."""
    texts = [words, *(part for part in shown if isinstance(part, str))]
    return "\n".join(filter(None, texts)), *(part for part in shown if isinstance(part, Picture))


def _call(decision: Decision, frame: Frame) -> Call | None:
    """The call as the model wrote it; None for what no server would take in a history."""
    arguments = _object(_in_frame(decision, frame))
    name = encodable(decision.tool.strip())
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME or arguments is None:
        return None
    return Call(name, arguments)


def _in_frame(decision: Decision, frame: Frame) -> str:
    """The arguments with places as the model writes them; a decision holds pixels of the whole picture."""
    return decision.arguments if frame.is_plain else moved(decision, frame.as_written)


def moved(decision: Decision, move: Callable[[Mapping[str, Any]], dict[str, Any]]) -> str:
    """The arguments of a call with `move` applied to the places in them; as they are where there is none."""
    with suppress(ToolError):
        arguments = parse_call(decision, TOOLS).model_dump(mode="json", exclude_defaults=True)
        if move(arguments) != arguments:
            return json.dumps(move(arguments), ensure_ascii=False)
    return decision.arguments


def _object(arguments: str) -> str | None:
    """A JSON object as text, untouched where it can be; None for anything else, or more than a model should be told."""
    if len(arguments) > LONGEST:
        return None
    try:
        value = json.loads(arguments.strip() or "{}")
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    safe = _harmless(written)
    return safe if safe != written else arguments.strip() or "{}"
