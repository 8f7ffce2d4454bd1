"""Chat models: conversations in, replies out. Three ways to run one; the planner cannot tell them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agent.core.errors import PlannerError
from agent.core.usage import NO_COST, Usage
from sam3_tool import Image

Role = Literal["system", "user", "assistant", "tool"]
Schema = Mapping[str, Any]
"""A tool in OpenAI function-calling form, as `Tool.to_planner_schema` gives it."""


@dataclass(frozen=True)
class Call:
    """A tool call as a model wrote it: nothing in it is validated."""

    tool: str
    arguments: str
    """Meant to be a JSON object."""


@dataclass(frozen=True, eq=False)
class Message:
    """One turn. An assistant's turn may hold calls; a `tool` turn answers the calls of the turn before it."""

    role: Role
    content: tuple[str | Image, ...]
    """Text and pictures, in reading order."""
    calls: tuple[Call, ...] = ()


Messages = Sequence[Message]


@dataclass(frozen=True)
class Reply:
    """What a model said to one conversation."""

    text: str = ""
    """Without the reasoning."""
    reasoning: str = ""
    """A reasoning channel or <think> text: kept for the trace, never searched for calls, never sent back."""
    calls: tuple[Call, ...] = ()
    """Native tool calls, or those written into the text; none when the model called no tool."""
    finish_reason: str = "stop"
    """'stop', 'tool_calls', 'length' (cut off) …, as the server says."""
    usage: Usage = NO_COST
    error: str = ""
    """Why there is no reply, after every retry: one sentence for the user. The other fields are then empty."""
    recoverable: bool = True
    """Of an error: False where asking again cannot help (a wrong key, an unknown model)."""


@dataclass(frozen=True)
class Capabilities:
    """What an endpoint can do; what a probe found out, or what is known of a model in process."""

    wire: Literal["native", "schema", "tagged"] = "tagged"
    """How tools are offered: as native tools, as one JSON schema for every reply, or described in the text."""
    strict: bool = False
    """Native tools may be marked strict: arguments then fit their schema."""
    images: int | None = None
    """Most pictures in one request; None = no limit known."""
    reasoning: bool = False
    context: int | None = None
    """Tokens; None = not known."""


class ModelError(PlannerError):
    """A chat model cannot be loaded. The message is one line for the user, and holds no secret."""


def describe_missing_package(package: str, extra: str) -> str:
    """What to tell a person whose environment lacks a package that an extra brings, on one line."""
    return f"{package} is not installed; install it with: uv sync --inexact --extra {extra}"


class ChatModel(Protocol):
    """Safe to share between threads."""

    @property
    def name(self) -> str:
        """For headers and reports, e.g. 'openai:Qwen/Qwen3-VL-8B-Instruct'."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """One reply per conversation, in order, asked together. Never raises for what a model or a server does:
        a request that failed for good is a Reply with an `error`."""
        ...
