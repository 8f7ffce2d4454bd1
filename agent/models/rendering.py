"""Renders a conversation for the ways a model can be offered tools: natively, by one JSON schema, or in the text."""

import base64
import io
import json
import re
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile, zip_longest
from typing import Any, Literal, TypeAlias

import PIL.Image

import prompts
from agent.core.text.sanitizing import make_encodable
from agent.models.base import Call, Message, Messages, Role, Schema
from agent.models.schemas import build_reply_schema, to_strict_tool
from sam3_tool import Image

Wire: TypeAlias = Literal["native", "schema", "tagged"]
ContentPart: TypeAlias = str | Image

# larger ones grow dear: an overlay of 1280 x 720 takes 1.2 MB as PNG, 317 kB as JPEG (benchmarks/NOTES.md)
MAX_PNG_PIXELS = 100_000
"""Pixels of the largest image that is sent as PNG; larger ones are sent as JPEG."""
# WebP takes a third of the bytes, but 3 to 13 times as long and 6 dB of the outlines (benchmarks/NOTES.md)
JPEG_QUALITY = 90
REASONING_KEY = "reasoning_content"
"""Where an assistant's thoughts stand in a message."""
NOT_EXECUTED_MESSAGE = "Not done: only one call is carried out at a time."


def to_openai(
    conversation: Messages,
    tools: Sequence[Schema],
    wire: Wire,
    *,
    strict: bool = False,
    jpeg_quality: int | None = None,
) -> dict[str, Any]:
    """Render a conversation as the fields of a chat-completions request.

    Equal conversations have equal renderings, and a conversation that grew has the same beginning.

    Args:
        conversation: Turns, in order.
        tools: The tools that the model may call.
        wire: "native" writes calls as `tool_calls` with the ids call00001, call00002 …, for Mistral takes nothing but
            nine letters and digits, and results as `tool` messages. What the server wrote with a call goes back with
            it. The images of a result come in a user message right after it, for a tool message can hold none. "schema"
            describes the tools at the end of the system message, and demands one JSON object as the reply. "tagged"
            describes them there too, and calls are written between tags.
        strict: Whether native tools are marked strict.
        jpeg_quality: Of every image, in [1, 100]; None sends small ones as PNG and others as good JPEG.

    Returns:
        `messages`, and by the wire `tools` or `response_format`.
    """
    messages = [_to_openai_message(turn, jpeg_quality) for turn in _build_turns(conversation, tools, wire)]
    if wire == "schema":
        form = {"name": "call", "strict": True, "schema": build_reply_schema(tools)}
        return {"messages": messages, "response_format": {"type": "json_schema", "json_schema": form}}
    offered = [to_strict_tool(tool) if strict else dict(tool) for tool in tools]
    return {"messages": messages} | ({"tools": offered} if wire == "native" and tools else {})


def to_chat_template(
    conversation: Messages, tools: Sequence[Schema], wire: Wire
) -> tuple[list[dict[str, Any]], list[PIL.Image.Image]]:
    """Render a conversation for a processor's `apply_chat_template`.

    With the native wire the caller gives `tools` to the template as well; with the others they are in the text.

    Returns:
        The messages, and the images in the order of their placeholders. Every content is a list of parts,
        {"type": "text", "text": …} or {"type": "image"}; the arguments of calls are objects.
    """
    turns = _build_turns(conversation, tools, wire)
    images = [part.to_pil() for turn in turns for part in turn.parts if isinstance(part, Image)]
    return [_to_template_message(turn) for turn in turns], images


def render_tools(tools: Sequence[Schema], wire: Wire) -> str:
    """Return what the system message says about the tools; "" on the native wire, where the server says it."""
    if wire == "native" or not tools:
        return ""
    lines = [json.dumps(tool["function"], ensure_ascii=False) for tool in tools]
    return "\n".join([prompts.load_prompt(f"wire/{wire}"), *lines])


def render_call(call: Call, wire: Wire, thought: str = "") -> str:
    """Write a call as a model writes it into its text. `thought` is what it says beside the call.

    >>> render_call(Call("count", '{"ids": [1]}'), "schema", "How many?")
    '{"thought": "How many?", "tool": "count", "arguments": {"ids": [1]}}'
    """
    arguments = parse_arguments(call)
    if wire == "schema":
        return json.dumps({"thought": thought, "tool": call.tool, "arguments": arguments}, ensure_ascii=False)
    body = json.dumps({"name": call.tool, "arguments": arguments}, ensure_ascii=False)
    return f"{thought}\n<tool_call>\n{body}\n</tool_call>".lstrip("\n")


