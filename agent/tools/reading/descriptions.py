"""What was read, in words for a planner."""

from collections.abc import Mapping, Sequence

from agent.core.text.english import format_ids, format_mask_count, pluralize
from agent.core.text.sanitizing import make_encodable, to_one_line
from agent.core.workspace import Candidate
from agent.tools.reading.binding import find_holders
from agent.tools.reading.lines import TextLine, TextWord
from agent.tools.reading.matching import FoundText

MAX_LISTED = 60
"""Lines that are told."""
MAX_LETTERS = 120
"""Of a line or of a mask that are told."""
NOT_ENLARGED = "were not looked at enlarged, as there are too many"
"""After the numbers of masks on which small letters may have been missed."""
CLOSE_TO = ", which is close to "
"""Before what was looked for, where what was read is not quite it."""


def quote_text(text: str) -> str:
    """Return what was read in quotes, on one line, shortened.

    >>> quote_text("NO  PARKING")
    "'NO PARKING'"
    """
    plain = make_encodable(to_one_line(text))
    return repr(plain if len(plain) <= MAX_LETTERS else f"{plain[: MAX_LETTERS - 1]}…")


def describe_lines(lines: Sequence[TextLine], candidates: Sequence[Candidate]) -> str:
    """Return each line with its box and its certainty, and the mask it lies on."""
    if not lines:
        return "No text was found."
    holders = find_holders(lines, [candidate.rle for candidate in candidates])
    told = [
        f"{quote_text(line.text)} at {','.join(f'{edge:.0f}' for edge in line.box)} ({line.score:.2f}"
        f"{'' if holder is None else f', on mask {candidates[holder].id}'})"
        for line, holder in zip(lines[:MAX_LISTED], holders, strict=False)
    ]
    more = len(lines) - len(told)
    return f"Found {pluralize(len(lines), 'line')} of text: {'; '.join(told)}{f'; and {more} more' if more else ''}."


def describe_reading(by_id: Mapping[int, Sequence[TextWord]], unread: Sequence[int]) -> str:
    """Return what stands on each mask. `unread`: the masks that were not looked at enlarged."""
    told = [f"{id} says {_quote_words(words)}" for id, words in by_id.items() if words]
    silent = [id for id, words in by_id.items() if not words]
    parts = [*told, *([f"nothing was read on {format_ids(silent)}"] if silent else []), *_describe_unread(unread)]
    return f"Of {format_mask_count(len(by_id))}: {'; '.join(parts)}."


def describe_choice(
    wanted: str, by_id: Mapping[int, Sequence[TextWord]], kept: Mapping[int, FoundText], unread: Sequence[int]
) -> str:
    """Return which masks say what is wanted, and what stands on the others."""
    others = {id: words for id, words in by_id.items() if id not in kept}
    told = [f"{id} says {_quote_words(words)}" for id, words in others.items() if words]
    silent = [id for id, words in others.items() if not words]
    parts = [*told, *([f"nothing was read on {format_ids(silent)}"] if silent else []), *_describe_unread(unread)]
    if not kept:
        return f"{describe_none(wanted, [*by_id])}{'; '.join(parts)}."
    close = CLOSE_TO + quote_text(wanted) if any(text.mistakes for text in kept.values()) else ""
    each = ", ".join(f"{id} ({quote_text(text.text)}, {text.score:.2f})" for id, text in kept.items())
    said = f"say{'s' * (len(kept) == 1)} {'this' if close else quote_text(wanted)}{close}"
    rest = f" Of the others, {'; '.join(parts)}." if parts else ""
    return f"{len(kept)} of {format_mask_count(len(by_id))} {said}: {each}.{rest}"


def describe_none(wanted: str, ids: Sequence[int]) -> str:
    """Return how `describe_choice` begins where no mask says what is wanted.

    >>> describe_none("tea", [3])
    "None of 1 mask says 'tea': "
    """
    return f"None of {format_mask_count(len(ids))} says {quote_text(wanted)}: "


def describe_reason(wanted: str, found: FoundText) -> str:
    """Return why a mask is kept, without a full stop.

    >>> describe_reason("chocolate", FoundText("CHOCOLAT", 0.9, 1))
    "it says 'CHOCOLAT', which is close to 'chocolate'"
    """
    return f"it says {quote_text(found.text)}{CLOSE_TO + quote_text(wanted) if found.mistakes else ''}"


def _quote_words(words: Sequence[TextWord]) -> str:
    least = min(word.score for word in words)
    return f"{quote_text(' '.join(word.text for word in words))} ({least:.2f})"


def _describe_unread(unread: Sequence[int]) -> list[str]:
    return [f"{format_ids(unread)} {NOT_ENLARGED}"] if unread else []
