"""A language model that thinks aloud: its replies come in parts, and the first one pauses until it may go on."""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from agent.cli.options.segment_options import Options
from tests.support.chat_server import completion, split_into_events

THOUGHT = "The banana is at the bottom right. I look for watermelons, and then whether they are ripe."
SCRIPT = (
    ("segment", {"phrases": ["watermelon"]}),
    ("examine", {"ids": [1, 2]}),
    ("answer", {"ids": [1, 2]}),
)
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}


class ThinkingModel:
    """A server of the chat-completions API that finds watermelons, examines two of them, and answers with these."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.is_busy = False
        """Whether the next request is told that the server is busy."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def options(self) -> Options:
        url = f"http://127.0.0.1:{self._http.server_port}/v1"
        return Options(planner="openai:thinker", base_url=url, wire="native", price="2,8")

    def close(self) -> None:
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        tool = request["tools"][0]["function"]["name"]
        if not any(one["function"]["name"] == "segment" for one in request["tools"]):
            verdict = {"reason": "It is red inside.", "accept": True, "probability": 0.9}
            return completion(None, [(tool, json.dumps(verdict))], usage=USAGE)
        done = sum(message["role"] == "tool" for message in request["messages"])
        name, arguments = SCRIPT[min(done, len(SCRIPT) - 1)]
        return completion(None, [(name, json.dumps(arguments))], reasoning_content=THOUGHT, usage=USAGE)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, "application/json", json.dumps({"object": "list", "data": [{"id": "thinker"}]}))

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if model.is_busy:
                    model.is_busy = False
                    self._send(503, "application/json", '{"error": {"message": "busy"}}')
                    return
                body = model._reply(request)
                with suppress(ConnectionError):  # of a page that was stopped
                    if request.get("stream"):
                        self._stream(body)
                    else:
                        self._send(200, "application/json", json.dumps(body))

            def _stream(self, body: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                events = [f"data: {json.dumps(event)}\n\n".encode() for event in split_into_events(body)]
                for number, event in enumerate(events):
                    if number == len(events) // 2:
                        model.go_on.wait()
                    self.wfile.write(event)
                self.wfile.write(b"data: [DONE]\n\n")

            def _send(self, status: int, kind: str, text: str) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        return Handler
