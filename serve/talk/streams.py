"""One line per step, as NDJSON or as server-sent events, and the result or the error as the last one."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from agent.core.episode import Episode
from agent.report.result import Mask
from serve.http.errors import Receive, Scope, Send, to_api_error
from serve.talk.idempotency import Claim, StoredAnswer
from serve.talk.schemas import ErrorBody, ErrorLine, StepLine, WaitingLine
from serve.talk.steps import Steps, take_last

Body = TypeVar("Body", bound=BaseModel)
"""An answer."""
MediaType = Literal["application/json", "application/x-ndjson", "text/event-stream"]
STREAMED: tuple[MediaType, ...] = ("text/event-stream", "application/x-ndjson")
STREAM_HEADERS = {"x-accel-buffering": "no"}
"""Proxies are to pass every line on at once."""


def choose_media_type(accept: str) -> MediaType:
    """Return how an answer is written, by the header `Accept`.

    >>> choose_media_type("text/event-stream"), choose_media_type("application/x-ndjson;q=1, */*")
    ('text/event-stream', 'application/x-ndjson')
    >>> choose_media_type("*/*"), choose_media_type("")
    ('application/json', 'application/json')
    """
    asked = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return next((kind for kind in STREAMED if kind in asked), "application/json")


def describe_step(before: int, episode: Episode) -> StepLine:
    """Return the line of the latest step.

    Args:
        before: How many masks were known before it.
        episode: The episode after it.
    """
    step = episode.steps[-1]
    found = [candidate for candidate in episode.workspace if candidate.id > before]
    shown = step.observation.shown
    return StepLine(
        step=len(episode.steps),
        tool=step.decision.tool,
        arguments=_parse_arguments(step.decision.arguments),
        thought=step.decision.thought,
        text=step.observation.text,
        is_error=step.observation.is_error,
        seconds=round(step.usage.seconds, 3),
        masks=[Mask.from_candidate(candidate) for candidate in found],
        shown=None if shown is None else [*shown],
    )


def _parse_arguments(text: str) -> Any:
    """What a planner wrote as a call's arguments; the text where it is no JSON that a client could read."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def format_line(line: BaseModel, kind: MediaType) -> bytes:
    """Return a line of a stream."""
    if kind == "text/event-stream" and isinstance(line, WaitingLine):
        return b": waiting\n\n"  # a comment
    text = line.model_dump_json().encode("utf-8", "replace")
    return b"data: " + text + b"\n\n" if kind == "text/event-stream" else text + b"\n"


def to_response(answer: StoredAnswer, *, is_replayed: bool = False) -> Response:
    """Return an answer that was stored; a header says whether it was given before."""
    headers = {**answer.headers, **({"idempotent-replayed": "true"} if is_replayed else {})}
    return Response(answer.body, answer.status, headers, media_type=answer.media_type)


class StepStream(StreamingResponse):  # type: ignore[misc]  # an extra is taken as Any
    """A stream of steps that ends them when its client leaves, even before the first line was sent."""

    def __init__(self, lines: AsyncIterator[bytes], kind: MediaType, close: Callable[[], Awaitable[None]]) -> None:
        """Stream these lines; `close` ends what they are made of."""
        super().__init__(lines, media_type=kind, headers=STREAM_HEADERS)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()


@dataclass(frozen=True, eq=False)
class StepAnswer(Generic[Body]):
    """How the steps of an episode are answered."""

    steps: Steps
    finish: Callable[[Episode], Body]
    """Makes the answer of the finished episode."""
    to_line: Callable[[Body], BaseModel]
    """Makes the last line of a stream of the answer."""
    kind: MediaType
    """How the answer is written."""
    known: int
    """How many masks are known before the first step."""
    request_id: str
    """For an error in the midst of it."""
    claim: Claim
    """Is told of the whole answer."""
    headers: Callable[[Body], Mapping[str, str]] = lambda body: {}
    """Makes further headers of an answer that is no stream."""
    close: Callable[[], None] = lambda: None
    """Is called at the end, whichever it is."""

    async def respond(self, request: Request) -> Response:
        """Return the answer: a stream, or the finished episode.

        Raises:
            Exception: Whatever the steps raise; of a stream, the first one.
        """
        if self.kind in STREAMED:
            return await self._stream()
        try:
            body = self.finish(await take_last(self.steps, request))
            content = body.model_dump_json().encode("utf-8", "replace")
            answer = StoredAnswer(200, content, self.kind, self.headers(body))
            self.claim.finish(answer)
            return to_response(answer)
        finally:
            await self._end()

    async def _stream(self) -> Response:
        """Return the answer that sends each step as it is taken.

        It begins with the first step, or with the first sign that this takes long; what fails before that is an
        answer with an error status.

        Raises:
            Exception: Whatever the first step raises.
        """
        try:
            first = await anext(self.steps)
        except BaseException:
            await self._end()
            raise
        return StepStream(self._write_lines(first), self.kind, self._end)

    async def _end(self) -> None:
        try:
            await self.steps.aclose()
        finally:
            self.claim.release()
            self.close()

    async def _write_lines(self, first: Episode | None) -> AsyncGenerator[bytes, None]:
        sent: list[bytes] = []
        try:
            async with aclosing(self._list_lines(first)) as lines:
                async for line in lines:
                    sent.append(format_line(line, self.kind))
                    yield sent[-1]
        except Exception as error:
            yield format_line(_describe_error(error, self.request_id), self.kind)
            return
        self.claim.finish(StoredAnswer(200, b"".join(sent), self.kind, STREAM_HEADERS))

    async def _list_lines(self, episode: Episode | None) -> AsyncGenerator[BaseModel, None]:
        known = self.known
        while True:
            if episode is None:
                yield WaitingLine()
            else:
                yield describe_step(known, episode)
                known = len(episode.workspace)
                if episode.outcome is not None:
                    yield self.to_line(self.finish(episode))
                    return
            episode = await anext(self.steps)


def _describe_error(error: Exception, request_id: str) -> ErrorLine:
    told = to_api_error(error, request_id)
    return ErrorLine(error=ErrorBody(code=told.code, message=told.message, request_id=request_id))
