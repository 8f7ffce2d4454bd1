"""One request and its whole answer, read within the patience of whoever waits."""

from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from agent.models.openai.partial import StreamReader
from agent.models.openai.responses import MovedResponseError, decode_answer, is_last_event
from agent.models.progress import Listener
from sam3_tool.system.waiting import OutOfTimeError, Patience, wait_for_result

MAX_ANSWER_BYTES = 256 * 2**20
"""Of an answer: more is no reply."""


@dataclass(frozen=True, eq=False)
class Transport:
    """Sends requests to a server through the client library."""

    client: openai.OpenAI

    def post_chat(self, body: dict[str, Any], patience: Patience, listener: Listener | None = None) -> Any:
        """Send a chat-completions request, and return the JSON of the answer, assembled if it came in parts.

        Args:
            body: The request.
            patience: How long it may take.
            listener: Hears of each part of an answer that was to come in parts.

        Raises:
            openai.OpenAIError: The server cannot be reached, or answers with an error status.
            httpx2.HTTPError: The connection broke while the answer came.
            OutOfTimeError: There is no whole answer in time.
            MalformedResponseError: The answer is no JSON, or a part of a stream.
            ValueError: The JSON is damaged.
        """
        return wait_for_result(
            lambda: decode_answer(self._read_answer("post", "/chat/completions", body, patience, listener)), patience
        )

    def get_models(self, patience: Patience) -> Any:
        """Return the JSON of the list of models. Raises the same errors."""
        return wait_for_result(lambda: decode_answer(self._read_answer("get", "/models", None, patience)), patience)

    def _read_answer(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        patience: Patience,
        listener: Listener | None = None,
    ) -> str:
        # The client's typed methods would build objects of whatever a server sends, and by its Content-Type alone.
        options: Any = {"timeout": max(0.001, patience.seconds_left)}
        stream: Any = {"stream": True, "stream_cls": openai.Stream[object]}  # the body is left to be read here
        send: Any = self.client.post if method == "post" else self.client.get
        content = {} if body is None else {"body": body}
        response: httpx2.Response = send(path, cast_to=httpx2.Response, options=options, **content, **stream)
        try:
            if body is not None and response.request.method != "POST":
                raise MovedResponseError(str(response.url))
            in_parts = bool(body and body.get("stream"))
            reader = StreamReader(listener) if listener is not None and in_parts else None
            return _read_text(response, patience, in_parts=in_parts, reader=reader)
        finally:
            response.close()


def _read_text(
    response: httpx2.Response, patience: Patience, *, in_parts: bool, reader: StreamReader | None = None
) -> str:
    """Read the body. Only a part of a stream with something in it shows that the server goes on; blanks do not."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if patience.is_over or size > MAX_ANSWER_BYTES:
            raise OutOfTimeError
        if reader is not None:
            reader.read_bytes(part)
        if in_parts and b"data:" in part:
            patience.renew()
            if is_last_event(part.decode("utf-8", "replace")):
                break
    return b"".join(parts).decode("utf-8")
