"""`POST /v1/responses`, as clients of Meta's SAM API call it."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import StreamingResponse

from sam3_tool import Concept, Image, Video
from sam3_tool.errors import ConceptError
from serve.http.answers import dump_json
from serve.http.errors import ApiError, get_request_id, to_api_error
from serve.http.images import read_image
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.services import Services, Work, get_services
from serve.responses.answering import Answerer
from serve.responses.events import ResponseEnvelope
from serve.responses.prompts import PromptError, is_object_prompt
from serve.responses.requests import (
    AGENT,
    MAX_LETTERS,
    ImagePart,
    ResponseRequest,
    ResponseRequestError,
    VideoPart,
    decode_data_url,
    is_data_url,
)
from serve.talk.talk import Talk, get_talk
from serve.videos.opening import open_sent_video
from serve.videos.store import build_key

router = APIRouter(prefix="/v1", tags=["responses"])


@router.post("/responses", response_class=Response)
async def respond(
    asked: ResponseRequest,
    request: Request,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
    talk: Annotated[Talk, Depends(get_talk)],
) -> Response:
    """Answer as Meta's SAM API does: a phrase, boxes or points, and one image or video, in OpenAI's Responses format.

    Two extensions: an `input_file` may hold a concept in place of the phrase, and the model `sam3-agent` takes whole
    sentences and answers by the agent.
    """
    text, media = _read_question(asked)
    concept = _read_concept(asked)
    async with AsyncExitStack() as held:
        subject = await _open_subject(media, held, tenant, services)
        is_video = isinstance(subject, Video)
        work = await held.enter_async_context(services.open_work(request))
        planner = None
        if asked.is_for_agent:
            planner = await work.run(partial(talk.planners.get_planner, is_video=is_video))
        sam3 = work.build_unhurried() if is_video else work.sam3
        answerer = Answerer(sam3, asked.metadata, planner, concept, talk.settings.budget)
        lines = answerer.answer(subject, text)
        # what is wrong with a request shows by its first line at the latest: until then there is a status to say so
        first = await _take_first_line(work, lines)
        envelope = ResponseEnvelope(asked.model, asked.metadata.model_dump(exclude_unset=True))
        if asked.stream:
            request_id = get_request_id(request.scope)
            events = envelope.stream_events(
                chain([first], lines), answerer.usage, lambda error: to_api_error(error, request_id).message
            )
            return StreamingResponse(
                _iterate_in_threads(work, events, held.pop_all()),
                media_type="text/event-stream",
                headers={"cache-control": "no-store", "x-accel-buffering": "no"},
            )
        rest = await work.run(lambda: "".join(lines))
        answer = envelope.build_response("completed", text=first + rest, usage=answerer.usage)
    return Response(dump_json(answer), media_type="application/json")


def _read_question(asked: ResponseRequest) -> tuple[str, ImagePart | VideoPart]:
    """Return the text and the medium. Raises ApiError for what is no question."""
    try:
        text, media = asked.read_text(), asked.read_media()
    except ResponseRequestError as error:
        raise ApiError(400, "invalid", str(error)) from error
    if is_object_prompt(text) and asked.is_for_agent:
        raise ApiError(400, "invalid", f"{AGENT} takes a sentence; send boxes and points to another model, as sam-3.1")
    if len(text) > MAX_LETTERS and not is_object_prompt(text):
        raise ApiError(400, "invalid", f"the text has {len(text)} letters; at most {MAX_LETTERS} are taken")
    return text, media


def _read_concept(asked: ResponseRequest) -> Concept | None:
    """Return the examples that were sent, if any. Raises ApiError for what is no concept."""
    try:
        content = asked.read_concept()
        return None if content is None else Concept.from_bytes(content)
    except (ResponseRequestError, ConceptError) as error:
        raise ApiError(400, "invalid", str(error)) from error


async def _open_subject(
    media: ImagePart | VideoPart, held: AsyncExitStack, tenant: Tenant, services: Services
) -> Image | Video:
    """Read the image or the video, at the gate for uploads. `held` keeps a video's file as long as it is needed."""
    loop, deadline = asyncio.get_running_loop(), time.monotonic() + services.settings.deadline
    async with services.uploads.hold_place(tenant):
        if is_data_url(media.url):
            content = await loop.run_in_executor(services.pool, _decode_data, media.url)
        else:
            content = await services.fetch_image(media.url)
        async with services.uploads.enter(deadline):
            most = services.settings.max_pixels
            if isinstance(media, ImagePart):
                return await loop.run_in_executor(services.pool, partial(read_image, content, tenant, max_pixels=most))
            folder = held.enter_context(tempfile.TemporaryDirectory(prefix="sam3-agent-"))
            open_sent = partial(_open_video, content, Path(folder), tenant, most)
            return await loop.run_in_executor(services.pool, open_sent)


def _decode_data(url: str) -> bytes:
    try:
        return decode_data_url(url)
    except ResponseRequestError as error:
        raise ApiError(400, "invalid", str(error)) from error


def _open_video(content: bytes, folder: Path, tenant: Tenant, max_pixels: int) -> Video:
    path = folder / "video"
    path.write_bytes(content)
    return open_sent_video(path, tenant, build_key(content, tenant), max_pixels=max_pixels)


async def _take_first_line(work: Work, lines: Iterator[str]) -> str:
    try:
        return await work.run(lambda: next(lines, ""))
    except ConceptError:  # of other weights, which is said elsewhere
        raise
    except (PromptError, ValueError) as error:
        raise ApiError(400, "invalid", str(error)) from error


async def _iterate_in_threads(work: Work, events: Iterator[str], held: AsyncExitStack) -> AsyncIterator[str]:
    """Yield what comes from a thread, until the client has left; then close what the answer held."""
    loop = asyncio.get_running_loop()
    async with held:
        try:
            while event := await loop.run_in_executor(work.pool, next, events, ""):
                yield event
        finally:
            work.cancel.set()
