"""A language model in this process, on transformers: what several threads ask at one time is generated as one batch."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from agent.core.usage import Usage
from agent.models.base import Capabilities, Messages, ModelError, Reply, Schema
from agent.models.rendering import to_chat_template
from agent.models.reply_parsing import read_reply
from sam3_tool.backends.transformers.files.checkpoint import format_one_line
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.backends.transformers.hardware.devices import resolve_device
from sam3_tool.batching.batcher import Batcher, BatchLimits
from sam3_tool.errors import PathError
from sam3_tool.system.paths import expand_path, is_folder, is_there

log = logging.getLogger(__name__)

MAX_BATCH = 16
"""Conversations that are generated together."""


@dataclass(frozen=True)
class GenerationSettings:
    """How a model writes its replies.

    Example:
        >>> GenerationSettings(temperature=0.7, seed=1).max_tokens
        2048
    """

    max_tokens: int = 2048
    """Most tokens of a reply."""
    temperature: float | None = 0.0
    """0 takes the likeliest token; None samples as the model's own settings say."""
    seed: int | None = None
    """Seed of sampling: the same conversations in the same order get the same replies."""


DEFAULT_GENERATION = GenerationSettings()


class TransformersModel:
    """A ChatModel that `AutoModelForImageTextToText` loads.

    It is safe to share between threads: one thread of its own runs the network, and what the others ask meanwhile is
    its next batch.

    Args:
        model: A model on its device, in evaluation mode. It is taken over.
        processor: Its processor.
        name: Its name, without the kind.
        wire: How tools are offered; "auto" takes the chat template's own way where it knows tools.
        generation: How replies are written.

    Example:
        >>> TransformersModel.load("/nowhere")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        agent.models.base.ModelError: there is no model at /nowhere
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str,
        wire: Literal["auto", "native", "tagged"] = "auto",
        generation: GenerationSettings = DEFAULT_GENERATION,
    ) -> None:
        self.name = f"transformers:{name}"
        self.capabilities = _read_capabilities(model, processor, wire)
        self.generation = asdict(generation)
        network = _Network(model, processor, self.capabilities, generation)
        self._batcher: Batcher[_Request, Reply] = Batcher(network.answer_requests, BatchLimits(max_size=MAX_BATCH))

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        wire: Literal["auto", "native", "tagged"] = "auto",
        max_tokens: int = 2048,
        temperature: float | None = 0.0,
        seed: int | None = None,
    ) -> "TransformersModel":
        """Load a model from a folder, or by its name on the Hugging Face hub.

        Args:
            path_or_name: A folder with config.json, or a name such as "Qwen/Qwen3-VL-8B-Instruct".
            device: "cpu", "cuda", "cuda:1", "mps" …; "auto" takes CUDA, else a GPU of Apple's, where there is one.
            dtype: A dtype's name; "auto" is that of the weights.
            wire: How tools are offered; "auto" takes the chat template's own way where it knows tools.
            max_tokens: Most tokens of a reply.
            temperature: 0 takes the likeliest token; None samples as the model's own settings say.
            seed: Seed of sampling.

        Returns:
            The model on its device.

        Raises:
            ModelError: There is no such model, or it cannot chat about images.
            DeviceError: There is no such device.
        """
        if wire not in ("auto", "native", "tagged"):
            raise ModelError(f"a model in this process takes tools by 'native' or 'tagged', not by {wire!r}")
        place = resolve_device(device)
        model, processor = _load_model(path_or_name, dtype)
        generation = GenerationSettings(max_tokens, temperature, seed)
        return cls(model.to(place), processor, name=str(path_or_name), wire=wire, generation=generation)

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Generate one reply per conversation; see `ChatModel`.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call, in OpenAI function-calling form.

        Returns:
            One reply per conversation, in order. A conversation that leaves no room for a reply gets one without text,
            with the finish reason "length".
        """
        return self._batcher([_Request(conversation, tools) for conversation in conversations])


