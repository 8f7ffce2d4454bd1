"""What a server is started with."""

from dataclasses import dataclass, field
from pathlib import Path

from serve.http.middleware.auth import TokenBook
from serve.labels.label_studio_images import LabelStudioImages
from serve.slots import Slot
from serve.talk.settings import TalkSettings

MEGA = 10**6
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """The limits of a server, and who may use it."""

    tokens: TokenBook = field(default_factory=TokenBook)
    """Without any, everybody who reaches the server may use it."""
    hosts: tuple[str, ...] = ()
    """Names, without a port, that requests may ask for where there are no tokens; empty for every name."""
    origins: tuple[str, ...] = ()
    """Web pages of other servers that may use this one, e.g. 'https://example.org'."""
    allowed_urls: tuple[str, ...] = ()
    """Hosts from which images may be fetched; empty for none."""
    max_pixels: int = 65 * MEGA
    """Of an image."""
    max_file_bytes: int = 40 * MIB
    """Of an image file."""
    max_body_bytes: int = 4 * MIB
    """Of every other body."""
    image_bytes: int = 2**30
    """Room for the pixels of all images."""
    image_seconds: float = 3600.0
    """An image is forgotten so long after it was last used."""
    video_bytes: int = 2**30
    """Room for the files of all videos; they are forgotten as images are."""
    inflight: int = 16
    """Requests that are worked on at the same time."""
    waiting: int = 48
    """Requests that may wait for that; more are refused."""
    upload_inflight: int = 4
    """Uploads that are decoded at the same time."""
    upload_waiting: int = 28
    """Uploads that may be read, or wait to be decoded; more are refused."""
    talk: TalkSettings = field(default_factory=TalkSettings)
    """Of episodes, conversations and jobs."""
    deadline: float = 60.0
    """Seconds after which a request that has not begun is given up."""
    head_seconds: float = 20.0
    """Seconds that the head of a request may take to arrive."""
    body_seconds: float = 60.0
    """Seconds that a whole body may take to arrive."""
    max_connections: int | None = None
    """Open connections, above which idle ones are closed; None for as many as the system lets the process have."""
    numbers_answers: bool = True
    """Whether answers have the header `x-request-id`; False behind a server that adds it itself, as Ray Serve does."""
    slot: Slot | None = None
    """Which of several processes this is; None where there is one."""
    image_folder: Path | None = None
    """Where several processes share images; None where there is one."""
    video_folder: Path | None = None
    """Where several processes share videos; None where there is one."""
    answer_seconds: float = 60.0
    """Seconds for which a client may read nothing of an answer."""
    drain_seconds: float = 5.0
    """How long the server goes on to listen after SIGTERM, so that whoever sends requests here can notice."""
    grace_seconds: float = 30.0
    """How long it then waits for what is being answered."""
    weights: str = "sam3"
    """What the weights are called in the versions of predictions."""
    label_studio: LabelStudioImages = field(default_factory=LabelStudioImages)
    """The Label Studio whose images may be fetched; by default none."""
