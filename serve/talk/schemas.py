"""What clients send to episodes, conversations and jobs, checked; and the shape of what they get."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from agent.core.budget import Budget
from agent.core.outcome import Outcome
from agent.core.usage import Usage
from agent.report.result import Mask, Result, VideoInfo
from serve.http.schemas import MAX_LETTERS, MAX_PHRASES, ApiRequest, BoxInput, ImageKey, Number, Text, UrlUpload
from serve.talk.webhooks import parse_secret

MAX_JOB_IMAGES = 10_000
MAX_IDS = 2000

Query = Annotated[str, Strict(), Field(min_length=1, max_length=MAX_LETTERS, pattern=r"\S", examples=["the red cups"])]
Count = Annotated[int, Strict(), Field(ge=1, le=10**9)]
Positive = Annotated[Number, Field(gt=0)]
MaskIds = Annotated[list[Annotated[int, Strict(), Field(ge=1, le=10**9)]], Field(min_length=1, max_length=MAX_IDS)]
Name = Annotated[str, Strict(), Field(max_length=255)]
Probability = Annotated[Number, Field(ge=0, le=1)]
Threshold = Annotated[Number, Field(ge=0, lt=1)]
Second = Annotated[Number, Field(ge=0)]
"""Of a video."""
_LEFT_OUT: Any = Field(exclude_if=lambda value: value is None)
"""Of what came later than the first version: left out of a hash, and of saved files, where it is not there."""


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
    min_probability: Probability | None = None
    """Masks that are right with a lower probability leave the answer, and stand under `in_doubt`."""
    ask_when_unsure: Probability | None = None
    """About masks that are right with a lower probability the answer is a question."""
    budget: BudgetInput = BudgetInput()
    """Left out, the server's own limits hold."""


class SubjectRequest(ApiRequest):
    """What is asked about: an image, or a video."""

    image: Annotated[ImageKey | None, _LEFT_OUT] = None
    """Either this or `video`."""
    video: Annotated[ImageKey | None, _LEFT_OUT] = None
    """What an upload to `/v1/videos` was answered with."""
    since: Annotated[Second | None, _LEFT_OUT] = None
    """Of a video: what is shown before this second is left out."""
    until: Annotated[Second | None, _LEFT_OUT] = None
    """Of a video: what is shown after this second is left out."""

    @model_validator(mode="after")
    def check_subject(self) -> Self:
        """Refuse what is about nothing, about two things, or about a time in an image."""
        if (self.image is None) == (self.video is None):
            raise ValueError("expected either `image` or `video`, the key of an upload")
        if self.video is None and (self.since is not None or self.until is not None):
            raise ValueError("`since` and `until` are seconds of a video, and this is about an image; leave them out")
        return self


class EpisodeRequest(PlannedRequest, SubjectRequest):
    """A query about an image or a video."""

    query: Query
    """In one's own words."""


class ConversationRequest(SubjectRequest):
    """The image or the video that a conversation begins with, or turns to."""

    name: Name = ""
    """The file name of the image or the video, for people."""


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
    at: Annotated[Second | None, _LEFT_OUT] = None
    """Of a video: the second in which the frame is shown; left out, the first frame."""
    mask_id: Count | None = None
    """The mask to correct; left out, the smallest mask of the answer there, and without one, a new object."""


class BoxRequest(ApiRequest):
    """A box around an example: everything that looks like it is added, or taken away."""

    box: BoxInput
    """x, y, width, height in pixels."""
    at: Annotated[Second | None, _LEFT_OUT] = None
    """Of a video: the second in which the frame with the box is shown; left out, the first frame."""
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
    """The same question about many images, or about many videos."""

    images: Annotated[list[ImageKey | UrlUpload], Field(max_length=MAX_JOB_IMAGES)] = Field(default=[])
    """Keys of uploads, or `{"url": …}`. Urls are fetched when their turn comes, and survive a restart of the server."""
    videos: Annotated[
        list[ImageKey | UrlUpload], Field(max_length=MAX_JOB_IMAGES, exclude_if=lambda videos: not videos)
    ] = Field(default=[])
    """The same of videos, instead of `images`."""
    query: Query | None = None
    """Asked of each image or video; either this or `phrases`."""
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
        if bool(self.images) == bool(self.videos):
            raise ValueError("expected either `images` or `videos`, with one at least")
        if self.videos and self.phrases:
            raise ValueError("`phrases` are searched for in images; ask about videos by `query`")
        return self

    @property
    def subjects(self) -> list[str | UrlUpload]:
        """What is asked about, in order."""
        return self.images or self.videos


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


class ShownVideo(VideoInfo):
    """The video that a conversation is about now."""

    video: str
    """Its key."""
    is_here: bool
    """False after a restart of the server: turn to it again to ask more about it."""


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
    """Of a video, the first frame of the part that is talked about."""
    video: ShownVideo | None = Field(default=None, exclude_if=lambda video: video is None)
    """The video that it is about; absent for an image."""
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
    """How many images, or videos, it has."""
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
    """A line of a job's result: what was found in one image or video."""

    index: int
    """Its place in the request, from 0."""
    image: str = Field(default="", exclude_if=lambda image: not image)
    """The image's key, or its URL."""
    video: str = Field(default="", exclude_if=lambda video: not video)
    """The video's key, or its URL, of a job about videos."""
    result: Any = None
    """Of a query, what `/v1/episodes` answers; of phrases, what `/v1/segment` answers. Null after an error."""
    error: ErrorBody | None = None
