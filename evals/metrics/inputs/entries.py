"""Entries of benchmark files: read from disk, and complained about by name."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from evals.errors import ScoringError

JsonSource = str | PathLike[str] | Mapping[str, Any] | Sequence[Any]
"""A JSON file, or what it holds."""
Entry = Mapping[str, Any]


def read_json(source: JsonSource, what: str) -> Any:
    """Read a JSON file; parsed JSON is handed through. `what` names it in messages: "predictions"."""
    if not isinstance(source, str | PathLike):
        return source
    try:
        return json.loads(Path(source).read_text(encoding="utf-8"))
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


def get_field(entry: Entry, key: str, name: Callable[[], str] | str) -> Any:
    """`entry[key]`; a missing key is reported with the entry's name."""
    try:
        return entry[key]
    except KeyError:
        raise ScoringError(f"{resolve_name(name)} has no `{key}`") from None
    except TypeError:
        raise ScoringError(f"{resolve_name(name)} must be an object, found {type(entry).__name__}") from None


def get_key(entry: Entry, key: str, name: Callable[[], str] | str) -> Any:
    """`entry[key]`, which can be looked up: a number or a text."""
    value = get_field(entry, key, name)
    if not isinstance(value, Hashable):
        raise ScoringError(f"{resolve_name(name)}: `{key}` must be a number or a text, found {value!r}")
    return value


def is_score_at_least(score: Any, threshold: float, name: Callable[[], str] | str) -> bool:
    """Return True if a score is at least `threshold`. NaN is not; a value that is no number raises ScoringError."""
    try:
        return bool(score >= threshold)
    except TypeError:
        raise ScoringError(f"{resolve_name(name)}: `score` must be a number, found {score!r}") from None


def resolve_name(name: Callable[[], str] | str) -> str:
    """The text of a name, which may be a function so that it is only made for a message."""
    return name if isinstance(name, str) else name()
