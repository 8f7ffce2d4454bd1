"""Why a request failed, whether asking again can help, and what the user is told."""

import email.utils
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import openai

from agent.core.text import make_encodable
from agent.models.openai.endpoint import KEY_VARIABLE, Endpoint
from agent.models.openai.responses import MalformedResponseError

RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""Statuses, beside 5xx, after which the same request may succeed."""
_TOO_LONG_PATTERN = re.compile(
    r"context.{0,20}(length|window|size)|maximum.{0,20}length|too long|too many tokens|number of tokens", re.IGNORECASE
)
_SURROGATE_MESSAGE = "surrogates not allowed"
"""Part of what vLLM says, with status 400, when the arguments in a reply hold a lone "\\ud800"."""


@dataclass(frozen=True)
class Fault:
    """Why a request got no reply."""

    description: str
    """What the server did; it follows the server's address in the sentence."""
    retry: Literal["now", "changed", "never"]
    """Whether to ask again: the same request, only a changed one, or not at all."""
    advice: str = ""
    """What the user can do about it."""
    finish_reason: str = "stop"

    def format_sentence(self, endpoint: Endpoint, tries: int) -> str:
        """Say in one line, without a secret, what went wrong in this many tries."""
        in_tries = f", in {tries} tries" if self.retry == "now" and tries > 1 else ""
        advice = f"; {self.advice}" if self.advice else ""
        return endpoint.redact_key(f"{endpoint.public_address} {self.description}{in_tries}{advice}")


@dataclass(frozen=True, eq=False)
class FaultClassifier:
    """Turns the errors of one model's requests into faults."""

    model: str
    timeout: float
    """Seconds that a request may take; a server that asks to wait longer is not asked again."""
    endpoint: Endpoint
    describe_models: Callable[[], str]
    """Says what the server offers instead of an unknown model."""

    def classify_error(self, error: Exception) -> Fault:
        """Return the fault behind what the client or the reading of an answer raised."""
        match error:
            case openai.APITimeoutError():
                return Fault(f"did not answer within {self.timeout:g} seconds", "now")
            case openai.APIStatusError():
                return self._classify_status(error)
            case openai.APIConnectionError():
                return Fault("cannot be reached", "now", "is the server running, and is --base-url its address?")
            case MalformedResponseError() if "no JSON" in str(error):
                advice = "is it the address of a chat API? Most end in /v1"
                return Fault(f"answered with {error}, not with a chat completion", "never", advice)
            case MalformedResponseError():
                return Fault(f"answered with {error}, not with a chat completion", "now")
            case openai.APIError():
                return Fault(f"broke off its answer ({read_error_message(error)})", "now")
            case _:
                return Fault("answered with damaged JSON, not with a chat completion", "now")

    def _classify_status(self, error: openai.APIStatusError) -> Fault:
        message, status = read_error_message(error), error.status_code
        about = f" ({message})" if message else ""
        match status:
            case 401:
                return Fault(f"refused the key{about}", "never", self.endpoint.key_advice)
            case 403:
                return Fault(f"does not allow the use of {self.model!r}{about}", "never", self.endpoint.key_advice)
            case 404:
                return Fault(f"does not know {self.model!r}{about}", "never", self.describe_models())
            case 400 | 413 | 422 if status == 413 or is_too_long(message):
                why = f"says that the conversation is too long for {self.model!r}{about}"
                return Fault(why, "changed", finish_reason="length")
            case 400 if _SURROGATE_MESSAGE in message:
                return Fault("could not send what the model wrote, which holds half a character", "now")
            case _ if status in RETRYABLE_STATUSES or status >= 500:
                return self._classify_temporary(error, f"answered {status}{about}")
            case _:
                return Fault(f"refused the request with {status}{about}", "never")

    def _classify_temporary(self, error: openai.APIStatusError, description: str) -> Fault:
        """Classify a "later" of the server, which may mean never, or longer than anybody waits."""
        if isinstance(error.body, dict) and error.body.get("code") == "insufficient_quota":
            return Fault(description, "never", f"the account behind the key of {KEY_VARIABLE} has no credit left")
        if (wait := parse_retry_after(error)) > self.timeout:
            return Fault(f"{description} and asks to wait {wait:.0f} seconds", "never", "ask it again then")
        return Fault(description, "now")


def is_too_long(message: str) -> bool:
    """Whether the server's words object to the length of the conversation.

    >>> is_too_long("prompt is too long: 210000 tokens > 200000 maximum")
    True
    """
    return bool(_TOO_LONG_PATTERN.search(message))


def read_error_message(error: openai.APIError) -> str:
    """Return the server's own words, on one short line."""
    body: Any = error.body
    match body:
        case (
            {"message": str(message)}
            | {"detail": str(message)}
            | {"error": str(message)}
            | {"error": {"message": str(message)}}
        ):
            text = message
        case str():
            text = re.sub(r"<[^>]*>", " ", body)
        case None:
            text = "" if isinstance(error, openai.APIStatusError) else error.message
        case _:
            text = str(body)
    line = " ".join(make_encodable(text).split()).rstrip(".")
    return line if len(line) <= 300 else f"{line[:300]}…"


def parse_retry_after(error: openai.APIStatusError) -> float:
    """Return the seconds that the server asks to wait, given as a number or a date; 0 where nothing can be read."""
    headers = error.response.headers
    units = (("retry-after-ms", 0.001), ("retry-after", 1.0))
    for name, unit in units:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", headers.get(name, "")):
            return float(headers[name]) * unit
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0
