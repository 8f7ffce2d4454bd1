"""The client for event loops: every method of `Sam3Client`, to be awaited."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import numpy as np

from agent.report.result import Result
from sam3_tool import Concept
from serve.client.exchanges import (
    PATIENCE,
    TIMEOUT,
    Exchange,
    Exchanges,
    FoundPhrase,
    ImageInput,
    RefinedMasks,
    Send,
    Subject,
    UploadedImage,
    UploadedVideo,
    VideoInput,
    Wait,
    build_broken_error,
    parse_line,
)
from serve.talk.schemas import ConversationState, JobRow, JobStatus, StepLine

Answer = TypeVar("Answer")


class AsyncSam3Client:
    """The same for event loops: every method of `Sam3Client`, to be awaited. Files are read in the loop's thread."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        patience: float = PATIENCE,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Open a client.

        Args:
            base_url: Where the server is.
            token: By which the server knows the tenant.
            patience: Seconds that a call waits in all for a server that is busy.
            transport: Carries requests in another way than over the network.
        """
        self._exchanges = Exchanges(base_url, token=token, patience=patience)
        self._http = httpx2.AsyncClient(timeout=TIMEOUT, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def upload(self, image: ImageInput) -> UploadedImage:
        """See `Sam3Client.upload`."""
        return await self._carry_out(self._exchanges.upload(image))

    async def upload_video(self, video: VideoInput) -> UploadedVideo:
        """See `Sam3Client.upload_video`."""
        return await self._carry_out(self._exchanges.upload_video(video))

    async def segment(
        self,
        image: ImageInput,
        phrases: Sequence[str] = (),
        *,
        boxes: Sequence[Sequence[float]] = (),
        box_labels: Sequence[int] = (),
        masks: Sequence[np.ndarray] = (),
        mask_labels: Sequence[int] = (),
        like: ImageInput | None = None,
        concept: Concept | None = None,
        threshold: float = 0.5,
    ) -> list[FoundPhrase]:
        """See `Sam3Client.segment`."""
        return await self._carry_out(
            self._exchanges.segment(
                image,
                phrases,
                boxes=boxes,
                box_labels=box_labels,
                masks=masks,
                mask_labels=mask_labels,
                like=like,
                concept=concept,
                threshold=threshold,
            )
        )

    async def refine(
        self,
        image: ImageInput,
        *,
        points: Sequence[Sequence[float]] = (),
        labels: Sequence[int] = (),
        box: Sequence[float] | None = None,
    ) -> RefinedMasks:
        """See `Sam3Client.refine`."""
        return await self._carry_out(self._exchanges.refine(image, points=list(points), labels=list(labels), box=box))

    async def ask(
        self,
        subject: Subject,
        query: str,
        *,
        planner: str | None = None,
        budget: Mapping[str, float] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Result:
        """See `Sam3Client.ask`."""
        return await self._carry_out(
            self._exchanges.ask(subject, query, planner=planner, budget=budget, since=since, until=until)
        )

    async def start_conversation(
        self, subject: Subject, name: str = "", *, since: float | None = None, until: float | None = None
    ) -> ConversationState:
        """See `Sam3Client.start_conversation`."""
        return await self._carry_out(self._exchanges.start_conversation(subject, name, since=since, until=until))

    async def get_conversation(self, conversation: str) -> ConversationState:
        """See `Sam3Client.get_conversation`."""
        return await self._carry_out(self._exchanges.get_conversation(conversation))

    async def take_turn(
        self,
        state: ConversationState,
        verb: str,
        *,
        image: ImageInput | None = None,
        video: UploadedVideo | None = None,
        **body: Any,
    ) -> ConversationState:
        """See `Sam3Client.take_turn`."""
        return await self._carry_out(self._exchanges.take_turn(state, verb, video or image, body))

    async def start_job(
        self, images: Sequence[ImageInput] = (), *, videos: Sequence[UploadedVideo] = (), **body: Any
    ) -> JobStatus:
        """See `Sam3Client.start_job`."""
        return await self._carry_out(self._exchanges.start_job(images, videos, body))

    async def get_job(self, job: str) -> JobStatus:
        """See `Sam3Client.get_job`."""
        return await self._carry_out(self._exchanges.get_job(job))

    async def wait_for_job(self, job: str, *, every: float = 2.0) -> JobStatus:
        """See `Sam3Client.wait_for_job`."""
        return await self._carry_out(self._exchanges.wait_for_job(job, every))

    async def read_job(self, job: str) -> list[JobRow]:
        """See `Sam3Client.read_job`."""
        return await self._carry_out(self._exchanges.read_job(job))

    async def resume_job(
        self, job: str, images: Sequence[ImageInput] = (), *, videos: Sequence[UploadedVideo] = ()
    ) -> JobStatus:
        """See `Sam3Client.resume_job`."""
        return await self._carry_out(self._exchanges.resume_job(job, [*images, *videos]))

    async def cancel_job(self, job: str) -> None:
        """See `Sam3Client.cancel_job`."""
        await self._carry_out(self._exchanges.delete(f"/v1/jobs/{job}"))

    async def watch(
        self,
        subject: Subject,
        query: str,
        *,
        planner: str | None = None,
        budget: Mapping[str, float] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[StepLine | Result]:
        """See `Sam3Client.watch`."""
        response = await self._carry_out(
            self._exchanges.watch(subject, query, planner=planner, budget=budget, since=since, until=until)
        )
        try:
            async for line in response.aiter_lines():
                parsed = parse_line(line)
                if parsed is not None:
                    yield parsed
                if isinstance(parsed, Result):
                    return
        except httpx2.TransportError as error:
            raise build_broken_error() from error
        finally:
            await response.aclose()
        raise build_broken_error()

    async def _carry_out(self, exchange: Exchange[Answer]) -> Answer:
        answer: httpx2.Response | httpx2.TransportError | None = None
        while True:
            try:
                action = exchange.send(answer)
            except StopIteration as end:
                done: Answer = end.value
                return done
            answer = None
            match action:
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Send(request, is_stream):
                    try:
                        answer = await self._http.send(request, stream=is_stream)
                        if answer.is_error:
                            await answer.aread()
                    except httpx2.TransportError as error:
                        answer = error
