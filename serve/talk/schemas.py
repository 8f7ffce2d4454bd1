"""What clients send to episodes, conversations and jobs, checked; and the shape of what they get."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from agent.core.budget import Budget
from agent.core.outcome import Outcome
from agent.core.usage import Usage
from agent.report.result import Mask, Result
from serve.http.schemas import MAX_LETTERS, MAX_PHRASES, ApiRequest, BoxInput, ImageKey, Number, Text, UrlUpload
from serve.talk.webhooks import parse_secret

MAX_JOB_IMAGES = 10_000
MAX_IDS = 2000

Query = Annotated[str, Strict(), Field(min_length=1, max_length=MAX_LETTERS, pattern=r"\S", examples=["the red cups"])]
Count = Annotated[int, Strict(), Field(ge=1, le=10**9)]
Positive = Annotated[Number, Field(gt=0)]
MaskIds = Annotated[list[Annotated[int, Strict(), Field(ge=1, le=10**9)]], Field(min_length=1, max_length=MAX_IDS)]
Name = Annotated[str, Strict(), Field(max_length=255)]
Threshold = Annotated[Number, Field(ge=0, lt=1)]


class BudgetInput(ApiRequest):
    """Limits of an episode, which ends with its best answer so far at the first that it reaches."""

    max_steps: Count | None = None
    max_seconds: Positive | None = None
    max_sam_calls: Count | None = None
    """Phrases given to SAM 3's detector."""
    max_model_calls: Count | None = None
    """Requests to a language model."""
    max_tokens: Count | None = None
    """Tokens of prompts and completions together."""

    def limit_budget(self, allowed: Budget) -> Budget:
        """Return the operator's budget with these limits. Raises ValueError for one that is above the operator's."""
        asked = self.model_dump(exclude_none=True)
        for name, value in asked.items():
            most = getattr(allowed, name)
            if most is not None and value > most:
                raise ValueError(f"budget.{name}: this server allows {most:g} at most")
        return replace(allowed, **asked)


class PlannedRequest(ApiRequest):
    """What every query may say beside itself."""

    planner: Annotated[str, Strict(), Field(max_length=255)] | None = None
    """One of those that the server allows; left out, its default."""
    budget: BudgetInput = BudgetInput()
    """Left out, the server's own limits hold."""


class EpisodeRequest(PlannedRequest):
    """A query about an image."""

    image: ImageKey
    query: Query
    """In one's own words."""


class ConversationRequest(ApiRequest):
    """The image that a conversation begins with, or turns to."""

    image: ImageKey
    name: Name = ""
    """The image's file name, for people."""


class SayRequest(PlannedRequest):
    """A query that goes on with a conversation. 'undo' and 'redo' are done at once."""

    query: Query


class IdsRequest(ApiRequest):
    """Masks by their ids."""

    ids: MaskIds


class SelectRequest(ApiRequest):
    """The masks that are to be the answer; none of them for an empty answer."""

    ids: Annotated[list[Count], Field(max_length=MAX_IDS)]


class ThresholdRequest(ApiRequest):
    """A score that masks of the answer must exceed; 0 takes an earlier threshold back."""

    threshold: Threshold


class ClickRequest(ApiRequest):
    """A click that corrects a mask, or adds the object that is there."""

    x: Number
    """Column in pixels."""
    y: Number
    """Row in pixels."""
    positive: Annotated[bool, Strict()] = True
    """False takes away what is there."""
    mask_id: Count | None = None
    """The mask to correct; left out, the smallest mask of the answer there, and without one, a new object."""


class BoxRequest(ApiRequest):
    """A box around an example: everything that looks like it is added, or taken away."""

    box: BoxInput
    """x, y, width, height in pixels."""
    positive: Annotated[bool, Strict()] = True
    """False takes away what looks like it."""


class Webhook(ApiRequest):
    """Where to tell that a job has ended. The message is the job, signed as standardwebhooks.com describes."""

    url: Annotated[str, Strict(), Field(max_length=MAX_LETTERS)]
    """An https address, of a host that the server may send to."""
    secret: Annotated[str, Strict(), Field(max_length=100, examples=["whsec_MDEyMzQ1Njc4OWFiY2RlZg=="])]
    """'whsec_' and Base64 of 16 to 64 bytes, with which messages are signed."""

    @model_validator(mode="after")
    def check_secret(self) -> Self:
        """Refuse a secret that cannot be one."""
        parse_secret(self.secret)
        return self


