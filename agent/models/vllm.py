"""A language model in this process, on vLLM: the conversations of all threads share one engine.

vLLM is an extra that not every machine can have, and takes seconds to import: it is imported when a model is loaded.
"""

import logging
import os
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, Literal

import PIL.Image

from agent.core.usage import Usage
from agent.models.base import Capabilities, Messages, ModelError, Reply, Schema, describe_missing_package
from agent.models.rendering import collect_images, to_chat_template
from agent.models.reply_parsing import read_reply
from agent.models.schemas import build_reply_schema
from sam3_tool.backends.transformers.files.checkpoint import format_one_line
from sam3_tool.errors import PathError
from sam3_tool.system.paths import expand_path

log = logging.getLogger(__name__)

ENVIRONMENT_DEFAULTS = {
    # its log would go to standard output, where the results go
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Environment variables that vLLM reads when it is imported. A value that the user has set stays."""


@dataclass(frozen=True)
class SamplingSettings:
    """How a model writes its replies.

    Example:
        >>> SamplingSettings(temperature=0.7, seed=1).max_tokens
        2048
    """

    max_tokens: int = 2048
    """Most tokens of a reply."""
    temperature: float | None = 0.0
    """0 takes the likeliest token; None samples as the model's own settings say."""
    seed: int | None = None
    """Seed of sampling: equal conversations get equal replies."""


@dataclass(frozen=True, eq=False)
class VllmModel:
    """A ChatModel that vLLM runs in this process.

    It is safe to share between threads: one thread of its own steps the engine, and what is asked while others are
    being answered joins them at the next token. Prompts that begin alike share what was computed for their beginning.

    Example:
        A GPU and the model's weights are needed:

        >>> model = VllmModel.load("Qwen/Qwen3-VL-8B-Instruct", gpu_memory=0.6)  # doctest: +SKIP
    """

    name: str
    """'vllm:' and the name or the folder of the model."""
    capabilities: Capabilities
    """What the model can do. A planner offers its tools accordingly."""
    sampling: SamplingSettings
    """How it writes its replies."""
    engine: "Engine" = field(repr=False)
    """Copies with other settings, made with `dataclasses.replace`, share it."""

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        wire: Literal["auto", "native", "schema", "tagged"] = "auto",
        max_tokens: int = 2048,
        temperature: float | None = 0.0,
        seed: int | None = None,
        context: int | None = None,
        images: int = 8,
        gpu_memory: float = 0.7,
        engine: Mapping[str, Any] | None = None,
    ) -> "VllmModel":
        """Load a model from a folder, or by its name on the Hugging Face hub.

        Args:
            name_or_path: A folder, or a name such as "Qwen/Qwen3-VL-8B-Instruct".
            wire: "auto" and "schema" hold every reply to a call that fits its tool. A model that shall think first is
                given its tools "native", through its chat template, or "tagged", in the text.
            max_tokens: Most tokens of a reply.
            temperature: 0 takes the likeliest token; None samples as the model's own settings say.
            seed: Seed of sampling.
            context: Tokens of a prompt and its reply; None takes the most that the model knows and the memory holds.
            images: Most images in one conversation.
            gpu_memory: The part in (0, 1] of the GPU's memory that vLLM takes. SAM 3 needs some of the rest.
            engine: Further arguments of `vllm.LLM`.

        Returns:
            The model, on the GPU.

        Raises:
            ModelError: vLLM is not installed, finds no GPU, or cannot run the model.
        """
        try:
            name = str(expand_path(name_or_path))
        except PathError as error:
            raise ModelError(f"the model {str(name_or_path)!r} cannot be loaded: {error}") from error
        log.debug("loading the model %s into vllm", name)
        options = _build_engine_options(context, images, gpu_memory) | dict(engine or {})
        try:
            llm = _import_vllm().LLM(name, **options)
        except ModelError:
            raise
        except Exception as error:  # whatever vLLM, transformers or the hub raise for a model that cannot be run
            raise ModelError(f"vllm cannot run the model {name}: {format_one_line(error)}") from error
        capabilities = Capabilities(
            wire="schema" if wire == "auto" else wire, images=images, context=llm.model_config.max_model_len
        )
        return cls(f"vllm:{name}", capabilities, SamplingSettings(max_tokens, temperature, seed), Engine(llm))

    @property
    def generation(self) -> dict[str, Any]:
        """What replies depend on beside the conversation, as plain JSON values."""
        return asdict(self.sampling)

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Generate one reply per conversation; see `ChatModel`.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call, in OpenAI function-calling form.

        Returns:
            One reply per conversation, in order. A conversation that leaves no room for a reply gets one without text,
            with the finish reason "length".
        """
        log.debug("asking %s %d conversations", self.name, len(conversations))
        answers = [
            self.engine.submit_request(self._build_request(conversation, tools)) for conversation in conversations
        ]
        return [
            _build_reply(answer, Usage(model_calls=1, images=len(collect_images(conversation))), tools)
            for answer, conversation in zip(answers, conversations, strict=True)
        ]

    def _build_request(self, conversation: Messages, tools: Sequence[Schema]) -> "_Request":
        wire = self.capabilities.wire
        offered = [dict(tool) for tool in tools] if wire == "native" and tools else None
        schema = build_reply_schema(tools) if wire == "schema" and tools else None
        messages = _insert_images(*to_chat_template(conversation, tools, wire))
        return _Request(messages, offered, self._build_sampling_params(schema))

    def _build_sampling_params(self, schema: dict[str, Any] | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        chosen = self.sampling
        params = self.engine.get_default_sampling_params() if chosen.temperature is None else SamplingParams()
        if chosen.temperature is not None:
            params.temperature = chosen.temperature
        params.max_tokens, params.seed = chosen.max_tokens, chosen.seed
        params.structured_outputs = None if schema is None else StructuredOutputsParams(json=schema)
        return params


@dataclass(frozen=True, eq=False)
class _Request:
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    """What the chat template is given."""
    sampling_params: Any
    answer: "Future[Any]" = field(default_factory=Future)
    """A `vllm.RequestOutput`, or the error that came instead."""


class Engine:
    """A `vllm.LLM` for many threads. It ends with this object, or with the process."""

    def __init__(self, llm: Any) -> None:
        """Take the model over."""
        self._loop = _EngineLoop(llm)
        # The thread holds the loop, not this object: when nobody holds this object any more, the thread is ended.
        self._finalizer = weakref.finalize(self, self._loop.close)

    def submit_request(self, request: _Request) -> "Future[Any]":
        """Hand a request to the engine, and return what its output will come in."""
        self._loop.arrivals.put(request)
        return request.answer

    def get_default_sampling_params(self) -> Any:
        """Return the sampling parameters that the model's own settings name."""
        return self._loop.llm.get_default_sampling_params()


