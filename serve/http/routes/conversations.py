"""`/v1/conversations`: an image or a video, what is said about it turn by turn, and corrections by hand."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from agent.doubt.policy import apply_doubt
from sam3_tool import Sam3
from serve.http.errors import ApiError
from serve.http.middleware.auth import Tenant, get_tenant
from serve.http.routes.episodes import Accept, IdempotencyKey, describe_stream
from serve.http.schemas import ApiRequest
from serve.http.services import Services, get_services
from serve.talk.conversations import KeptConversation
from serve.talk.idempotency import Claim, StoredAnswer, hash_request
from serve.talk.schemas import (
    BoxRequest,
    ClickRequest,
    ConversationLine,
    ConversationRequest,
    ConversationState,
    ErrorLine,
    IdsRequest,
    SayRequest,
    SelectRequest,
    StepLine,
    ThresholdRequest,
    WaitingLine,
)
from serve.talk.streams import STREAMED, StepAnswer, choose_media_type, format_line, to_response
from serve.talk.talk import Talk, build_doubt_policy, get_talk

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

IfMatch = Annotated[
    str | None,
    Header(
        description="The `etag` of a state, or its cursor: the turn is taken only if the conversation is still in that"
        " state, else the answer is 409. An etag is exact; a cursor comes back after an undo."
    ),
]
Change = Callable[[Conversation, Sam3], Conversation]
"""Makes the next state; for most turns SAM 3 is not asked."""


class Nothing(ApiRequest):
    """A body that says nothing; it may be left out."""


@dataclass(frozen=True, eq=False)
class Turn:
    """One request that changes a conversation: what it says beside its body."""

    id: str
    """Of the conversation."""
    request: Request
    tenant: Tenant
    services: Services
    talk: Talk
    if_match: str | None
    idempotency_key: str | None

    def begin(self, asked: BaseModel, kind: str = "") -> StoredAnswer | Claim:
        """Return the answer that the same request has had before, or the claim to give it."""
        place = f"POST {self.request.url.path} {kind}"
        return self.talk.idempotency.begin(self.tenant.name, self.idempotency_key, hash_request(place, asked))

    def hold(self, stack: ExitStack) -> KeptConversation:
        """Hold the conversation until the stack is closed."""
        return stack.enter_context(self.talk.conversations.hold(self.tenant, self.id, self.if_match))

    def keep(
        self, kept: KeptConversation, conversation: Conversation, warnings: Sequence[str] = ()
    ) -> ConversationState:
        """Keep the next state, and describe it."""
        self.talk.conversations.change(self.tenant, kept, conversation, warnings)
        return self.talk.conversations.describe(kept)

    async def edit(self, asked: BaseModel, change: Change, *, asks_sam3: bool = False) -> Response:
        """Take a turn by hand."""
        claim = self.begin(asked)
        if isinstance(claim, StoredAnswer):
            return to_response(claim, is_replayed=True)
        with claim, ExitStack() as stack:
            kept = self.hold(stack)
            state = self.keep(kept, await self._run(kept.conversation, change, asks_sam3=asks_sam3))
            answer = build_answer(state)
            claim.finish(answer)
            return to_response(answer)

    async def _run(self, conversation: Conversation, change: Change, *, asks_sam3: bool) -> Conversation:
        try:
            if not asks_sam3:
                work = partial(change, conversation, self.services.sam3.get())
                return await asyncio.get_running_loop().run_in_executor(self.talk.pool, work)
            check_video_is_here(conversation)
            async with self.services.open_work(self.request) as asking:
                return await asking.run(lambda: change(conversation, asking.sam3))
        except ConversationError as error:
            raise refuse_turn(error) from error


async def get_turn(
    conversation: str,
    request: Request,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    services: Annotated[Services, Depends(get_services)],
    talk: Annotated[Talk, Depends(get_talk)],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Turn:
    """Return what a request says beside its body. A dependency of routes."""
    return Turn(conversation, request, tenant, services, talk, if_match, idempotency_key)


AnyTurn = Annotated[Turn, Depends(get_turn)]


def refuse_turn(error: ConversationError) -> ApiError:
    """Return the error of a turn that cannot be taken. Its sentence is for the user."""
    return ApiError(422, "turn_refused", str(error))


async def open_subject(asked: ConversationRequest, tenant: Tenant, talk: Talk) -> Conversation:
    """Return a new conversation about an image or a video that is kept. Raises ApiError if it is not kept."""
    if asked.video is None:
        return Conversation.start(talk.services.get_image(tenant, asked.image or ""), asked.name)
    task = await talk.open_video_task(tenant, asked.video, "", since=asked.since, until=asked.until)
    return Conversation((ImageShown(task.image, Path(asked.name).name, task.video, task.timeline),), 1)


def check_video_is_here(conversation: Conversation) -> None:
    """Raise ApiError for a conversation about a video that a restart has lost."""
    if conversation.timeline is not None and conversation.video is None:
        message = "the server has lost this conversation's video; upload it again, and turn to it by /show"
        raise ApiError(409, "video_gone", message)


def build_answer(state: ConversationState, status: int = 200) -> StoredAnswer:
    """Return the answer with a conversation's state."""
    headers = {"etag": state.etag}
    if status == 201:
        headers["location"] = f"/v1/conversations/{state.conversation}"
    return StoredAnswer(status, state.model_dump_json().encode("utf-8", "replace"), "application/json", headers)


