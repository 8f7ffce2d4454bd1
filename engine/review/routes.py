"""The routes of the review: items, answers, undo, images, clicks, and what a team may know of itself."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from demo.studio.local import edit_masks
from demo.studio.value import MAX_MASKS, StudioMask
from engine.errors import EngineError
from engine.review.entries import check_choice
from engine.review.queue.opinions import MAX_BATCH
from engine.review.queue.tables import NewOpinion, QueueItem
from engine.review.services import ReviewServices
from engine.review.team.people import Person
from engine.review.team.statistics import FACETS, compute_agreements, count_failures, describe_people, filter_failures
from engine.review.views import SCENE_SIDE
from sam3_tool.errors import ImageError
from serve.http.errors import ApiError

router = APIRouter(prefix="/api")
Stage = Annotated[str, Field(pattern="^(mv|ev|correct)$")]
PageId = Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")]
ItemIds = Annotated[list[int], Field(max_length=200)]
IMAGE_GONE = "this item, or its image, is gone; go on with the next one"
MAX_SHOWN = 100
"""Failures that are listed at once."""


class RequestBody(BaseModel):
    """A body that holds nothing else."""

    model_config = ConfigDict(extra="forbid")


class TakeRequest(RequestBody):
    """A page wants items."""

    stage: Stage
    page: PageId
    count: int = Field(default=5, ge=1, le=MAX_BATCH)
    held: ItemIds = []
    grid: bool = False
    """Up to 24 masks of one phrase instead."""


class PageRequest(RequestBody):
    """A page lives, or closes, or takes an answer back."""

    page: PageId
    items: ItemIds = []


class AnswerRequest(RequestBody):
    """What a person says of an item."""

    id: PageId
    item: int
    choice: str = Field(max_length=40)
    reason: str = Field(default="", max_length=40)
    seconds: FiniteFloat = Field(ge=0, le=86_400)
    content: str = Field(default="", max_length=2**21)
    batch: str = Field(default="", max_length=64)


class AnswersRequest(RequestBody):
    """Several answers, in the order in which they were given."""

    answers: list[AnswerRequest] = Field(min_length=1, max_length=200)


class ItemRequest(RequestBody):
    """Something about one item."""

    item: int


class RefineRequest(RequestBody):
    """Clicks and a box on an item's image."""

    item: int
    id: Annotated[int, Field(ge=1, lt=10**9)] = 1
    """That the mask gets."""
    points: list[tuple[FiniteFloat, FiniteFloat, bool]] = Field(default=[], max_length=100)
    """x, y in pixels, and whether it is on the object."""
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None


class AlikeRequest(RequestBody):
    """A box around an object of which all others are wanted."""

    item: int
    id: Annotated[int, Field(ge=1, lt=10**9)]
    """That the first new mask gets."""
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    masks: Annotated[tuple[StudioMask, ...], Field(max_length=MAX_MASKS)] = ()
    """Those that are there."""


class GoldRequest(RequestBody):
    """A reviewer makes an item test people, or (None) no more."""

    item: int
    choice: str | None = Field(default=None, max_length=40)


def get_services(request: Request) -> ReviewServices:
    """Return what the routes share."""
    services: ReviewServices = request.app.state.services
    return services


Services = Annotated[ReviewServices, Depends(get_services)]


def get_person(request: Request, services: Services) -> Person:
    """Return who asks."""
    return services.people.find_person(request.state.tenant)


Asker = Annotated[Person, Depends(get_person)]


def require_reviewer(person: Asker) -> Person:
    """Return who asks, if they may see what others have said. Raises ApiError."""
    if not person.can_see_others:
        raise ApiError(403, "not_allowed", "this is for reviewers and admins; ask one of them")
    return person


@router.get("/me")
def read_me(person: Asker, services: Services) -> dict[str, Any]:
    """Return who asks, and the guidelines."""
    return {"name": person.name, "role": person.role, "guidelines": services.guidelines}


