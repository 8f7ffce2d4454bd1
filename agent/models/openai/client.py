"""Any server that speaks the OpenAI chat-completions API: OpenAI itself, `vllm serve`, Ollama and many others."""

import email.utils
import logging
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import BoundedSemaphore, Lock
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import openai

from agent.core.text import make_encodable
from agent.models.base import Capabilities, Messages, ModelError, Reply, Schema
from agent.models.openai.probe import probe_capabilities
from agent.models.openai.responses import MalformedResponseError, assemble_stream, parse_response
from agent.models.rendering import Wire, collect_images, to_openai
from agent.models.reply_parsing import extract_calls

KEY_VARIABLE, ADDRESS_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"
"""The environment variables with the key and, where none is given, the server's address."""
PLACEHOLDER_KEY = "no-key"
"""Sent where there is no key: servers of one's own want none, but the client wants something."""
RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""Answers, beside 5xx, after which the same request may succeed."""
FALLBACK_FIELDS = {
    "max_tokens": "max_completion_tokens",
    **dict.fromkeys(("temperature", "seed", "parallel_tool_calls", "tool_choice", "stream_options"), ""),
}
"""What a request says that some servers refuse -> what is said instead; "": nothing."""
MAX_DELAY = 30.0
"""Seconds between two tries, where the server does not ask for more."""
_TOO_LONG_PATTERN = re.compile(
    r"context.{0,20}(length|window|size)|maximum.{0,20}length|too long|too many tokens|number of tokens", re.IGNORECASE
)
_SURROGATE_MESSAGE = "surrogates not allowed"
"""In what vLLM says, with status 400, of a reply whose arguments hold a lone "\\ud800"."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where servers say, in the list of their models, how many tokens fit."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerSettings:
    """How a model is asked. Tells everything about it but the key."""

    base_url: str
    """The server's address, without a name and a password in it."""
    timeout: float = 120.0
    """Seconds without an answer (or, of a stream, without its next part) after which a request is given up."""
    retries: int = 5
    """Further tries of a request that failed in a way that may pass."""
    first_delay: float = 1.0
    """Seconds before the first of them, give or take a quarter; each later one waits twice as long."""
    workers: int = 16
    """Most requests at a time."""
    max_tokens: int = 2048
    """Of a reply."""
    temperature: float | None = 0.0
    """None = the server's own."""
    stream: bool = False
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class OpenAICompatible:
    """A ChatModel behind a server. Safe to share between threads: what they share is in `_SharedLimits`, behind its lock."""

    client: openai.OpenAI = field(repr=False)
    model: str
    settings: ServerSettings
    capabilities: Capabilities
    shared: "_SharedLimits" = field(repr=False)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        base_url: str | None = None,
        wire: Literal["auto"] | Wire = "auto",
        timeout: float = 120.0,
        retries: int = 5,
        workers: int = 16,
        max_tokens: int = 2048,
        temperature: float | None = 0.0,
        stream: bool = False,
        seed: int | None = None,
        first_delay: float = 1.0,
    ) -> Self:
        """The model `model` of the server at `base_url`, else of OPENAI_BASE_URL, else of OpenAI.

        The key comes from OPENAI_API_KEY alone. `wire`: how tools are offered; 'auto' asks the server a few tiny
        questions and takes the best way that works, any other is taken at its word and asks nothing.
        Raises ModelError, with one line for the user, when there is no such server, model or key.
        """
        address = _resolve_address(base_url)
        settings = ServerSettings(
            _strip_login(address), timeout, retries, first_delay, workers, max_tokens, temperature, stream, seed
        )
        client = openai.OpenAI(api_key=_read_key(address), base_url=address, timeout=timeout, max_retries=0)
        unprobed = cls(
            client, model, settings, Capabilities("native" if wire == "auto" else wire), _SharedLimits(workers)
        )
        try:
            return unprobed.with_probed_capabilities() if wire == "auto" else unprobed
        except ModelError:
            client.close()
            raise

    @property
    def name(self) -> str:
        return f"openai:{self.model}"

    @property
    def generation(self) -> dict[str, Any]:
        """What replies depend on beside the conversation, as plain JSON values."""
        chosen = ("base_url", "max_tokens", "temperature", "seed")
        return {name: getattr(self.settings, name) for name in chosen}

    def with_probed_capabilities(self) -> Self:
        """The same model with the capabilities that a probe found. Raises ModelError if it gets no answers."""
        models = self._list_models()
        listed = next((entry for entry in models if entry.get("id") == self.model), {})
        context = next((listed[key] for key in _CONTEXT_KEYS if isinstance(listed.get(key), int)), None)
        hasty = replace(self, settings=replace(self.settings, retries=min(2, self.settings.retries)))
        return replace(
            self,
            capabilities=probe_capabilities(
                lambda capabilities: replace(hasty, capabilities=capabilities), context=context
            ),
        )

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """One reply per conversation, in order. Those of all callers together run at most `workers` at a time."""
        if len(conversations) < 2:
            return [self._ask_with_retries(conversation, tools) for conversation in conversations]
        pool = ThreadPoolExecutor(min(self.settings.workers, len(conversations)))
        try:
            return list(pool.map(lambda conversation: self._ask_with_retries(conversation, tools), conversations))
        finally:
            # After Ctrl-C, what has not begun is not begun, and nobody waits for the rest.
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask_with_retries(self, conversation: Messages, tools: Sequence[Schema]) -> Reply:
        request = self._build_request(conversation, tools)
        images = len(collect_images(conversation))
        for tries_left in reversed(range(self.settings.retries + 1)):
            try:
                return extract_calls(self._send_without_refused(request, images), tools=tools)
            except (openai.OpenAIError, MalformedResponseError, ValueError, RecursionError) as error:
                fault = self._classify_error(error)
            if fault.again != "now" or not tries_left:
                break
            self._wait_before_retry(fault, self.settings.retries - tries_left)
        return Reply(
            error=self._format_fault(fault), recoverable=fault.again == "now", finish_reason=fault.finish_reason
        )

    # --- one request ------------------------------------------------------------------------------

    def _build_request(self, conversation: Messages, tools: Sequence[Schema]) -> dict[str, Any]:
        capabilities, settings = self.capabilities, self.settings
        request = {"model": self.model} | to_openai(conversation, tools, capabilities.wire, strict=capabilities.strict)
        if "tools" in request:
            request["tool_choice"] = "required"
        if "tools" in request and capabilities.strict:
            # Servers hold a model to the schema of one call, but not of several.
            request["parallel_tool_calls"] = False
        if settings.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        chosen = {"max_tokens": settings.max_tokens, "temperature": settings.temperature, "seed": settings.seed}
        return request | {name: value for name, value in chosen.items() if value is not None}

    def _send_without_refused(self, request: dict[str, Any], images: int) -> Reply:
        """The server's answer. What it objects to is left out, now and from now on."""
        while True:
            body = self.shared.drop_refused(request)
            try:
                return self._send_when_allowed(body, images)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                # Of what was sent: another thread may have been refused the same meanwhile.
                refused = _find_refused_field(_read_error_message(error), body)
                if not refused:
                    raise
                log.info("%s refuses `%s`: asked without it from now on", self.settings.base_url, refused)
                self.shared.update_refused(refused)

    def _send_when_allowed(self, body: dict[str, Any], images: int) -> Reply:
        """A server that names a time is not asked by anyone before it."""
        with self.shared.wait_for_slot():
            try:
                return self._post_request(body, images)
            except openai.APIStatusError as error:
                # Before the place is free for the next request.
                self.shared.update_pause(self._get_requested_wait(error))
                raise

    def _post_request(self, body: dict[str, Any], images: int) -> Reply:
        # The client's typed method would build objects of whatever a server sends; plain JSON is checked here instead.
        if not self.settings.stream:
            return parse_response(self.client.post("/chat/completions", cast_to=object, body=body), images=images)
        chunks = self.client.post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
        )
        with chunks:
            return parse_response(assemble_stream(chunks), images=images)

    def _wait_before_retry(self, fault: "_Fault", tries: int) -> None:
        """Before the next try; for how long a server asks to wait, all do so together."""
        delay = min(self.settings.first_delay * 2.0**tries, MAX_DELAY) * random.uniform(0.75, 1.25)
        log.info("%s: trying again", self._redact_key(f"{self.settings.base_url} {fault.description}"))
        time.sleep(delay)

    # --- what went wrong --------------------------------------------------------------------------

    def _classify_error(self, error: Exception) -> "_Fault":
        match error:
            case openai.APITimeoutError():
                return _Fault(f"did not answer within {self.settings.timeout:g} seconds", "now")
            case openai.APIStatusError():
                return self._classify_status(error)
            case openai.APIConnectionError():
                return _Fault("cannot be reached", "now", "is the server running, and is --base-url its address?")
            case MalformedResponseError() if "no JSON" in str(error):
                advice = "is it the address of a chat API? Most end in /v1"
                return _Fault(f"answered with {error}, not with a chat completion", "never", advice)
            case MalformedResponseError():
                return _Fault(f"answered with {error}, not with a chat completion", "now")
            case openai.APIError():
                return _Fault(f"broke off its answer ({_read_error_message(error)})", "now")
            case _:
                return _Fault("answered with damaged JSON, not with a chat completion", "now")

    def _classify_status(self, error: openai.APIStatusError) -> "_Fault":
        message, status = _read_error_message(error), error.status_code
        about = f" ({message})" if message else ""
        match status:
            case 401:
                return _Fault(f"refused the key{about}", "never", self._key_advice)
            case 403:
                return _Fault(f"does not allow the use of {self.model!r}{about}", "never", self._key_advice)
            case 404:
                return _Fault(f"does not know {self.model!r}{about}", "never", self._describe_offered_models())
            case 400 | 413 | 422 if status == 413 or _TOO_LONG_PATTERN.search(message):
                why = f"says that the conversation is too long for {self.model!r}{about}"
                return _Fault(why, "changed", finish_reason="length")
            case 400 if _SURROGATE_MESSAGE in message:
                return _Fault("could not send what the model wrote, which holds half a character", "now")
            case _ if status in RETRYABLE_STATUSES or status >= 500:
                return self._classify_temporary(error, f"answered {status}{about}")
            case _:
                return _Fault(f"refused the request with {status}{about}", "never")

    def _classify_temporary(self, error: openai.APIStatusError, description: str) -> "_Fault":
        """Of an answer that says: later. Not of one that means never, or longer than anybody waits."""
        if isinstance(error.body, dict) and error.body.get("code") == "insufficient_quota":
            return _Fault(description, "never", f"the account behind the key of {KEY_VARIABLE} has no credit left")
        if (wait := _parse_retry_after(error)) > self.settings.timeout:
            return _Fault(f"{description} and asks to wait {wait:.0f} seconds", "never", "ask it again then")
        return _Fault(description, "now")

    def _get_requested_wait(self, error: openai.APIStatusError) -> float:
        """Seconds; 0 where the server names no time, or a longer one than anybody waits."""
        wait = _parse_retry_after(error)
        return wait if wait <= self.settings.timeout else 0.0

    def _format_fault(self, fault: "_Fault") -> str:
        tries = f", in {self.settings.retries + 1} tries" if fault.again == "now" and self.settings.retries else ""
        advice = f"; {fault.advice}" if fault.advice else ""
        return self._redact_key(f"{self.settings.base_url} {fault.description}{tries}{advice}")

    def _redact_key(self, text: str) -> str:
        """Some servers repeat the key they refuse."""
        text = " ".join(make_encodable(text).split())
        return text if self.client.api_key == PLACEHOLDER_KEY else text.replace(self.client.api_key, "[the key]")

    @property
    def _key_advice(self) -> str:
        if self.client.api_key == PLACEHOLDER_KEY:
            return f"expected a key in the environment variable {KEY_VARIABLE}, which is not set"
        return f"expected a key of this server in the environment variable {KEY_VARIABLE}"

    def _describe_offered_models(self) -> str:
        """What the server offers instead of an unknown model."""
        try:
            names = [entry["id"] for entry in self._list_models() if isinstance(entry.get("id"), str)]
        except ModelError:
            names = []
        if not names:
            return "expected the name of one of its models, and an address that most often ends in /v1"
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"it offers {', '.join(map(repr, names[:5]))}{more}"

    def _list_models(self) -> list[dict[str, Any]]:
        """What the server lists; [] where it has no list. Raises ModelError if there is no server."""
        try:
            listed = self.client.get("/models", cast_to=object, options={"timeout": min(self.settings.timeout, 30.0)})
        except openai.APIStatusError:
            return []
        except openai.APIConnectionError as error:
            raise ModelError(self._format_fault(replace(self._classify_error(error), again="never"))) from None
        except ValueError:
            return []
        models = listed.get("data") if isinstance(listed, dict) else listed
        return [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []


@dataclass(frozen=True)
class _Fault:
    """Why a request was not answered with a reply."""

    description: str
    """What the server did, to stand after its name."""
    again: Literal["now", "changed", "never"]
    """Whether to ask again: as it is, with another request only, or not at all."""
    advice: str = ""
    finish_reason: str = "stop"


class _SharedLimits:
    """What the requests of one model have in common. Its lock guards every field; `slots` guards itself."""

    def __init__(self, workers: int) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(workers)
        self._refused: frozenset[str] = frozenset()
        self._paused_until = 0.0
        """On the monotonic clock."""

    @contextmanager
    def wait_for_slot(self) -> Iterator[None]:
        """One of the places for requests, once nobody is asked to wait."""
        with self._slots:
            # Others may be told to wait longer meanwhile.
            while (left := self._get_remaining_pause()) > 0:
                time.sleep(left)
            yield

    def _get_remaining_pause(self) -> float:
        with self._lock:
            return self._paused_until - time.monotonic()

    def update_pause(self, seconds: float) -> None:
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def update_refused(self, name: str) -> None:
        with self._lock:
            self._refused |= {name}

    def drop_refused(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            refused = self._refused
        for name in FALLBACK_FIELDS.keys() & refused & request.keys():
            value, instead = request[name], FALLBACK_FIELDS[name]
            request = {key: item for key, item in request.items() if key != name} | (
                {instead: value} if instead else {}
            )
        return request


def _find_refused_field(message: str, request: dict[str, Any]) -> str:
    """The part of the request that a server's words object to, if it can do without; else ""."""
    if _TOO_LONG_PATTERN.search(message):
        return ""
    return next((name for name in FALLBACK_FIELDS if name in request and re.search(rf"\b{name}\b", message)), "")


def _read_error_message(error: openai.APIError) -> str:
    """The server's own words, on one short line."""
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


def _parse_retry_after(error: openai.APIStatusError) -> float:
    """Seconds that the server asks to wait: a number of them, or a date; 0 where it asks nothing that can be read."""
    headers = error.response.headers
    with_unit = (("retry-after-ms", 0.001), ("retry-after", 1.0))
    for name, unit in with_unit:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", headers.get(name, "")):
            return float(headers[name]) * unit
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0


def _resolve_address(base_url: str | None) -> str:
    address = (base_url or os.environ.get(ADDRESS_VARIABLE, "")).strip() or "https://api.openai.com/v1"
    if not _is_address(address):
        raise ModelError(f"{address!r} is no address of a server; expected one such as http://localhost:8000/v1")
    return address.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or half a pair of brackets
        return False


def _read_key(address: str) -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and (urlsplit(address).hostname or "").endswith("openai.com"):
        raise ModelError(
            f"OpenAI wants a key; set {KEY_VARIABLE}, or give the address of another server with --base-url"
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"the environment variable {KEY_VARIABLE} holds no key: it has characters that no key has")
    return key or PLACEHOLDER_KEY


def _strip_login(address: str) -> str:
    """An address that can be shown: a name and a password in it are left out."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