@router.post("", status_code=201, response_model=ConversationState)
async def start_conversation(
    asked: ConversationRequest,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    talk: Annotated[Talk, Depends(get_talk)],
) -> Response:
    """Begin a conversation about an image or a video."""
    kept = talk.conversations.start(tenant, await open_subject(asked, tenant, talk))
    return to_response(build_answer(talk.conversations.describe(kept), 201))


@router.get("/{conversation}", response_model=ConversationState)
async def show_conversation(
    conversation: str,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    talk: Annotated[Talk, Depends(get_talk)],
) -> Response:
    """Return what a conversation has come to. That counts as a use."""
    return to_response(build_answer(talk.conversations.describe(talk.conversations.get(tenant, conversation))))


@router.delete("/{conversation}", status_code=204)
async def end_conversation(
    conversation: str,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    talk: Annotated[Talk, Depends(get_talk)],
) -> None:
    """Forget a conversation now. It is no error if it is not here."""
    talk.conversations.drop(tenant, conversation)


@router.post(
    "/{conversation}/say",
    response_model=ConversationState,
    responses={200: describe_stream(StepLine, WaitingLine, ErrorLine, ConversationLine)},
)
async def say_query(asked: SayRequest, turn: AnyTurn, accept: Accept = "application/json") -> Response:
    """Take the turn that answers a query; 'undo' and 'redo' are done at once."""
    talk, kind = turn.talk, choose_media_type(accept)
    claim = turn.begin(asked, kind)
    if isinstance(claim, StoredAnswer):
        return to_response(claim, is_replayed=True)
    stack = ExitStack()
    with ExitStack() as on_error:
        on_error.enter_context(claim)
        on_error.push(stack)
        kept = turn.hold(stack)
        conversation = kept.conversation
        done = await _apply_command(talk, conversation, asked.query)
        if done is not None:
            state = turn.keep(kept, done)
            answer = build_answer(state)
            if kind in STREAMED:
                body = format_line(ConversationLine(result=state), kind)
                answer = StoredAnswer(200, body, kind, answer.headers)
            claim.finish(answer)
            return to_response(answer)
        task = conversation.build_task(asked.query)
        check_video_is_here(conversation)
        begin = talk.begin_episode(task, asked)
        run = talk.build_run(begin, turn.request, turn.tenant, asked, kind, is_video=task.timeline is not None)

        def finish(episode: Episode) -> ConversationState:
            warnings = talk.list_warnings(episode, asked.planner)
            settled = apply_doubt(talk.count_usage(episode), build_doubt_policy(asked))
            return turn.keep(kept, conversation.append(settled), warnings)

        # the answer may be streamed after this function has returned, so it releases the claim and the conversation
        on_error.pop_all()
    answer_steps = StepAnswer(
        steps=talk.runner.take_steps_in_turn(run, turn.tenant),
        finish=finish,
        to_line=lambda state: ConversationLine(result=state),
        kind=kind,
        known=len(conversation.workspace),
        request_id=turn.request.state.request_id,
        claim=claim,
        headers=lambda state: {"etag": state.etag},
        close=stack.close,
    )
    return await answer_steps.respond(turn.request)


