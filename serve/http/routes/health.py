"""Whether the server is alive, whether it can answer, its numbers, and its routes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from serve.http.errors import ApiError
from serve.http.metrics import CONTENT_TYPE_LATEST
from serve.http.reference_page import CONTENT_SECURITY_POLICY, render_reference
from serve.http.services import Services, get_services

router = APIRouter(tags=["server"])


@router.get("/health")
async def check_health() -> dict[str, str]:
    """The server is alive."""
    return {"status": "ok"}


@router.get("/ready")
async def check_readiness(services: Annotated[Services, Depends(get_services)]) -> dict[str, str]:
    """The models are loaded, and the server is not about to end; else 503."""
    if services.draining:
        raise ApiError(503, "draining", "this server is about to end", {"retry-after": "1"})
    services.sam3.get()
    services.planner.get()
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
async def show_metrics(services: Annotated[Services, Depends(get_services)]) -> Response:
    """Numbers for Prometheus."""
    return Response(services.metrics.render_text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/docs", response_class=Response, include_in_schema=False)
async def show_reference(request: Request) -> Response:
    """All routes, as a page."""
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
    return Response(render_reference(request.app.openapi()), media_type="text/html", headers=headers)
