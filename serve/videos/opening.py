"""A video file that a client has sent, opened within the server's limits, in its owner's name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam3_tool import Image, Video, VideoError
from sam3_tool.errors import MissingPackageError
from sam3_tool.video.video import FrameSource
from serve.http.errors import ApiError
from serve.http.images import give_owner
from serve.http.middleware.auth import Tenant

MAX_FRAMES = 3000
"""Of a video. A stream says what is found as it is found, but nobody else's work should wait for hours."""

IMAGE_SENT = "this is a single image, and a video is expected; upload it to /v1/images, or give it as `input_image`"


@dataclass(frozen=True, eq=False)
class KeptFrames:
    """The frames of a video that is kept: under keys of its tenant's own, so that two tenants share no embedding."""

    source: FrameSource
    tenant: Tenant
    key: str
    """Of the video."""

    @property
    def width(self) -> int:
        """Width of every frame in pixels."""
        return self.source.width

    @property
    def height(self) -> int:
        """Height of every frame in pixels."""
        return self.source.height

    @property
    def times(self) -> np.ndarray:
        """float64, (T,), when each frame is shown, in seconds."""
        return self.source.times

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that was left open, or that is not read."""
        return self.source.notes

    def read_frame(self, index: int) -> Image:
        """Return a frame. `index`: from 0 to T - 1."""
        return give_owner(self.source.read_frame(index), self.tenant)

    def compute_key(self) -> str:
        """Return 32 hexadecimal digits that only the same content has."""
        return self.key


def open_sent_video(path: Path, tenant: Tenant, key: str, *, max_pixels: int) -> Video:
    """Open a video file that a client has sent.

    Args:
        path: The file.
        tenant: Whose it is.
        key: How the tenant names it.
        max_pixels: Of a frame, the server's limit; the tenant may have a lower one.

    Returns:
        The video. Its key is the one that was given, and its frames have the tenant's own keys.

    Raises:
        ApiError: It is no video, it is too large, or this server reads none.
    """
    most = max_pixels if tenant.max_pixels is None else min(max_pixels, tenant.max_pixels)
    try:
        video = Video.open(path, max_pixels=most)
    except MissingPackageError as error:
        raise ApiError(501, "not_supported", "this server reads no video files; its operator can add them") from error
    except VideoError as error:
        if "a single image (" in str(error):
            raise ApiError(415, "not_a_video", IMAGE_SENT) from error
        # not the file's own name on this machine
        raise ApiError(415, "not_a_video", str(error).replace(str(path), "the video")) from error
    if len(video) > MAX_FRAMES:
        raise ApiError(413, "too_large", f"the video has {len(video)} frames; at most {MAX_FRAMES} are taken")
    return Video(KeptFrames(video.source, tenant, key))
