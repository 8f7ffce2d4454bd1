"""What both clients say to a server, without saying it: requests out, answers in, waits between them."""

import secrets
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx2
import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, TypeAdapter

from agent.report.result import Mask, Result
from sam3_tool import Concept, Image
from sam3_tool.errors import UserError, mask_passwords
from sam3_tool.masks.rle import encode_mask
from serve.talk.schemas import (
    ConversationState,
    ErrorLine,
    JobRow,
    JobStatus,
    ResultLine,
    StepLine,
    WaitingLine,
)
from serve.videos.schemas import VideoAnswer

TIMEOUT = httpx2.Timeout(30.0, read=600.0)
"""Seconds; a planner may think for long before it says anything."""
PATIENCE = 120.0
"""Seconds that a call waits in all for a server that says when to come back."""
LOST_TRIES = 4
"""Of a request whose connection was lost: it is safe to send it again, for it changes nothing, or has a key."""
UPLOAD_TRIES = 3
"""Of a request whose images or videos the server forgets."""
KNOWN_KEYS = 1000
"""Images and videos whose keys are remembered."""
GONE_CODES = ("image_gone", "video_gone")
"""Of a server that has forgotten what was uploaded."""
MIN_DELAY = 0.1
"""Seconds between two tries, whatever the server says."""
RETRIED = (409, 429, 503)
"""Statuses that come with the seconds after which to try again, where that is of use."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Send:
    """Send a request. What comes back is its answer, read to the end unless it is a stream, or a lost connection."""

    request: httpx2.Request
    is_stream: bool = False


@dataclass(frozen=True)
class Wait:
    """Wait."""

    seconds: float


Exchange = Generator[Send | Wait, httpx2.Response | httpx2.TransportError | None, Answer]


class RemoteError(UserError):
    """The server refused a request, or cannot be reached. The message is one sentence."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        """Say what the server said.

        Args:
            status: Of HTTP; 0 where there was no answer.
            code: What programs decide by, e.g. 'image_gone'; 'unreachable' where there was no answer.
            message: For a person.
            request_id: By which the server's log knows the request.
        """
        told = mask_passwords(message)
        super().__init__(told)
        self.status, self.code, self.message, self.request_id = status, code, told, request_id


@dataclass(frozen=True, eq=False)
class UploadedImage:
    """An image that was uploaded. Its bytes are kept, so that it can be uploaded again where the server forgets it."""

    key: str
    """What the server calls it."""
    width: int
    height: int
    content: bytes = field(repr=False)


ImageInput = str | Path | bytes | np.ndarray | UploadedImage
"""A file's path, its bytes, pixels (uint8, (H, W, 3), RGB), or what `upload` returned."""
VideoInput = str | Path | bytes
"""A video file's path, or its bytes."""