def parse_arguments(call: Call) -> dict[str, Any]:
    """Return the arguments as an object, for servers that read the history again and refuse anything else."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return arguments if isinstance(arguments, dict) else {"arguments": str(arguments)}


def collect_images(conversation: Messages) -> list[Image]:
    """Collect the images of a conversation, in reading order."""
    return [part for message in conversation for part in message.content if isinstance(part, Image)]


def encode_image(image: Image, jpeg_quality: int | None = None) -> tuple[str, str]:
    """Encode an image as (media type, base64 text): PNG if it is small, else JPEG. The last 64 are kept.

    `jpeg_quality`: of a JPEG, whatever the image's size; None = as above.
    """
    return _encode_image_file(_ImageKey(image.key, weakref.ref(image)), jpeg_quality)


@dataclass(frozen=True)
class _ImageKey:
    """A cache key that is equal for equal images and does not keep their pixels alive."""

    key: str
    image: "weakref.ref[Image]" = field(compare=False)


@lru_cache(maxsize=64)
def _encode_image_file(keyed: _ImageKey, jpeg_quality: int | None) -> tuple[str, str]:
    image = keyed.image()
    assert image is not None, "the caller holds the image while it asks"
    file = io.BytesIO()
    # a server that found a request too large has asked for fewer bytes, and then no image is a PNG
    if jpeg_quality is None and image.height * image.width <= MAX_PNG_PIXELS:
        image.to_pil().save(file, "PNG")
        return "image/png", base64.b64encode(file.getvalue()).decode()
    # Colour at full resolution: the outlines of masks are thin and coloured.
    image.to_pil().save(file, "JPEG", quality=jpeg_quality or JPEG_QUALITY, subsampling=0)
    return "image/jpeg", base64.b64encode(file.getvalue()).decode()


# --- turns: what all renderings share ------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Turn:
    role: Role
    parts: tuple[ContentPart, ...]
    calls: tuple[tuple[str, Call], ...] = ()
    """Each with its id."""
    answered_call_id: str = ""
    """The id of the call that a tool turn answers."""
    reasoning: str = ""
    """What an assistant thought; it is sent where the server demands it."""

    @property
    def text(self) -> str:
        return make_encodable("\n".join(part for part in self.parts if isinstance(part, str)))


def _build_turns(conversation: Messages, tools: Sequence[Schema], wire: Wire) -> list[_Turn]:
    turns = _build_native_turns(conversation) if wire == "native" else _build_text_turns(conversation, tools, wire)
    return list(_join_user_turns(turns))


def _build_native_turns(conversation: Messages) -> Iterator[_Turn]:
    made = 0
    position = 0
    while position < len(conversation):
        message = conversation[position]
        position += 1
        if message.role != "assistant" or not message.calls:
            yield _Turn("user" if message.role == "tool" else message.role, message.content)
            continue
        ids = [_get_signed_id(call) or f"call{made + nth:05d}" for nth, call in enumerate(message.calls, start=1)]
        made += len(ids)
        results = list(takewhile(lambda result: result.role == "tool", conversation[position:]))
        position += len(results)
        calls = tuple(zip(ids, message.calls, strict=True))
        yield _Turn("assistant", message.content, calls, reasoning=message.reasoning)
        yield from _build_result_turns(ids, results)


def _build_result_turns(ids: Sequence[str], results: Sequence[Message]) -> Iterator[_Turn]:
    """Yield one tool turn for every call, as servers demand, and a user turn with what finds no place in them."""
    for id, result in zip_longest(ids, results[: len(ids)]):
        words = tuple(part for part in result.content if isinstance(part, str)) if result else (NOT_EXECUTED_MESSAGE,)
        yield _Turn("tool", words, answered_call_id=id)
    left = [part for result in results[len(ids) :] for part in result.content]
    images = collect_images(results[: len(ids)])
    if images or left:
        yield _Turn("user", (*images, *left))


def _build_text_turns(conversation: Messages, tools: Sequence[Schema], wire: Wire) -> Iterator[_Turn]:
    """Yield turns with the tools in the system message, calls in the assistant's text and results in the user's."""
    words = render_tools(tools, wire)
    if words and not (conversation and conversation[0].role == "system"):
        yield _Turn("system", (words,))
        words = ""
    for message in conversation:
        match message.role:
            case "system":
                text = "\n\n".join(filter(None, [*_collect_texts(message), words]))
                yield _Turn("system", (text,))
                words = ""
            case "assistant":
                yield _Turn("assistant", (_render_assistant_text(message, wire),))
            case _:
                yield _Turn("user", message.content)


def _render_assistant_text(message: Message, wire: Wire) -> str:
    thought = "\n".join(_collect_texts(message))
    if not message.calls:
        return thought
    first, *others = message.calls
    return "\n".join([render_call(first, wire, thought), *(render_call(call, wire) for call in others)])


def _collect_texts(message: Message) -> list[str]:
    return [part for part in message.content if isinstance(part, str)]


def _join_user_turns(turns: Iterator[_Turn]) -> Iterator[_Turn]:
    """Join user turns that follow each other: many chat templates demand that user and assistant take turns."""
    user_turn: _Turn | None = None
    for turn in turns:
        if user_turn and turn.role == "user":
            user_turn = _Turn("user", (*user_turn.parts, *turn.parts))
            continue
        if user_turn:
            yield user_turn
        user_turn = turn if turn.role == "user" else None
        if not user_turn:
            yield turn
    if user_turn:
        yield user_turn


# --- the two forms of a message ------------------------------------------------------------------


def _to_openai_message(turn: _Turn, jpeg_quality: int | None) -> dict[str, Any]:
    has_images = any(isinstance(part, Image) for part in turn.parts)
    message: dict[str, Any] = {
        "role": turn.role,
        "content": [_to_openai_part(part, jpeg_quality) for part in turn.parts] if has_images else turn.text,
    }
    if turn.calls:
        # Beside calls, no text is null, as the API itself writes it: gateways to Bedrock refuse a blank text.
        message["content"] = message["content"] or None
        message["tool_calls"] = [_to_openai_call(id, call) for id, call in turn.calls]
        message |= _load_extra(turn.calls[0][1]).get("message", {})
    if turn.reasoning:
        message[REASONING_KEY] = make_encodable(turn.reasoning)
    return message | ({"tool_call_id": turn.answered_call_id} if turn.answered_call_id else {})


def _to_openai_call(id: str, call: Call) -> dict[str, Any]:
    extra = _load_extra(call)
    function = {"name": _sanitize_tool_name(call), "arguments": _to_json(parse_arguments(call))}
    return {
        **extra.get("call", {}),
        "id": id,
        "type": "function",
        "function": {**extra.get("function", {}), **function},
    }


def _load_extra(call: Call) -> dict[str, dict[str, Any]]:
    """Return what the server wrote with the call, beside it (`call`, `function`) or with its message (`message`)."""
    try:
        held = json.loads(call.extra or "{}")
    except (ValueError, RecursionError):
        return {}
    members = held if isinstance(held, dict) else {}
    return {place: value for place, value in members.items() if isinstance(value, dict)}


def _get_signed_id(call: Call) -> str:
    """Return the server's own id where it is part of what the server wants back; else ""."""
    id = _load_extra(call).get("call", {}).get("id", "")
    return id if isinstance(id, str) else ""


def _to_openai_part(part: ContentPart, jpeg_quality: int | None) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": make_encodable(part)}
    mime, text = encode_image(part, jpeg_quality)
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{text}"}}


def _to_template_message(turn: _Turn) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": make_encodable(p)} if isinstance(p, str) else {"type": "image"} for p in turn.parts
    ]
    message: dict[str, Any] = {"role": turn.role, "content": parts}
    if turn.calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": _sanitize_tool_name(call), "arguments": parse_arguments(call)}}
            for _, call in turn.calls
        ]
    return message


def _to_json(value: Any) -> str:
    return make_encodable(json.dumps(value, ensure_ascii=False))


def _sanitize_tool_name(call: Call) -> str:
    """Return a tool name that servers accept, whatever the model made up."""
    return re.sub(r"[^\w-]", "_", call.tool, flags=re.ASCII)[:64] or "unknown"
