"""`POST /v1/episodes`: the agent's answer to a query, at once or step by step."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from agent.report.result import Result
from serve.http.middleware.auth import Tenant, get_tenant
from serve.talk.idempotency import StoredAnswer, hash_request
from serve.talk.schemas import EpisodeRequest, ErrorLine, ResultLine, StepLine, WaitingLine
from serve.talk.streams import StepAnswer, choose_media_type, to_response
from serve.talk.talk import Talk, get_talk

router = APIRouter(prefix="/v1", tags=["queries"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Any text of one's own: a request that is sent again with it is not done again, and gets the answer"
        " of the first one, for 24 hours."
    ),
]
Accept = Annotated[
    str,
    Header(
        alias="accept",
        description="`text/event-stream` or `application/x-ndjson` for one line per step and the result as the last"
        " one; `application/json` for the result alone.",
    ),
]


def describe_stream(*lines: type) -> dict[str, Any]:
    """Return what the OpenAPI document says of an answer that may be a stream of these lines."""
    names = ", ".join(f"`{line.__name__}`" for line in lines)
    text = {"schema": {"type": "string", "description": f"Lines of JSON: each {names}, told apart by `type`."}}
    return {"description": "The answer.", "content": {"application/x-ndjson": text, "text/event-stream": text}}


@router.post(
    "/episodes",
    response_model=Result,
    responses={200: describe_stream(StepLine, WaitingLine, ErrorLine, ResultLine)},
)
async def ask_query(
    asked: EpisodeRequest,
    request: Request,
    tenant: Annotated[Tenant, Depends(get_tenant)],
    talk: Annotated[Talk, Depends(get_talk)],
    accept: Accept = "application/json",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer a query about an image or a video. The answer is what `result.json` holds."""
    began, kind = time.perf_counter(), choose_media_type(accept)
    claim = talk.idempotency.begin(tenant.name, idempotency_key, hash_request(f"POST /v1/episodes {kind}", asked))
    if isinstance(claim, StoredAnswer):
        return to_response(claim, is_replayed=True)
    with claim.release_on_error():
        task = await talk.open_task(tenant, asked)
        begin = talk.begin_episode(task, asked)
        run = talk.build_run(begin, request, tenant, asked, kind, is_video=task.timeline is not None)
    answer = StepAnswer(
        steps=talk.runner.take_steps_in_turn(run, tenant),
        finish=talk.finish_episode(asked, lambda: time.perf_counter() - began),
        to_line=lambda result: ResultLine(result=result),
        kind=kind,
        known=0,
        request_id=request.state.request_id,
        claim=claim,
    )
    return await answer.respond(request)
