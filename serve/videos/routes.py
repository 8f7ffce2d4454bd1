"""`/v1/videos`: what clients upload, and what is kept of it."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sam3_tool import Video
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.services import Services, get_services
from serve.http.uploads import FILE_BODIES, read_content
from serve.videos.schemas import VideoAnswer

router = APIRouter(prefix="/v1/videos", tags=["videos"])

AnyTenant = Annotated[Tenant, Depends(get_tenant)]
AnyServices = Annotated[Services, Depends(get_services)]


@router.post("", status_code=201, response_model=VideoAnswer, openapi_extra=FILE_BODIES)
async def upload_video(request: Request, tenant: AnyTenant, services: AnyServices) -> Response:
    """Keep a video. The body is the file, a form with the file, or JSON with its address."""
    deadline = time.monotonic() + services.settings.deadline + services.settings.body_seconds
    async with services.uploads.hold_place(tenant):
        content = await read_content(request, services)
        async with services.uploads.enter(deadline):
            loop = asyncio.get_running_loop()
            key, video = await loop.run_in_executor(services.pool, services.videos.put, tenant, content)
    return _respond(describe_video(key, video, services), 201, {"location": f"/v1/videos/{key}"})


def describe_video(key: str, video: Video, services: Services) -> VideoAnswer:
    """Return what is told of a video that is kept."""
    return VideoAnswer(
        video=key,
        width=video.width,
        height=video.height,
        frames=len(video),
        seconds=round(float(video.times[-1]), 3),
        expires=services.videos.seconds,
        notes=[*video.notes],
    )


def _respond(answer: VideoAnswer, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(answer.model_dump_json(), status, headers, media_type="application/json")


@router.get("/{key}", response_model=VideoAnswer)
@router.head("/{key}", response_model=VideoAnswer)
async def show_video(key: str, tenant: AnyTenant, services: AnyServices) -> Response:
    """Say whether a video is still here. That counts as a use."""
    return _respond(describe_video(key, await services.open_video(tenant, key), services))


@router.delete("/{key}", status_code=204)
async def forget_video(key: str, tenant: AnyTenant, services: AnyServices) -> None:
    """Forget a video now. It is no error if it is not here."""
    await asyncio.to_thread(services.videos.drop, tenant, key)