@dataclass(frozen=True, eq=False)
class _Request:
    conversation: Messages
    tools: Sequence[Schema]


class _NoRoomError(Exception):
    """A prompt leaves no room for a reply, or less for those of its batch than each has alone."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens


class _Network:
    """The model and its processor. Only one thread may use it at a time."""

    def __init__(self, model: Any, processor: Any, capabilities: Capabilities, generation: GenerationSettings) -> None:
        self._model, self._processor, self._tokenizer = model, processor, processor.tokenizer
        self._capabilities, self._generation = capabilities, generation
        self._ends = _find_end_tokens(model, processor)
        self._padding = min(self._ends) if self._tokenizer.pad_token_id is None else self._tokenizer.pad_token_id
        self._batches = count()

    def answer_requests(self, requests: list[_Request]) -> list[Reply]:
        """Answer a batch. Where one request would change the reply to another, they are asked one by one."""
        try:
            return self._generate_batch(requests)
        except Exception as error:
            if len(requests) > 1:
                return [reply for request in requests for reply in self.answer_requests([request])]
            if isinstance(error, _NoRoomError):
                return [Reply(finish_reason="length", usage=Usage(model_calls=1, prompt_tokens=error.tokens))]
            message = f"the model could not answer: {type(error).__name__}: {format_one_line(error)}"
            return [Reply(finish_reason="error", error=message, recoverable=False)]

    def _generate_batch(self, requests: list[_Request]) -> list[Reply]:
        texts, images = zip(*map(self._render_prompt, requests), strict=True)
        inputs = self._encode_batch(texts, images)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        room = self._compute_room(max(lengths))
        if room < self._compute_room(min(lengths)):
            raise _NoRoomError(max(lengths))
        settings = self._build_settings(room)
        log.debug("generating %d replies to prompts of up to %d tokens", len(requests), max(lengths))
        with torch.inference_mode(), self._seed_sampling():
            rows = self._model.generate(**inputs, generation_config=settings)
        written = rows[:, inputs["input_ids"].shape[1] :].tolist()
        log.debug("generated %d tokens for each", rows.shape[1] - inputs["input_ids"].shape[1])
        return [
            self._decode_reply(request, tokens, Usage(model_calls=1, prompt_tokens=length, images=len(shown)))
            for request, tokens, length, shown in zip(requests, written, lengths, images, strict=True)
        ]

    def _render_prompt(self, request: _Request) -> tuple[str, list[Any]]:
        """Render the prompt with the model's own template, and return its images with it."""
        wire = self._capabilities.wire
        messages, images = to_chat_template(request.conversation, request.tools, wire)
        tools = list(request.tools) if wire == "native" and request.tools else None
        text = self._processor.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
        return str(text), list(images)

    def _encode_batch(self, texts: Sequence[str], images: Sequence[list[Any]]) -> Any:
        """Encode the prompts, padded on the left so that every reply starts at the same place."""
        begin = self._tokenizer.bos_token
        return self._processor(
            text=list(texts),
            images=list(images) if any(images) else None,
            padding=True,
            padding_side="left",
            # some templates write the start token themselves
            add_special_tokens=not (begin and texts[0].startswith(begin)),
            return_tensors="pt",
        ).to(self._model.device, self._model.dtype)

    def _compute_room(self, prompt: int) -> int:
        """Return how many tokens may be written after `prompt` tokens."""
        context = self._capabilities.context
        room = self._generation.max_tokens if context is None else min(self._generation.max_tokens, context - prompt)
        if room < 1:
            raise _NoRoomError(prompt)
        return room

    def _build_settings(self, room: int) -> Any:
        """Return the model's own settings, overruled by what `GenerationSettings` says."""
        settings = copy.deepcopy(self._model.generation_config)
        settings.max_new_tokens, settings.max_length = room, None
        settings.eos_token_id = sorted(self._ends)
        settings.pad_token_id = self._padding
        temperature = self._generation.temperature
        if temperature == 0:
            settings.do_sample, settings.temperature, settings.top_p, settings.top_k = False, None, None, None
        elif temperature is not None:
            settings.do_sample, settings.temperature = True, temperature
        return settings

    @contextmanager
    def _seed_sampling(self) -> Iterator[None]:
        """Seed torch for one batch. Its random numbers belong to the whole process, so they are put back afterwards."""
        if self._generation.seed is None:
            yield
            return
        with torch.random.fork_rng([self._model.device] if self._model.device.type == "cuda" else []):
            torch.manual_seed(self._generation.seed + next(self._batches))
            yield

    def _decode_reply(self, request: _Request, tokens: list[int], cost: Usage) -> Reply:
        """Read a reply from what was written; padding follows it in `tokens`."""
        length = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        text = self._tokenizer.decode(tokens[:length], skip_special_tokens=True)
        reply = read_reply(text, tools=request.tools)
        reason = "length" if length is None else "tool_calls" if reply.calls else "stop"
        usage = cost + Usage(completion_tokens=len(tokens) if length is None else length + 1)
        return replace(reply, finish_reason=reason, usage=usage)


