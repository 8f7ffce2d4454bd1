"""What was said before in a conversation, in words that a language model is told."""

from collections.abc import Iterator, Sequence

from agent.episode import Before, Said, Workspace
from agent.protocols import Protocol
from agent.tools.finding import in_words
from agent.tools.words import listed, masks

MOST_TURNS = 12
MOST_SEARCHES = 16
"""The latest ones; a longer conversation is told from there on."""
LONGEST = 240
"""Letters of what was said at one time."""


def turns_in_words(before: Before, protocol: Protocol, *, most: int = MOST_TURNS) -> str:
    """One line for each of the last `most` turns, oldest first.

    By their numbers, masks are named in the workspace protocol alone: in the paper's they are counted anew each time.
    """
    left_out = len(before.turns) - most
    first = [f"- ({left_out} earlier turns are left out)"] if left_out > 0 else []
    told = (_turn(said, before.workspace if protocol == "workspace" else None) for said in before.turns[-most:])
    return "\n".join([*first, *told])


def searches_in_words(workspace: Workspace, *, most: int = MOST_SEARCHES) -> str:
    """What each of the last `most` phrases found."""
    return "\n".join(f"- {in_words(search, workspace)}" for search in workspace.searches[-most:])


def _turn(said: Said, workspace: Workspace | None) -> str:
    where = "In an earlier picture: " if said.elsewhere else ""
    who = "by hand" if said.by_hand else "user"
    numbered = None if said.elsewhere else workspace
    return f"- {where}{who}: {_short(said.query)!r}; {'; '.join(_answer(said, numbered))}"


def _answer(said: Said, workspace: Workspace | None) -> Iterator[str]:
    match said.outcome:
        case "asked":
            yield f"you asked: {_short(said.message)!r}"
        case "answered":
            yield f"answer: {_masks(said.selected, workspace)}"
            if not said.by_hand:
                yield f"you said: {_short(said.message)!r}"
        case "no_match" if said.by_hand:
            yield "answer: no masks"
        case "no_match":
            yield f"nothing matched: {_short(said.message)!r}"
        case _:
            yield "stopped before an answer"


def _masks(ids: Sequence[int], workspace: Workspace | None) -> str:
    if workspace is None:
        return masks(len(ids))
    phrases = dict.fromkeys(candidate.phrase for candidate in workspace.pick(ids) if candidate.phrase)
    named = f" ({', '.join(map(repr, phrases))})" if phrases else ""
    return f"{listed(ids)}{named}"


def _short(text: str) -> str:
    """
    >>> _short("a cup,   please"), len(_short("x" * 999))
    ('a cup, please', 240)
    """
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"
