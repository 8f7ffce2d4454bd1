"""Answers of the chat-completions API, which servers write in many ways, are read here."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agent.core.text import make_encodable
from agent.core.usage import Usage
from agent.models.base import Call, Reply

_REASONING_KEYS = ("reasoning_content", "reasoning")
"""Fields of a message in which servers put a reasoning channel."""


class MalformedResponseError(ValueError):
    """An answer is no chat completion. The message says what it is instead, as a part of a sentence."""


def parse_response(response: Any, *, images: int) -> Reply:
    """Read the reply in the JSON of an answer.

    Args:
        response: Whatever JSON the server sent.
        images: How many images the request held; its cost names them.

    Raises:
        MalformedResponseError: The answer holds no message.
    """
    choices = response.get("choices") if isinstance(response, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise MalformedResponseError(_describe_content(response))
    message = choice["message"]
    return Reply(
        text=_read_text(message.get("content")) or _read_text(message.get("refusal")),
        reasoning=next((text for key in _REASONING_KEYS if (text := _read_text(message.get(key)))), ""),
        calls=tuple(_read_calls(message)),
        finish_reason=_read_text(choice.get("finish_reason")) or "stop",
        usage=_read_usage(response.get("usage"), images),
    )


def assemble_stream(chunks: Iterable[Any]) -> dict[str, Any]:
    """Add the chunks of a stream up to an answer in the form of one that was not streamed.

    Raises:
        MalformedResponseError: The stream ended before the server said that the reply does.
    """
    message: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    finish_reason = ""
    usage: Any = None
    for chunk in filter(lambda item: isinstance(item, dict), chunks):
        usage = chunk.get("usage") or usage
        for choice in _to_dicts(chunk.get("choices")):
            delta = _to_dict(choice.get("delta"))
            for key in ("content", "refusal", *_REASONING_KEYS):
                message[key] = message.get(key, "") + _read_text(delta.get(key))
            for part in _to_dicts(delta.get("tool_calls")):
                _update_calls(calls, part)
            finish_reason = _read_text(choice.get("finish_reason")) or finish_reason
    if not finish_reason:
        raise MalformedResponseError("a stream that broke off")
    message["tool_calls"] = calls
    return {"choices": [{"message": message, "finish_reason": finish_reason}], "usage": usage}


def _update_calls(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Add a part of a call to the call with its index, else to the last one.

    Some servers give every call the index 0, or none: then another id begins another call.
    """
    index, id = part.get("index"), part.get("id")
    same = [call for call in calls if index is None or call["index"] == index]
    call = same[-1] if same else None
    if call is None or (id and call["id"] and id != call["id"]):
        call = {"index": index, "id": id, "function": {"name": "", "arguments": ""}}
        calls.append(call)
    function = _to_dict(part.get("function"))
    call["function"]["name"] += _read_text(function.get("name"))
    call["function"]["arguments"] += _read_arguments(function.get("arguments"))


def _read_calls(message: dict[str, Any]) -> Iterator[Call]:
    for call in _to_dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield Call(_read_text(function.get("name")), _read_arguments(function.get("arguments")))


def _read_arguments(value: Any) -> str:
    """Return the arguments as JSON text; some servers send the object itself."""
    if isinstance(value, str) or value is None:
        return make_encodable(value or "")
    return make_encodable(json.dumps(value, ensure_ascii=False))


def _read_text(value: Any) -> str:
    """Return the text of a string, or of a content that is a list of parts."""
    if isinstance(value, list):
        return "".join(_read_text(part.get("text")) for part in _to_dicts(value))
    return make_encodable(value) if isinstance(value, str) else ""


def _to_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _to_dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _read_usage(usage: Any, images: int) -> Usage:
    """Return the cost of one answered request. Tokens that the server does not report count as none."""
    fields = _to_dict(usage)
    return Usage(
        model_calls=1,
        prompt_tokens=_read_token_count(fields.get("prompt_tokens")),
        cached_tokens=_read_token_count(_to_dict(fields.get("prompt_tokens_details")).get("cached_tokens")),
        completion_tokens=_read_token_count(fields.get("completion_tokens")),
        images=images,
    )


def _read_token_count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _describe_content(response: Any) -> str:
    """Say what an answer is that is no completion."""
    match response:
        case {"error": {"message": str(message)}} | {"error": str(message)}:
            return f"an error ({message})"
        case dict():
            return "JSON without a choice"
        case str():
            return "text that is no JSON"
        case _:
            return f"JSON of type {type(response).__name__}"
