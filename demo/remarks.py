"""What is said beside queries and answers: remarks that are no turn, and what a person did by hand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.conversation.events import Event as ConversationEvent
from agent.core.episode import Episode

NoteKind = Literal["note", "error", "answer", "undone"]
MAX_REMARKS = 200
"""Remarks of a session, and turns whose planner is known; older ones are forgotten."""


@dataclass(frozen=True)
class Remark:
    """What was said but is no turn of the conversation: a query that failed, a greeting, a turn undone for good."""

    position: int
    """How many events of the conversation stand before it."""
    query: str
    """What the visitor said; '' for what an image brought about."""
    text: str
    """What was said to it."""
    kind: NoteKind
    after: ConversationEvent | None = field(default=None, repr=False)
    """The event behind which it stands; None at the beginning."""
    undone: Episode | None = field(default=None, repr=False)
    """The turn that was undone."""


def detach_remarks(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """Return remarks without the events, which hold the image; `attach_remarks` finds them again."""
    return tuple(replace(remark, after=None, undone=None) for remark in remarks)


def attach_remarks(remarks: Sequence[Remark], events: Sequence[ConversationEvent]) -> tuple[Remark, ...]:
    """Return remarks behind the events of a conversation that was opened again."""
    return tuple(
        replace(remark, after=events[remark.position - 1] if 0 < remark.position <= len(events) else None)
        for remark in remarks
    )


_NUMBER, _IDS = r"-?\d[\d.e+-]*", r"(?P<ids>\d+(?:(?:, | and | to )\d+)*)"
_SPOT, _BOX, _MOMENT = f"{_NUMBER}, {_NUMBER}", ", ".join([_NUMBER] * 4), r"(?P<moment> at \d[\d:.]*)?"
HAND_WORDS: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), words)
    for pattern, words in (
        (f"add what is at {_SPOT}{_MOMENT}", "Clicked an object{moment}"),
        (f"add what is at {_SPOT} to mask {_IDS}{_MOMENT}", "Added to {objects} with a click{moment}"),
        (f"take what is at {_SPOT} from mask {_IDS}{_MOMENT}", "Took from {objects} with a click{moment}"),
        (f"add the object in the box {_BOX}{_MOMENT}", "Drew a box around an object{moment}"),
        (f"add what looks like the box {_BOX}{_MOMENT}", "Drew a box: everything like what is in it{moment}"),
        (f"leave out what looks like the box {_BOX}{_MOMENT}", "Drew a box: nothing like what is in it{moment}"),
        ("draw a mask with the (?P<rest>brush|polygon)", "Drew an object with the {rest}"),
        (f"add to mask {_IDS} with the (?P<rest>brush|polygon)", "Added to {objects} with the {rest}"),
        (f"take from mask {_IDS} with the (?P<rest>brush|polygon)", "Took from {objects} with the {rest}"),
        (f"fill the holes of mask {_IDS}", "Filled the holes of {objects}"),
        (f"remove the specks of mask {_IDS}", "Removed the specks of {objects}"),
        (f"smooth the outline of mask {_IDS}", "Smoothed the outline of {objects}"),
        (f"merge mask {_IDS}", "Merged {objects}"),
        (f"split mask {_IDS}", "Split {objects}"),
        (f"duplicate mask {_IDS}", "Copied {objects}"),
        (f"remove {_IDS}", "Took out {objects}"),
        (f"add {_IDS}", "Put back {objects}"),
        (f"select {_IDS}", "Kept {objects}"),
        ("select none", "Kept none"),
        ("keep what scores above (?P<rest>.+)", "Kept what scores above {rest}"),
        (f"call {_IDS} (?P<rest>.+)", "Called {objects} {rest}"),
        (f"take the class from {_IDS}", "Took the class from {objects}"),
        ("take (?P<rest>\\d+) masks from a file", "Took {rest} masks from a file"),
        ("add everything like (?P<rest>.+)", "Added everything like {rest}"),
    )
]
"""How the conversation puts what a person did by hand, and what a visitor reads of it."""


def describe_words(episode: Episode) -> str:
    """Return what a visitor reads as said in a turn: a query as it was typed, an edit by hand without coordinates.

    A typed reply to a question is a turn by hand too, and stays as it was typed.
    """
    turns, query = episode.task.context.turns, episode.task.query
    is_typed = not episode.task.by_hand or (bool(turns) and turns[-1].outcome == "asked" and not _has_place(query))
    return query if is_typed else describe_edit(query)


def describe_edit(query: str) -> str:
    """Put an edit by hand into a visitor's words.

    Args:
        query: As the conversation has it, which is what language models read.

    Returns:
        The same without coordinates and without the word mask; unchanged where it is no such edit.

    >>> describe_edit("add what is at 340, 140"), describe_edit("take what is at 3, 4 from mask 2 at 0:01.0")
    ('Clicked an object', 'Took from object 2 with a click at 0:01.0')
    >>> describe_edit("remove 1 to 3"), describe_edit("the red cups")
    ('Took out objects 1 to 3', 'the red cups')
    """
    for pattern, words in HAND_WORDS:
        if found := pattern.fullmatch(query):
            named = {
                "moment": "",
                "rest": "",
                "ids": "",
                **{key: text or "" for key, text in found.groupdict().items()},
            }
            noun = "object" if named["ids"].isdecimal() else "objects"
            return words.format(**named, objects=f"{noun} {named['ids']}")
    return query


def _has_place(query: str) -> bool:
    """Whether an edit names a place in the image, which nobody types."""
    return " at " in query or " box " in query
