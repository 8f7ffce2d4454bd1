"""What a server's refusals have taught about the requests that it takes, and a request in its words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.base import Capabilities, Messages, Schema
from agent.models.rendering import REASONING_KEY, Wire, to_openai
from agent.models.tokens import estimate_tokens

BRIDGE_TEXT = "I look at the pictures of this result."
"""An assistant's turn between a result and its pictures, for servers that want one there."""
FILLER_TEXT = "(nothing)"
"""Instead of a blank text, where a server refuses that."""
LEAST_ROOM = 256
"""Tokens: where an estimate leaves less for a reply, the server is asked for all, and says itself what fits."""
LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
"""How the length of a reply is called; the second name is taken where the first is refused."""


@dataclass(frozen=True)
class Dialect:
    """What a server has taught. All requests of a model share it, and nothing in it is ever unlearnt.

    Example:
        >>> Dialect().choose_reply_length(2048, 100, None)
        2048
    """

    left_out: frozenset[str] = frozenset()
    """Fields of a request that it refuses."""
    context: int | None = None
    """Tokens that a prompt and its reply may have together."""
    tokens_per_estimate: float = 1.0
    """Tokens of a prompt as it counts them, for each that is estimated here."""
    reply_limit: int | None = None
    """Most tokens of a reply that it takes."""
    streams: bool | None = None
    """Whether replies must come in parts; None = as the user chose."""
    is_tagged: bool = False
    """Whether it takes a history of tool calls only as text."""
    folds_system: bool = False
    """Whether the system message must be the beginning of the first user message."""
    bridges_results: bool = False
    """Whether an assistant must speak between a result and a user's message."""
    fills_blanks: bool = False
    """Whether it refuses blank texts."""
    refuses_null: bool = False
    """Whether it refuses a message without a content."""
    drops_extra: bool = False
    """Whether it refuses what a server wrote with a call."""
    wants_reasoning: bool = False
    """Whether it wants the assistant's thoughts back."""
    jpeg_quality: int | None = None
    """Of pictures, once they were too large."""

    def choose_wire(self, capabilities: Capabilities) -> Wire:
        """Return how tools are offered."""
        return "tagged" if self.is_tagged else capabilities.wire

    def choose_reply_length(self, wanted: int, estimate: int, context: int | None) -> int:
        """Return the most tokens of a reply: as wanted, as far as it is taken and the context leaves room.

        Args:
            wanted: What the user chose.
            estimate: Tokens of the prompt, as they are estimated here.
            context: Tokens that a request and its reply may have, as the server announced it.
        """
        length = min(wanted, self.reply_limit or wanted)
        # What a refusal said is newer than what a list of models says.
        size = self.context or context
        room = length if size is None else size - int(estimate * self.tokens_per_estimate + 0.5)
        least = 1 if self.context else LEAST_ROOM
        return min(length, room) if room >= least else length


@dataclass(frozen=True)
class Sending:
    """What is sent of the user's settings, beside the conversation."""

    model: str
    max_tokens: int
    temperature: float | None
    seed: int | None
    stream: bool
    extra_body: dict[str, Any]
    top_logprobs: int = 0
    """How many odds are asked for of each token of the reply."""


@dataclass(frozen=True)
class Request:
    """A request as it is sent, and how long it is thought to be."""

    body: dict[str, Any]
    estimate: int
    """Tokens of the prompt."""

    @property
    def reply_length(self) -> int | None:
        """The most tokens of the reply that it asks for; None = none is named."""
        return next((self.body[name] for name in LENGTH_FIELDS if name in self.body), None)

    @property
    def has_results(self) -> bool:
        """Whether it tells of native calls and their results."""
        return any(message["role"] == "tool" for message in self.body["messages"])

    @property
    def has_images(self) -> bool:
        return any(isinstance(message["content"], list) for message in self.body["messages"])


def build_request(
    conversation: Messages, tools: Sequence[Schema], capabilities: Capabilities, sending: Sending, dialect: Dialect
) -> Request:
    """Build the request for a conversation in the words that the server takes."""
    wire = dialect.choose_wire(capabilities)
    rendered = to_openai(conversation, tools, wire, strict=capabilities.strict, jpeg_quality=dialect.jpeg_quality)
    estimate = estimate_tokens(conversation, tools)
    messages = [_adapt_message(message, dialect) for message in rendered.pop("messages")]
    body = {"model": sending.model, "messages": list(_arrange_messages(messages, dialect)), **rendered}
    if "tools" in body:
        body["tool_choice"] = "required"
    if "tools" in body and capabilities.strict:
        # Servers hold a model to the schema of one call, but not of several.
        body["parallel_tool_calls"] = False
    if sending.stream if dialect.streams is None else dialect.streams:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    extra = dict(sending.extra_body)
    named = next((name for name in LENGTH_FIELDS if isinstance(extra.get(name), int)), None)
    wanted = extra.pop(named) if named else sending.max_tokens
    length = dialect.choose_reply_length(wanted, estimate, capabilities.context)
    by_choice = sorted(LENGTH_FIELDS, key=lambda name: name != named)
    length_field = next((name for name in by_choice if name not in dialect.left_out), None)
    chosen = {
        "temperature": sending.temperature,
        "seed": sending.seed,
        **({"logprobs": True, "top_logprobs": sending.top_logprobs} if sending.top_logprobs else {}),
        **({length_field: length} if length_field else {}),
    }
    body |= {name: value for name, value in chosen.items() if value is not None}
    kept = {name: value for name, value in body.items() if name not in dialect.left_out}
    return Request(kept | extra, estimate)


def _adapt_message(message: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    adapted = dict(message)
    if not dialect.wants_reasoning:
        adapted.pop(REASONING_KEY, None)
    if dialect.drops_extra and "tool_calls" in adapted:
        adapted = _strip_extra(adapted)
    content = adapted["content"]
    if content is None and dialect.refuses_null:
        content = ""
    if dialect.fills_blanks and isinstance(content, str) and not content.strip():
        content = FILLER_TEXT
    return adapted | {"content": content}


def _strip_extra(message: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {
            **{key: call[key] for key in ("id", "type")},
            "function": {key: call["function"][key] for key in ("name", "arguments")},
        }
        for call in message["tool_calls"]
    ]
    known = ("role", "content", REASONING_KEY)
    return {key: message[key] for key in known if key in message} | {"tool_calls": calls}


def _arrange_messages(messages: Sequence[dict[str, Any]], dialect: Dialect) -> Iterator[dict[str, Any]]:
    """Yield the messages with the system's in the user's, and an assistant's between a result and a user's."""
    instructions = ""
    before = ""
    for message in messages:
        if dialect.folds_system and message["role"] == "system":
            instructions = message["content"]
            continue
        if instructions:
            message = {**message, "content": _prepend_text(instructions, message["content"])}
            instructions = ""
        if dialect.bridges_results and before == "tool" and message["role"] == "user":
            yield {"role": "assistant", "content": BRIDGE_TEXT}
        yield message
        before = message["role"]


def _prepend_text(text: str, content: Any) -> Any:
    if isinstance(content, list):
        return [{"type": "text", "text": text}, *content]
    return f"{text}\n\n{content}"
