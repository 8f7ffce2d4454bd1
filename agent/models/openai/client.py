"""Any server that speaks the OpenAI chat-completions API: OpenAI itself, `vllm serve`, Ollama and many others."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import openai

from agent.models.base import Capabilities, Messages, ModelError, Reply, Schema
from agent.models.openai.endpoint import Endpoint
from agent.models.openai.faults import Fault, FaultClassifier, parse_retry_after, read_error_message
from agent.models.openai.probe import probe_capabilities
from agent.models.openai.responses import MalformedResponseError, assemble_stream, parse_response
from agent.models.openai.retries import SharedLimits, compute_retry_delay, find_refused_field
from agent.models.rendering import Wire, collect_images, to_openai
from agent.models.reply_parsing import extract_calls
from sam3_tool.http_environment import describe_http_fault, list_http_variables

LIST_TIMEOUT = 30.0
"""Seconds that the list of models may take: it is asked for only to explain or to plan."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where servers say, in the list of their models, how many tokens fit."""

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
        """Connect to a model of a server. The key comes from OPENAI_API_KEY alone.

        Args:
            model: The server's name for it, e.g. "Qwen/Qwen3-VL-8B-Instruct".
            base_url: The server's address. Default: that of OPENAI_BASE_URL, else OpenAI's own.
            wire: How tools are offered. "auto" asks the server a few tiny questions and takes the best way that works;
                any other is taken at its word and asks nothing.
            timeout: Seconds without an answer after which a request is given up.
            retries: Further tries of a request that failed in a way that may pass.
            workers: Most requests at a time.
            max_tokens: Most tokens of a reply.
            temperature: 0 takes the likeliest token; None leaves it to the server.
            stream: Whether replies come in parts; then `timeout` holds for each part.
            seed: Seed of sampling, for servers that take one.
            first_delay: Seconds before the first further try; each later one waits twice as long.

        Returns:
            The model, with the capabilities that were found.

        Raises:
            ModelError: There is no such server, model or key. The message is one line for the user.
        """
        endpoint = Endpoint.from_environment(base_url)
        settings = ServerSettings(
            endpoint.public_address, timeout, retries, first_delay, workers, max_tokens, temperature, stream, seed
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
        return {name: getattr(self.settings, name) for name in chosen}

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
        hasty = replace(self, settings=replace(self.settings, retries=min(2, self.settings.retries)))
        found = probe_capabilities(lambda assumed: replace(hasty, capabilities=assumed), context=context)
        log.debug("%s at %s can do: %s", self.model, self.settings.base_url, found)
        return replace(self, capabilities=found)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Ask for one reply per conversation. Those of all callers together run at most `workers` at a time.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call, in OpenAI function-calling form.

        Returns:
            One reply per conversation, in order. A request that failed for good is a reply with an `error`.
        """
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
        for tries in range(self.settings.retries + 1):
            try:
                return extract_calls(self._send_without_refused(request, images), tools=tools)
            except (openai.OpenAIError, MalformedResponseError, ValueError, RecursionError) as error:
                fault = self._faults.classify_error(error)
            if fault.retry != "now" or tries == self.settings.retries:
                break
            self._wait_before_retry(fault, tries)
        sentence = fault.format_sentence(self.endpoint, self.settings.retries + 1)
        log.debug("given up: %s", sentence)
        return Reply(error=sentence, recoverable=fault.retry == "now", finish_reason=fault.finish_reason)

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
        """Return the server's answer. A field that it objects to is left out, now and from now on."""
        while True:
            body = self.shared.drop_refused(request)
            try:
                return self._send_when_allowed(body, images)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                # Compare with what was sent: another thread may have been refused the same field meanwhile.
                refused = find_refused_field(read_error_message(error), body)
                if not refused:
                    raise
                log.info("%s refuses `%s`: asked without it from now on", self.settings.base_url, refused)
                self.shared.update_refused(refused)

    def _send_when_allowed(self, body: dict[str, Any], images: int) -> Reply:
        """Send the request when a slot is free and no pause is left, and pass on a pause that the server names."""
        with self.shared.wait_for_slot():
            try:
                return self._post_request(body, images)
            except openai.APIStatusError as error:
                # The pause must hold before the slot is free for the next request.
                wait = parse_retry_after(error)
                self.shared.update_pause(wait if wait <= self.settings.timeout else 0.0)
                raise

    def _post_request(self, body: dict[str, Any], images: int) -> Reply:
        log.debug("asking %s: %d messages, %d images", self.model, len(body["messages"]), images)
        began = time.monotonic()
        # The client's typed method would build objects of whatever a server sends; plain JSON is checked here instead.
        if self.settings.stream:
            chunks = self.client.post(
                "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
            )
            with chunks:
                reply = parse_response(assemble_stream(chunks), images=images)
        else:
            reply = parse_response(self.client.post("/chat/completions", cast_to=object, body=body), images=images)
        tokens, seconds = reply.usage.completion_tokens, time.monotonic() - began
        log.debug("%s answered in %.1f s: %d tokens, %s", self.model, seconds, tokens, reply.finish_reason)
        return reply

    def _wait_before_retry(self, fault: Fault, tries: int) -> None:
        delay = compute_retry_delay(self.settings.first_delay, tries)
        log.info("%s: trying again", self.endpoint.redact_key(f"{self.settings.base_url} {fault.description}"))
        log.debug("waiting %.1f s before try %d of %d", delay, tries + 2, self.settings.retries + 1)
        time.sleep(delay)

    @property
    def _faults(self) -> FaultClassifier:
        return FaultClassifier(self.model, self.settings.timeout, self.endpoint, self._describe_models)

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
        try:
            timeout = min(self.settings.timeout, LIST_TIMEOUT)
            listed = self.client.get("/models", cast_to=object, options={"timeout": timeout})
        except openai.APIStatusError:
            return []
        except openai.APIConnectionError as error:
            fault = self._faults.classify_error(error)
            raise ModelError(fault.format_sentence(self.endpoint, tries=1)) from None
        except ValueError:
            return []
        models = listed.get("data") if isinstance(listed, dict) else listed
        return [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []


def _make_client(endpoint: Endpoint, timeout: float) -> openai.OpenAI:
    """Raise ModelError where the environment keeps the client from being made or from working."""
    if fault := describe_http_fault(encrypted=endpoint.address.startswith("https:")):
        raise ModelError(fault)
    try:
        return openai.OpenAI(api_key=endpoint.key, base_url=endpoint.address, timeout=timeout, max_retries=0)
    except Exception as error:  # whatever the HTTP library makes of variables that are not known here
        variables = ", ".join(list_http_variables()) or "for proxies and certificates"
        what = endpoint.redact_key(f"{type(error).__name__}: {error}")
        raise ModelError(f"no HTTP client can be made ({what}); check the environment variables {variables}") from error
