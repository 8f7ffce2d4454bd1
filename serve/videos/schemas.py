"""What clients are told of a video that they have sent."""

from serve.http.schemas import ApiAnswer


class VideoAnswer(ApiAnswer):
    """A video that is kept."""

    video: str
    """The key by which other requests name it. It is of no use to another tenant."""
    width: int
    """Of every frame, in pixels."""
    height: int
    """The same."""
    frames: int
    """How many it has."""
    seconds: float
    """When the last frame is shown."""
    expires: float
    """Seconds without use after which it is forgotten."""
    notes: list[str]
    """What had to be decided when the file was read."""
