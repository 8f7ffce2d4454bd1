"""Messages for visitors: no address, option, tool name or stack; what an operator needs goes to the log with an id."""

import logging
import re
import secrets
from functools import lru_cache

from agent.core.errors import ConversationError, PlannerError
from agent.planners.grammar.descriptions import to_plural_phrase
from demo.album.folder import NoRoomError
from demo.requests import InvalidEventError
from demo.sessions import SessionExpiredError
from sam3_tool.errors import (
    CheckpointError,
    DeviceError,
    ImageError,
    MissingPackageError,
    OverloadedError,
    RecordError,
    UserError,
    VideoError,
)

log = logging.getLogger(__name__)

VISITOR_ERRORS = (
    ImageError,
    VideoError,
    ConversationError,
    RecordError,
    InvalidEventError,
    SessionExpiredError,
    NoRoomError,
)
"""Errors whose sentence is about what the visitor did or gave."""
MODEL_ERRORS = (CheckpointError, DeviceError, MissingPackageError)
PLANNER_FAULT = (
    "The language model could not be reached. Ask again in a while, or choose “grammar” as planner under Models."
)
MODEL_FAULT = "The model that finds objects could not be loaded. Choose another one under Models."
FINDING_FAULT = "The model that finds objects failed. Ask again in a while, or choose another one under Models."
BUSY_FAULT = "Too many people ask at the moment. Ask again in a while."
STUCK_PLANNER, FAILED_SEARCH = "The language model could not go on.", "The model that finds objects could not go on."
DEFECT = "This failed because of a defect in the program. Your image and your masks are unchanged."
SMALL_MODEL_HINT = "It is a small model that knows few words; see “What it knows” at the top."
_OPERATOR_WORDS = re.compile(
    r"https?://|`--|\s--[a-z]|Traceback|\b\w+Error\b|\bcall exactly one of\b|/(?:home|tmp|usr|work|root)/",
    re.IGNORECASE,
)
_PRESENCE = re.compile(r" \(presence \d\.\d+\)")
_EMBEDDED_WARNING = re.compile(r"The embedded SAM 3 ([^;]*);? ?[^.]*`--sam3[^.]*\.")


def format_sentence(text: str) -> str:
    """Return a message as a sentence, with a capital and a full stop. A file name or an address keeps its case.

    >>> format_sentence("there is nothing to undo"), format_sentence("fake.png: not an image")
    ('There is nothing to undo.', 'fake.png: not an image.')
    """
    text = text.strip()
    first = text.split(maxsplit=1)[0] if text else ""
    is_name = re.search(r"[./\\_]\w|\d", first) is not None
    text = text if is_name else text[:1].upper() + text[1:]
    return text + ("" if not text or text[-1] in ".!?" else ".")


def describe_error(error: BaseException) -> str:
    """Return one sentence about an error for a visitor. Whatever is not about the visitor's doing goes to the log.

    Args:
        error: What ended an action.

    Returns:
        A sentence. Where the log says more, it names the entry.
    """
    if isinstance(error, VISITOR_ERRORS) and not has_operator_words(str(error)):
        return format_sentence(_PRESENCE.sub("", str(error)))
    if not isinstance(error, UserError):
        return _log_fault(error, DEFECT)
    known = ((MODEL_ERRORS, MODEL_FAULT), (OverloadedError, BUSY_FAULT), (PlannerError, PLANNER_FAULT))
    return _log_fault(error, next((fault for kinds, fault in known if isinstance(error, kinds)), FINDING_FAULT))


def _log_fault(error: BaseException, sentence: str) -> str:
    number = secrets.token_hex(3)
    unexpected = not isinstance(error, UserError)
    log.error("report %s: %s: %s", number, type(error).__name__, error, exc_info=error if unexpected else None)
    return f"{sentence} (Report {number}.)"


def has_operator_words(text: str) -> bool:
    """Whether a text holds what a visitor cannot use: an address, an option, a path, the name of an error.

    >>> has_operator_words("http://10.0.0.1:80 answered 500"), has_operator_words("3 masks: 'cup'.")
    (True, False)
    """
    return _OPERATOR_WORDS.search(text) is not None


def describe_answer(message: str) -> str:
    """Return the message of a turn in a visitor's words.

    >>> describe_answer("3 masks: 'watermelon' above 'banana'.")
    'Found 3: watermelon above banana.'
    >>> describe_answer("2 masks: the two largest of 4 'hat'.")
    'Found 2: the two largest of 4 hats.'
    >>> describe_answer("Nothing was changed: 1 mask.")
    'Nothing was changed.'
    >>> describe_answer("Nothing was found there (presence 0.07); click on an object.")
    'Nothing was found there; click on an object.'
    """
    text = _EMBEDDED_WARNING.sub(lambda found: f"The model {found[1]}. {SMALL_MODEL_HINT}", message.strip())
    text = re.sub(r"^(\d+) masks?: (?=\S)", r"Found \1: ", text)
    text = re.sub(r"^(\d+) masks?\.", r"Found \1.", text)
    text = re.sub(r"^(Nothing was changed): (\d+) masks?\.", r"\1.", text)
    text = re.sub(r"(\d+) '([^']+)'(?!\w)", lambda found: f"{found[1]} {_inflect(found[2], int(found[1]))}", text)
    text = re.sub(r"(?<!\w)'([^']+)'(?!\w)", r"\1", text)
    text = _PRESENCE.sub("", text)
    return text if not has_operator_words(text) else _log_message(message, STUCK_PLANNER)


def _inflect(phrase: str, number: int) -> str:
    return phrase if number == 1 else to_plural_phrase(phrase)


@lru_cache(maxsize=1024)
def _log_message(message: str, sentence: str) -> str:
    """Log a message once, however often it is shown, and return the sentence with the number of the report."""
    number = secrets.token_hex(3)
    log.error("report %s: %s", number, message)
    return f"{sentence} (Report {number}.)"


def describe_early_end(message: str, count: int) -> str:
    """Return why a turn ended before its answer, and how many masks it had found.

    >>> describe_early_end("Found 4 masks. Stopped by you; the best answer so far is 4 masks: 1 to 4.", 4)
    'Stopped by you. Found until then: 4.'
    """
    reason = f"Stopped {message.rpartition('Stopped ')[2].rpartition(';')[0]}."
    if has_operator_words(reason) or "`" in reason:
        is_planner = "the planner cannot go on" in reason
        reason = _log_message(message, STUCK_PLANNER if is_planner else FAILED_SEARCH)
    return f"{reason} Found until then: {count or 'nothing'}."
