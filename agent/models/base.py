"""Chat models: conversations in, replies out. A planner cannot tell how a model is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent.core.errors import PlannerError
from agent.core.usage import NO_COST, Usage
from sam3_tool import Image

Role = Literal["system", "user", "assistant", "tool"]
NO_ANSWER = "no_answer"
"""The finish reason where a server did not say a word, so that asking it something else is of no use."""
Schema = Mapping[str, Any]
"""A tool in OpenAI function-calling form, as `Tool.to_planner_schema` gives it."""


@dataclass(frozen=True)
class Call:
    """A tool call as a model wrote it: nothing in it is validated.

    Example:
        >>> Reply(calls=(Call("segment", '{"phrases": ["cup"]}'),), finish_reason="tool_calls").calls[0].tool
        'segment'
    """

    tool: str
    arguments: str
    """Meant to be a JSON object."""
    extra: str = field(default="", repr=False)
    """What else the server wrote with the call and may want back with it, such as a thought signature: JSON, or ""."""


@dataclass(frozen=True, eq=False)
class Message:
    """One turn. An assistant's turn may hold calls; a `tool` turn answers the calls of the turn before it.

    Example:
        >>> Message("user", ("the red cup",)).calls
        ()
    """

    role: Role
    content: tuple[str | Image, ...]
    """Texts and images, in reading order."""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    """What an assistant thought before it said this. Only servers that demand it are told."""


Messages = Sequence[Message]


@dataclass(frozen=True)
class TokenOdds:
    """A token that a model wrote, and what it would have written in its place.

    Example:
        >>> TokenOdds("B", {"B": -0.1, "C": -2.4}).text
        'B'
    """

    text: str
    log_probabilities: Mapping[str, float]
    """Token -> natural logarithm of its probability, of the likeliest ones."""


@dataclass(frozen=True)
class Reply:
    """What a model said in one conversation.

    Example:
        >>> Reply("I see no cup.").finish_reason
        'stop'
    """

    text: str = ""
    """Without the reasoning."""
    reasoning: str = ""
    """The reasoning channel or <think> text, kept for the trace. A call in it counts only where a server put the whole
    reply there; it is sent back only to servers that demand it."""
    calls: tuple[Call, ...] = ()
    """Native tool calls, or those written into the text; none when the model called no tool."""
    finish_reason: str = "stop"
    """'stop', 'tool_calls', 'length' (cut off) …, as the server says."""
    usage: Usage = NO_COST
    error: str = ""
    """Why there is no reply after every retry, in one sentence for the user. The other fields are then empty."""
    recoverable: bool = True
    """False where asking again cannot mend the error: a wrong key, an unknown model."""
    tokens: tuple[TokenOdds, ...] = field(default=(), repr=False)
    """What it wrote, token by token, where that was asked for and the server tells it."""


@dataclass(frozen=True)
class Capabilities:
    """What a model can do: what a probe found out, or what its files tell.

    Example:
        >>> Capabilities("native", strict=True).images is None
        True
    """

    wire: Literal["native", "schema", "tagged"] = "tagged"
    """How tools are offered: as native tools, as one JSON schema for every reply, or described in the text."""
    strict: bool = False
    """Native tools may be marked strict: arguments then fit their schema."""
    images: int | None = None
    """Most images in one request; None = no limit known."""
    reasoning: bool = False
    context: int | None = None
    """Tokens; None = not known."""


class ModelError(PlannerError):
    """A chat model cannot be loaded. The message is one line for the user, and holds no secret."""


def describe_missing_package(package: str, extra: str) -> str:
    """Say in one line how to install a package that an extra brings.

    >>> describe_missing_package("vllm", "vllm")
    'vllm is not installed; install it with: uv sync --inexact --extra vllm'
    """
    return f"{package} is not installed; install it with: uv sync --inexact --extra {extra}"


class ChatModel(Protocol):
    """A language model that chats and sees images. It must be safe to share between threads.

    Example:
        >>> from agent import ChatModel, ScriptedModel
        >>> model: ChatModel = ScriptedModel(["I see no cup."])
        >>> [reply.text for reply in model.generate_replies([[Message("user", ("the cup",))]], [])]
        ['I see no cup.']
    """

    @property
    def name(self) -> str:
        """For headers and reports, e.g. 'openai:Qwen/Qwen3-VL-8B-Instruct'."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do. A planner offers its tools accordingly."""
        ...

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Ask for one reply per conversation, all together.

        Args:
            conversations: Any number of conversations.
            tools: The tools that the model may call, in OpenAI function-calling form.

        Returns:
            One reply per conversation, in order. A request that failed for good is a reply with an `error`: nothing
            that a model or a server does is raised.
        """
        ...
