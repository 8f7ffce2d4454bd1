"""Why a request failed, whether asking again can help, and what the user is told."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import httpx2
import openai

from agent.core.text.lenient_json import normalize_identifier
from agent.core.text.sanitizing import make_encodable
from agent.core.usage import Usage
from agent.models.base import NO_ANSWER, Reply, Schema
from agent.models.openai.endpoint import KEY_VARIABLE, Endpoint
from agent.models.openai.responses import (
    BrokenReplyError,
    EmptyResponseError,
    ForeignResponseError,
    MalformedResponseError,
    MovedResponseError,
    ReportedError,
    WithheldReplyError,
    read_error_words,
)
from agent.models.reply_parsing import read_reply
from sam3_tool.network.retries import RETRYABLE_STATUSES
from sam3_tool.network.retries import parse_retry_after as parse_wait
from sam3_tool.system.waiting import OutOfTimeError

MAX_READ_LETTERS = 4000
"""Letters of a server's words that are read."""
_TOO_LONG_PATTERN = re.compile(
    r"context.{0,20}(length|window|size)|maximum.{0,20}length|too long|too many tokens|number of tokens"
    r"|reduce (the|your) (length|prompt|input)|exceeds?.{0,30}token|larger context|range of input length"
    r"|(input|prompt|token)s?\b.{0,40}less than.{0,24}\d{3}|超长|过长|超(过|出).{0,12}(长度|上下文|限制)",
    re.IGNORECASE,
)
_NEVER_PATTERN = re.compile(
    r"--jinja|mmproj|(is|are) not supported|(does|do) not support|unsupported|not implemented|template", re.IGNORECASE
)
"""Words with which a 500 means never: a server that was started without what the request needs."""
_PASSING_PATTERN = re.compile(
    r"throttl|too many requests|overloaded|model (has |was |is )?(crashed|unloaded|reloaded|currently loading)"
    r"|try again (later|in \d)|temporarily",
    re.IGNORECASE,
)
"""Words with which a refusal means later."""
SHOWN_LETTERS = 300
"""Letters of a server's words that a person is shown."""
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
    is_proven: bool = False
    """Whether the server has answered with a chat completion before."""

    def classify_error(self, error: Exception) -> Fault:
        """Return the fault behind what the client or the reading of an answer raised."""
        match error:
            case openai.APITimeoutError() | OutOfTimeError() | httpx2.TimeoutException():
                return Fault(f"did not answer within {self.timeout:g} seconds", "now", finish_reason=NO_ANSWER)
            case openai.APIStatusError() if self.is_passing(error):
                words = _shorten_words(read_error_message(error))
                return self._classify_temporary(error, f"answered {error.status_code} ({words})")
            case openai.APIStatusError():
                return self._classify_status(error)
            case openai.APIConnectionError() if is_unreachable(error):
                advice = "is the server running, and is --base-url its address?"
                return Fault("cannot be reached", "now", advice, finish_reason=NO_ANSWER)
            case openai.APIConnectionError() | httpx2.HTTPError():
                return Fault("closed the connection without an answer", "now")
            case MalformedResponseError():
                return self._classify_answer(error)
            case openai.APIError():
                return Fault(f"broke off its answer ({_shorten_words(read_error_message(error))})", "now")
            case _:
                return Fault("answered with damaged JSON, not with a chat completion", "now")

    def _classify_answer(self, error: MalformedResponseError) -> Fault:
        """Classify an answer that is no chat completion, or one without a reply."""
        match error:
            case MovedResponseError():
                return _classify_moved(str(error))
            case WithheldReplyError():
                return Fault(
                    f"withheld its reply ({_shorten_words(str(error))})", "never", finish_reason="content_filter"
                )
            case BrokenReplyError():
                return Fault(f"broke off its answer ({_shorten_words(str(error))})", "now")
            case ForeignResponseError() if not self.is_proven:
                advice = "is it the address of a chat API? Most end in /v1"
                return Fault(f"answered with {error}, not with a chat completion", "never", advice)
            case ReportedError():
                words = _shorten_words(str(error))
                return Fault(f"answered with an error ({words}), not with a chat completion", "now")
            case EmptyResponseError():
                return Fault("answered with nothing at all", "now")
            case _:
                return Fault(f"answered with {error}, not with a chat completion", "now")

    def is_lasting_refusal(self, error: openai.APIStatusError) -> bool:
        """Whether the server refuses the form of a request, and will refuse it again."""
        return error.status_code in (400, 422, 500) and self.classify_error(error).retry == "never"

    def is_passing(self, error: openai.APIStatusError) -> bool:
        """Whether a request is refused only now."""
        message = read_error_message(error)
        if self.is_proven and error.status_code in (403, 404, 405) and isinstance(error.body, str):
            return True  # a proxy says that: the API has answered before, and would answer in JSON
        said = error.status_code in (400, 403, 404, 422) and _PASSING_PATTERN.search(message)
        return bool(said) and not is_too_long(message)

    def _classify_status(self, error: openai.APIStatusError) -> Fault:
        message, status = read_error_message(error), error.status_code
        about = f" ({_shorten_words(message)})" if message else ""
        match status:
            case 400 | 404 | 405 if error.response.history:
                return _classify_moved(str(error.response.url))
            case 401:
                return Fault(f"refused the key{about}", "never", self.endpoint.key_advice)
            case 403:
                return Fault(f"does not allow the use of {self.model!r}{about}", "never", self.endpoint.key_advice)
            case 404:
                return Fault(f"does not know {self.model!r}{about}", "never", self.describe_models())
            case 413 if not re.search(r"token|TPM|context|conversation", message):
                why = f"does not take so large a request{about}"
                return Fault(why, "changed", "send smaller images: --image-side 512", finish_reason="length")
            case 400 | 413 | 422 if status == 413 or is_too_long(message):
                why = f"says that the conversation is too long for {self.model!r}{about}"
                return Fault(why, "changed", finish_reason="length")
            case 400 if _SURROGATE_MESSAGE in message:
                return Fault("could not send what the model wrote, which holds half a character", "now")
            case 400 if is_failed_generation(error):
                return Fault(f"could not read the call that the model wrote{about}", "now")
            case _ if status in RETRYABLE_STATUSES or (status >= 500 and not _means_never(status, message)):
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


