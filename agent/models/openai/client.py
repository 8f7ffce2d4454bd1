"""Any server that speaks the OpenAI chat-completions API: OpenAI itself, `vllm serve`, Ollama and many others."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from threading import Event
from typing import Any, Literal, Self
from weakref import finalize

import httpx2
import openai

from agent.core.budget import get_remaining_seconds
from agent.models.base import Call, Capabilities, Messages, ModelError, Reply, Schema
from agent.models.openai.dialect import Dialect, Request, Sending, build_request
from agent.models.openai.endpoint import Endpoint
from agent.models.openai.faults import (
    Fault,
    FaultClassifier,
    is_failed_generation,
    is_unreachable,
    parse_retry_after,
    read_error_message,
    read_failed_generation,
    to_status_error,
)
from agent.models.openai.lessons import TEACHING_STATUSES, Refusal, describe_lesson, learn_lesson
from agent.models.openai.partial import cut_key_start
from agent.models.openai.probe import probe_capabilities
from agent.models.openai.responses import (
    MalformedResponseError,
    ReportedError,
    WithheldReplyError,
    complete_reply,
    parse_response,
)
from agent.models.openai.retries import SharedLimits
from agent.models.openai.transport import Transport
from agent.models.progress import Listener, ModelNews, PartialReply, RetryNotice, get_listener
from agent.models.rendering import Wire, collect_images
from sam3_tool.network.http_clients import make_tls_context
from sam3_tool.network.http_environment import describe_http_fault, list_http_variables
from sam3_tool.network.retries import compute_retry_delay
from sam3_tool.system.waiting import CallClock, OutOfTimeError, Patience, map_in_threads

LIST_TIMEOUT = 30.0
"""Seconds that the list of models may take: it is asked for only to explain or to plan."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where servers say, in the list of their models, how many tokens fit."""
CALL_PATIENCES = 2
"""How many times the patience for one try a call may take with all its tries."""
MAX_LESSONS = 12
"""Changes of one request that a server may teach."""
_ANSWER_ERRORS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    MalformedResponseError,
    OutOfTimeError,
    ValueError,
    RecursionError,
)
"""All that a server can make of a request."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerSettings:
    """How a model is asked. It tells everything about it but the key.

    Example:
        >>> ServerSettings("http://localhost:8000/v1", retries=0).timeout
        120.0
    """

    base_url: str
    """The server's address, without a name and a password in it."""
    timeout: float = 120.0
    """Seconds without a whole answer (of a stream: without its next part) after which a try is given up, whatever keeps
    the connection alive. A call with all its tries takes twice as long at most."""
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
    stream: bool | None = None
    """Whether replies come in parts; None = where somebody listens."""
    seed: int | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request."""
    top_logprobs: int = 0
    """How many odds are asked for of each token of a reply; a server that refuses that is asked without."""


@dataclass(frozen=True, eq=False)
class OpenAICompatible:
    """A ChatModel behind a server. Safe to share between threads, which meet in `SharedLimits` alone.

    Example:
        >>> model = OpenAICompatible.load("my-model", base_url="http://localhost:8000/v1", wire="native")
        >>> model.name, model.generation["temperature"]
        ('openai:my-model', 0.0)
    """

    client: openai.OpenAI = field(repr=False)
    model: str
    settings: ServerSettings
    capabilities: Capabilities
    endpoint: Endpoint = field(repr=False)
    shared: SharedLimits = field(repr=False)
    first_word_by: float = field(default=inf, repr=False)
    """On the monotonic clock: when a server that has not answered yet is given up."""
    listener: Listener | None = field(default=None, repr=False)
    """Hears of further tries, and of replies that come in parts."""
    is_heard: bool = field(default=False, repr=False)
    """Whether a reply comes in parts because somebody listens."""

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
        stream: bool | None = None,
        seed: int | None = None,
        first_delay: float = 1.0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Self:
        """Connect to a model of a server. The key comes from OPENAI_API_KEY alone.

        Args:
            model: The server's name for it, e.g. "Qwen/Qwen3-VL-8B-Instruct".
            base_url: The server's address. Default: that of OPENAI_BASE_URL, else OpenAI's own.
            wire: How tools are offered. "auto" asks the server a few tiny questions and takes the best way that works;
                any other is taken at its word and asks nothing.
            timeout: Seconds without a whole answer after which a try is given up.
            retries: Further tries of a request that failed in a way that may pass.
            workers: Most requests at a time.
            max_tokens: Most tokens of a reply; fewer where the context leaves less room.
            temperature: 0 takes the likeliest token; None leaves it to the server.
            stream: Whether replies come in parts; then `timeout` holds for each part. A server that wants it gets it.
                Default: where a caller listens, see `listen_to_models`.
            seed: Seed of sampling, for servers that take one.
            first_delay: Seconds before the first further try; each later one waits twice as long.
            extra_body: Further fields of every request, e.g. {"chat_template_kwargs": {"enable_thinking": False}}.

        Returns:
            The model, with the capabilities that were found.

        Raises:
            ModelError: There is no such server, model or key. The message is one line for the user.
        """
        endpoint = Endpoint.from_environment(base_url)
        settings = ServerSettings(
            endpoint.public_address,
            timeout=timeout,
            retries=retries,
            first_delay=first_delay,
            workers=workers,
            max_tokens=max_tokens,
            temperature=temperature,
            stream=stream,
            seed=seed,
            extra_body=dict(extra_body or {}),
        )
        client = _make_client(endpoint, timeout)
        assumed = Capabilities("native" if wire == "auto" else wire)
        unprobed = cls(client, model, settings, assumed, endpoint, SharedLimits(workers))
        try:
            return unprobed.with_probed_capabilities() if wire == "auto" else unprobed
        except ModelError:
            client.close()
            raise

    @property
    def name(self) -> str:
        """For headers and reports, e.g. 'openai:Qwen/Qwen3-VL-8B-Instruct'."""
        return f"openai:{self.model}"

    @property
    def generation(self) -> dict[str, Any]:
        """What replies depend on beside the conversation, as plain JSON values."""
        chosen = ("base_url", "max_tokens", "temperature", "seed")
        further = {"extra_body": dict(self.settings.extra_body)} if self.settings.extra_body else {}
        return {name: getattr(self.settings, name) for name in chosen} | further

    def with_probed_capabilities(self) -> Self:
        """Ask the server what the model can do.

        Returns:
            The same model with the capabilities that the probe found.

        Raises:
            ModelError: The probe gets no answer.
        """
        log.debug("probing what %s can do at %s", self.model, self.settings.base_url)
        models = self._list_models()
        listed = next((entry for entry in models if entry.get("id") == self.model), {})
        context = next((listed[key] for key in _CONTEXT_KEYS if isinstance(listed.get(key), int)), None)
        hasty = replace(
            self,
            settings=replace(self.settings, retries=min(2, self.settings.retries)),
            first_word_by=time.monotonic() + self.settings.timeout,
        )
        found = probe_capabilities(lambda assumed: replace(hasty, capabilities=assumed), context=context)
        log.debug("%s at %s can do: %s", self.model, self.settings.base_url, found)
        return replace(self, capabilities=found)

    def with_token_odds(self, count: int) -> Self:
        """Ask for the odds of the tokens of every reply, too.

        Args:
            count: Of how many tokens at each place; most servers give at most 20, some 5.

        Returns:
            The same model. `Reply.tokens` holds the odds, where the server tells them.
        """
        return replace(self, settings=replace(self.settings, top_logprobs=count))

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Ask for one reply per conversation. Those of all callers together run at most `workers` at a time.

        Nothing is waited for beyond the time that `limit_time` leaves. After Ctrl-C nothing more is sent.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call, in OpenAI function-calling form.

        Returns:
            One reply per conversation, in order. A request that failed for good is a reply with an `error`.
        """
        stopped, latest, listener = Event(), time.monotonic() + get_remaining_seconds(), get_listener()
        is_heard = listener is not None and self.settings.stream is None and len(conversations) == 1
        asked = replace(self, listener=listener, is_heard=is_heard)

        def ask_once(conversation: Messages) -> Reply:
            return asked._ask_with_retries(conversation, tools, self._start_clock(latest, stopped))

        if len(conversations) < 2:
            return [ask_once(conversation) for conversation in conversations]
        return map_in_threads(ask_once, conversations, threads=self.settings.workers, stopped=stopped)

    def _start_clock(self, latest: float, stopped: Event) -> CallClock:
        end = time.monotonic() + CALL_PATIENCES * self.settings.timeout
        return CallClock(end if self.shared.is_proven else min(end, self.first_word_by), latest, stopped)

    def _ask_with_retries(self, conversation: Messages, tools: Sequence[Schema], clock: CallClock) -> Reply:
        for tries in range(1, self.settings.retries + 2):
            try:
                reply = self._ask_in_parts(conversation, tools, clock, is_last=tries > self.settings.retries)
                self.shared.mark_proven()
                return self._redact_reply(reply)
            except _ANSWER_ERRORS as error:
                fault, said = self._classify_error(error, clock), read_failed_generation(error, tools)
            delay = max(compute_retry_delay(self.settings.first_delay, tries - 1), self.shared.get_remaining_pause())
            if fault.retry != "now" or tries > self.settings.retries or delay >= clock.seconds_left:
                break
            self._wait_before_retry(fault, delay, tries, clock)
        if said is not None:
            return self._redact_reply(said)
        sentence = fault.format_sentence(self.endpoint, tries)
        log.debug("given up: %s", sentence)
        return Reply(error=sentence, recoverable=fault.retry == "now", finish_reason=fault.finish_reason)

    def _classify_error(self, error: Exception, clock: CallClock) -> Fault:
        if isinstance(error, OutOfTimeError) and clock.latest <= time.monotonic():
            return Fault("did not answer before the time of the episode was over", "now")
        return self._faults.classify_error(error)

    def _ask_in_parts(
        self, conversation: Messages, tools: Sequence[Schema], clock: CallClock, *, is_last: bool
    ) -> Reply:
        """Return the server's reply; asked for at once where it came in parts for a listener alone, and that failed."""
        try:
            return self._ask_in_its_words(conversation, tools, clock, is_last=is_last)
        except _ANSWER_ERRORS as error:
            if not self.is_heard or self.shared.dialect.streams is not None or not _may_mind_streaming(error):
                raise
            whole = replace(self, is_heard=False)
            try:
                reply = whole._ask_in_its_words(conversation, tools, clock, is_last=is_last)
            except _ANSWER_ERRORS:
                raise error from None
            if isinstance(error, openai.APIStatusError):
                self.shared.update_dialect(lambda known: replace(known, streams=False))
            return reply

    def _ask_in_its_words(
        self, conversation: Messages, tools: Sequence[Schema], clock: CallClock, *, is_last: bool
    ) -> Reply:
        """Return the server's reply. What it objects to is changed, now and from now on."""
        for lessons_left in reversed(range(MAX_LESSONS + 1)):
            dialect = self.shared.dialect
            request = self._build_request(conversation, tools, dialect)
            try:
                return self._send_when_allowed(request, conversation, tools, clock)
            except openai.APIStatusError as error:
                if (reply := read_failed_generation(error, tools)) and reply.calls:
                    return reply
                refusal = Refusal(error.status_code, read_error_message(error), request)
                if lessons_left and self._is_refusal(error) and self._learn_from(refusal, dialect):
                    continue
                fails_for_good = self._faults.is_lasting_refusal(error) or (is_last and error.status_code == 500)
                if fails_for_good and refusal.may_mind_history:
                    return self._tell_as_text(error, conversation, tools, clock)
                raise
            except ReportedError as error:
                if not (lessons_left and self._learn_from(Refusal(200, str(error), request), dialect)):
                    raise
        raise AssertionError("the last round returns or raises")

    def _is_refusal(self, error: openai.APIStatusError) -> bool:
        """Whether the request is at fault: neither what the model wrote, nor the moment."""
        return not is_failed_generation(error) and not self._faults.is_passing(error)

    def _learn_from(self, refusal: Refusal, dialect: Dialect) -> bool:
        """Whether there is a lesson, which another thread may have learnt meanwhile."""
        learnt = learn_lesson(dialect, refusal)
        known = self.shared.update_dialect(lambda known: learnt if known == dialect else known)
        if known == dialect:
            return False
        log.info("%s refuses a request: %s from now on", self.settings.base_url, describe_lesson(dialect, known))
        return True

    def _tell_as_text(
        self, error: openai.APIStatusError, conversation: Messages, tools: Sequence[Schema], clock: CallClock
    ) -> Reply:
        """Send a history of calls as text, and keep to that if it is taken. Raise `error` if it is not."""
        request = self._build_request(conversation, tools, replace(self.shared.dialect, is_tagged=True))
        try:
            reply = self._send_when_allowed(request, conversation, tools, clock)
        except _ANSWER_ERRORS:
            raise error from None
        log.info("%s refuses results of native calls: they are told as text from now on", self.settings.base_url)
        self.shared.update_dialect(lambda known: replace(known, is_tagged=True))
        return reply

    def _build_request(self, conversation: Messages, tools: Sequence[Schema], dialect: Dialect) -> Request:
        chosen, extra = self.settings, dict(self.settings.extra_body)
        streams = bool(chosen.stream) or self.is_heard
        sending = Sending(
            self.model, chosen.max_tokens, chosen.temperature, chosen.seed, streams, extra, chosen.top_logprobs
        )
        return build_request(conversation, tools, self.capabilities, sending, dialect)

    def _send_when_allowed(
        self, request: Request, conversation: Messages, tools: Sequence[Schema], clock: CallClock
    ) -> Reply:
        """Send the request when a slot is free and no pause is left, and pass on a pause that the server names."""
        images = len(collect_images(conversation))
        with self.shared.wait_for_slot(clock):
            log.debug("asking %s: %d messages, %d images", self.model, len(request.body["messages"]), images)
            began = time.monotonic()
            try:
                answer = self._transport.post_chat(request.body, self._start_patience(clock), self._tell)
                if reported := to_status_error(answer):
                    raise reported
            except openai.APIStatusError as error:
                # The pause must hold before the slot is free for the next request.
                wait = parse_retry_after(error)
                self.shared.update_pause(wait if wait <= self.settings.timeout else 0.0)
                raise
        reply = complete_reply(parse_response(answer, images=images), tools)
        tokens, seconds = reply.usage.completion_tokens, time.monotonic() - began
        log.debug("%s answered in %.1f s: %d tokens, %s", self.model, seconds, tokens, reply.finish_reason)
        return reply

    def _start_patience(self, clock: CallClock) -> Patience:
        """Wait as long as the user chose, and at a server's first word no longer than the probe does."""
        return Patience(max(0.001, min(self.settings.timeout, clock.seconds_left)), clock)

    @property
    def _tell(self) -> Listener | None:
        """Who hears of a reply that comes in parts: never the key, of which a reply may hold a beginning as well."""
        listener, key = self.listener, self.endpoint.key
        if listener is None:
            return None

        def tell_redacted(news: ModelNews) -> None:
            if isinstance(news, PartialReply):
                redact = self.endpoint.replace_key
                news = PartialReply(
                    redact(cut_key_start(news.reasoning, key)), redact(cut_key_start(news.text, key)), redact(news.tool)
                )
            listener(news)

        return tell_redacted

    @property
    def _transport(self) -> Transport:
        return Transport(self.client)

    def _redact_reply(self, reply: Reply) -> Reply:
        """Return the reply without the key, which some servers repeat: replies are written into files."""
        if self.endpoint.key not in repr(reply) + "".join(call.extra for call in reply.calls):
            return reply
        redact = self.endpoint.replace_key
        calls = tuple(Call(redact(c.tool), redact(c.arguments), redact(c.extra)) for c in reply.calls)
        return replace(reply, text=redact(reply.text), reasoning=redact(reply.reasoning), calls=calls)

    def _wait_before_retry(self, fault: Fault, delay: float, tries: int, clock: CallClock) -> None:
        log.info("%s: trying again", self.endpoint.redact_key(f"{self.settings.base_url} {fault.description}"))
        log.debug("waiting %.1f s before try %d of %d", delay, tries + 1, self.settings.retries + 1)
        if self.listener is not None:
            self.listener(RetryNotice(tries + 1, self.settings.retries + 1, delay))
        clock.sleep(delay)

    @property
    def _faults(self) -> FaultClassifier:
        proven = self.shared.is_proven
        return FaultClassifier(self.model, self.settings.timeout, self.endpoint, self._describe_models, proven)

    def _describe_models(self) -> str:
        """Say what the server offers instead of an unknown model."""
        try:
            names = [entry["id"] for entry in self._list_models() if isinstance(entry.get("id"), str)]
        except ModelError:
            names = []
        if not names:
            return "expected the name of one of its models, and an address that most often ends in /v1"
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"it offers {', '.join(map(repr, names[:5]))}{more}"

    def _list_models(self) -> list[dict[str, Any]]:
        """Return what the server lists; [] where it has no list. Raises ModelError if there is no server."""
        clock = CallClock(time.monotonic() + min(self.settings.timeout, LIST_TIMEOUT))
        try:
            listed = self._transport.get_models(Patience(clock.seconds_left, clock))
        except openai.APIConnectionError as error:
            if not is_unreachable(error):
                return []
            fault = self._faults.classify_error(error)
            raise ModelError(fault.format_sentence(self.endpoint, tries=1)) from None
        except _ANSWER_ERRORS:
            return []
        models = listed.get("data") if isinstance(listed, dict) else listed
        return [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []


def _may_mind_streaming(error: Exception) -> bool:
    """Whether a server may have failed because its reply was to come in parts."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in TEACHING_STATUSES
    return isinstance(error, MalformedResponseError | ValueError) and not isinstance(error, WithheldReplyError)


def _make_client(endpoint: Endpoint, timeout: float) -> openai.OpenAI:
    """Raise ModelError where the environment keeps the client from being made or from working."""
    if fault := describe_http_fault(encrypted=endpoint.address.startswith("https:")):
        raise ModelError(fault)
    try:
        http = openai.DefaultHttpxClient(verify=make_tls_context())
        client = openai.OpenAI(
            api_key=endpoint.key,
            base_url=endpoint.address,
            default_query=endpoint.query,
            default_headers=endpoint.headers,
            timeout=timeout,
            max_retries=0,
            http_client=http,
        )
        finalize(client, http.close)  # as the library does with clients that it makes itself
        return client
    except Exception as error:  # whatever the HTTP library makes of variables that are not known here
        variables = ", ".join(list_http_variables()) or "for proxies and certificates"
        what = endpoint.redact_key(f"{type(error).__name__}: {error}")
        raise ModelError(f"no HTTP client can be made ({what}); check the environment variables {variables}") from error
