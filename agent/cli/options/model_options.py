"""Options that say how a language model is asked, from the command line or the environment."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from typing import Any

from agent.core.errors import UsageError

MODEL_OPTIONS: Mapping[str, str] = {
    "reply_tokens": "max_tokens",
    "patience": "timeout",
    "temperature": "temperature",
    "seed": "seed",
    "stream": "stream",
    "extra_body": "extra_body",
}
"""Option of the command line -> the parameter of a model's `load` that it sets."""
VARIABLE_PREFIX = "SAM3_AGENT_"
"""Of the environment variables, e.g. SAM3_AGENT_PATIENCE, that hold for each command which does not say otherwise."""
OWN_TEMPERATURE = "default"
"""Leaves the temperature to the server."""
RESERVED_FIELDS = ("messages", "model", "tools", "response_format")
"""Fields of a request that are made of the conversation."""


def parse_model_options(given: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """Parse the options that were given, and those of the environment for the others.

    Args:
        given: By the names of `MODEL_OPTIONS`; None = not given.
        taken: The parameters that the model's `load` takes. A variable for another one is passed over.

    Returns:
        By the names of the parameters.

    Raises:
        UsageError: A value cannot be used.
    """
    parsed = {}
    for name, parameter in MODEL_OPTIONS.items():
        if parameter not in taken:
            continue
        variable = get_variable_name(name)
        if given.get(name) is not None:
            parsed[parameter] = _PARSERS[name](given[name], f"--{name.replace('_', '-')}")
        elif text := os.environ.get(variable, "").strip():
            parsed[parameter] = _PARSERS[name](text, variable)
    return parsed


def get_variable_name(option: str) -> str:
    """Return the environment variable of an option.

    >>> get_variable_name("reply_tokens")
    'SAM3_AGENT_REPLY_TOKENS'
    """
    return VARIABLE_PREFIX + option.upper()


def _parse_count(value: Any, where: str) -> int:
    number = _parse_whole_number(value, where)
    if number < 1:
        raise UsageError(f"{where} must be at least 1, got {value}")
    return number


def _parse_whole_number(value: Any, where: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"{where} must be a whole number, got {value!r}") from None


def _parse_seconds(value: Any, where: str) -> float:
    number = _parse_number(value, where)
    if not (isfinite(number) and number > 0):
        raise UsageError(f"{where} must be seconds above 0, got {value}")
    return number


def _parse_temperature(value: Any, where: str) -> float | None:
    if str(value).strip().lower() == OWN_TEMPERATURE:
        return None
    number = _parse_number(value, where)
    if not (isfinite(number) and number >= 0):
        raise UsageError(f"{where} must be 0 or above, or {OWN_TEMPERATURE!r} for the server's own, got {value}")
    return number


def _parse_number(value: Any, where: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"{where} must be a number, got {value!r}") from None


def _parse_switch(value: Any, where: str) -> bool:
    text = str(value).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise UsageError(f"{where} must be 1 or 0, got {value!r}")
    return text in ("1", "true", "yes", "on")


def _parse_extra_body(value: Any, where: str) -> dict[str, Any]:
    try:
        body = json.loads(value)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        example = "'{\"top_p\": 0.9}'"
        raise UsageError(f"{where} must be one JSON object such as {example}, got {str(value)[:80]!r}")
    if reserved := [name for name in RESERVED_FIELDS if name in body]:
        raise UsageError(f"{where} must not hold {reserved[0]!r}, which is made of the conversation")
    return body


_PARSERS: Mapping[str, Callable[[Any, str], Any]] = {
    "reply_tokens": _parse_count,
    "patience": _parse_seconds,
    "temperature": _parse_temperature,
    "seed": _parse_whole_number,
    "stream": _parse_switch,
    "extra_body": _parse_extra_body,
}