@dataclass(frozen=True, eq=False)
class UploadedVideo:
    """A video that was uploaded. Its file is read again, and uploaded again, where the server forgets it."""

    key: str
    """What the server calls it."""
    width: int
    """Of every frame, in pixels."""
    height: int
    frames: int
    """How many it has."""
    seconds: float
    """When the last frame is shown."""
    notes: tuple[str, ...]
    """What the server had to decide when it read the file."""
    source: Path | bytes = field(repr=False)
    """Where its bytes are."""
    digest: bytes = field(repr=False)
    """SHA-256 of its bytes."""

    def read_content(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            OSError: The file cannot be read any more.
            ValueError: Another file is there now.
        """
        if isinstance(self.source, bytes):
            return self.source
        content = self.source.read_bytes()
        if _digest(content) != self.digest:
            raise ValueError(f"{self.source}: the file has changed since it was uploaded; call `upload_video` again")
        return content


Subject = ImageInput | UploadedVideo
"""What is asked about: an image, or a video that was uploaded."""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class FoundPhrase(_Read):
    """What was found for one phrase."""

    phrase: str | None
    """None where only boxes were given."""
    presence: float
    """In [0, 1]."""
    instances: list[Mask]
    """Best first; ids count on over all phrases of a call."""


class RefinedMasks(_Read):
    """Candidates for the one object that was clicked."""

    presence: float
    candidates: list[Mask]
    """Best first."""


Line = Annotated[StepLine | WaitingLine | ErrorLine | ResultLine, Discriminator("type")]
_LINES: TypeAdapter[StepLine | WaitingLine | ErrorLine | ResultLine] = TypeAdapter(Line)
_FOUND = TypeAdapter(list[FoundPhrase])


def read_content(image: ImageInput) -> bytes:
    """Return the bytes of an image file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The pixels are of another type or shape.
    """
    match image:
        case UploadedImage():
            return image.content
        case bytes():
            return image
        case np.ndarray():
            content = BytesIO()
            Image(image).to_pil().save(content, "PNG")
            return content.getvalue()
    return Path(image).read_bytes()


def make_key() -> str:
    """Return a new `Idempotency-Key`."""
    return secrets.token_urlsafe(16)


class Exchanges:
    """Every call as an exchange, which a client carries out. Shared by threads: the worst is an upload too many."""

    def __init__(self, base_url: str, *, token: str | None, patience: float) -> None:
        """Keep where the server is, and who asks."""
        self._base_url = base_url.rstrip("/")
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._patience = patience
        self._keys: OrderedDict[bytes, str] = OrderedDict()

    def upload(self, image: ImageInput) -> Exchange[UploadedImage]:
        """Upload an image."""
        content = read_content(image)
        request = self._build_request("POST", "/v1/images", content=content)
        answer = (yield from self._send(request)).json()
        self._remember_key(content, answer["image"])
        return UploadedImage(answer["image"], answer["width"], answer["height"], content)

    def upload_video(self, video: VideoInput) -> Exchange[UploadedVideo]:
        """Upload a video."""
        source = video if isinstance(video, bytes) else Path(video)
        content = source if isinstance(source, bytes) else source.read_bytes()
        told = yield from self._send_video(content)
        about = (told.width, told.height, told.frames, told.seconds, tuple(told.notes))
        return UploadedVideo(told.video, *about, source, _digest(content))

    def _send_video(self, content: bytes) -> Exchange[VideoAnswer]:
        request = self._build_request("POST", "/v1/videos", content=content)
        told = VideoAnswer.model_validate_json((yield from self._send(request)).content)
        self._remember_key(content, told.video)
        return told

    def segment(
        self,
        image: ImageInput,
        phrases: Sequence[str],
        *,
        boxes: Sequence[Sequence[float]],
        box_labels: Sequence[int],
        masks: Sequence[np.ndarray],
        mask_labels: Sequence[int],
        like: ImageInput | None,
        concept: Concept | None,
        threshold: float,
    ) -> Exchange[list[FoundPhrase]]:
        """Find every instance of each phrase, or of what boxes, masks or a concept show."""
        examples = {
            "exemplar_masks": [_describe_mask(mask) for mask in masks],
            "concept": None if concept is None else b64encode(concept.to_bytes()).decode(),
            "box_labels": list(map(int, box_labels)),
            "mask_labels": list(map(int, mask_labels)),
        }
        given = {name: value for name, value in examples.items() if value}  # servers of before know none of these
        several = [phrases] if isinstance(phrases, str) else list(phrases)
        body = {"phrases": several, "boxes": list(boxes), "threshold": threshold, **given}
        images = {"image": image, **({} if like is None else {"like": like})}
        response = yield from self._ask("/v1/segment", body, images)
        return _FOUND.validate_python(response.json()["results"])

    def refine(self, image: ImageInput, **prompt: Any) -> Exchange[RefinedMasks]:
        """Find the one object that clicks or a box show."""
        response = yield from self._ask("/v1/refine", _drop_none(prompt), {"image": image})
        return RefinedMasks.model_validate_json(response.content)

    def ask(self, subject: Subject, query: str, **options: Any) -> Exchange[Result]:
        """Answer a query."""
        body = {"query": query, **_drop_none(options)}
        response = yield from self._ask("/v1/episodes", body, _name_subject(subject), key=make_key())
        return Result.model_validate_json(response.content)

    def watch(self, subject: Subject, query: str, **options: Any) -> Exchange[httpx2.Response]:
        """Begin to answer a query step by step; the answer is a stream of lines for `parse_line`."""
        body = {"query": query, **_drop_none(options)}
        return (yield from self._ask("/v1/episodes", body, _name_subject(subject), key=make_key(), is_stream=True))

    def start_conversation(self, subject: Subject, name: str, **part: Any) -> Exchange[ConversationState]:
        """Begin a conversation."""
        body = {"name": name, **_drop_none(part)}
        response = yield from self._ask("/v1/conversations", body, _name_subject(subject))
        return ConversationState.model_validate_json(response.content)

    def get_conversation(self, conversation: str) -> Exchange[ConversationState]:
        """Return what a conversation has come to."""
        response = yield from self._send(self._build_request("GET", f"/v1/conversations/{conversation}"))
        return ConversationState.model_validate_json(response.content)

    def take_turn(
        self, state: ConversationState, verb: str, subject: Subject | None, body: Mapping[str, Any]
    ) -> Exchange[ConversationState]:
        """Take a turn, if the conversation is still in this state."""
        subjects = {} if subject is None else _name_subject(subject)
        path = f"/v1/conversations/{state.conversation}/{verb}"
        response = yield from self._ask(path, body, subjects, key=make_key(), headers={"if-match": state.etag})
        return ConversationState.model_validate_json(response.content)

    def start_job(
        self, images: Sequence[ImageInput], videos: Sequence[UploadedVideo], body: Mapping[str, Any]
    ) -> Exchange[JobStatus]:
        """Begin to ask the same of many images, or of many videos."""
        named: dict[str, list[Subject]] = {"images": [*images]}
        if videos:
            named["videos"] = [*videos]
        response = yield from self._ask("/v1/jobs", _drop_none(body), named, key=make_key())
        return JobStatus.model_validate_json(response.content)

    def get_job(self, job: str) -> Exchange[JobStatus]:
        """Say how a job is doing."""
        response = yield from self._send(self._build_request("GET", f"/v1/jobs/{job}"))
        return JobStatus.model_validate_json(response.content)

    def wait_for_job(self, job: str, every: float) -> Exchange[JobStatus]:
        """Wait until a job has ended."""
        while True:
            status = yield from self.get_job(job)
            if status.ended is not None:
                return status
            yield Wait(every)

    def read_job(self, job: str) -> Exchange[list[JobRow]]:
        """Return the rows of a job that has ended."""
        response = yield from self._send(self._build_request("GET", f"/v1/jobs/{job}/result"))
        return [JobRow.model_validate_json(line) for line in response.content.splitlines()]

    def resume_job(self, job: str, subjects: Sequence[Subject]) -> Exchange[JobStatus]:
        """Let a job go on, once its images or videos are uploaded again."""
        for subject in subjects:
            yield from self._upload_again(subject)
        response = yield from self._send(self._build_request("POST", f"/v1/jobs/{job}/resume"))
        return JobStatus.model_validate_json(response.content)

    def delete(self, path: str) -> Exchange[None]:
        """Cancel or forget what is there."""
        yield from self._send(self._build_request("DELETE", path))

    # the ways of all calls

    def _ask(
        self,
        path: str,
        body: Mapping[str, Any],
        subjects: Mapping[str, Subject | list[Subject]],
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        is_stream: bool = False,
    ) -> Exchange[httpx2.Response]:
        """Post JSON that names images or videos, which are uploaded where the server does not have them (any more)."""
        plain = _to_plain(body)
        sent = {**(headers or {}), **({} if key is None else {"idempotency-key": key})}
        if is_stream:
            sent["accept"] = "application/x-ndjson"
        for tries_left in reversed(range(UPLOAD_TRIES)):
            named: dict[str, Any] = {}
            for field_name, subject in subjects.items():
                if isinstance(subject, list):
                    named[field_name] = []
                    for each in subject:
                        named[field_name].append((yield from self._find_key(each)))
                else:
                    named[field_name] = yield from self._find_key(subject)
            if isinstance(named.get("image"), str):
                sent["x-image-key"] = named["image"]  # by which balancers find its embedding again
            request = self._build_request("POST", path, headers=sent, json={**plain, **named})
            try:
                return (yield from self._send(request, is_stream=is_stream))
            except RemoteError as error:
                if error.code not in GONE_CODES or not subjects or not tries_left:
                    raise
                self._keys.clear()
        raise AssertionError("the last try returns or raises")

    def _find_key(self, subject: Subject) -> Exchange[str]:
        digest = subject.digest if isinstance(subject, UploadedVideo) else _digest(read_content(subject))
        known = self._keys.get(digest)
        return known or (yield from self._upload_again(subject))

    def _upload_again(self, subject: Subject) -> Exchange[str]:
        if isinstance(subject, UploadedVideo):
            return (yield from self._send_video(subject.read_content())).video
        return (yield from self.upload(subject)).key

    def _remember_key(self, content: bytes, key: str) -> None:
        self._keys[_digest(content)] = key
        while len(self._keys) > KNOWN_KEYS:
            self._keys.popitem(last=False)

    def _send(self, request: httpx2.Request, *, is_stream: bool = False) -> Exchange[httpx2.Response]:
        """Send a request, and again where the server says when, or where the connection was lost."""
        waited, lost = 0.0, 0
        while True:
            answer = yield Send(request, is_stream)
            if isinstance(answer, httpx2.TransportError):
                lost += 1
                seconds: float | None = 0.1 * 2**lost if lost < LOST_TRIES else None
                failure = RemoteError(0, "unreachable", f"the server {self._base_url} cannot be reached ({answer})")
            elif answer is None or answer.status_code < 400:
                assert answer is not None
                return answer
            else:
                failure, seconds = to_remote_error(answer), _read_delay(answer)
            if seconds is None or waited + seconds > self._patience:
                raise failure
            waited += seconds
            yield Wait(seconds)

    def _build_request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx2.Request:
        return httpx2.Request(method, f"{self._base_url}{path}", headers={**self._headers, **(headers or {})}, **body)


def parse_line(line: str) -> StepLine | Result | None:
    """Read a line of a stream.

    Returns:
        A step, or the result that ends the stream; None for a line that only says that it takes a while.

    Raises:
        RemoteError: The line says that the episode failed.
    """
    if not line.strip():
        return None
    match _LINES.validate_json(line):
        case ErrorLine(error=error):
            raise RemoteError(200, error.code, error.message, error.request_id)
        case ResultLine(result=result):
            return result
        case StepLine() as step:
            return step
    return None


def to_remote_error(response: httpx2.Response) -> RemoteError:
    """Return the error that an answer tells of, whoever gave it."""
    try:
        error = response.json()["error"]
        return RemoteError(response.status_code, error["code"], error["message"], error.get("request_id", ""))
    except (ValueError, KeyError, TypeError):  # a proxy's page
        message = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
        return RemoteError(response.status_code, "unknown", message)


def _read_delay(response: httpx2.Response) -> float | None:
    """Seconds after which an answer asks to be asked again; None where that is of no use."""
    said = response.headers.get("retry-after", "")
    is_told = response.status_code in RETRIED and said.isdecimal()
    return max(MIN_DELAY, float(said)) if is_told else None


def _describe_mask(mask: np.ndarray) -> dict[str, Any]:
    """Return what a request says of a mask, bool, (H, W). Raises ValueError for another array."""
    if mask.dtype != bool or mask.ndim != 2:
        raise ValueError(f"a mask is bool (H, W), got {mask.dtype} {mask.shape}")
    rle = encode_mask(mask)
    return {"size": list(rle.size), "counts": rle.counts}


def _name_subject(subject: Subject) -> dict[str, Subject]:
    """Return the field of a request that names it."""
    return {"video" if isinstance(subject, UploadedVideo) else "image": subject}


def _to_plain(value: Any) -> Any:
    """Return what JSON holds of a value with numbers or arrays of NumPy in it."""
    match value:
        case np.ndarray() | np.generic():
            return value.tolist()
        case Mapping():
            return {name: _to_plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_to_plain(each) for each in value]
    return value


def _drop_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _digest(content: bytes) -> bytes:
    return sha256(content).digest()


def build_broken_error() -> RemoteError:
    """Return the error of a stream that ends without a result."""
    return RemoteError(0, "broken_off", "the server broke off in the midst of its answer; ask again")
