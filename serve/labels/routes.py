"""Label Studio's routes, under `/label-studio/`: the address that its page of models is given."""

import logging
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from agent.core.errors import UsageError
from sam3_tool.errors import ImageError
from sam3_tool.network.fetching import FetchError, fetch_url
from serve.http.errors import ApiError
from serve.http.services import Services, Work, get_services
from serve.labels.label_config import parse_label_config
from serve.labels.label_studio import PREDICT_SECONDS, LabelStudioBackend, PredictRequest, SetupRequest

log = logging.getLogger(__name__)

router = APIRouter(prefix="/label-studio", tags=["label studio"])
SharedServices = Annotated[Services, Depends(get_services)]


@router.get("/health")
@router.get("/")
async def check_health() -> dict[str, str]:
    """Say that the server is alive, whether or not SAM 3 is loaded: Label Studio waits for one second."""
    return {"status": "UP", "model_class": "Sam3"}


@router.post("/setup")
async def set_up_project(body: SetupRequest, services: SharedServices) -> dict[str, str]:
    """Check a project's labelling interface, and return the version of its predictions."""
    try:
        config = parse_label_config(body.label_schema)
    except UsageError as error:
        raise ApiError(422, "bad_label_config", str(error)) from None
    if services.sam3.is_ready:  # nothing waits for it here: Label Studio waits for three seconds
        sam3 = services.sam3.get()
        phrases = {phrase for control in config.controls for several in control.phrases.values() for phrase in several}
        for warning in dict.fromkeys(filter(None, map(sam3.vocabulary_warning, sorted(phrases)))):
            log.warning("%s", warning)
    return {"model_version": LabelStudioBackend.compute_version(services.settings.weights, body.label_schema)}


@router.post("/predict")
async def predict_regions(body: PredictRequest, request: Request, services: SharedServices) -> dict[str, list[Any]]:
    """Find what every label stands for; with clicks or a box of a smart tool, the object that they show."""
    async with services.open_work(request, seconds=PREDICT_SECONDS) as work:
        backend = _make_backend(services, work)
        try:
            if body.params.context is not None and body.params.context.result:
                return {"results": [await work.run(lambda: backend.answer_prompts(body))]}
            return {"results": await work.run(lambda: backend.predict(body))}
        except (UsageError, ImageError, FetchError) as error:
            raise ApiError(422, "cannot_predict", str(error)) from None


@router.post("/webhook", status_code=201)
async def receive_event() -> dict[str, str]:
    """Take note of nothing, whoever tells it: SAM 3 is not trained by annotations, and the body is not read."""
    return {"status": "ok"}


def _make_backend(services: Services, work: Work) -> LabelStudioBackend:
    settings = services.settings

    def fetch_elsewhere(url: str) -> bytes:
        return fetch_url(url, hosts=settings.allowed_urls, max_bytes=settings.max_file_bytes)

    elsewhere = fetch_elsewhere if settings.allowed_urls else None
    images = replace(settings.label_studio, max_bytes=settings.max_file_bytes, fetch_elsewhere=elsewhere)
    return LabelStudioBackend(sam3=work.sam3, images=images, weights=settings.weights, max_pixels=settings.max_pixels)
