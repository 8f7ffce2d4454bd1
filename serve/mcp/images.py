"""Images that callers have open, with the masks found in them, within a budget of memory and time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import anyio

from agent.conversation.events import weigh_video
from agent.core.context import EMPTY_CONTEXT, ConversationContext
from agent.core.errors import ToolError
from agent.core.workspace import Candidate, Workspace
from sam3_tool import Image, Video
from sam3_tool.cache import ByteCache

HANDLE_LETTERS = 12
"""Of an image's key: 48 bits, short enough for a language model to copy."""


def build_handle(image: Image) -> str:
    """Return how callers name the image. Equal images have equal handles.

    >>> import numpy as np
    >>> build_handle(Image(np.zeros((4, 6, 3), np.uint8)))
    'c8320bf011a0'
    """
    return image.key[:HANDLE_LETTERS]


@dataclass(eq=False)
class OpenedImage:
    """An image that a caller has open, and what was found in it."""

    image: Image
    """Of a video, the first frame."""
    name: str
    """The file's name, without folders; "" where it came from no file."""
    context: ConversationContext = EMPTY_CONTEXT
    """Its masks, those shown last, and the questions before. A new value takes the place of the one before it."""
    video: Video | None = None
    """None for an image."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    """Held by the call that works on the image, so that mask numbers are given once."""

    @property
    def handle(self) -> str:
        """How the caller names it."""
        return build_handle(self.image) if self.video is None else self.video.key[:HANDLE_LETTERS]

    @property
    def workspace(self) -> Workspace:
        """Every mask found in it, by number."""
        return self.context.workspace or Workspace(self.image.height, self.image.width)

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels and its masks; of a video, those that it may remember of its frames."""
        remembered = 0 if self.video is None else weigh_video(self.video)
        return self.image.pixels.nbytes + remembered + sum(map(_count_bytes, self.workspace))


def _count_bytes(candidate: Candidate) -> int:
    rles = (candidate.rle,) if candidate.masklet is None else candidate.masklet.rles
    return sum(len(rle.counts) for rle in rles)


@dataclass(frozen=True)
class _Entry:
    opened: OpenedImage
    until: float
    """When it is forgotten, by the clock of the shelf."""
    nbytes: int
    """What it had when it was stored: the cache counts on it not to change."""


class ImageShelf:
    """The open images of each caller. A handle opens nobody else's image. For one thread, the server's."""

    def __init__(self, *, max_bytes: int, idle_seconds: float, now: Callable[[], float] = monotonic) -> None:
        """Create an empty shelf.

        Args:
            max_bytes: Bytes of one caller's images and masks. The least recently used images leave first.
            idle_seconds: An image is forgotten so long after it was last used.
            now: A clock in seconds.
        """
        self._max_bytes, self._idle_seconds, self._now = max_bytes, idle_seconds, now
        self._shelves: dict[str, ByteCache[str, _Entry]] = {}

    def put_image(self, caller: str, image: Image, name: str, video: Video | None = None) -> OpenedImage:
        """Open an image, or a video and its first frame, for a caller; one that is open already stays as it is.

        Raises:
            ToolError: It has no room.
        """
        opened = OpenedImage(image, name, video=video)
        opened = self._find_live(caller, opened.handle) or opened
        opened.name = opened.name or name
        self.store_image(caller, opened)
        if self._find_live(caller, opened.handle) is None:
            raise ToolError(
                f"The image takes {opened.nbytes / 2**20:.0f} MiB, more than this server keeps for a caller"
                f" ({self._max_bytes / 2**20:.0f} MiB); make it smaller and open it again."
            )
        return opened

    def get_image(self, caller: str, handle: str) -> OpenedImage:
        """Return an open image of this caller.

        Raises:
            ToolError: There is none, or none any more.
        """
        opened = self._find_live(caller, handle)
        if opened is None:
            raise ToolError(
                f"No image {handle[:40]!r} is open: it never was, it was closed or not used for"
                f" {self._idle_seconds / 60:g} minutes, or later ones needed its memory. Call `open_image` again; its"
                " masks are then numbered from 1."
            )
        self.store_image(caller, opened)
        return opened

    def store_image(self, caller: str, opened: OpenedImage) -> None:
        """Count the image as used now, with the bytes that it has now."""
        shelf = self._shelves.setdefault(caller, ByteCache(self._max_bytes, size=lambda entry: entry.nbytes))
        shelf[opened.handle] = _Entry(opened, self._now() + self._idle_seconds, opened.nbytes)

    def update_context(self, caller: str, opened: OpenedImage, context: ConversationContext) -> None:
        """Keep what a call has found, unless the image was closed or had to leave meanwhile."""
        still_open = self._find_live(caller, opened.handle) is opened
        opened.context = context
        if still_open:
            self.store_image(caller, opened)

    def close_image(self, caller: str, handle: str) -> bool:
        """Forget an image, and say whether it was open."""
        was_open = self._find_live(caller, handle) is not None
        if caller in self._shelves:
            self._shelves[caller].drop_value(handle)
        return was_open

    def _find_live(self, caller: str, handle: str) -> OpenedImage | None:
        shelf = self._shelves.get(caller)
        entry = None if shelf is None else shelf.get(handle)
        return entry.opened if entry is not None and entry.until > self._now() else None