def _find_end_tokens(model: Any, processor: Any) -> frozenset[int]:
    """Return the tokens that end a reply."""
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(token for token in (*listed, processor.tokenizer.eos_token_id) if token is not None)


def _read_capabilities(model: Any, processor: Any, wire: Literal["auto", "native", "tagged"]) -> Capabilities:
    """Read off the chat template and the configuration what the model can do."""
    templates = processor.chat_template
    template = templates.get("default", "") if isinstance(templates, dict) else templates or ""
    best: Literal["native", "tagged"] = "native" if "tools" in template else "tagged"
    text = model.config.get_text_config()
    return Capabilities(
        wire=best if wire == "auto" else wire,
        reasoning="<think>" in template,
        context=getattr(text, "max_position_embeddings", None),
    )


def _load_model(path_or_name: str | Path, dtype: str) -> tuple[Any, Any]:
    """Load a model in evaluation mode, on the CPU, and its processor."""
    source = _resolve_source(str(path_or_name))
    log.debug("loading the model %s", source)
    try:
        with silence_transformers():
            _check_model_kind(source, AutoConfig.from_pretrained(source))
            model, report = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, output_loading_info=True)
            processor = AutoProcessor.from_pretrained(source)
    except ModelError:
        raise
    except Exception as error:  # a damaged folder raises whatever the reader of its damaged part does
        raise ModelError(f"the model {source} cannot be loaded: {format_one_line(error)}") from error
    _check_completeness(source, report, processor)
    return model.eval(), processor


def _resolve_source(name: str) -> str:
    """Return the folder as given, or the name on the hub. Raise ModelError for what can be neither."""
    try:
        folder = expand_path(name)
    except PathError as error:
        raise ModelError(f"the model {name!r} cannot be loaded: {error}") from error
    if is_folder(folder):
        return str(folder)
    exists = is_there(folder)
    looks_like_a_path = exists or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if looks_like_a_path:
        found = "is not a folder" if exists else "does not exist"
        expected = "a folder with config.json, or a name such as OWNER/MODEL"
        raise ModelError(f"the model {name!r} {found}; expected {expected}")
    return name


def _check_model_kind(source: str, config: Any) -> None:
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise ModelError(
            f"the model {source} is of the kind {config.model_type!r}, which does not answer in text about images; "
            "expected a vision-language model such as Qwen/Qwen3-VL-8B-Instruct"
        )


def _check_completeness(source: str, report: Any, processor: Any) -> None:
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would put random numbers in their place and go on
        raise ModelError(f"the model {source} is not whole: {len(missing)} weights are missing, e.g. {missing[0]}")
    if getattr(processor, "chat_template", None) is None:
        raise ModelError(f"the model {source} has no chat template; expected a model that was trained to chat")
