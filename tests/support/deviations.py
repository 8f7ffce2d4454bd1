"""What servers of the chat-completions API send beside the book: one row for each way, where it was seen, its end.

`tests.support.play_deviation` lists all rows and plays them.
"""
# ruff: noqa: E501 - what servers say stays in one piece

import gzip
import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.support.chat_server import Answer, completion, refusal

Answerer = Callable[[dict[str, Any], "State"], Any]
"""A request and what happened so far -> what the server does; None = it answers by the book."""
COLOURS = ("report_colours", {"left": "red", "right": "blue"})
SCRIPT = (("segment", {"phrases": ["red cup"]}), ("answer", {"ids": [1], "message": "The first."}))


@dataclass
class State:
    """What a server remembers."""

    count: int = 0
    """Requests, this one included."""
    refused: int = 0


@dataclass(frozen=True)
class Deviation:
    """A way in which a server leaves the book."""

    name: str
    seen_at: str
    answer: Answerer
    wanted: str = "answered"
    """'answered'; or a pattern of the sentence with which it ends, then without an answer."""
    keeps_masks: bool = False
    """Whether what was found before is the answer so far."""
    most_requests: int = 12
    options: dict[str, Any] = field(default_factory=dict)
    """Of the client."""
    models: Any = None
    """The list of models."""
    key: str = ""
    """In the environment; it must not appear in anything that comes of the episode."""
    check: Callable[[list[dict[str, Any]]], bool] = lambda requests: True
    """What must hold of the requests that were sent."""


# --- a model by the book ---------------------------------------------------------------------------


def is_probe(request: dict[str, Any]) -> bool:
    return bool(re.search("Report (both|their) colours", str(request["messages"][-1]["content"])))


def count_calls(request: dict[str, Any]) -> int:
    """The calls in the history, native or told as text."""
    turns = [message for message in request["messages"] if message["role"] == "assistant"]
    return sum(bool(turn.get("tool_calls")) or '"arguments"' in str(turn["content"]) for turn in turns)


