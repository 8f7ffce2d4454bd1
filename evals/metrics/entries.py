"""Entries of benchmark files: read from disk, and complained about by name."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

Source = str | PathLike[str] | Mapping[str, Any] | Sequence[Any]
"""A JSON file, or what it holds."""
Entry = Mapping[str, Any]


class ScoringError(ValueError):
    """An input that has no official score: one sentence that names the entry."""


def read(source: Source, what: str) -> Any:
    """What a JSON file holds; parsed JSON is handed through. `what` names it in messages: "predictions"."""
    if not isinstance(source, str | PathLike):
        return source
    try:
        return json.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise ScoringError(f"{what}: {source} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ScoringError(f"{what}: {source} is not JSON ({error})") from error


def listed(value: Any, what: str) -> Sequence[Any]:
    """`value`, which must be a list."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ScoringError(f"{what} must be a list, found {type(value).__name__}")
    return value


def keyed(value: Any, what: str) -> Entry:
    """`value`, which must be a JSON object."""
    if not isinstance(value, Mapping):
        raise ScoringError(f"{what} must be an object, found {type(value).__name__}")
    return value


def field(entry: Entry, key: str, name: Callable[[], str] | str) -> Any:
    """`entry[key]`; a missing key is reported with the entry's name."""
    try:
        return entry[key]
    except KeyError:
        raise ScoringError(f"{named(name)} has no `{key}`") from None
    except TypeError:
        raise ScoringError(f"{named(name)} must be an object, found {type(entry).__name__}") from None


def identity(entry: Entry, key: str, name: Callable[[], str] | str) -> Any:
    """`entry[key]`, which can be looked up: a number or a text."""
    value = field(entry, key, name)
    if not isinstance(value, Hashable):
        raise ScoringError(f"{named(name)}: `{key}` must be a number or a text, found {value!r}")
    return value


def reaches(score: Any, threshold: float, name: Callable[[], str] | str) -> bool:
    """Whether a score is at least `threshold`; NaN is not, whatever is no number is an error."""
    try:
        return bool(score >= threshold)
    except TypeError:
        raise ScoringError(f"{named(name)}: `score` must be a number, found {score!r}") from None


def named(name: Callable[[], str] | str) -> str:
    """The text of a name, which may be a function so that it is only made for a message."""
    return name if isinstance(name, str) else name()
