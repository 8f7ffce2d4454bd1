"""`POST /v1/segment`, `/v1/refine` and `/v1/everything`."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from sam3_tool import Concept, ConceptPrompt, Image, Sam3, VisualPrompt
from sam3_tool.errors import ConceptError
from sam3_tool.masks.rle import RleMask, check_runs, decode_mask
from sam3_tool.prompts import collect_exemplars
from serve.http.answers import dump_json, list_instances, list_warnings
from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.schemas import (
    EverythingAnswer,
    EverythingRequest,
    MaskInput,
    RefineAnswer,
    RefineRequest,
    SegmentAnswer,
    SegmentRequest,
)
from serve.http.services import Services, Work, get_services

router = APIRouter(prefix="/v1", tags=["masks"])


@dataclass(frozen=True, eq=False)
class MaskRequest:
    """A request about images that are kept, whoever sends it and whatever it asks for."""

    request: Request
    tenant: Tenant
    services: Services

    def get_image(self, key: str) -> Image:
        """Return an image that is kept. Raises ApiError where there is none of this key."""
        return self.services.get_image(self.tenant, key)

    async def answer(self, compute: Callable[[Work], bytes]) -> Response:
        """Wait for the request's turn at SAM 3, and return the JSON that `compute` makes in a thread."""
        async with self.services.open_work(self.request) as work:
            answer = await work.run(lambda: compute(work))
        return Response(answer, media_type="application/json")


async def get_mask_request(
    request: Request,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
) -> MaskRequest:
    """Return what a request says beside its body. A dependency of routes."""
    return MaskRequest(request, tenant, services)


AnyMaskRequest = Annotated[MaskRequest, Depends(get_mask_request)]


@router.post("/segment", response_class=Response, responses={200: {"model": SegmentAnswer}})
async def segment(asked: SegmentRequest, sent: AnyMaskRequest) -> Response:
    """Find every instance of each phrase, or of what boxes, masks or a concept show."""
    image = sent.get_image(asked.image)
    like = None if asked.like is None else sent.get_image(asked.like)
    return await sent.answer(lambda work: answer_segment(work.sam3, image, build_prompts(asked, image, like), asked))


def build_prompts(asked: SegmentRequest, image: Image, like: Image | None) -> list[ConceptPrompt]:
    """Return one prompt per phrase; or one of the examples alone. Raises ApiError for what cannot be asked.

    `like`: the image that the examples lie in, if it is another one.
    """
    if asked.like is not None and not asked.boxes and not asked.exemplar_masks:
        raise ApiError(422, "invalid", "`like` names the image that `boxes` or `exemplar_masks` lie in; give some")
    try:
        concept = None if asked.concept is None else decode_sent_concept(asked.concept)
        masks = [_decode_mask(mask, like or image) for mask in asked.exemplar_masks]
        boxes = [(x, y, x + width, y + height) for x, y, width, height in asked.boxes]
        exemplars, labels = collect_exemplars(like or image, boxes, asked.box_labels, masks, asked.mask_labels)
        phrases: list[str] | list[None] = asked.phrases or [None]
        return [
            ConceptPrompt(phrase, exemplars, labels, asked.threshold, like, concept and _name_concept(concept, phrase))
            for phrase in phrases
        ]
    except ValueError as error:
        raise ApiError(422, "invalid", str(error)) from error


def decode_sent_concept(text: str) -> Concept:
    """Return the concept of a file in base64. Raises ConceptError in one sentence for any other text."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise ConceptError("`concept` is not in base64; send the file that `sam3-agent describe` wrote") from None
    return Concept.from_bytes(content)


def _name_concept(concept: Concept, phrase: str | None) -> Concept:
    return concept if phrase is None else concept.with_phrase(phrase)


def answer_segment(sam3: Sam3, image: Image, prompts: list[ConceptPrompt], asked: SegmentRequest) -> bytes:
    """Return the answer as JSON. It blocks while SAM 3 works."""
    began = time.perf_counter()
    report = sam3.run_requests([(image, prompt) for prompt in prompts])
    results: list[dict[str, Any]] = []
    first_id = 1
    for found in report.instances:
        instances = list_instances(found, asked.masks, first_id=first_id)
        first_id += len(instances)
        warnings = list_warnings(found, sam3)
        said = {"warnings": warnings} if warnings else {}
        results.append({"phrase": found.phrase, "presence": found.presence, "instances": instances, **said})
    usage = build_usage(report.encodes, report.decodes, began)
    return dump_json({"image": asked.image, "results": results, "usage": usage})


def build_usage(encodes: int, decodes: int, began: float) -> dict[str, Any]:
    """Return what an answer has cost. `began`: of `time.perf_counter`."""
    return {"encodes": encodes, "decodes": decodes, "seconds": round(time.perf_counter() - began, 6)}


@router.post("/refine", response_class=Response, responses={200: {"model": RefineAnswer}})
async def refine(asked: RefineRequest, sent: AnyMaskRequest) -> Response:
    """Find the one object that clicks, a box, or an earlier mask show: three candidates, best first."""
    image = sent.get_image(asked.image)
    return await sent.answer(lambda work: _answer_refine(work.sam3, image, asked))


def _answer_refine(sam3: Sam3, image: Image, asked: RefineRequest) -> bytes:
    began = time.perf_counter()
    try:
        prompt = build_visual_prompt(asked, image)
        prompt.check_fits(image.height, image.width)
    except ValueError as error:
        raise ApiError(422, "invalid", str(error)) from error
    report = sam3.run_requests([(image, prompt)])
    [found] = report.instances
    answer = {
        "image": asked.image,
        "presence": found.presence,
        "candidates": list_instances(found, asked.masks),
        "usage": build_usage(report.encodes, report.decodes, began),
    }
    return dump_json(answer)


def build_visual_prompt(asked: RefineRequest, image: Image) -> VisualPrompt:
    """Return the prompt that was asked for. Raises ValueError for what cannot be asked."""
    mask = None if asked.mask is None else _decode_mask(asked.mask, image)
    box = (
        None
        if asked.box is None
        else (asked.box[0], asked.box[1], asked.box[0] + asked.box[2], asked.box[1] + asked.box[3])
    )
    points = tuple((x, y) for x, y in asked.points)
    return VisualPrompt(points, tuple(asked.labels), box, mask, asked.multimask, asked.fill_holes)


def _decode_mask(given: MaskInput, image: Image) -> np.ndarray:
    """Return bool, (H, W). Raises ValueError for a mask of another size, or what is no mask."""
    if given.size != [image.height, image.width]:
        raise ValueError(f"`mask` must have the image's size [{image.height}, {image.width}]")
    mask = RleMask((image.height, image.width), given.counts)
    check_runs(mask)
    return decode_mask(mask)


@router.post("/everything", response_class=Response, responses={200: {"model": EverythingAnswer}})
async def segment_everything(asked: EverythingRequest, sent: AnyMaskRequest) -> Response:
    """Find everything, without a prompt. This takes as long as some hundred clicks."""
    image = sent.get_image(asked.image)
    return await sent.answer(lambda work: _answer_everything(work.build_unhurried(), image, asked))


def _answer_everything(sam3: Sam3, image: Image, asked: EverythingRequest) -> bytes:
    began = time.perf_counter()
    rules = asked.model_dump(exclude={"image", "masks"})
    found = sam3.segment_everything(image, **rules)
    seconds = round(time.perf_counter() - began, 6)
    return dump_json({"image": asked.image, "instances": list_instances(found, asked.masks), "seconds": seconds})
