"""Answers of the chat-completions API, which servers write in many ways, are read here."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from agent.core.text.lenient_json import strip_namespace
from agent.core.text.sanitizing import make_encodable
from agent.core.usage import Usage
from agent.models.base import Call, Reply, Schema, TokenOdds
from agent.models.reply_parsing import extract_calls, find_final_call

_REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thoughts")
"""Fields of a message in which servers put a reasoning channel."""
_RETURNED_KEYS = ("extra_content", "reasoning_details", "thinking_blocks", "provider_specific_fields")
"""Fields of a message that servers want back with it: thought signatures and signed thinking."""
_KNOWN_CALL_KEYS = {"id", "type", "index", "function"}
_SIGNED_ID = "__thought__"
"""Part of a call's id in which LiteLLM keeps a thought signature."""
_EVENT_START = re.compile(r"\s*(?:data|event|id|retry)?:")
_DATA_LINE = re.compile(r"^data:[ ]?(.*)$", re.MULTILINE)


class MalformedResponseError(ValueError):
    """An answer is no chat completion. The message says what it is instead, as a part of a sentence."""


class EmptyResponseError(MalformedResponseError):
    """An answer holds nothing at all."""


class ForeignResponseError(MalformedResponseError):
    """An answer is no JSON: a web page, as a rule."""


class MovedResponseError(MalformedResponseError):
    """The server redirected the request, which lost what was posted. The message is the other address."""


class WithheldReplyError(MalformedResponseError):
    """The model refused to reply, or a filter held its reply back."""


class ReportedError(MalformedResponseError):
    """An answer says what is wrong instead of a reply. The message is its words."""


class BrokenReplyError(MalformedResponseError):
    """The server says itself that it could not finish the reply."""


def decode_answer(text: str) -> Any:
    r"""Read the JSON of an answer, whatever the server calls its type, or the events of a stream.

    A byte order mark, blanks around it, and what follows the JSON are passed over.

    Raises:
        MalformedResponseError: The answer is empty or no JSON, or the stream ended before the reply did.
        ValueError: The JSON is damaged.

    >>> decode_answer('\ufeff  {"choices": []}\n\ndata: [DONE]')
    {'choices': []}
    """
    text = text.lstrip("\ufeff \t\r\n")
    if not text:
        raise EmptyResponseError("nothing")
    if _EVENT_START.match(text):
        return assemble_stream(_decode_events(text))
    if text[0] not in '{["':
        raise ForeignResponseError("text that is no JSON")
    return json.JSONDecoder().raw_decode(text)[0]


def _decode_events(text: str) -> Iterator[Any]:
    """Yield the JSON of each event. What is not even meant to be JSON is a sign of life."""
    for line in _DATA_LINE.finditer(text.replace("\r\n", "\n").replace("\r", "\n")):
        data = line[1].strip()
        if data == "[DONE]":
            yield _DONE
            return
        if data.startswith(("{", "[")):
            yield json.loads(data)


_DONE = {"done": True}
"""The end of a stream as an event."""


def is_last_event(text: str) -> bool:
    r"""Say whether a part of a stream says that nothing more comes.

    >>> is_last_event('data: {"choices": []}\n\ndata: [DONE]\n\n')
    True
    """
    return bool(re.search(r"(?:^|[\r\n])data:[ ]?\[DONE\]", text))


