"""Rows of deviations: how the bytes and the JSON of an answer differ, and how an address or a server fails."""
# ruff: noqa: E501 - what servers say stays in one piece

import gzip
import json
from email.utils import formatdate
from time import time
from typing import Any

from tests.support.chat_server import Answer, completion, refusal
from tests.support.deviations import (
    Answerer,
    Deviation,
    State,
    act_in_step,
    choose_call,
    count_pictures,
    edit_calls,
    edit_reply,
    is_probe,
    refuse_if,
    reply_by_the_book,
    send_raw,
    shows_all_pictures,
    stream_reply,
)

PLANTED_KEY = "sk-planted-5up3r-s3cr3t"


def build_http(head: str, body: bytes) -> Answer:
    """An answer with the head as it is."""
    return Answer(raw=head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


def send_http(head: str, *, make: Any = lambda body: body) -> Answerer:
    return lambda request, state: build_http(head, make(json.dumps(reply_by_the_book(request)).encode()))


def to_chunks(body: bytes, size: int = 40, *, end: bytes = b"0\r\n\r\n") -> bytes:
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


CHUNKED = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked"


def put_call_into_text(choice: dict[str, Any], form: str) -> None:
    message = choice["message"]
    for call in message.get("tool_calls", ()):
        function = call["function"]
        body = {"name": function["name"], "arguments": json.loads(function["arguments"])}
        message |= {"content": form.format(json.dumps(body)), "tool_calls": []}


def answer_two_calls(request: dict[str, Any]) -> Any:
    return completion(calls=[("segment", '{"phrases": ["red cup"]}'), ("answer", '{"ids": [1], "message": "It."}')])


def replace_call(key: str, make: Any) -> Answerer:
    """Write the first call in another place or form."""

    def change(choice: dict[str, Any]) -> None:
        for call in choice["message"].pop("tool_calls", ())[:1]:
            choice["message"][key] = make(call)

    return edit_reply(change)


def fail_once(make: Any, step: int = 2) -> Answerer:
    return act_in_step(step, make, times=1)


def add_null_members(choice: dict[str, Any]) -> None:
    choice |= {"logprobs": None, "stop_reason": None, "token_ids": None}
    choice["message"] |= {"refusal": None, "annotations": None, "audio": None, "function_call": None}


def count_uncached_tokens(request: dict[str, Any], state: State) -> Any:
    first = state.count == 1
    return reply_by_the_book(request, usage={"prompt_tokens": 130 if first else 12, "completion_tokens": 5})


def _row(name: str, seen_at: str, answer: Answerer, **other: Any) -> Deviation:
    return Deviation(name, seen_at, answer, **other)


FORM_ROWS = (
    _row("flat tool_calls (no function)", "xinference", replace_call("tool_calls", lambda call: [call["function"]])),
    _row("tool_calls an object", "TGI", replace_call("tool_calls", lambda call: call)),
    _row("legacy function_call", "FastChat, LocalAI", replace_call("function_call", lambda call: call["function"])),
    _row(
        "a thinking part",
        "Mistral Magistral",
        edit_reply(
            lambda c: c["message"].update(
                content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": ""}]
            )
        ),
    ),
    _row("reasoning", "Ollama, OpenRouter", edit_reply(lambda c: c["message"].update(reasoning="Hm."))),
    _row("finish_reason null", "various", edit_reply(lambda c: c.update(finish_reason=None))),
    _row("finish_reason an object", "SGLang", edit_reply(lambda c: c.update(finish_reason={"type": "stop"}))),
    _row("finish_reason tool_use", "Anthropic proxies", edit_reply(lambda c: c.update(finish_reason="tool_use"))),
    *(
        _row(f"usage {name}", "various", lambda r, s, usage=usage: reply_by_the_book(r, usage=usage))
        for name, usage in (
            ("null", None),
            ("odd", {"prompt_tokens": "many", "completion_tokens": -3, "prompt_tokens_details": [1]}),
            ("a list", []),
            ("in other words", {"input_tokens": 130, "output_tokens": 9.0}),
        )
    ),
    _row("usage without cached tokens", "Ollama", count_uncached_tokens, check=shows_all_pictures),
    _row(
        "choices an object",
        "nobody",
        lambda r, s: {**reply_by_the_book(r), "choices": reply_by_the_book(r)["choices"][0]},
        wanted="JSON without a choice",
    ),
    _row("n = 2 choices", "proxies", lambda r, s: {**reply_by_the_book(r), "choices": reply_by_the_book(r)["choices"] * 2}),
    _row("null members", "SGLang, vLLM", edit_reply(add_null_members)),
    _row(
        "half characters",
        "vLLM",
        edit_reply(lambda c: c["message"].update(content="\ud83d", reasoning_content="\ude00")),
    ),
    _row("NaN in logprobs", "vLLM", edit_reply(lambda c: c.update(logprobs={"content": [float("nan")]}))),
    _row("empty tool_calls, call in the text", "vLLM without the right parser", edit_reply(lambda c: put_call_into_text(c, "<tool_call>\n{}\n</tool_call>"))),
    _row("fenced JSON for a call", "Ollama", edit_reply(lambda c: put_call_into_text(c, "Sure!\n```json\n{}\n```"))),
    _row("segment and answer in one reply", "all with parallel calls", act_in_step(1, answer_two_calls)),
    _row("the same call twice", "Groq", edit_reply(lambda c: c["message"].update(tool_calls=c["message"].get("tool_calls", []) * 2))),
    _row("id a number", "hand-made servers", edit_calls(lambda call: call.update(id=7))),
    _row("id empty", "LocalAI", edit_calls(lambda call: call.update(id=""))),
    *(
        _row(f"arguments {name}", "small models", edit_calls(lambda call, form=form: call["function"].update(arguments=form(call["function"]["arguments"]))))
        for name, form in (
            ("fenced", lambda text: f"```json\n{text}\n```"),
            ("wrapped", lambda text: f'{{"arguments": {text}}}'),
        )
    ),
)  # fmt: skip
BYTES_ROWS = (
    _row("application/json; charset=utf-8", "all", send_raw(lambda text: text, kind="application/json; charset=utf-8")),
    _row("chunked", "all", send_http(CHUNKED, make=to_chunks)),
    _row("HTTP/1.0, no length", "simple servers", send_http("HTTP/1.0 200 OK\ncontent-type: application/json")),
    _row("not UTF-8", "Latin-1 servers", send_raw(lambda text: text.replace("model", "mod\xe8le").encode("latin-1")), wanted="damaged JSON", most_requests=12),
    _row("307 to the same server", "load balancers", lambda r, s: Answer("", 307, {"location": "chat/completions"}) if s.count % 2 else None, most_requests=12),
    _row("chunked JSON cut off once", "all", fail_once(lambda r: build_http(CHUNKED, to_chunks(json.dumps(reply_by_the_book(r)).encode(), end=b"")))),
    _row("length too long once", "broken proxies", fail_once(lambda r: build_http("HTTP/1.1 200 OK\ncontent-length: 99999", json.dumps(reply_by_the_book(r)).encode()))),
    _row("gzip that is none, once", "broken proxies", fail_once(lambda r: Answer(json.dumps(reply_by_the_book(r)), headers={"content-encoding": "gzip"}))),
    _row("half of a gzip once", "broken proxies", fail_once(lambda r: Answer(gzip.compress(json.dumps(reply_by_the_book(r)).encode())[:50], headers={"content-encoding": "gzip"}))),
    _row("200 empty body once", "crashing gateways", fail_once(lambda r: Answer(""))),
    _row("3 MB of thinking", "runaway models", edit_reply(lambda c: c["message"].update(reasoning_content="Hm. " * 750_000))),
    _row("1 MB of open braces as the reply", "runaway models", act_in_step(2, lambda r: completion('{"a":' * 200_000)), wanted="No tool was called|not JSON|mistakes", keeps_masks=True),
    _row("2000 calls in one reply", "runaway models", act_in_step(2, lambda r: completion(calls=[("nonsense", "{}")] * 2000))),
    _row("deep JSON", "fuzz", act_in_step(2, lambda r: Answer("[" * 100_000)), wanted="damaged JSON", keeps_masks=True),
)  # fmt: skip
STATUS_ROWS = (
    _row("tools and response_format refused", "plain servers", refuse_if(lambda r: "tools" in r or "response_format" in r, 400, "tools and response_format are not supported")),
    _row("strict refused", "older servers", refuse_if(lambda r: "strict" in json.dumps(r.get("tools", "")), 400, "Unknown field: strict"), most_requests=4),
    _row("additionalProperties refused", "older Gemini", refuse_if(lambda r: "additionalProperties" in json.dumps(r.get("tools", "")), 400, 'Unknown name "additionalProperties"')),
    _row("no pictures, 404", "OpenRouter", refuse_if(count_pictures, 404, "No endpoints found that support image input")),
    _row("Responses-only model", "OpenAI", lambda r, s: refusal(404, "This model is only supported in v1/responses and not in v1/chat/completions."), wanted="only supported in v1/responses"),
    _row("200 with an error, for ever", "OpenRouter", lambda r, s: {"error": {"message": "Overloaded", "code": 502}}, wanted="Overloaded"),
    _row("200 with an error, for ever from step 2", "OpenRouter", act_in_step(2, lambda r: {"error": {"message": "Overloaded", "code": 502}}), wanted="Overloaded", keeps_masks=True),
    _row("200 Unexpected endpoint", "LM Studio without /v1", lambda r, s: {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, wanted="Unexpected endpoint"),
    _row("200 choices null", "routers", lambda r, s: {"choices": None, "error": None, "message": "no upstream"}, wanted="no upstream"),
    _row("429 Retry-After a date", "Azure, Cloudflare", fail_once(lambda r: refusal(429, "later", retry_after=formatdate(time() + 0.4, usegmt=True)))),
    _row("429 Retry-After 1", "OpenAI, Azure", fail_once(lambda r: refusal(429, "later", retry_after="1"))),
    _row("429 Retry-After below nothing", "odd gateways", fail_once(lambda r: refusal(429, "later", retry_after="-5"))),
    _row("429 quota, at step 2", "OpenAI", act_in_step(2, lambda r: Answer({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, 429)), wanted="no credit left", keeps_masks=True, most_requests=5),
    _row("402 at step 2", "OpenRouter", act_in_step(2, lambda r: refusal(402, "Insufficient credits")), wanted="Insufficient credits", keeps_masks=True, most_requests=6),
    _row("500 once", "all", fail_once(lambda r: refusal(500, "oops"))),
    _row("502 HTML twice", "nginx", act_in_step(2, lambda r: Answer("<html><h1>502 Bad Gateway</h1></html>", 502, kind="text/html"), times=2)),
    _row("524 HTML for ever from step 2", "Cloudflare", act_in_step(2, lambda r: Answer("<html>524: A timeout occurred</html>", 524, kind="text/html")), wanted="524", keeps_masks=True),
    _row("500 unreadable call, once", "llama.cpp", fail_once(lambda r: refusal(500, "Failed to parse input at pos 30: <tool_call>"))),
    _row("reset for ever from step 2", "a server that died", act_in_step(2, lambda r: Answer(drop=True)), wanted="closed the connection", keeps_masks=True),
    _row("slow: half of the patience a reply", "CPU servers", lambda r, s: Answer(reply_by_the_book(r), stall=0.15), options={"timeout": 2.0}),
    *(
        _row(f"context: {seen_at}", seen_at, act_in_step(2, lambda r, status=status, said=said: refusal(status, said)), wanted="too long", keeps_masks=True, most_requests=6)
        for seen_at, status, said in (
            ("vLLM new", 400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
            ("SGLang", 400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
            ("llama.cpp", 400, "the request exceeds the available context size, try increasing it"),
            ("Gemini", 400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
            ("Mistral", 400, "Prompt contains 50000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
            ("Anthropic", 400, "prompt is too long: 210000 tokens > 200000 maximum"),
            ("Groq 413", 413, "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9000"),
            ("LM Studio", 400, "The number of tokens to keep from the initial prompt is greater than the context length."),
            ("TGI", 422, "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"),
            ("SiliconFlow", 400, "length of prompt_tokens (5000) must be less than max_seq_len (4096)."),
            ("DashScope", 400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
            ("Zhipu", 400, "Prompt 超长"),
        )
    ),
)  # fmt: skip
KEY_ROWS = (
    _row("401 that repeats the key", "OpenAI", lambda r, s: refusal(401, f"Incorrect API key provided: {PLANTED_KEY}."), wanted=r"\[the key\]", key=PLANTED_KEY),
    _row("401 that repeats part of the key", "OpenAI", lambda r, s: refusal(401, f"Incorrect API key provided: {PLANTED_KEY[:8]}********cr3t."), wanted="refused the key", key=PLANTED_KEY),
    _row("500 that repeats the header, at step 2", "debug servers", act_in_step(2, lambda r: refusal(500, f"Authorization: Bearer {PLANTED_KEY}")), wanted=r"\[the key\]", keeps_masks=True, key=PLANTED_KEY),
    _row("the reply repeats the key", "echo servers", edit_reply(lambda c: c["message"].update(content=f"Bearer {PLANTED_KEY}", reasoning_content=PLANTED_KEY)), key=PLANTED_KEY),
)  # fmt: skip


def send_events(make: Any, *, end: str = "data: [DONE]\n\n", line_end: str = "\n") -> Answerer:
    """Stream the events that `make` makes of a tool's name and its arguments."""

    def answer(request: dict[str, Any], state: State) -> Any:
        name, arguments = choose_call(request)
        events = "".join(f"data: {json.dumps(event)}\n\n" for event in make(name, json.dumps(arguments)))
        return Answer((events + end).replace("\n", line_end), kind="text/event-stream")

    return answer


def build_event(finish_reason: str | None = None, **call: Any) -> dict[str, Any]:
    delta = {"tool_calls": [{"index": 0, "type": "function", **call}]} if call else {}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


STREAM_ROWS = tuple(
    _row(f"stream: {name}", seen_at, answer, options={"stream": True})
    for name, seen_at, answer in (
        ("[DONE] without a finish_reason", "TGI, proxies", send_events(lambda n, a: [build_event(id="c", function={"name": n, "arguments": a})])),
        ("the name in each part", "GLM, xAI", send_events(lambda n, a: [*(build_event(id="c", function={"name": n, "arguments": part}) for part in (a[:9], a[9:])), build_event("tool_calls")])),
        ("another id in each part", "vLLM", send_events(lambda n, a: [build_event(id="c1", function={"name": n, "arguments": ""}), *(build_event(id=id, function={"arguments": part}) for id, part in (("c2", a[:9]), ("c3", a[9:]))), build_event("tool_calls")])),
        ("arguments an object", "TGI, Ollama", send_events(lambda n, a: [build_event(id="c", function={"name": n, "arguments": json.loads(a)}), build_event("tool_calls")])),
        ("lines end with CR", "hand-made servers", send_events(lambda n, a: [build_event(id="c", function={"name": n, "arguments": a}), build_event("tool_calls")], line_end="\r")),
        ("no choices at first", "Azure", send_events(lambda n, a: [{"choices": [], "prompt_filter_results": []}, build_event("tool_calls", id="c", function={"name": n, "arguments": a})])),
        ("whole JSON instead", "hand-made servers", lambda r, s: Answer(json.dumps(reply_by_the_book(r)))),
        ("an error in the middle once", "OpenRouter", fail_once(lambda r: Answer('data: {"choices": [{"delta": {"content": "I"}}]}\n\nevent: error\ndata: {"error": {"code": 502, "message": "gone"}}\n\n', kind="text/event-stream"))),
        ("an end in the middle once", "all", fail_once(lambda r: Answer('data: {"choices": [{"delta": {"content": "I"}}]}\n\n', kind="text/event-stream"))),
        ("a refusal as the first event", "LiteLLM", lambda r, s: Answer('data: {"error": {"code": 400, "message": "Unsupported value: \'temperature\'"}}\n\ndata: [DONE]\n\n', kind="text/event-stream") if "temperature" in r else stream_reply(r, s)),
    )
)  # fmt: skip
PROBE_ROWS = (
    _row("no probe is answered, then all is well", "cold starts", lambda r, s: refusal(503, "Model m is currently loading") if is_probe(r) and s.count < 3 else None),
)  # fmt: skip
ANSWER_ROWS = (*FORM_ROWS, *BYTES_ROWS, *STATUS_ROWS, *KEY_ROWS, *STREAM_ROWS, *PROBE_ROWS)
