"""`/v1/jobs`: the same question about many images or videos, answered in the background."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.routes.episodes import IdempotencyKey
from serve.talk.idempotency import hash_request
from serve.talk.jobs import PAGE
from serve.talk.schemas import ENDED_STATES, MAX_JOB_IMAGES, JobRequest, JobRow, JobStatus
from serve.talk.streams import STREAM_HEADERS
from serve.talk.talk import Talk, get_talk

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

POLL_SECONDS = 2
"""After which a client may ask again for what is not finished."""
AnyTenant = Annotated[Tenant, Depends(get_tenant)]
AnyTalk = Annotated[Talk, Depends(get_talk)]


@router.post("", status_code=202, response_model=JobStatus)
async def start_job(
    asked: JobRequest, tenant: AnyTenant, talk: AnyTalk, idempotency_key: IdempotencyKey = None
) -> Response:
    """Begin to ask the same of many images, or of many videos. The header `location` says where it can be followed."""
    talk.check_planned(asked)
    for named in asked.subjects:
        if not isinstance(named, str):
            talk.services.fetcher.check_url(named.url)
    if asked.webhook is not None:
        talk.services.fetcher.check_url(asked.webhook.url)
    store, request_hash = talk.jobs.store, hash_request("POST /v1/jobs", asked)
    add = partial(store.add, tenant.name, asked, request_hash, key=idempotency_key)
    job_id = await talk.jobs.call(add)
    talk.jobs.notify()
    status = await talk.jobs.call(partial(store.describe, tenant.name, job_id))
    return _respond(status, 202, {"location": f"/v1/jobs/{job_id}"})


def _respond(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = body.model_dump_json().encode("utf-8", "replace")
    return Response(content, status, headers, media_type="application/json")


@router.get("/{job}", response_model=JobStatus)
async def show_job(job: str, tenant: AnyTenant, talk: AnyTalk) -> Response:
    """Say how a job is doing."""
    return _respond(await talk.jobs.call(partial(talk.jobs.store.describe, tenant.name, job)))


@router.get(
    "/{job}/result",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {"schema": JobRow.model_json_schema()}}}},
)
async def read_result(
    job: str,
    tenant: AnyTenant,
    talk: AnyTalk,
    start: Annotated[int, Query(ge=0, le=MAX_JOB_IMAGES, description="The place of the first image.")] = 0,
) -> Response:
    """Return what was found: a line for each image, in the order of the request.

    A job that was cancelled or interrupted has lines for those images that were done until then.
    """
    store = talk.jobs.store
    status = await talk.jobs.call(partial(store.describe, tenant.name, job))
    if status.state not in ENDED_STATES:
        message = f"the job is not finished: {status.done} of {status.images} images are done"
        raise ApiError(409, "job_running", message, {"retry-after": str(POLL_SECONDS)})

    async def write_lines() -> AsyncGenerator[str, None]:
        place = start
        while lines := await talk.jobs.call(partial(store.read_lines, job, place)):
            yield "".join(f"{line}\n" for _, line in lines)
            place = lines[-1][0] + 1
            if len(lines) < PAGE:
                return

    return StreamingResponse(write_lines(), media_type="application/x-ndjson", headers=STREAM_HEADERS)


@router.post("/{job}/resume", status_code=202, response_model=JobStatus)
async def resume_job(job: str, tenant: AnyTenant, talk: AnyTalk) -> Response:
    """Let a job that has ended go on with every image that has no result, be it for an error."""
    await talk.jobs.call(partial(talk.jobs.store.resume, tenant.name, job))
    talk.jobs.notify()
    return _respond(await talk.jobs.call(partial(talk.jobs.store.describe, tenant.name, job)), 202)


@router.delete("/{job}", response_model=JobStatus, responses={204: {"description": "It is forgotten."}})
async def cancel_job(job: str, tenant: AnyTenant, talk: AnyTalk) -> Response:
    """Cancel a job that is not finished, which keeps what it has found; forget one that is."""
    if not await talk.jobs.call(partial(talk.jobs.store.cancel, tenant.name, job)):
        return Response(status_code=204)
    return _respond(await talk.jobs.call(partial(talk.jobs.store.describe, tenant.name, job)))