class _EngineLoop:
    """A thread that steps vLLM as long as there is something to answer."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self.arrivals: SimpleQueue[_Request | None] = SimpleQueue()
        # for the thread alone
        self._running: dict[str, Future[Any]] = {}
        self._failure: Exception | None = None
        self._thread = Thread(target=self._serve_requests, name="vllm", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread after its current token, and wait for that a few seconds at most."""
        self.arrivals.put(None)
        if self._thread is not current_thread():
            self._thread.join(timeout=5.0)

    def _serve_requests(self) -> None:
        while self._admit_requests():
            self._step_engine()
        self._fail_running(RuntimeError("closed before this request was answered"))

    def _admit_requests(self) -> bool:
        """Give vLLM what has arrived, and wait while there is nothing to answer. Return False once closed."""
        while not self._running or not self.arrivals.empty():
            request = self.arrivals.get()
            if request is None:
                return False
            self._enqueue_request(request)
        return True

    def _enqueue_request(self, request: _Request) -> None:
        if self._failure is not None:
            request.answer.set_exception(self._failure)
            return
        try:
            [id] = self.llm.enqueue_chat(
                [request.messages], request.sampling_params, tools=request.tools, use_tqdm=False
            )
        except Exception as error:  # this request alone is at fault: too long, too many images
            request.answer.set_exception(error)
        else:
            # vLLM makes the number it gave a request unique with random letters, and answers without them
            self._running[id.partition("-")[0]] = request.answer

    def _step_engine(self) -> None:
        try:
            for output in self.llm.llm_engine.step():
                if output.finished:
                    self._running.pop(output.request_id).set_result(output)
        except Exception as error:  # an engine that failed at one step is in no state for another
            self._failure = error
            self._fail_running(error)

    def _fail_running(self, error: Exception) -> None:
        while self._running:
            self._running.popitem()[1].set_exception(error)


def _import_vllm() -> Any:
    """Import the package. Raise ModelError where it is missing or finds no GPU."""
    for name, value in ENVIRONMENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
        from vllm.platforms import current_platform
    except ImportError as error:
        missing = error.name == "vllm"
        found = (
            describe_missing_package("vllm", "vllm")
            if missing
            else f"vllm cannot be used here: {format_one_line(error)}"
        )
        raise ModelError(found) from error
    if current_platform.is_unspecified():
        raise ModelError(
            "vllm finds no GPU here that it can use; expected one, or openai:MODEL behind a server that has one"
        )
    return vllm


def _build_engine_options(context: int | None, images: int, gpu_memory: float) -> dict[str, Any]:
    """Return the arguments of `vllm.LLM`."""
    return {
        "max_model_len": -1 if context is None else context,
        "limit_mm_per_prompt": {"image": images, "video": 0},
        "gpu_memory_utilization": gpu_memory,
        "enable_prefix_caching": True,
        # white space between the parts of an object is all that a grammar would leave open: models can go on for ever
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }


def _insert_images(messages: list[dict[str, Any]], images: Sequence[PIL.Image.Image]) -> list[dict[str, Any]]:
    """Replace each placeholder of an image by the image."""
    left = iter(images)
    return [{**message, "content": [_insert_image(part, left) for part in message["content"]]} for message in messages]


def _insert_image(part: dict[str, Any], images: Any) -> dict[str, Any]:
    return {"type": "image_pil", "image_pil": next(images)} if part["type"] == "image" else part


def _build_reply(answer: "Future[Any]", cost: Usage, tools: Sequence[Schema]) -> Reply:
    try:
        output = answer.result()
    except Exception as error:
        return _build_refusal(error, cost)
    [written] = output.outputs
    reply = read_reply(written.text, tools=tools)
    reason = "tool_calls" if reply.calls and written.finish_reason == "stop" else str(written.finish_reason)
    usage = cost + Usage(
        prompt_tokens=len(output.prompt_token_ids),
        cached_tokens=output.num_cached_tokens or 0,
        completion_tokens=len(written.token_ids),
    )
    return replace(reply, finish_reason=reason, usage=usage)


def _build_refusal(error: Exception, cost: Usage) -> Reply:
    if getattr(error, "parameter", None) == "input_tokens":  # VLLMValidationError: the prompt is too long
        return Reply(finish_reason="length", usage=cost)
    return Reply(finish_reason="error", error=f"vllm could not answer: {format_one_line(error)}", recoverable=False)