def choose_call(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return COLOURS if is_probe(request) else SCRIPT[min(count_calls(request), len(SCRIPT) - 1)]


def reply_by_the_book(request: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The model's call in the way in which tools are offered."""
    name, arguments = choose_call(request)
    other.setdefault("usage", {"prompt_tokens": count_tokens(request), "completion_tokens": 9})
    if request.get("tools"):
        return completion(None, [(name, json.dumps(arguments))], **other)
    if "response_format" in request:
        return completion(json.dumps({"thought": "", "tool": name, "arguments": arguments}), **other)
    body = json.dumps({"name": name, "arguments": arguments})
    return completion(f"<tool_call>\n{body}\n</tool_call>", **other)


def count_tokens(request: dict[str, Any]) -> int:
    return 100 + count_pictures(request) * 30


def count_pictures(request: dict[str, Any]) -> int:
    parts = [part for message in request["messages"] for part in list_parts(message)]
    return sum(part.get("type") == "image_url" for part in parts)


def list_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message["content"] if isinstance(message["content"], list) else []


def edit_reply(change: Callable[[dict[str, Any]], Any]) -> Answerer:
    """Change the choice of every reply."""

    def answer(request: dict[str, Any], state: State) -> Any:
        body = deepcopy(reply_by_the_book(request))
        change(body["choices"][0])
        return body

    return answer


def edit_calls(change: Callable[[dict[str, Any]], Any]) -> Answerer:
    return edit_reply(lambda choice: [change(call) for call in choice["message"].get("tool_calls", ())])


def send_raw(make: Callable[[str], Any], **answer: Any) -> Answerer:
    """Send the JSON of every reply in another way."""
    return lambda request, state: Answer(make(json.dumps(reply_by_the_book(request))), **answer)


def refuse_if(test: Callable[[dict[str, Any]], Any], status: int, said: str | dict[str, Any]) -> Answerer:
    """Refuse the requests for which `test` holds."""

    def answer(request: dict[str, Any], state: State) -> Any:
        if not test(request):
            return None
        state.refused += 1
        return Answer(said, status) if isinstance(said, dict) else refusal(status, said)

    return answer


def act_in_step(step: int, make: Callable[[dict[str, Any]], Any], *, times: int = 10**6) -> Answerer:
    """Deviate in the planner's step so-and-so, counted from 1, so many times."""

    def answer(request: dict[str, Any], state: State) -> Any:
        if is_probe(request) or count_calls(request) + 1 != step or state.refused >= times:
            return None
        state.refused += 1
        return make(request)

    return answer


# --- what refusals look at ---------------------------------------------------------------------------


def has_system(request: dict[str, Any]) -> bool:
    return request["messages"][0]["role"] == "system"


def has_result(request: dict[str, Any]) -> bool:
    return any(message["role"] == "tool" for message in request["messages"])


def list_native_calls(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for message in request["messages"] for call in message.get("tool_calls") or ()]


def has_user_after_result(request: dict[str, Any]) -> bool:
    roles = [message["role"] for message in request["messages"]]
    return any(pair == ("tool", "user") for pair in pairwise(roles))


def has_blank(request: dict[str, Any]) -> bool:
    return any(message["content"] == "" for message in request["messages"])


def has_null(request: dict[str, Any]) -> bool:
    return any(message["content"] is None for message in request["messages"])


def lacks_signature(request: dict[str, Any]) -> bool:
    return any(call.get("extra_content") != SIGNATURE for call in list_native_calls(request))


SIGNATURE = {"google": {"thought_signature": "CiQB/+8="}}
FIT = {"prompt": 3900, "context": 4096}


def exceeds_context(request: dict[str, Any]) -> bool:
    """Whether a prompt of 3900 tokens and the reply are more than 4096; a probe is short."""
    return not is_probe(request) and FIT["prompt"] + get_length(request) > FIT["context"]


def get_length(request: dict[str, Any]) -> int:
    return request.get("max_tokens", request.get("max_completion_tokens", 0))


def refuse_too_long(words: str, status: int = 400) -> Answerer:
    """`words` may use {asked}, {prompt}, {context}, {total} and {least}."""

    def answer(request: dict[str, Any], state: State) -> Any:
        if not exceeds_context(request):
            return None
        asked = get_length(request)
        said = words.format(asked=asked, total=FIT["prompt"] + asked, least=FIT["context"] - asked + 1, **FIT)
        return refusal(status, said)

    return answer


def refuse_above(cap: int, words: str, status: int = 400) -> Answerer:
    return lambda request, state: (
        refusal(status, words.format(asked=get_length(request), cap=cap)) if get_length(request) > cap else None
    )


def stream_reply(request: dict[str, Any], state: State) -> Any:
    """Streams without having been asked."""
    body = reply_by_the_book(request)
    choice = body["choices"][0]
    calls = [{**call, "index": place} for place, call in enumerate(choice["message"].get("tool_calls", ()))]
    delta = {**choice["message"], **({"tool_calls": calls} if calls else {})}
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Answer(f": processing\n\n{text}data: [DONE]\n\n", kind="text/event-stream")


def fail_generation(request: dict[str, Any]) -> Any:
    name, arguments = choose_call(request)
    written = f"<function={name}>{json.dumps(arguments)}</function>"
    error = {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": written}
    return Answer({"error": error}, 400)


def fail_without_call(request: dict[str, Any]) -> Any:
    error = {
        "message": "Tool choice is required, but model did not call a tool",
        "code": "tool_use_failed",
        "failed_generation": "I see a cup.",
    }
    return Answer({"error": error}, 400)


def put_call_into_reasoning(choice: dict[str, Any]) -> None:
    message = choice["message"]
    for call in message.pop("tool_calls", ()):
        function = call["function"]
        body = json.dumps({"name": function["name"], "arguments": json.loads(function["arguments"])})
        message |= {"content": "", "reasoning_content": f"A cup.\n<tool_call>\n{body}\n</tool_call>"}
    choice["finish_reason"] = "stop"


def drop_count_of_pictures(request: dict[str, Any], state: State) -> Any:
    return reply_by_the_book(request, usage={"prompt_tokens": 60, "completion_tokens": 5})


def rename_calls(form: str) -> Answerer:
    return edit_calls(lambda call: call["function"].update(name=form.format(call["function"]["name"])))


def shows_all_pictures(requests: list[dict[str, Any]]) -> bool:
    return count_pictures(requests[-1]) >= 2


# --- the table ---------------------------------------------------------------------------------------


def _row(name: str, seen_at: str, answer: Answerer, **other: Any) -> Deviation:
    return Deviation(name, seen_at, answer, **other)


REPLY_ROWS = (
    _row("no id", "llama.cpp, LocalAI", edit_calls(lambda call: call.pop("id"))),
    _row("no type", "various", edit_calls(lambda call: call.pop("type"))),
    _row(
        "arguments an object",
        "TGI, Ollama",
        edit_calls(lambda call: call["function"].update(arguments=json.loads(call["function"]["arguments"]))),
    ),
    _row(
        "arguments encoded twice",
        "proxies",
        edit_calls(lambda call: call["function"].update(arguments=json.dumps(call["function"]["arguments"]))),
    ),
    _row(
        "content in parts", "Mistral", edit_reply(lambda c: c["message"].update(content=[{"type": "text", "text": ""}]))
    ),
    _row("reasoning_content", "DeepSeek, vLLM", edit_reply(lambda c: c["message"].update(reasoning_content="Hm."))),
    _row("reasoning an object", "gateways", edit_reply(lambda c: c["message"].update(reasoning={"text": "Hm."}))),
    _row("finish_reason missing", "various", edit_reply(lambda choice: choice.pop("finish_reason"))),
    _row("finish_reason eos", "Together", edit_reply(lambda choice: choice.update(finish_reason="eos"))),
    _row("functions.NAME", "gpt-oss, Kimi", rename_calls("functions.{}")),
    _row("functions.NAME:0", "Kimi K2", rename_calls("functions.{}:0")),
    _row("default_api:NAME", "Gemini", rename_calls("default_api:{}")),
    _row("NAME<|channel|>commentary", "gpt-oss on vLLM", rename_calls("{}<|channel|>commentary")),
    _row("NAME<|constrain|>json", "gpt-oss on vLLM", rename_calls("{}<|constrain|>json")),
    _row("mcp::server::NAME", "LM Studio", rename_calls("mcp::server::{}")),
    _row("call ends up in reasoning_content", "vLLM reasoning parsers", edit_reply(put_call_into_reasoning)),
    _row(
        "usage counts text only",
        "servers that count no picture",
        drop_count_of_pictures,
        check=shows_all_pictures,
    ),
    _row("usage missing", "various", lambda request, state: reply_by_the_book(request, usage=None)),
)
WIRE_ROWS = (
    _row("text/plain", "mistral.rs", send_raw(lambda text: text, kind="text/plain")),
    _row("no Content-Type", "hand-made proxies", send_raw(lambda text: text, kind=None)),
    _row("application/octet-stream", "hand-made proxies", send_raw(lambda text: text, kind="application/octet-stream")),
    _row("text/html with JSON in it", "PHP proxies", send_raw(lambda text: text, kind="text/html")),
    _row("byte order mark", "IIS", send_raw(lambda text: "\ufeff" + text)),
    _row("blanks before the JSON", "OpenRouter", send_raw(lambda text: "\n  \n" * 20 + text)),
    _row("gzip", "CDNs", send_raw(lambda text: gzip.compress(text.encode()), headers={"content-encoding": "gzip"})),
    _row("[DONE] after the JSON", "proxies", send_raw(lambda text: f"{text}\n\ndata: [DONE]\n\n")),
    _row("always streams", "stream-only proxies", stream_reply),
    _row("data: before the JSON", "proxies", send_raw(lambda text: f"data: {text}\n\ndata: [DONE]\n\n")),
    _row(
        "blanks keep it alive, then it answers",
        "OpenRouter",
        act_in_step(1, lambda r: Answer(reply_by_the_book(r), blanks=0.4), times=1),
        options={"timeout": 5.0},
    ),
)
REFUSAL_ROWS = (
    *(
        _row(f"stream only: {words[:40]}", seen_at, refuse_if(lambda r: not r.get("stream"), 400, words))
        for seen_at, words in (
            (
                "DashScope",
                "This model only support stream mode, please enable the stream parameter to access the model.",
            ),
            ("DashScope Qwen3", "parameter.enable_thinking must be set to false for non-streaming calls"),
            ("ModelScope", "This model is only available in streaming mode"),
            ("Anthropic", "Streaming is required for operations that may take longer than 10 minutes."),
            ("gateways", "'stream' must be set to true"),
            ("Fireworks", "Requests with max_tokens > 4096 must have stream=true"),
        )
    ),
    _row(
        "streams refused",
        "hand-made servers",
        refuse_if(lambda r: r.get("stream"), 400, "streaming is not supported"),
        options={"stream": True},
    ),
    *(
        _row(f"{name} refused: {words[:36]}", seen_at, refuse_if(lambda r, name=name: name in r, status, words))
        for name, seen_at, status, words in (
            (
                "max_tokens",
                "OpenAI",
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            ),
            ("temperature", "OpenAI", 400, "Unsupported value: 'temperature' does not support 0 with this model."),
            ("temperature", "TGI", 422, "Input validation error: `temperature` must be strictly positive"),
            (
                "parallel_tool_calls",
                "OpenAI o3",
                400,
                "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
            ),
            (
                "tool_choice",
                "DashScope",
                400,
                "The tool_choice parameter does not support being set to required in thinking mode",
            ),
            ("tool_choice", "OpenRouter", 404, "No endpoints found that support the provided 'tool_choice' value."),
            ("tools", "Ollama", 400, "registry.ollama.ai/library/m does not support tools"),
            (
                "tools",
                "vLLM",
                400,
                '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            ),
            ("tools", "llama.cpp", 500, "tools param requires --jinja flag"),
        )
    ),
    _row(
        "extra fields forbidden",
        "Mistral",
        refuse_if(
            lambda r: "parallel_tool_calls" in r,
            422,
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "parallel_tool_calls"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
        ),
    ),
    *(
        _row(f"system refused: {words[:40]}", seen_at, refuse_if(has_system, status, words))
        for seen_at, status, words in (
            ("Gemma", 400, "System role not supported"),
            ("o1-mini", 400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
            ("Gemini", 400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
            ("llama.cpp", 500, "Jinja Exception: System role not supported"),
            ("vLLM", 400, "Conversation roles must alternate user/assistant/user/assistant/..."),
            ("gateways", 400, "Invalid role: system. Only user and assistant roles are supported"),
        )
    ),
    *(
        _row(f"user after tool refused: {words[:30]}", seen_at, refuse_if(has_user_after_result, status, words))
        for seen_at, status, words in (
            ("Mistral", 400, "Unexpected role 'user' after role 'tool'"),
            (
                "vLLM with Mistral",
                400,
                "Not the same number of function calls and responses; expected role assistant after tool",
            ),
            (
                "vLLM",
                400,
                "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
            ),
            ("llama.cpp", 500, "conversation roles must alternate user and assistant roles except for tool calls"),
        )
    ),
    _row(
        "ids of nine letters or digits",
        "Mistral",
        refuse_if(
            lambda r: any(not re.fullmatch("[a-zA-Z0-9]{9}", call["id"]) for call in list_native_calls(r)),
            400,
            "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
        ),
        most_requests=4,
    ),
    _row(
        "the tool role refused",
        "LM Studio, Cohere",
        refuse_if(has_result, 422, "unknown variant `tool`, expected `user`"),
    ),
    _row("results refused, in words nobody knows", "a server of 2027", refuse_if(has_result, 400, "Kaput.")),
    _row(
        "thought signature wanted back",
        "Gemini 3",
        lambda request, state: (
            refusal(400, "Function call is missing a thought_signature in functionCall parts.")
            if lacks_signature(request)
            else edit_calls(lambda call: call.update(extra_content=SIGNATURE))(request, state)
        ),
        most_requests=4,
        check=lambda requests: list_native_calls(requests[-1])[0]["extra_content"] == SIGNATURE,
    ),
    _row(
        "thought signature wanted back, streamed",
        "Gemini 3",
        lambda request, state: (
            refusal(400, "Function call is missing a thought_signature in functionCall parts.")
            if lacks_signature(request)
            else edit_calls(lambda call: call.update(extra_content=SIGNATURE))(request, state)
        ),
        most_requests=4,
        options={"stream": True},
    ),
    _row(
        "thought signature wanted that was never given",
        "Gemini 3 behind gateways",
        refuse_if(lacks_signature, 400, "Function call is missing a thought_signature in functionCall parts."),
    ),
    _row(
        "reasoning_details wanted back",
        "OpenRouter",
        lambda request, state: (
            refusal(400, "reasoning_details are missing")
            if any("reasoning_details" not in m for m in request["messages"] if m.get("tool_calls"))
            else edit_reply(lambda c: c["message"].update(reasoning_details=[{"type": "reasoning.encrypted"}]))(
                request, state
            )
        ),
        most_requests=4,
    ),
    _row(
        "signature in the id of the call",
        "LiteLLM",
        lambda request, state: (
            refusal(400, "missing a thought_signature")
            if any("__thought__" not in call["id"] for call in list_native_calls(request))
            else edit_calls(lambda call: call.update(id="call_1__thought__CiQB"))(request, state)
        ),
        most_requests=4,
    ),
    _row(
        "reasoning_content wanted back",
        "DeepSeek, Kimi",
        lambda request, state: (
            refusal(400, "Missing `reasoning_content` field in the assistant message at index 2")
            if any(not m.get("reasoning_content") for m in request["messages"] if m.get("tool_calls"))
            else edit_reply(lambda c: c["message"].update(reasoning_content="Hm."))(request, state)
        ),
    ),
    _row(
        "its own extra members refused",
        "strict gateways",
        lambda request, state: (
            refusal(422, "messages.2.tool_calls.0.extra_content: Extra inputs are not permitted")
            if any("extra_content" in call for call in list_native_calls(request))
            else edit_calls(lambda call: call.update(extra_content=SIGNATURE))(request, state)
        ),
    ),
    _row(
        "blank assistant text refused",
        "Bedrock behind gateways",
        refuse_if(has_blank, 400, "messages: text content blocks must be non-empty; the text field is blank"),
        most_requests=4,
    ),
    *(
        _row(f"null content refused: {words[:30]}", seen_at, refuse_if(has_null, status, words))
        for seen_at, status, words in (
            ("older vLLM", 422, "messages.2.content: Input should be a valid string"),
            ("gateways", 400, "Invalid value for 'content': expected a string, got null."),
            ("Zhipu", 400, "messages[2].content cannot be null"),
        )
    ),
    _row(
        "null and blank refused",
        "Databricks",
        lambda request, state: (
            refusal(400, "content: none is not an allowed value")
            if has_null(request)
            else refusal(400, "content must be non-empty")
            if has_blank(request)
            else None
        ),
    ),
    _row(
        "one picture at most",
        "vLLM",
        refuse_if(lambda r: count_pictures(r) > 1, 400, "At most 1 image(s) may be provided in one prompt."),
    ),
    _row("no pictures", "DeepSeek", refuse_if(count_pictures, 400, "unknown variant `image_url`, expected `text`")),
    _row(
        "no pictures, 500", "llama.cpp", refuse_if(count_pictures, 500, "image input is not supported - hint: mmproj")
    ),
    _row(
        "body too large",
        "nginx",
        lambda request, state: (
            Answer("<html><h1>413 Request Entity Too Large</h1></html>", 413, kind="text/html")
            if not is_probe(request) and len(json.dumps(request["messages"])) > 200_000
            else None
        ),
    ),
)
LENGTH_ROWS = (
    *(
        _row(f"does not fit: {seen_at}", seen_at, refuse_too_long(words, status), most_requests=8)
        for seen_at, status, words in (
            (
                "vLLM",
                400,
                "'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is {context} tokens and your request has {prompt} input tokens ({asked} > {context} - {prompt}).",
            ),
            (
                "vLLM < 0.9",
                400,
                "This model's maximum context length is {context} tokens. However, you requested {total} tokens ({prompt} in the messages, {asked} in the completion). Please reduce the length of the messages or completion.",
            ),
            (
                "vLLM, counted in part",
                400,
                "This model's maximum context length is {context} tokens. However, you requested {asked} output tokens and your prompt contains at least {least} input tokens, for a total of at least 4097 tokens.",
            ),
            (
                "SGLang",
                400,
                "Requested token count exceeds the model's maximum context length of {context} tokens. You requested a total of {total} tokens: {prompt} tokens from the input messages and {asked} tokens for the completion.",
            ),
            (
                "TGI",
                422,
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {context}. Given: {prompt} `inputs` tokens and {asked} `max_new_tokens`",
            ),
            (
                "Anthropic",
                400,
                "input length and `max_tokens` exceed context limit: {prompt} + {asked} > {context}, decrease input length or `max_tokens` and try again",
            ),
            (
                "OpenRouter",
                400,
                "This endpoint's maximum context length is {context} tokens. However, you requested about {total} tokens (3000 of text input, 900 of tool input, {asked} in the output). Please reduce the length of either one.",
            ),
            (
                "DeepSeek",
                400,
                "This model's maximum context length is {context} tokens. However, you requested {total} tokens ({prompt} in the messages, {asked} in the completion).",
            ),
            ("no numbers but the reply's", 400, "max_tokens {asked} and the prompt exceed the context window"),
        )
    ),
    *(
        _row(f"reply too long: {seen_at}", seen_at, refuse_above(1000, words, status), most_requests=4)
        for seen_at, status, words in (
            ("DashScope", 400, "Range of max_tokens should be [1, {cap}]"),
            (
                "OpenAI",
                400,
                "max_tokens is too large: {asked}. This model supports at most {cap} completion tokens, whereas you provided {asked}.",
            ),
            (
                "Anthropic",
                400,
                "max_tokens: {asked} > {cap}, which is the maximum allowed number of output tokens for m",
            ),
            (
                "Groq",
                400,
                "`max_tokens` must be less than or equal to `{cap}`, the maximum value for `max_tokens` is less than the `context_window` for this model",
            ),
            (
                "Bedrock",
                400,
                "The maximum tokens you requested exceeds the model limit of {cap}. Try again with a maximum tokens value that is lower than {cap}.",
            ),
            (
                "Gemini",
                400,
                "Unable to submit request because it has a maxOutputTokens value of {asked} but the supported range is from 1 (inclusive) to 1001 (exclusive).",
            ),
            ("no number", 400, "Invalid max_tokens value"),
        )
    ),
)
PASSING_ROWS = (
    _row(
        "200 HTML once",
        "a gateway's hiccup",
        act_in_step(2, lambda r: Answer("<html>Hm</html>", kind="text/html"), times=1),
    ),
    _row(
        "200 with nothing once", "crashing gateways", act_in_step(1, lambda r: Answer("", kind="text/plain"), times=1)
    ),
    _row("204 once", "odd gateways", act_in_step(1, lambda r: Answer("", 204), times=1)),
    _row(
        "200 with an error once",
        "OpenRouter",
        act_in_step(2, lambda r: {"error": {"message": "Overloaded", "code": 502}}, times=1),
    ),
    _row(
        "choice with an error once",
        "OpenRouter",
        act_in_step(
            2,
            lambda r: {
                "choices": [{"message": {"content": ""}, "error": {"message": "gone"}, "finish_reason": "error"}]
            },
            times=1,
        ),
    ),
    _row(
        "MALFORMED_FUNCTION_CALL once",
        "Gemini",
        act_in_step(2, lambda r: completion("", finish_reason="malformed_function_call"), times=1),
    ),
    _row("tool_use_failed with the call", "Groq", act_in_step(1, fail_generation, times=1), most_requests=4),
    _row("tool_use_failed at step 2", "Groq", act_in_step(2, fail_generation), most_requests=4),
    _row("tool_use_failed without a call, once", "Groq", act_in_step(2, fail_without_call, times=1)),
    _row(
        "429 with retryDelay in a list",
        "Gemini",
        act_in_step(
            2,
            lambda r: Answer(
                [{"error": {"code": 429, "message": "Resource exhausted", "details": [{"retryDelay": "0.3s"}]}}], 429
            ),
            times=1,
        ),
    ),
    _row(
        "429, try again in words",
        "Groq, OpenAI",
        act_in_step(2, lambda r: refusal(429, "Rate limit reached. Please try again in 120ms."), times=1),
    ),
    _row("503 twice", "llama.cpp", act_in_step(1, lambda r: refusal(503, "Loading model"), times=2)),
    _row("dropped once", "keep-alive races", act_in_step(2, lambda r: Answer(drop=True), times=1)),
    _row("JSON cut off once", "all", act_in_step(2, lambda r: Answer(json.dumps(reply_by_the_book(r))[:60]), times=1)),
)
LASTING_ROWS = (
    _row(
        "content filter, 400",
        "Azure",
        act_in_step(2, lambda r: refusal(400, "The response was filtered due to content management policy.")),
        wanted="content management policy",
        keeps_masks=True,
        most_requests=5,
    ),
    _row(
        "finish_reason content_filter",
        "Azure, Gemini",
        act_in_step(2, lambda r: completion("", finish_reason="content_filter")),
        wanted="content_filter",
        keeps_masks=True,
        most_requests=6,
    ),
    _row(
        "refusal",
        "OpenAI",
        act_in_step(2, lambda r: completion(None, refusal="I can't help with that.")),
        wanted="I can't help with that",
        keeps_masks=True,
        most_requests=6,
    ),
    _row(
        "cut off for ever",
        "GPT-5, Gemini 2.5",
        lambda r, s: completion("", finish_reason="length") if not is_probe(r) and count_calls(r) + 1 >= 2 else None,
        wanted="cut off",
        keeps_masks=True,
        most_requests=7,
    ),
    _row(
        "choice with an error for ever",
        "OpenRouter",
        act_in_step(
            2,
            lambda r: {
                "choices": [
                    {"message": {"content": ""}, "error": {"message": "the engine died"}, "finish_reason": "error"}
                ]
            },
        ),
        wanted="the engine died",
        keeps_masks=True,
    ),
    _row(
        "200 with code and message",
        "SiliconFlow",
        lambda r, s: {"code": 20012, "message": "Model does not exist."},
        wanted="Model does not exist",
        most_requests=24,
    ),
    _row(
        "200 with base_resp",
        "MiniMax",
        lambda r, s: {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}},
        wanted="login fail",
        most_requests=24,
    ),
    _row(
        "200 with msg",
        "Zhipu",
        lambda r, s: {"code": 500, "msg": "404 NOT_FOUND", "success": False},
        wanted="404 NOT_FOUND",
        most_requests=24,
    ),
    _row("401 with the key in it", "OpenAI", lambda r, s: refusal(401, "Incorrect API key"), wanted="refused the key"),
    _row(
        "too long for ever",
        "OpenAI",
        act_in_step(
            2,
            lambda r: refusal(
                400,
                "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
            ),
        ),
        wanted="too long",
        keeps_masks=True,
        most_requests=6,
    ),
    _row(
        "413 for ever",
        "nginx",
        act_in_step(2, lambda r: Answer("<html>413 Request Entity Too Large</html>", 413, kind="text/html")),
        wanted="--image-side",
        keeps_masks=True,
        most_requests=10,
    ),
    _row(
        "never answers",
        "a hung server",
        lambda r, s: Answer(reply_by_the_book(r), stall=30.0),
        wanted="did not answer within 0.3 seconds",
        most_requests=3,
        options={"timeout": 0.3},
    ),
    _row(
        "never answers from step 2",
        "a hung server",
        act_in_step(2, lambda r: Answer("{}", stall=30.0)),
        wanted="did not answer within 0.3 seconds",
        keeps_masks=True,
        most_requests=7,
        options={"timeout": 0.3},
    ),
    _row(
        "blanks for ever",
        "stuck proxies",
        act_in_step(2, lambda r: Answer("{}", blanks=30.0)),
        wanted="did not answer within 0.3 seconds",
        keeps_masks=True,
        most_requests=7,
        options={"timeout": 0.3},
    ),
    _row(
        "an hour to wait",
        "free tiers",
        act_in_step(2, lambda r: refusal(429, "come back", retry_after="3600")),
        wanted="3600 seconds",
        keeps_masks=True,
        most_requests=6,
    ),
    _row(
        "301 to another address",
        "http -> https redirects",
        lambda r, s: Answer("", 301, {"location": "/v2/chat/completions"}),
        wanted="has moved to http://127.0.0.1:[0-9]+/v2; try --base-url",
        most_requests=6,
    ),
    _row(
        "a web page",
        "an address without /v1",
        lambda r, s: Answer("<html>Welcome</html>", kind="text/html"),
        wanted="no JSON",
        most_requests=6,
    ),
)
MODELS_ROWS = tuple(
    _row(f"list of models: {name}", "various", lambda r, s: None, models=models)
    for name, models in (
        ("404", Answer("", 404)),
        ("HTML", Answer("<html>", kind="text/html")),
        ("500", Answer("", 500)),
        ("401", refusal(401, "no")),
        ("a list", [{"id": "m"}]),
        ("odd", {"data": {"m": 1}}),
        ("nothing", Answer("")),
        ("reset", Answer(drop=True)),
        ("a small context", {"data": [{"id": "m", "max_model_len": 3000}]}),
    )
)
ROWS = (*REPLY_ROWS, *WIRE_ROWS, *REFUSAL_ROWS, *LENGTH_ROWS, *PASSING_ROWS, *LASTING_ROWS, *MODELS_ROWS)
