"""What a user's reply to a question about doubtful masks keeps: 'yes', 'keep 3', 'all but 5', 'drop all'."""

import re
from collections.abc import Sequence

from agent.core.context import ConversationContext
from agent.core.errors import ConversationError
from agent.core.text.english import format_ids
from agent.doubt.policy import AnswerDoubt, build_doubt_options

_KEEP = {"keep", "yes", "yeah", "yep", "sure", "ok", "okay", "take", "add", "only", "correct", "right", "select"}
_DROP = {"drop", "no", "nope", "remove", "not", "without", "except", "but", "delete", "leave", "wrong", "exclude"}
_NONE = {"none", "neither", "nothing"}
_ALL = {"all", "both", "them", "these", "those", "it", "everything"}
_FILLING = {"please", "and", "or", "number", "numbers", "mask", "masks", "the", "of", "one", "ones", "out", "also"}


def read_reply(words: str, doubt: AnswerDoubt) -> tuple[int, ...] | None:
    """Return the masks that a reply leaves in the answer.

    Args:
        words: What the user says. A bare number is a mask's number.
        doubt: What is certain, and what was asked about.

    Returns:
        Mask ids: the certain ones and what the reply keeps; None where the words are no such reply.

    Raises:
        ConversationError: The reply names a mask that is none of these.

    Example:
        >>> doubt = AnswerDoubt(certain=(1, 2), asked=(4, 5))
        >>> [read_reply(words, doubt) for words in ("yes", "Keep 4.", "drop all", "all but 4", "the red cups")]
        [(1, 2, 4, 5), (1, 2, 4), (1, 2), (1, 2, 5), None]
    """
    tokens = re.findall(r"\d+|[^\W\d_]+", words.casefold())
    if not tokens or any(not token.isdecimal() and token not in _KNOWN for token in tokens):
        return None
    kept, dropped = _collect_named(tokens, doubt.asked)
    if kept is None and dropped is None:
        return None
    known = {*doubt.certain, *doubt.asked}
    if unknown := sorted({*(kept or ()), *(dropped or ())} - known):
        raise ConversationError(
            f"mask {format_ids(unknown)} is none of those in question, which are {format_ids(doubt.asked)};"
            f" say e.g. 'keep {doubt.asked[0]}' or 'drop all'"
        )
    wanted = {*doubt.asked} if kept is None else kept
    return tuple(id for id in sorted(known) if id not in (dropped or ()) and (id in doubt.certain or id in wanted))


def settle_doubt(context: ConversationContext, words: str) -> tuple[int, ...] | None:
    """Return the answer that a reply to a question about doubtful masks comes to, where only its context is known.

    Args:
        context: After the turn that asked.
        words: What the user says.

    Returns:
        Mask ids; None where the last turn asked nothing of the kind, or the words are no such reply.

    Raises:
        ConversationError: The reply names a mask that is not in question.

    Example:
        >>> from agent.core.context import PastTurn
        >>> asked = PastTurn("the cups", "asked", "", selected=(4,), options=("keep 4", "drop 4"))
        >>> settle_doubt(ConversationContext(selected=(1, 2), turns=(asked,)), "yes, keep it")
        (1, 2, 4)
    """
    last = context.turns[-1] if context.turns else None
    if last is None or last.outcome != "asked" or last.options != build_doubt_options(last.selected):
        return None
    return read_reply(words, AnswerDoubt(context.selected, asked=last.selected))


_KNOWN = _KEEP | _DROP | _NONE | _ALL | _FILLING


def _collect_named(tokens: Sequence[str], asked: Sequence[int]) -> tuple[set[int] | None, set[int] | None]:
    """Return what is to be kept and to be dropped; None where nothing is said of it.

    A verb that names nothing counts where no other one names something: 'no' drops all, and 'no, keep 4' keeps 4.
    """
    named: dict[bool, set[int]] = {}
    verbs = [token in _KEEP for token in tokens if token in _KEEP or token in _DROP]
    keeps = True
    for token in tokens:
        if token in _KEEP or token in _DROP:
            keeps = token in _KEEP
        elif token in _NONE:
            named.setdefault(False, set()).update(asked)
        elif token in _ALL:
            named.setdefault(keeps, set()).update(asked)
        elif token.isdecimal():
            named.setdefault(keeps, set()).add(int(token))
    if not named and verbs:
        named = {verbs[0]: {*asked}}
    # 'drop all, keep 4': what is named to be kept is not dropped along with all
    kept, dropped = named.get(True), named.get(False)
    if kept and dropped is not None and dropped >= {*asked} and not kept >= {*asked}:
        dropped = dropped - kept
    return kept, dropped
