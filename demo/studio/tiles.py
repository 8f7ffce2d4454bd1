"""Sharp parts of a large image for whoever zooms in: cut out when they are asked for, and only of one's own image."""

import base64
from io import BytesIO
from threading import Lock
from typing import Annotated, Any

import cv2
import numpy as np
import PIL.Image
from pydantic import Field

from demo.requests import InvalidEventError, PageEvent, parse_data
from demo.sessions import SessionExpiredError, SessionStore
from sam3_tool import Image
from sam3_tool.cache import ByteCache

TILE_SIDE = 512
"""Pixels of a tile's edges; at the image's right and bottom edge a tile may be smaller."""
TILE_QUALITY = 90
CACHE_BYTES = 48 * 2**20
"""Bytes of encoded tiles that are kept, of all visitors."""
TileKey = tuple[str, int, int, int]


class TileRequest(PageEvent):
    """A tile that the page wants to show."""

    key: Annotated[str, Field(max_length=80)]
    """Of the image, so that a late request is not answered with another image."""
    level: Annotated[int, Field(ge=0, le=8)]
    """The image is reduced by 2 to this power."""
    column: Annotated[int, Field(ge=0, lt=10**5)]
    row: Annotated[int, Field(ge=0, lt=10**5)]


class SessionEvent(PageEvent):
    """Whose image it is."""

    session: Annotated[str, Field(max_length=80)]


class TileDrawer:
    """Draws tiles, and keeps those that were drawn lately. Safe to share between threads: `_lock` guards `_tiles`."""

    def __init__(self) -> None:
        self._tiles = ByteCache[TileKey, str](CACHE_BYTES, size=len)
        self._lock = Lock()

    def answer(self, data: Any, image: Image | None) -> str:
        """Answer a request of the page with a data URL; '' where this image, which may be none, has no such tile."""
        try:
            asked = parse_data(TileRequest, data)
        except InvalidEventError:
            return ""
        if image is None or image.key != asked.key:
            return ""
        return self.draw_tile(image, asked.level, asked.column, asked.row)

    def answer_visitor(self, data: Any, sessions: SessionStore) -> str:
        """As `answer`, about the image that this visitor has on the page."""
        try:
            conversation = sessions[parse_data(SessionEvent, data).session].shown
        except (InvalidEventError, SessionExpiredError):
            return ""
        return self.answer(data, None if conversation is None else conversation.image)

    def draw_tile(self, image: Image, level: int, column: int, row: int) -> str:
        """Draw a tile of an image.

        Args:
            image: The whole image.
            level: How far it is reduced: by 2 to this power.
            column: The tile's column, from 0.
            row: The tile's row, from 0.

        Returns:
            A JPEG of at most `TILE_SIDE` pixels along each edge, as a data URL; '' outside the image.
        """
        step = TILE_SIDE << level
        left, top = column * step, row * step
        if left >= image.width or top >= image.height:
            return ""
        key = (image.key, level, column, row)
        with self._lock:
            if (known := self._tiles.get(key)) is not None:
                return known
        part = image.pixels[top : top + step, left : left + step]
        tile = encode_jpeg(reduce_pixels(part, 1 << level))
        with self._lock:
            self._tiles[key] = tile
        return tile


def reduce_pixels(pixels: np.ndarray, times: int) -> np.ndarray:
    """Reduce pixels, uint8 (H, W, 3), by a whole number; what is left over at the edge counts as a pixel.

    >>> reduce_pixels(np.zeros((100, 5, 3), np.uint8), 4).shape
    (25, 2, 3)
    """
    if times == 1:
        return pixels
    size = -(-pixels.shape[1] // times), -(-pixels.shape[0] // times)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def encode_jpeg(pixels: np.ndarray) -> str:
    """Encode pixels, uint8 (H, W, 3), as a data URL."""
    file = BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=TILE_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