def _means_never(status: int, message: str) -> bool:
    return status in (500, 501) and bool(_NEVER_PATTERN.search(message))


def _classify_moved(url: str) -> Fault:
    """A redirect drops what was posted, and then the server does not know what is asked."""
    parts = urlsplit(url)
    path = parts.path.removesuffix("/chat/completions").rstrip("/")
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
    return Fault(f"has moved to {address}", "never", f"try --base-url {address}")


def is_too_long(message: str) -> bool:
    """Whether the server's words object to the length of the conversation.

    >>> is_too_long("prompt is too long: 210000 tokens > 200000 maximum")
    True
    """
    return bool(_TOO_LONG_PATTERN.search(message))


def to_status_error(answer: Any) -> openai.APIStatusError | None:
    """Take an answer with status 200 that holds an error for what it is, if it names the status that it should have.

    >>> to_status_error({"error": {"message": "Overloaded", "code": 502}}).status_code
    502
    """
    held = answer.get("error") if isinstance(answer, dict) and not answer.get("choices") else None
    code = str(held.get("code", held.get("status"))) if isinstance(held, dict) else ""
    if not re.fullmatch(r"[45]\d\d", code):
        return None
    response = httpx2.Response(int(code), json=answer, request=httpx2.Request("POST", "http://server"))
    return openai.APIStatusError(read_error_words(answer), response=response, body=held)


def read_error_message(error: openai.APIError) -> str:
    """Return the server's own words, on one line."""
    body: Any = error.body
    match body:
        case str():
            text = re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]*>", " ", body, flags=re.DOTALL)
        case None:
            text = "" if isinstance(error, openai.APIStatusError) else error.message
        case _:
            text = read_error_words(body) or str(body)
    return " ".join(make_encodable(text[:MAX_READ_LETTERS]).split()).rstrip(".")


def _shorten_words(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_LETTERS else f"{line[:SHOWN_LETTERS]}…"


def is_failed_generation(error: openai.APIStatusError) -> bool:
    """Whether the server says that the model itself wrote a bad call: another try may bring a good one."""
    body: Any = error.body
    return isinstance(body, dict) and (body.get("code") == "tool_use_failed" or "failed_generation" in body)


def read_failed_generation(error: Exception, tools: Sequence[Schema]) -> Reply | None:
    """Read what the model wrote where the server could not (Groq's `tool_use_failed`); None where there is nothing.

    The reply has calls only if they are calls of tools that were offered.
    """
    body: Any = error.body if isinstance(error, openai.APIStatusError) else None
    written = body.get("failed_generation") if isinstance(body, dict) else None
    if not isinstance(written, str) or not written.strip():
        return None
    reply = read_reply(written, tools=tools)
    names = {normalize_identifier(tool["function"]["name"]) for tool in tools}
    offered = tuple(call for call in reply.calls if normalize_identifier(call.tool) in names)
    text = reply.text if offered else make_encodable(written)
    return replace(reply, text=text, calls=offered, finish_reason="stop", usage=Usage(model_calls=1))


def is_unreachable(error: openai.APIConnectionError) -> bool:
    """Whether there was no connection at all, in contrast to one that was closed."""
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.UnsupportedProtocol | None)


def parse_retry_after(error: openai.APIStatusError) -> float:
    """Return the seconds that the server asks to wait; 0 where nothing can be read."""
    return parse_wait(error.status_code, error.response.headers, error.response.text)
