"""Earlier turns of a conversation, in words that a language model is told."""

from collections.abc import Iterator, Sequence

from agent.core.context import ConversationContext, PastTurn
from agent.core.text.english import format_ids, format_mask_count
from agent.core.timeline import Timeline
from agent.core.tools.toolset import Toolset
from agent.core.workspace import Workspace
from agent.tools.search_text import describe_search
from agent.tools.video.segment import describe_search as describe_tracked_search

MAX_TURNS = 12
MAX_SEARCHES = 16
"""The latest ones; a longer conversation is told from there on."""
MAX_TEXT_LENGTH = 240
"""Letters of what was said at one time."""


def format_turns(context: ConversationContext, toolset: Toolset, *, max_turns: int = MAX_TURNS) -> str:
    """Write one line for each of the last `max_turns` turns, oldest first.

    Masks are named by their ids, unless they are counted anew each time.
    """
    left_out = len(context.turns) - max_turns
    first = [f"- ({left_out} earlier turns are left out)"] if left_out > 0 else []
    rows = (
        _format_turn(turn, None if toolset.renumbers_masks else context.workspace)
        for turn in context.turns[-max_turns:]
    )
    return "\n".join([*first, *rows])


def format_searches(workspace: Workspace, *, max_searches: int = MAX_SEARCHES, timeline: Timeline | None = None) -> str:
    """Describe what each of the last `max_searches` phrases found. `timeline`: of a video."""
    described = (
        describe_search(search, workspace) if timeline is None else describe_tracked_search(search, workspace, timeline)
        for search in workspace.searches[-max_searches:]
    )
    return "\n".join(f"- {words}" for words in described)


def _format_turn(turn: PastTurn, workspace: Workspace | None) -> str:
    where = "In an earlier picture: " if turn.elsewhere else ""
    who = "by hand" if turn.by_hand else "user"
    numbered = None if turn.elsewhere else workspace
    return f"- {where}{who}: {_shorten_text(turn.query)!r}; {'; '.join(_describe_answer(turn, numbered))}"


def _describe_answer(turn: PastTurn, workspace: Workspace | None) -> Iterator[str]:
    match turn.outcome:
        case "asked":
            yield f"you asked: {_shorten_text(turn.message)!r}"
        case "answered":
            yield f"answer: {_describe_masks(turn.selected, workspace)}"
            if not turn.by_hand:
                yield f"you said: {_shorten_text(turn.message)!r}"
        case "no_match" if turn.by_hand:
            yield "answer: no masks"
        case "no_match":
            yield f"nothing matched: {_shorten_text(turn.message)!r}"
        case _:
            yield "stopped before an answer"


def _describe_masks(ids: Sequence[int], workspace: Workspace | None) -> str:
    if workspace is None:
        return format_mask_count(len(ids))
    phrases = dict.fromkeys(candidate.phrase for candidate in workspace.pick(ids) if candidate.phrase)
    named = f" ({', '.join(map(repr, phrases))})" if phrases else ""
    return f"{format_ids(ids)}{named}"


def _shorten_text(text: str) -> str:
    """Put text on one line, and cut it after `MAX_TEXT_LENGTH` letters.

    >>> _shorten_text("a cup,   please"), len(_shorten_text("x" * 999))
    ('a cup, please', 240)
    """
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT_LENGTH else f"{line[: MAX_TEXT_LENGTH - 2]} …"
