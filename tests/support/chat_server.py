"""A real server of the chat-completions API that gives scripted answers, and what tests ask it."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from agent.models.base import ChatModel, Message, Messages, Reply
from agent.tools import WORKSPACE

ASKED = [Message("system", ("You plan.",)), Message("user", ("Query: the red cup",))]
TOOL_SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
SEGMENT = ("segment", '{"phrases": ["red cup"]}')


def ask(model: ChatModel, conversation: Messages = ASKED) -> Reply:
    """The model's reply to one conversation."""
    return model.generate_replies([conversation], TOOL_SCHEMAS)[0]


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    body: Any = ""
    """A dict is sent as JSON, or as the events of a stream if the request asks for one; text and bytes as they are."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kind: str | None = "application/json"
    """None = the answer says nothing of its type."""
    blanks: float = 0.0
    """Seconds in which blanks keep the connection alive before the body comes."""
    stall: float = 0.0
    """Seconds before the answer."""
    drop: bool = False
    """Close the connection instead; of a stream, after its first events."""
    raw: bytes = b""
    """Everything that is written, head included, instead of all this."""


def completion(text: Any = None, calls: Sequence[tuple[str, str]] = (), **other: Any) -> dict[str, Any]:
    """A chat completion. `other`: further fields of the message, and `finish_reason` and `usage`."""
    tool_calls = [
        {"id": f"c{nth}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for nth, (name, arguments) in enumerate(calls)
    ]
    usage = other.pop("usage", {"prompt_tokens": 120, "completion_tokens": 7, "total_tokens": 127})
    finish_reason = other.pop("finish_reason", "tool_calls" if calls else "stop")
    message = {"role": "assistant", "content": text, **({"tool_calls": tool_calls} if calls else {}), **other}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def refusal(status: int, message: str, **headers: str) -> Answer:
    """An answer with an error status."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"error": {"message": message, "type": "error", "code": None}}, status, names)


class ChatServer:
    """A real server of the chat-completions API; gives the answers it was told in turn, the last one for ever."""

    def __init__(self, port: int = 0) -> None:
        """`port`: 0 = any that is free."""
        self.answers: list[Any] = [completion("hello")]
        """Each an Answer, the body of one, or a function from the request to either."""
        self.models: Any = {"object": "list", "data": [{"id": "m"}, {"id": "m-large"}]}
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        """With what stands after the question mark, of every request for a reply."""
        self.most_at_once = 0
        self._now = 0
        self._lock = Lock()
        self.over = Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, self))
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def script(self, *answers: Any) -> "ChatServer":
        self.answers = list(answers)
        return self

    def choose_answer(self, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            chosen = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        made = chosen(request) if callable(chosen) else chosen
        return made if isinstance(made, Answer) else Answer(made)

    def mark_answered(self) -> None:
        with self._lock:
            self._now -= 1

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: ChatServer, *connection: Any) -> None:
        self.chat = server
        super().__init__(*connection)  # answers at once

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        models = self.chat.models
        self._send(models if isinstance(models, Answer) else Answer(models), stream=False)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.chat.paths.append(self.path)
        answer = self.chat.choose_answer(request, {name.lower(): value for name, value in self.headers.items()})
        self.chat.over.wait(answer.stall)
        self.chat.mark_answered()
        with suppress(ConnectionError):  # of a client that has given up
            self._send(answer, stream=request.get("stream", False))

    def _send(self, answer: Answer, *, stream: bool) -> None:
        if answer.raw:
            self.wfile.write(answer.raw)
            self.close_connection = True
            return
        if answer.drop and not (stream and answer.body):
            self._drop()
            return
        if stream and isinstance(answer.body, dict) and "choices" in answer.body and answer.status == 200:
            self._stream(answer)
            return
        text = answer.body if isinstance(answer.body, str | bytes) else json.dumps(answer.body)
        body = text if isinstance(text, bytes) else text.encode()
        self._send_head(answer, answer.kind, None if answer.blanks else len(body))
        ends = monotonic() + answer.blanks
        while monotonic() < ends and not self.chat.over.wait(0.05):
            self.wfile.write(b" ")
        self.wfile.write(body)

    def _send_head(self, answer: Answer, kind: str | None, length: int | None) -> None:
        self.send_response(answer.status)
        if kind is not None:
            self.send_header("content-type", kind)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _stream(self, answer: Answer) -> None:
        self._send_head(answer, "text/event-stream", None)
        events = list(split_into_events(answer.body))
        for event in events[: 2 if answer.drop else len(events)]:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        if not answer.drop:
            self.wfile.write(b"data: [DONE]\n\n")

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def split_into_events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a streamed completion: texts and arguments in small pieces, the usage in an event of its own."""
    choice = body["choices"][0]
    message = choice["message"]
    yield _build_event({"role": "assistant", "content": ""})
    for key in ("reasoning_content", "reasoning", "content"):
        yield from (_build_event({key: piece}) for piece in _split_text(message.get(key) or ""))
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        part = {**call, "index": index, "function": function}
        yield _build_event({"tool_calls": [part]})
        for piece in _split_text(call["function"]["arguments"]):
            yield _build_event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _build_event({}, choice["finish_reason"])
    yield {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": body["usage"]}


def _build_event(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": choices}


def _split_text(text: str) -> list[str]:
    return [text[start : start + 5] for start in range(0, len(text), 5)]
