"""The client without an event loop: each call is an exchange of `exchanges`, carried out here."""

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Sam3Client:
    """Asks a server of `sam3-agent serve`. Safe to share between threads.

    Example:
        >>> with Sam3Client("http://127.0.0.1:8000") as client:
        ...     result = client.ask("table.jpg", "the cups left of the plate")  # doctest: +SKIP
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        patience: float = PATIENCE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Open a client.

        Args:
            base_url: Where the server is.
            token: By which the server knows the tenant.
            patience: Seconds that a call waits in all for a server that is busy.
            transport: Carries requests in another way than over the network.
        """
        self._exchanges = Exchanges(base_url, token=token, patience=patience)
        self._http = httpx2.Client(timeout=TIMEOUT, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def upload(self, image: ImageInput) -> UploadedImage:
        """Upload an image now. All other calls do it by themselves, and again where the server has forgotten it.

        Args:
            image: A file's path, its bytes, or pixels, uint8, (H, W, 3), RGB.

        Returns:
            The image, for further calls.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(self._exchanges.upload(image))

    def upload_video(self, video: VideoInput) -> UploadedVideo:
        """Upload a video, to be asked about. What asks about it uploads it again where the server has forgotten it.

        Args:
            video: A file's path, which is read again when it must be uploaded again; or the file's bytes.

        Returns:
            The video, which `ask`, `watch`, `start_conversation`, `take_turn` and `start_job` take.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
            OSError: The file cannot be read.
        """
        return self._carry_out(self._exchanges.upload_video(video))

    def segment(
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
        """Find every instance of each phrase, or of what boxes, masks or a concept show.

        Args:
            image: As `upload` takes it, or what it returned.
            phrases: Short English noun phrases; a text alone is one phrase.
            boxes: Exemplars, x, y, width, height in pixels.
            box_labels: 1 = like this, 0 = not like this, one per box; left out, all are 1.
            masks: Exemplars, each bool, (height, width). The box around a mask is what SAM 3 reads.
            mask_labels: As `box_labels`, one per mask.
            like: The image that boxes and masks lie in, if it is another one.
            concept: Examples that were described before, with the weights of the server; in place of boxes and masks.
            threshold: Instances that score strictly above it are found.

        Returns:
            One entry per phrase, in their order.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(
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

    def refine(
        self,
        image: ImageInput,
        *,
        points: Sequence[Sequence[float]] = (),
        labels: Sequence[int] = (),
        box: Sequence[float] | None = None,
    ) -> RefinedMasks:
        """Find the one object that clicks or a box show.

        Args:
            image: As `upload` takes it, or what it returned.
            points: Clicks, x, y in pixels.
            labels: 1 = on the object, 0 = beside it, one per point; left out, all are 1.
            box: Around the object: x, y, width, height in pixels.

        Returns:
            Three candidates, best first.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(self._exchanges.refine(image, points=list(points), labels=list(labels), box=box))

    def ask(
        self,
        subject: Subject,
        query: str,
        *,
        planner: str | None = None,
        budget: Mapping[str, float] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Result:
        """Answer a query in one's own words. Of a long video, `watch` tells meanwhile what is found.

        Args:
            subject: An image as `upload` takes it, or what it returned; or a video, what `upload_video` returned.
            query: What to find.
            planner: One of those that the server allows; None = its default.
            budget: Limits, e.g. `{"max_steps": 5}`.
            since: Of a video: what is shown before this second is left out.
            until: Of a video: what is shown after this second is left out.

        Returns:
            What `result.json` holds.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(
            self._exchanges.ask(subject, query, planner=planner, budget=budget, since=since, until=until)
        )

    def start_conversation(
        self, subject: Subject, name: str = "", *, since: float | None = None, until: float | None = None
    ) -> ConversationState:
        """Begin a conversation about an image or a video.

        Args:
            subject: An image as `upload` takes it, or what it returned; or a video, what `upload_video` returned.
            name: The file name, for people.
            since: Of a video: what is shown before this second is left out.
            until: Of a video: what is shown after this second is left out.

        Returns:
            Its state, for `take_turn`.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(self._exchanges.start_conversation(subject, name, since=since, until=until))

    def get_conversation(self, conversation: str) -> ConversationState:
        """Return what a conversation has come to.

        Args:
            conversation: Its id.

        Raises:
            RemoteError: It is gone, or the server cannot be reached.
        """
        return self._carry_out(self._exchanges.get_conversation(conversation))

    def take_turn(
        self,
        state: ConversationState,
        verb: str,
        *,
        image: ImageInput | None = None,
        video: UploadedVideo | None = None,
        **body: Any,
    ) -> ConversationState:
        """Take a turn, unless somebody else was faster.

        Args:
            state: The state that the turn goes on from.
            verb: 'say', 'remove', 'keep', 'restore', 'select', 'threshold', 'click', 'box', 'show', 'undo' or 'redo'.
            image: Of 'show': the image to turn to.
            video: Of 'show': the video to turn to, instead of an image.
            body: What the verb takes, e.g. `query="only the largest"`, `ids=[2]`, or `x=3, y=4`; of a video also `at`.

        Returns:
            The next state.

        Raises:
            RemoteError: The conversation is in another state ('conversation_moved'), the turn cannot be taken, or the
                server cannot be reached.
        """
        return self._carry_out(self._exchanges.take_turn(state, verb, video or image, body))

    def start_job(
        self, images: Sequence[ImageInput] = (), *, videos: Sequence[UploadedVideo] = (), **body: Any
    ) -> JobStatus:
        """Begin to ask the same of many images, which are uploaded first; or of many videos.

        Args:
            images: Each as `upload` takes it, or what it returned.
            videos: What `upload_video` returned, instead of images.
            body: `query` or `phrases`, and whatever else a job takes.

        Returns:
            The job, which is worked at from now on.

        Raises:
            RemoteError: The server refuses it, or cannot be reached.
        """
        return self._carry_out(self._exchanges.start_job(images, videos, body))

    def get_job(self, job: str) -> JobStatus:
        """Say how a job is doing.

        Args:
            job: Its id.

        Raises:
            RemoteError: It is gone, or the server cannot be reached.
        """
        return self._carry_out(self._exchanges.get_job(job))

    def wait_for_job(self, job: str, *, every: float = 2.0) -> JobStatus:
        """Wait until a job has ended.

        Args:
            job: Its id.
            every: Seconds between two looks.

        Returns:
            How it ended.

        Raises:
            RemoteError: It is gone, or the server cannot be reached.
        """
        return self._carry_out(self._exchanges.wait_for_job(job, every))

    def read_job(self, job: str) -> list[JobRow]:
        """Return what a job has found: a row for each image that is done.

        Args:
            job: Its id.

        Raises:
            RemoteError: It has not ended, it is gone, or the server cannot be reached.
        """
        return self._carry_out(self._exchanges.read_job(job))

    def resume_job(
        self, job: str, images: Sequence[ImageInput] = (), *, videos: Sequence[UploadedVideo] = ()
    ) -> JobStatus:
        """Let a job that has ended go on with every image or video that has no result.

        Args:
            job: Its id.
            images: Those that the server has forgotten; they are uploaded first.
            videos: The same of a job about videos.

        Returns:
            The job, which is worked at from now on.

        Raises:
            RemoteError: Nothing is left to do, the job is gone, or the server cannot be reached.
        """
        return self._carry_out(self._exchanges.resume_job(job, [*images, *videos]))

    def cancel_job(self, job: str) -> None:
        """Cancel a job that has not ended, which keeps what it has found; forget one that has.

        Args:
            job: Its id.

        Raises:
            RemoteError: It is gone, or the server cannot be reached.
        """
        self._carry_out(self._exchanges.delete(f"/v1/jobs/{job}"))

    def watch(
        self,
        subject: Subject,
        query: str,
        *,
        planner: str | None = None,
        budget: Mapping[str, float] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[StepLine | Result]:
        """Answer a query step by step. Who stops to iterate ends it after the step that is under way.

        Args:
            subject: An image as `upload` takes it, or what it returned; or a video, what `upload_video` returned.
            query: What to find.
            planner: One of those that the server allows; None = its default.
            budget: Limits, e.g. `{"max_steps": 5}`.
            since: Of a video: what is shown before this second is left out.
            until: Of a video: what is shown after this second is left out.

        Yields:
            Each step as it is taken, and the result last.

        Raises:
            RemoteError: The server refuses it, fails in the midst of it, or cannot be reached.
        """
        response = self._carry_out(
            self._exchanges.watch(subject, query, planner=planner, budget=budget, since=since, until=until)
        )
        try:
            for line in response.iter_lines():
                parsed = parse_line(line)
                if parsed is not None:
                    yield parsed
                if isinstance(parsed, Result):
                    return
        except httpx2.TransportError as error:
            raise build_broken_error() from error
        finally:
            response.close()
        raise build_broken_error()

    def _carry_out(self, exchange: Exchange[Answer]) -> Answer:
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
                    time.sleep(seconds)
                case Send(request, is_stream):
                    try:
                        answer = self._http.send(request, stream=is_stream)
                        if answer.is_error:
                            answer.read()
                    except httpx2.TransportError as error:
                        answer = error
