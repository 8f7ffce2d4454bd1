"""`/v1/images`: what clients upload, and what is kept of it."""

import asyncio
import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from sam3_tool import Image
from serve.http.answers import dump_json
from serve.http.errors import ApiError
from serve.http.images import read_image
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.schemas import ImageAnswer, UploadAnswer
from serve.http.services import Services, get_services
from serve.http.uploads import FILE_BODIES, read_content

router = APIRouter(prefix="/v1/images", tags=["images"])


@router.post(
    "", status_code=201, response_class=Response, responses={201: {"model": UploadAnswer}}, openapi_extra=FILE_BODIES
)
async def upload_image(
    request: Request,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
) -> Response:
    """Keep an image, and begin to encode it. The body is the file, a form with the file, or JSON with its address."""
    deadline = time.monotonic() + services.settings.deadline + services.settings.body_seconds
    async with services.uploads.hold_place(tenant):
        content = await read_content(request, services)
        async with services.uploads.enter(deadline):
            decode = partial(_decode_image, content, tenant, services)
            try:
                image = await asyncio.get_running_loop().run_in_executor(services.pool, decode)
            except ApiError as error:
                raise advise_curl(error, request) from error
    services.prefetch_image(tenant, image)
    return Response(
        dump_json({**describe_image(image, services), "notes": list(image.notes)}),
        201,
        {"location": f"/v1/images/{image.key}"},
        media_type="application/json",
    )


def describe_image(image: Image, services: Services) -> dict[str, Any]:
    """Return the JSON value of an image that is kept."""
    return {"image": image.key, "width": image.width, "height": image.height, "expires": services.images.seconds}


def advise_curl(error: ApiError, request: Request) -> ApiError:
    """Return the error with a hint where `curl -d @FILE` was meant to send a file, whose line breaks it leaves out."""
    kind = request.headers.get("content-type", "")
    if error.code != "not_an_image" or not kind.startswith("application/x-www-form-urlencoded"):
        return error
    hint = "; `curl -d` changes files, and --data-binary @FILE or -F file=@FILE sends them as they are"
    return ApiError(error.status, error.code, f"{error.message}{hint}")


def _decode_image(content: bytes, tenant: Tenant, services: Services) -> Image:
    return services.images.put(tenant, read_image(content, tenant, max_pixels=services.settings.max_pixels))


@router.get("/{key}", response_class=Response, responses={200: {"model": ImageAnswer}})
@router.head("/{key}", response_class=Response)
async def show_image(
    key: str,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
) -> Response:
    """Say whether an image is still here. That counts as a use."""
    image = services.images.get(tenant, key)
    if services.settings.slot is not None:  # another process may have received it
        services.prefetch_image(tenant, image)
    return Response(dump_json(describe_image(image, services)), media_type="application/json")


@router.delete("/{key}", status_code=204)
async def forget_image(
    key: str,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
) -> None:
    """Forget an image now. It is no error if it is not here."""
    services.images.drop(tenant, key)
