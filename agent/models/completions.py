"""Reads answers of the chat-completions API, which servers write in many ways."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agent.episode import Usage
from agent.models import Call, Reply
from agent.text import encodable

_REASONING = ("reasoning_content", "reasoning")
"""Fields of a message in which servers put a reasoning channel."""


class NoCompletion(ValueError):
    """An answer that is no chat completion. The message says what it is instead, and ends no sentence."""


def reply_of(answer: Any, *, images: int) -> Reply:
    """The reply in the JSON of an answer. `images`: how many pictures the request held.

    Raises NoCompletion for anything without a message.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise NoCompletion(_instead(answer))
    message = choice["message"]
    return Reply(
        text=_text(message.get("content")) or _text(message.get("refusal")),
        reasoning=next((text for key in _REASONING if (text := _text(message.get(key)))), ""),
        calls=tuple(_calls(message)),
        finish_reason=_text(choice.get("finish_reason")) or "stop",
        usage=_usage(answer.get("usage"), images),
    )


def whole(chunks: Iterable[Any]) -> dict[str, Any]:
    """The answer that the chunks of a stream add up to, in the form of one that was not streamed.

    Raises NoCompletion for a stream that ended before the server said that the reply does.
    """
    message: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    finish_reason = ""
    usage: Any = None
    for chunk in filter(lambda one: isinstance(one, dict), chunks):
        usage = chunk.get("usage") or usage
        for choice in _dicts(chunk.get("choices")):
            delta = _dict(choice.get("delta"))
            for key in ("content", "refusal", *_REASONING):
                message[key] = message.get(key, "") + _text(delta.get(key))
            for part in _dicts(delta.get("tool_calls")):
                _update_calls(calls, part)
            finish_reason = _text(choice.get("finish_reason")) or finish_reason
    if not finish_reason:
        raise NoCompletion("a stream that broke off")
    message["tool_calls"] = calls
    return {"choices": [{"message": message, "finish_reason": finish_reason}], "usage": usage}


def _update_calls(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Adds a part of a call to the call it belongs to: that of its index, else the last one.

    Some servers give every call the index 0, or none: then another id begins another call.
    """
    index, id = part.get("index"), part.get("id")
    same = [call for call in calls if index is None or call["index"] == index]
    call = same[-1] if same else None
    if call is None or (id and call["id"] and id != call["id"]):
        call = {"index": index, "id": id, "function": {"name": "", "arguments": ""}}
        calls.append(call)
    function = _dict(part.get("function"))
    call["function"]["name"] += _text(function.get("name"))
    call["function"]["arguments"] += _arguments(function.get("arguments"))


def _calls(message: dict[str, Any]) -> Iterator[Call]:
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield Call(_text(function.get("name")), _arguments(function.get("arguments")))


def _arguments(value: Any) -> str:
    """JSON text; some servers send the object itself."""
    if isinstance(value, str) or value is None:
        return encodable(value or "")
    return encodable(json.dumps(value, ensure_ascii=False))


def _text(value: Any) -> str:
    """Of a string, or of a content that is a list of parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in _dicts(value))
    return encodable(value) if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _usage(usage: Any, images: int) -> Usage:
    """Of one request that was answered; tokens the server does not tell of count as none."""
    told = _dict(usage)
    return Usage(
        model_calls=1,
        prompt_tokens=_count(told.get("prompt_tokens")),
        cached_tokens=_count(_dict(told.get("prompt_tokens_details")).get("cached_tokens")),
        completion_tokens=_count(told.get("completion_tokens")),
        images=images,
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _instead(answer: Any) -> str:
    """What an answer is, if not a completion."""
    match answer:
        case {"error": {"message": str(said)}} | {"error": str(said)}:
            return f"an error ({said})"
        case dict():
            return "JSON without a choice"
        case str():
            return "text that is no JSON"
        case _:
            return f"JSON of type {type(answer).__name__}"
