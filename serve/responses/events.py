"""The objects and the events of OpenAI's Responses API around a text that comes line by line."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from serve.responses.answering import TokenUsage


@dataclass(frozen=True)
class ResponseEnvelope:
    """What is the same in every object and event of one answer."""

    model: str
    metadata: dict[str, Any]
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(16)}")
    item_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(16)}")
    created_at: int = field(default_factory=lambda: int(time.time()))

    def build_response(
        self, status: str, *, text: str | None = None, usage: TokenUsage | None = None, error: str | None = None
    ) -> dict[str, Any]:
        """Return a `response` object. `text`: of the one message of its output; None while there is none."""
        tokens = usage or TokenUsage()
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": None if error is None else {"code": "server_error", "message": error},
            "incomplete_details": None,
            "instructions": None,
            "metadata": self.metadata,
            "model": self.model,
            "output": [] if text is None else [self._build_item("completed", [_build_part(text)])],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "temperature": None,
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "usage": {
                "input_tokens": tokens.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": tokens.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens.input_tokens + tokens.output_tokens,
            },
        }

    def _build_item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def stream_events(
        self, lines: Iterator[str], usage: TokenUsage, describe_error: Callable[[Exception], str]
    ) -> Iterator[str]:
        """Yield server-sent events, one delta for each line; an error among the lines ends them with `response.failed`.

        Args:
            lines: The text.
            usage: What it has cost, once all lines are there.
            describe_error: Says in a sentence what a client is told of an error.
        """
        for number, event in enumerate(self._list_events(lines, usage, describe_error)):
            content = json.dumps({**event, "sequence_number": number}, ensure_ascii=False, separators=(",", ":"))
            yield f"event: {event['type']}\ndata: {content}\n\n"

    def _list_events(
        self, lines: Iterator[str], usage: TokenUsage, describe_error: Callable[[Exception], str]
    ) -> Iterator[dict[str, Any]]:
        try:
            yield from self._list_whole_answer(lines, usage)
        except Exception as error:
            failed = self.build_response("failed", usage=usage, error=describe_error(error))
            yield {"type": "response.failed", "response": failed}

    def _list_whole_answer(self, lines: Iterator[str], usage: TokenUsage) -> Iterator[dict[str, Any]]:
        lane = {"item_id": self.item_id, "output_index": 0, "content_index": 0}
        item = {"output_index": 0}
        yield {"type": "response.created", "response": self.build_response("in_progress")}
        yield {"type": "response.in_progress", "response": self.build_response("in_progress")}
        yield {"type": "response.output_item.added", **item, "item": self._build_item("in_progress", [])}
        yield {"type": "response.content_part.added", **lane, "part": _build_part("")}
        written: list[str] = []
        for line in lines:
            if line:
                written.append(line)
                yield {"type": "response.output_text.delta", **lane, "delta": line, "logprobs": []}
        text = "".join(written)
        yield {"type": "response.output_text.done", **lane, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **lane, "part": _build_part(text)}
        yield {"type": "response.output_item.done", **item, "item": self._build_item("completed", [_build_part(text)])}
        yield {"type": "response.completed", "response": self.build_response("completed", text=text, usage=usage)}


def _build_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