class JobRequest(PlannedRequest):
    """The same question about many images."""

    images: Annotated[list[ImageKey | UrlUpload], Field(min_length=1, max_length=MAX_JOB_IMAGES)]
    """Keys of uploads, or `{"url": …}`. Urls are fetched when their turn comes, and survive a restart of the server."""
    query: Query | None = None
    """Asked of each image; either this or `phrases`."""
    phrases: Annotated[list[Text], Field(max_length=MAX_PHRASES)] = Field(default=[])
    """Searched for in each image, as `/v1/segment` does."""
    threshold: Threshold = 0.5
    """Of `phrases`: instances that score strictly above it are found."""
    webhook: Webhook | None = None

    @model_validator(mode="after")
    def check_question(self) -> Self:
        """Refuse what asks nothing, or two things."""
        if (self.query is None) == (not self.phrases):
            raise ValueError("expected either `query` or `phrases`")
        return self


class Answered(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StepLine(Answered):
    """A line of a stream: a step that was taken."""

    type: Literal["step"] = "step"
    step: int
    """Counts from 1."""
    tool: str
    """Empty where the planner called none."""
    arguments: Any
    """Of the call: JSON, or the text that was none."""
    thought: str
    text: str
    """What came of it."""
    is_error: bool
    seconds: float
    masks: list[Mask]
    """Those that it found; ids go on counting."""
    shown: list[int] | None
    """Ids of the masks that it is about."""


class WaitingLine(Answered):
    """A line of a stream that only says that the answer is still being worked at."""

    type: Literal["waiting"] = "waiting"


class ErrorBody(Answered):
    """Why a request failed."""

    code: str
    message: str
    request_id: str = ""


class ErrorAnswer(Answered):
    """The answer to a request that failed."""

    error: ErrorBody


class ErrorLine(Answered):
    """The last line of a stream that failed."""

    type: Literal["error"] = "error"
    error: ErrorBody


class ResultLine(Answered):
    """The last line of the stream of an episode."""

    type: Literal["result"] = "result"
    result: Result


class ShownImage(Answered):
    """The image that a conversation is about now."""

    image: str
    """Its key."""
    width: int
    height: int
    name: str


class TurnSummary(Answered):
    """A turn that counts."""

    query: str
    by_hand: bool
    """Whether it was done by hand, e.g. by a click."""
    outcome: Outcome
    message: str


class ConversationState(Answered):
    """What a conversation has come to."""

    conversation: str
    """Its id."""
    cursor: int
    """How many images shown and turns taken count. It comes back after an undo; `etag` never does."""
    etag: str
    """Of this state, for `If-Match`."""
    can_undo: bool
    can_redo: bool
    image: ShownImage
    outcome: Outcome | None
    """Of the latest turn; null before the first one, and after another image was shown."""
    message: str
    """What the latest turn said."""
    warnings: list[str]
    """What one must know of the latest turn, e.g. of phrases that SAM 3 does not know."""
    options: list[str]
    """Where the latest turn asked back: the readings to choose from."""
    masks: list[Mask]
    """The answer; ids stay the same while the image does."""
    count: int
    """How many masks."""
    shown: list[int]
    """Ids of the masks to draw: while it asks back, those in question."""
    turns: list[TurnSummary]
    """Oldest first."""
    usage: Usage | None
    """What the latest turn cost."""
    expires: float
    """Seconds until it is forgotten, if nobody uses it."""


class ConversationLine(Answered):
    """The last line of the stream of a turn."""

    type: Literal["result"] = "result"
    result: ConversationState


JobState = Literal["queued", "running", "done", "cancelled", "interrupted"]
ENDED_STATES: tuple[JobState, ...] = ("done", "cancelled", "interrupted")


class RowError(Answered):
    """Why an image of a job has no result."""

    index: int
    """The image's place in the request, from 0."""
    code: str
    message: str


class JobStatus(Answered):
    """How a job is doing."""

    job: str
    """Its id."""
    state: JobState
    """'interrupted': the server was restarted and forgot uploads that are still needed; upload them, and resume."""
    images: int
    """How many it has."""
    done: int
    """How many have a row: a result or an error."""
    failed: int
    """How many of these have an error."""
    errors: list[RowError]
    """The first 100 of them."""
    created: float
    """Seconds since 1970."""
    ended: float | None
    webhook: Literal["none", "waiting", "delivered", "failed"]
    webhook_error: str
    """Why it failed."""


class JobRow(Answered):
    """A line of a job's result: what was found in one image."""

    index: int
    """The image's place in the request, from 0."""
    image: str
    """Its key, or its URL."""
    result: Any = None
    """Of a query, what `/v1/episodes` answers; of phrases, what `/v1/segment` answers. Null after an error."""
    error: ErrorBody | None = None
