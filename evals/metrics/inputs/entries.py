"""Entries of benchmark files: read from disk, and complained about by name."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from evals.errors import ScoringError
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.system.files import decode_json

JsonSource = str | PathLike[str] | Mapping[str, Any] | Sequence[Any]
"""A JSON file, or what it holds."""
Entry = Mapping[str, Any]
Name = Callable[[], str] | str
"""What an entry is called in messages; a function is only called for one."""


def read_json(source: JsonSource, what: str) -> Any:
    """Read a JSON file; parsed JSON is handed through. `what` names it in messages: "predictions"."""
    if not isinstance(source, str | PathLike):
        return source
    try:
        return decode_json(Path(source).read_bytes())
    except OSError as error:
        raise ScoringError(f"{what}: {source} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ScoringError(f"{what}: {source} is not JSON ({error})") from error


def require_list(value: Any, what: str) -> Sequence[Any]:
    """`value`, which must be a list."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ScoringError(f"{what} must be a list, found {type(value).__name__}")
    return value


def require_object(value: Any, what: str) -> Entry:
    """`value`, which must be a JSON object."""
    if not isinstance(value, Mapping):
        raise ScoringError(f"{what} must be an object, found {type(value).__name__}")
    return value


def get_field(entry: Entry, key: str, name: Name) -> Any:
    """`entry[key]`; a missing key is reported with the entry's name."""
    try:
        return entry[key]
    except KeyError:
        raise ScoringError(f"{resolve_name(name)} has no `{key}`") from None
    except TypeError:
        raise ScoringError(f"{resolve_name(name)} must be an object, found {type(entry).__name__}") from None


def get_key(entry: Entry, key: str, name: Name) -> Any:
    """`entry[key]`, which can be looked up: a number or a text."""
    value = get_field(entry, key, name)
    if not isinstance(value, Hashable):
        raise ScoringError(f"{resolve_name(name)}: `{key}` must be a number or a text, found {shorten_value(value)}")
    return value


def is_score_at_least(score: Any, threshold: float, name: Name) -> bool:
    """Return True if a score is at least `threshold`. NaN is not; a value that is no number raises ScoringError."""
    if not is_number(score):
        raise ScoringError(f"{resolve_name(name)}: `score` must be a number, found {shorten_value(score)}")
    return bool(score >= threshold)


def sort_keys(keys: Iterable[Any], what: str) -> list[Any]:
    """Sort ids, which must be all numbers or all texts. `what` names them in the message."""
    try:
        return sorted(keys)
    except TypeError:
        raise ScoringError(f"{what} must be all numbers or all texts, found both") from None


def resolve_name(name: Name) -> str:
    """The text of a name, which may be a function so that it is only made for a message."""
    return name if isinstance(name, str) else name()