@router.post("/take")
def take_items(asked: TakeRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Lease items to the person, and return what the page draws of them; where there are none, what others hold."""
    queue = services.desk.queue
    if asked.grid:
        items = services.take_grid(person, asked.page, asked.held)
    else:
        items = queue.take_items(person.name, asked.stage, count=asked.count, page=asked.page, held=asked.held)
    elsewhere = 0 if items else queue.count_elsewhere(person.name, asked.stage, asked.page)
    return {"items": services.describe_items(items), "elsewhere": elsewhere}


@router.post("/beat")
def renew_leases(asked: PageRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Hold the items of a page for two minutes more; return those that it still has."""
    return {"items": services.desk.queue.renew_leases(person.name, asked.page, asked.items)}


@router.post("/release")
def release_page(asked: PageRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Give back all that a page holds."""
    services.desk.queue.release_page(person.name, asked.page)
    return {}


@router.post("/answers")
def keep_answers(asked: AnswersRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Keep answers. What is 'kept', 'repeated' or 'answered' need not be sent again."""
    opinions = [
        NewOpinion(answer.item, answer.id, answer.choice, answer.reason, answer.seconds, answer.content, answer.batch)
        for answer in asked.answers
    ]
    statuses = services.desk.keep_opinions(person.name, opinions)
    told = {
        answer.id: services.tell_afterwards(answer.item, answer.choice)
        for answer in asked.answers
        if statuses[answer.id] in ("kept", "repeated")
    }
    return {"statuses": statuses, "told": told}


@router.post("/undo")
def undo_answers(asked: PageRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Take back the person's latest answer, or grid; return its items."""
    return {"items": services.describe_items(services.desk.undo_opinions(person.name, asked.page))}


@router.get("/images/{key}")
def send_image(
    key: str,
    services: Services,
    _: Asker,
    box: Annotated[str | None, Query(pattern=r"^\d{1,6}(,\d{1,6}){3}$")] = None,
    side: Annotated[int, Query(ge=16, le=SCENE_SIDE)] = SCENE_SIDE,
) -> Response:
    """Return an image, or a part of it (x0,y0,x1,y1), whose long side has at most `side` pixels."""
    image = services.desk.store.find_image(key)
    if image is None:
        raise ApiError(404, "not_found", "this image was removed from the project; go on with the next item")
    x0, y0, x1, y1 = map(int, box.split(",")) if box else (0, 0, image.width, image.height)
    try:
        content = services.views.encode_part(image, (x0, y0, x1, y1), side)
    except ImageError as error:
        raise ApiError(410, "image_gone", "the file of this image is gone or has changed; tell an admin") from error
    except ValueError as error:
        raise ApiError(422, "invalid", str(error)) from error
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


@router.post("/edit")
def open_pair(asked: ItemRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Return all masks of an item's pair, for whoever wants to correct it at once."""
    item = find_own_item(services, person, asked.item)
    state = services.desk.read_state(item.pair)
    kept = () if state is None else (*state.decision.accepted, *state.decision.open_masks)
    # the item's own mask is what shall be mended, and nobody has refused those that are open
    chosen = {*kept, *(() if item.mask is None else (item.mask,))}
    version = f"{item.version.partition(':')[0]}:{','.join(map(str, sorted(chosen)))}"
    views = services.describe_items([replace(item, stage="correct", mask=None, version=version)])
    if not views:
        raise ApiError(410, "item_gone", "this item was removed from the project; go on with the next one")
    return {"view": views[0]}


@router.post("/refine")
def refine_mask(asked: RefineRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Return the mask of what clicks and a box show: one, or none."""
    item = find_own_item(services, person, asked.item)
    if not asked.points and asked.box is None:
        raise ApiError(422, "invalid", "a click or a box is needed")
    try:
        return {"rows": services.refine_mask(item, asked.id, asked.points, asked.box)}
    except (EngineError, ImageError) as error:
        raise ApiError(410, "item_gone", IMAGE_GONE) from error


@router.post("/alike")
def find_alike(asked: AlikeRequest, person: Asker, services: Services) -> dict[str, Any]:
    """Return masks of everything that looks like the object in a box, and is not there yet."""
    item = find_own_item(services, person, asked.item)
    try:
        return {"rows": services.find_alike(item, asked.id, asked.box, asked.masks)}
    except (EngineError, ImageError) as error:
        raise ApiError(410, "item_gone", IMAGE_GONE) from error


@router.post("/draw")
def draw_masks(asked: Annotated[dict[str, Any], Body()], _: Asker) -> dict[str, Any]:
    """Paint on masks, cut, merge, split or mend them; what is answered is what a work area expects."""
    return edit_masks(asked)


def find_own_item(services: ReviewServices, person: Person, number: int) -> QueueItem:
    """Return an item that a person has leased or answered. Raises ApiError."""
    item = services.desk.queue.find_item(number)
    if item is None or not services.desk.queue.holds_item(person.name, number):
        raise ApiError(404, "not_found", "this item is not yours any more; load the page again")
    return item


@router.get("/progress")
def read_progress(person: Asker, services: Services) -> dict[str, Any]:
    """Return what is left, and how the person themselves works."""
    own = [answer for answer in services.list_answers() if answer.person == person.name]
    described = describe_people(own)
    rest = {**vars(services.estimate_rest()), "open": services.count_open()}
    return {"rest": rest, "own": described[0] if described else None}


@router.get("/people")
def read_people(_: Annotated[Person, Depends(require_reviewer)], services: Services) -> dict[str, Any]:
    """Return how everybody works, how far they agree, what is left for machines, and what became of fits."""
    answers = services.list_answers(is_fresh=True)
    agreement = compute_agreements(answers, services.list_double_corrections())
    people = describe_people(answers)
    machines, fits = services.describe_machines(), services.describe_fits()
    return {"people": people, "agreement": agreement, "machines": machines, "fits": fits}


@router.get("/failures")
def read_failures(
    request: Request, _: Annotated[Person, Depends(require_reviewer)], services: Services
) -> dict[str, Any]:
    """Count what failed by every facet; query parameters narrow the count. Then list the latest of it."""
    chosen = {facet: request.query_params[facet] for facet in FACETS if facet in request.query_params}
    answers = services.list_answers(is_fresh=True)
    found = list(filter_failures(answers, chosen))
    return {
        "facets": count_failures(answers, chosen),
        "count": len(found),
        "answers": [_describe_answer(services, answer) for answer in found[: -MAX_SHOWN - 1 : -1]],
    }


def _describe_answer(services: ReviewServices, answer: Any) -> dict[str, Any]:
    item = services.desk.queue.find_item(answer.item)
    view = next(iter(services.describe_items([item] if item else [])), None)
    said = {"person": answer.person, "item": answer.item, "choice": answer.choice, "reason": answer.reason}
    return {**said, "gold": None if item is None else item.gold, "view": view}


@router.post("/gold")
def set_gold(asked: GoldRequest, _: Annotated[Person, Depends(require_reviewer)], services: Services) -> dict[str, Any]:
    """Let an item test people, or no more."""
    item = services.desk.queue.find_item(asked.item)
    if item is None:
        raise ApiError(404, "not_found", "there is no such item")
    if asked.choice is not None and (told := check_choice(item.stage, asked.choice, "")):
        raise ApiError(422, "invalid", told)
    services.desk.queue.set_gold(asked.item, asked.choice)
    return {}
