"""The pieces of a conversation: texts, images and calls as any model can be told of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

import prompts
from agent.core.episode import Decision, Episode
from agent.core.text.sanitizing import make_encodable
from agent.core.tools.calls import ValidCall
from agent.core.tools.tool import Tool
from agent.core.tools.toolset import Toolset
from agent.models.base import Call, Message
from agent.planners.chat.coordinates import CoordinateFrame
from sam3_tool import Image

MAX_TEXT_LENGTH = 4000
"""Letters of any one text that the model is told; of a longer one, its beginning and its end."""
MAX_NAME_LENGTH = 64
"""Letters of a tool's name: more is no name, and servers refuse it."""


def fill_query_prompt(prompt_name: str, episode: Episode, **values: object) -> str:
    """Fill in a text that speaks of the user's query."""
    return prompts.fill_prompt(prompt_name, query=truncate_text(episode.task.query.strip()), **values)


def join_texts(words: str, *content: str | Image) -> tuple[str | Image, ...]:
    """Join the texts, before the images, which some servers take in a turn of their own only."""
    texts = [words, *(part for part in content if isinstance(part, str))]
    return "\n".join(filter(None, texts)), *(part for part in content if isinstance(part, Image))


def build_turn(
    decision: Decision, arguments: str, answer: Sequence[str | Image], *, thoughts: bool = True
) -> list[Message]:
    """Build the messages of a step. What cannot be sent as a call is sent as text, so that a model sees its slip.

    `arguments`: those of the decision, as the model wrote them.
    """
    thought = decision.thought.strip() if thoughts else ""
    call = _build_call(decision.tool, arguments, decision.extra)
    if call is not None:
        return [
            Message("assistant", (truncate_text(thought),) if thought else (), (call,), reasoning=decision.reasoning),
            Message("tool", tuple(answer)),
        ]
    text = "\n".join(filter(None, (thought, f"{decision.tool} {decision.arguments}".strip())))
    return [Message("assistant", (truncate_text(text or "(nothing)"),)), Message("user", tuple(answer))]


def truncate_text(text: str) -> str:
    """Text that a model can be told, whoever wrote it: valid, of sane length, without the marks of chat templates.

    >>> truncate_text("<|im_end|>" + "x" * 5000)[:12], len(truncate_text("x" * 5000))
    ('< |im_end|>x', 4000)
    """
    text = _escape_chat_markers(text)
    if len(text) <= MAX_TEXT_LENGTH:
        return text
    end = MAX_TEXT_LENGTH // 4
    return f"{text[: MAX_TEXT_LENGTH - end - 3]} … {text[-end:]}"


def _escape_chat_markers(text: str) -> str:
    return make_encodable(text).replace("<|", "< |")


def limit_images(conversation: Sequence[Message], images: int | None) -> list[Message]:
    """Drop all but the last so many images; None = keep all."""
    image_count = sum(isinstance(part, Image) for message in conversation for part in message.content)
    surplus = 0 if images is None else max(0, image_count - images)
    kept: list[Message] = []
    for message in conversation:
        own_images = [part for part in message.content if isinstance(part, Image)]
        content = _drop_images(message.content, surplus)
        surplus = max(0, surplus - len(own_images))
        kept.append(replace(message, content=content))
    return kept


def _drop_images(content: tuple[str | Image, ...], count: int) -> tuple[str | Image, ...]:
    """Drop the first `count` images."""
    places = [place for place, part in enumerate(content) if isinstance(part, Image)][:count]
    return tuple(part for place, part in enumerate(content) if place not in places)


def _build_call(tool_name: str, arguments: str, extra: str) -> Call | None:
    """The call as the model wrote it; None for what no server would take in a history."""
    safe_arguments, name = _sanitize_arguments(arguments), make_encodable(tool_name.strip())
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH or safe_arguments is None:
        return None
    return Call(name, safe_arguments, extra)


def to_model_arguments(decision: Decision, toolset: Toolset, frame: CoordinateFrame) -> str:
    """Write the arguments with places as the model does; a decision holds pixels of the whole image."""
    match toolset.read_call(decision):
        case ValidCall(tool) if not frame.is_plain:
            return convert_coordinates(tool, decision.arguments, frame.to_model_units)
        case _:
            return decision.arguments


def convert_coordinates(tool: Tool, arguments: str, convert: Callable[[Mapping[str, Any]], dict[str, Any]]) -> str:
    """Apply `convert` to the places in a call; its arguments stay as they were written where there is none."""
    converted = _convert_places(tool, convert)
    return json.dumps(converted, ensure_ascii=False) if converted else arguments


def to_pixel_call(tool: Tool, arguments: str, frame: CoordinateFrame) -> tuple[Tool, str]:
    """Convert the places in a call as a model wrote it to pixels: the call, and its arguments as text."""
    converted = _convert_places(tool, frame.to_pixel_units)
    if not converted:
        return tool, arguments
    changed = {name: _replace_places(getattr(tool, name), value) for name, value in converted.items()}
    return tool.model_copy(update=changed), json.dumps(converted, ensure_ascii=False)


def _convert_places(tool: Tool, convert: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """The arguments of a call with its places converted; None where there is none to convert."""
    values = tool.model_dump(mode="json", exclude_defaults=True)
    converted = convert(values)
    return None if converted == values else converted


def _replace_places(value: Any, converted: Any) -> Any:
    """The value of a field as it was validated, with the numbers of what was converted."""
    match value:
        case BaseModel():
            return value.model_copy(update=converted)
        case list():
            return [_replace_places(*pair) for pair in zip(value, converted, strict=True)]
        case float():
            return float(converted)
        case _:
            return value


def _sanitize_arguments(arguments: str) -> str | None:
    """A JSON object as text, untouched where it can be; None for anything else, or more than a model should be told."""
    if len(arguments) > MAX_TEXT_LENGTH:
        return None
    try:
        value = json.loads(arguments.strip() or "{}")
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    safe = _escape_chat_markers(written)
    return safe if safe != written else arguments.strip() or "{}"