def parse_response(response: Any, *, images: int) -> Reply:
    """Read the reply in the JSON of an answer.

    Args:
        response: Whatever JSON the server sent.
        images: How many images the request held; its cost names them.

    Raises:
        MalformedResponseError: The answer holds no message, or one that the server could not or would not finish.
    """
    choices = response.get("choices") if isinstance(response, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and (why := _describe_broken_reply(choice)):
        raise BrokenReplyError(why)
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        if words := read_error_words(response):
            raise ReportedError(words)
        raise MalformedResponseError(_describe_content(response))
    message = choice["message"]
    text, calls = _read_text(message.get("content")), tuple(_read_calls(message))
    if not calls and (why := _describe_withheld_reply(choice, text)):
        raise WithheldReplyError(why)
    return Reply(
        text=text,
        reasoning=next(
            (text for key in (*_REASONING_KEYS, "reasoning_details") if (text := _read_text(message.get(key)))), ""
        ),
        calls=calls,
        finish_reason=_read_text(choice.get("finish_reason")) or "stop",
        usage=_read_usage(response.get("usage"), images),
        tokens=tuple(_read_tokens(choice.get("logprobs"))),
    )


def assemble_stream(chunks: Iterable[Any]) -> dict[str, Any]:
    """Add the chunks of a stream up to an answer in the form of one that was not streamed.

    Returns:
        The answer; or the error with which the stream began.

    Raises:
        MalformedResponseError: The stream ended before the server said that the reply does.
    """
    message: dict[str, Any] = {}
    texts: dict[str, list[str]] = {key: [] for key in ("content", "refusal", *_REASONING_KEYS)}
    calls: list[dict[str, Any]] = []
    finish_reason = ""
    usage: Any = None
    for chunk in filter(lambda item: isinstance(item, dict), chunks):
        if chunk.get("error"):
            if not calls and not any(map("".join, texts.values())):
                return _to_dict(chunk)
            raise BrokenReplyError(read_error_words(chunk))
        if chunk == _DONE and (calls or any(texts["content"])):
            finish_reason = finish_reason or "stop"  # some servers give no other reason
        usage = chunk.get("usage") or usage
        for choice in _to_dicts(chunk.get("choices"))[:1]:
            delta = _to_dict(choice.get("delta")) or _to_dict(choice.get("message"))
            for key, parts in texts.items():
                parts.append(_read_text(delta.get(key)))
            for part in _to_dicts(delta.get("tool_calls")):
                _update_calls(calls, part)
            _update_returned(message, delta)
            finish_reason = _read_text(choice.get("finish_reason")) or finish_reason
    message |= {key: "".join(parts) for key, parts in texts.items()}
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
    function = _to_dict(part.get("function"))
    name = _read_text(function.get("name"))
    # Some servers give each part another id, and some repeat the name in each part: neither begins a call by itself.
    if call is None or (name and id and call["id"] and id != call["id"]):
        call = {"index": index, "id": id, "function": {"name": "", "arguments": ""}}
        calls.append(call)
    call["function"]["name"] += name if name != call["function"]["name"] else ""
    call["function"]["arguments"] += _read_arguments(function.get("arguments"))
    call |= {key: value for key, value in part.items() if key not in _KNOWN_CALL_KEYS and value is not None}
    call["function"] |= {key: value for key, value in function.items() if key not in ("name", "arguments") and value}


def _update_returned(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add what the server wants back; a list comes in parts."""
    for key in _RETURNED_KEYS:
        if value := delta.get(key):
            before = message.get(key)
            message[key] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value


def _read_calls(message: dict[str, Any]) -> Iterator[Call]:
    calls = [call for call in _to_dicts(message.get("tool_calls")) if isinstance(call.get("function"), dict)]
    for place, call in enumerate(calls):
        function = call["function"]
        extra = _collect_extra(call, message if place == 0 else {})
        name = strip_namespace(_read_text(function.get("name")))
        yield Call(name, _read_arguments(function.get("arguments")), extra)


def _collect_extra(call: dict[str, Any], message: dict[str, Any]) -> str:
    """Write down, as JSON, what the server may want back with a call; "" where it wrote nothing but the call.

    The first call of a message keeps what belongs to the message.
    """
    id = _read_text(call.get("id"))
    function = call["function"]
    held = {
        "call": {key: value for key, value in call.items() if key not in _KNOWN_CALL_KEYS and value is not None}
        | ({"id": id} if _SIGNED_ID in id else {}),
        "function": {key: value for key, value in function.items() if key not in ("name", "arguments") and value},
        "message": {key: message[key] for key in _RETURNED_KEYS if message.get(key)},
    }
    kept = {place: members for place, members in held.items() if members}
    return make_encodable(json.dumps(kept)) if kept else ""


def _read_arguments(value: Any) -> str:
    """Return the arguments as JSON text; some servers send the object itself."""
    if isinstance(value, str) or value is None:
        return make_encodable(value or "")
    return make_encodable(json.dumps(value, ensure_ascii=False))


def _read_tokens(logprobs: Any) -> Iterator[TokenOdds]:
    """Yield the tokens whose odds a server tells, with those odds that are numbers."""
    for token in _to_dicts(_to_dict(logprobs).get("content")):
        listed = [token, *_to_dicts(token.get("top_logprobs"))]
        odds = {_read_text(entry.get("token")): entry["logprob"] for entry in listed if _is_log_probability(entry)}
        yield TokenOdds(_read_text(token.get("token")), odds)


def _is_log_probability(token: dict[str, Any]) -> bool:
    value = token.get("logprob")
    return isinstance(value, int | float) and value == value and value <= 0


def _read_text(value: Any) -> str:
    """Return the text of a string, or of a content that is a list of parts."""
    if isinstance(value, list):
        return "".join(_read_text(part.get("text") or part.get("summary")) for part in _to_dicts(value))
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
        prompt_tokens=_read_token_count(fields.get("prompt_tokens", fields.get("input_tokens"))),
        cached_tokens=_read_token_count(_to_dict(fields.get("prompt_tokens_details")).get("cached_tokens")),
        completion_tokens=_read_token_count(fields.get("completion_tokens", fields.get("output_tokens"))),
        images=images,
    )


def _read_token_count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < inf else 0


def _describe_content(response: Any) -> str:
    """Say what an answer is that is no completion."""
    match response:
        case dict():
            return "JSON without a choice"
        case str():
            return "text that is no JSON"
        case _:
            return f"JSON of type {type(response).__name__}"


def _describe_broken_reply(choice: dict[str, Any]) -> str:
    """Say why the server could not finish a reply; "" where it did, or where the reply holds a call all the same."""
    reason = _read_text(choice.get("finish_reason"))
    if not choice.get("error") and reason not in ("error", "malformed_function_call", "MALFORMED_FUNCTION_CALL"):
        return ""
    if _to_dict(choice.get("message")).get("tool_calls"):
        return ""
    return read_error_words(choice) or f"finish_reason {reason!r}"


def read_error_words(answer: Any) -> str:
    """Return what an answer says is wrong, wherever servers write that; "" where it says nothing.

    >>> read_error_words([{"error": {"code": 429, "message": "Resource exhausted"}}])
    'Resource exhausted'
    >>> read_error_words({"base_resp": {"status_code": 1004, "status_msg": "login fail"}})
    'login fail'
    """
    match answer:
        case str():
            return make_encodable(answer)
        case [first, *_]:
            return read_error_words(first)
        case {"loc": [*place], "msg": str(message)}:
            return f"{'.'.join(map(str, place))}: {make_encodable(message)}"
        case dict():
            return _read_words_of_object(answer)
        case _:
            return ""


_FILTER_REASONS = ("content_filter", "safety", "refusal", "prohibited_content", "recitation", "blocklist", "sensitive")


def _describe_withheld_reply(choice: dict[str, Any], text: str) -> str:
    """Say why there is no reply though nothing failed; "" where there is one."""
    message = choice["message"]
    parts = _to_dicts(message.get("content"))
    refusal = _read_text(message.get("refusal")) or "".join(_read_text(part.get("refusal")) for part in parts)
    if refusal and not text.strip():
        return f"the model refuses: {refusal}"
    reason = _read_text(choice.get("finish_reason"))
    return f"finish_reason {reason!r}" if reason.lower() in _FILTER_REASONS else ""


_WORD_KEYS = (
    *("error", "message", "detail", "msg", "error_msg", "errors", "status_msg", "base_resp", "error_message"),
    *("promptFeedback", "blockReason"),
)
"""Where servers write what is wrong: a text, or an object or a list that holds it."""


def _read_words_of_object(answer: dict[str, Any]) -> str:
    said = next((words for key in _WORD_KEYS if (words := read_error_words(answer.get(key)))), "")
    # A gateway says little itself, and passes on what the server behind it said.
    raw = _to_dict(answer.get("metadata")).get("raw")
    return f"{said}: {make_encodable(raw)}" if isinstance(raw, str) and raw else said


def complete_reply(reply: Reply, tools: Sequence[Schema]) -> Reply:
    """Take the calls out of the text; out of the reasoning only where the server put the whole reply there.

    Servers that split thinking off may miss its end, and then the reasoning ends with the call while the text is empty.
    """
    read = extract_calls(reply, tools=tools)
    if read.calls or read.text or reply.text.strip() or reply.finish_reason not in ("stop", "tool_calls"):
        return read
    found = find_final_call(reply.reasoning, tools=tools)
    return replace(read, calls=found.calls, reasoning=found.reasoning) if found.calls else read
