"""A stream of the chat-completions API, read while it comes, for whoever listens."""

import codecs
import json
import re
from time import monotonic
from typing import Any

from agent.core.text.sanitizing import make_encodable
from agent.models.progress import Listener, PartialReply
from agent.models.reply_parsing import split_thinking

INTERVAL, SHORT_REPLY = 0.1, 4000
"""Seconds between two pieces of news of a reply with more characters than these; a shorter one is told at once, so that
nothing of it is held back while the model pauses."""
MAX_CHARACTERS = 200_000
"""Of a reply that is passed on; what comes after them is only in the final reply."""
_REASONING_KEYS = ("reasoning_content", "reasoning")
_CALL_IN_TEXT = re.compile(
    r"<\|?(?:tool|function)|<function=|\[TOOL_CALL|```|[{\[]\s*[\"{]|<[^<>]{0,14}$", re.IGNORECASE
)
"""What begins a call that is written into the text, or may begin one."""


def cut_key_start(text: str, key: str) -> str:
    """Return the text without the beginning of a key at its end, the rest of which may still come.

    >>> cut_key_start("my key is sk-a", "sk-abc"), cut_key_start("two cups", "sk-abc")
    ('my key is ', 'two cups')
    """
    sizes = range(min(len(key) - 1, len(text)), 3, -1)
    return next((text[:-size] for size in sizes if text.endswith(key[:size])), text)


class StreamReader:
    r"""Reads the bytes of a stream, and passes on what they hold so far. What cannot be read yet is passed over.

    Example:
        >>> heard = []
        >>> reader = StreamReader(heard.append)
        >>> reader.read_bytes(b'data: {"choices": [{"delta": {"content": "Two cups"}}]}\n\n')
        >>> heard[-1].text
        'Two cups'
    """

    def __init__(self, listener: Listener, *, interval: float = INTERVAL) -> None:
        """Begin to read.

        Args:
            listener: It is given a `PartialReply` now and then.
            interval: Seconds between two of them at least, once the reply is long.
        """
        self._listener, self._interval = listener, interval
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._reasoning: list[str] = []
        self._text: list[str] = []
        self._tool = ""
        self._size = 0
        self._told_at = 0.0

    def read_bytes(self, part: bytes) -> None:
        """Read the next bytes."""
        if self._size > MAX_CHARACTERS:
            return
        *lines, self._rest = (self._rest + self._decoder.decode(part)).split("\n")
        for line in lines:
            if line.startswith("data:"):
                self._read_event(line[5:].strip())
        is_due = self._size <= SHORT_REPLY or monotonic() - self._told_at >= self._interval
        if self._size and is_due:
            self._told_at = monotonic()
            self._listener(self._build_partial_reply())

    def _read_event(self, data: str) -> None:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        match event:
            case {"choices": [{"delta": dict(delta)}, *_]}:
                self._read_delta(delta)

    def _read_delta(self, delta: dict[str, Any]) -> None:
        thought = next((delta[key] for key in _REASONING_KEYS if isinstance(delta.get(key), str)), "")
        said = delta["content"] if isinstance(delta.get("content"), str) else ""
        self._reasoning.append(thought)
        self._text.append(said)
        match delta.get("tool_calls"):
            case [{"function": {"name": str(name)}}, *_] if name:
                self._tool = name
        self._size += len(thought) + len(said) + (1 if self._tool else 0)

    def _build_partial_reply(self) -> PartialReply:
        said, thought = split_thinking(make_encodable("".join(self._text)))
        start = _CALL_IN_TEXT.search(said)
        reasoning = "\n".join(filter(None, (make_encodable("".join(self._reasoning)), thought)))
        return PartialReply(reasoning, said[: start.start()].rstrip() if start else said, self._tool)
