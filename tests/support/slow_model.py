"""A language model that keeps its callers waiting."""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from agent.cli.options.segment_options import Options


class SlowModel:
    """A server of the chat-completions API: first a call of `segment`, and then nothing until it is told to go on.

    A query with "which" it answers with a question.
    """

    def __init__(self) -> None:
        self.go_on = Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def options(self) -> Options:
        return Options(planner="openai:slow", base_url=self.url, wire="native")

    def close(self) -> None:
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def _reply(self, request: dict) -> dict:
        if "which" in json.dumps(request["messages"][-1]):
            call = ("ask_user", '{"question": "Which one?", "options": ["the large one", "the small one"]}')
        elif len(request["messages"]) > 2:
            self.go_on.wait()
            call = ("report_no_mask", "{}")
        else:
            call = ("segment", '{"phrases": ["watermelon"]}')
        function = {"name": call[0], "arguments": call[1]}
        calls = [{"id": "1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        kind = {"id": "1", "object": "chat.completion", "created": 1, "model": "slow"}
        return {**kind, "choices": [choice], "usage": usage}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        slow = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._send({"object": "list", "data": [{"id": "slow"}]})

            def do_POST(self) -> None:
                held = self.rfile.read(int(self.headers["content-length"]))
                self._send(slow._reply(json.loads(held)))

            def _send(self, held: dict) -> None:
                body = json.dumps(held).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with suppress(ConnectionError):  # of a server that was stopped
                    self.wfile.write(body)

        return Handler