async def _apply_command(talk: Talk, conversation: Conversation, query: str) -> Conversation | None:
    """Go back or forth, if the query asks for nothing else. Raises ApiError where that cannot be."""
    try:
        return await asyncio.get_running_loop().run_in_executor(talk.pool, conversation.apply_command, query)
    except ConversationError as error:
        raise refuse_turn(error) from error


@router.post("/{conversation}/remove", response_model=ConversationState)
async def remove_masks(asked: IdsRequest, turn: AnyTurn) -> Response:
    """Remove masks from the answer. They stay known."""
    return await turn.edit(asked, lambda conversation, _: conversation.remove(asked.ids))


@router.post("/{conversation}/keep", response_model=ConversationState)
async def keep_masks(asked: IdsRequest, turn: AnyTurn) -> Response:
    """Keep only these masks of the answer."""
    return await turn.edit(asked, lambda conversation, _: conversation.keep(asked.ids))


@router.post("/{conversation}/restore", response_model=ConversationState)
async def restore_masks(asked: IdsRequest, turn: AnyTurn) -> Response:
    """Add known masks to the answer."""
    return await turn.edit(asked, lambda conversation, _: conversation.restore(asked.ids))


@router.post("/{conversation}/select", response_model=ConversationState)
async def select_masks(asked: SelectRequest, turn: AnyTurn) -> Response:
    """Make these masks the answer."""
    return await turn.edit(asked, lambda conversation, _: conversation.select(asked.ids))


@router.post("/{conversation}/threshold", response_model=ConversationState)
async def filter_masks(asked: ThresholdRequest, turn: AnyTurn) -> Response:
    """Keep the masks of the answer that score above a threshold. A second one in a row takes the place of the first."""
    return await turn.edit(asked, lambda conversation, _: conversation.filter_by_score(asked.threshold))


@router.post("/{conversation}/click", response_model=ConversationState)
async def click_image(asked: ClickRequest, turn: AnyTurn) -> Response:
    """Correct a mask at a pixel, or add the object there."""

    def click(conversation: Conversation, sam3: Sam3) -> Conversation:
        return conversation.click(asked.x, asked.y, sam3, positive=asked.positive, mask_id=asked.mask_id, at=asked.at)

    return await turn.edit(asked, click, asks_sam3=True)


@router.post("/{conversation}/box", response_model=ConversationState)
async def apply_box(asked: BoxRequest, turn: AnyTurn) -> Response:
    """Add everything that looks like the content of a box, or leave it out of the answer."""
    x, y, width, height = asked.box

    def change(conversation: Conversation, sam3: Sam3) -> Conversation:
        return conversation.apply_box(x, y, x + width, y + height, sam3, positive=asked.positive, at=asked.at)

    return await turn.edit(asked, change, asks_sam3=True)


@router.post("/{conversation}/show", response_model=ConversationState)
async def show_image(asked: ConversationRequest, turn: AnyTurn) -> Response:
    """Turn to another image or video: mask ids count from 1 again, and the earlier turns are kept.

    A conversation about a video that a restart has lost goes on as it was once the video is shown again.
    """
    shown = await open_subject(asked, turn.tenant, turn.talk)

    def show(conversation: Conversation, _: Sam3) -> Conversation:
        if shown.video is None:
            return conversation.show(shown.image, asked.name)
        return conversation.show_video(shown.video, asked.name, since=asked.since, until=asked.until)

    return await turn.edit(asked, show)


@router.post("/{conversation}/undo", response_model=ConversationState)
async def undo_turn(turn: AnyTurn, asked: Nothing | None = None) -> Response:
    """Go back to before the latest turn or image."""
    return await turn.edit(asked or Nothing(), lambda conversation, _: conversation.undo())


@router.post("/{conversation}/redo", response_model=ConversationState)
async def redo_turn(turn: AnyTurn, asked: Nothing | None = None) -> Response:
    """Take back the latest undo."""
    return await turn.edit(asked or Nothing(), lambda conversation, _: conversation.redo())
