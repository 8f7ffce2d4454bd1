"""Whether the end of a file is missing, by what the container says of its own size."""

from pathlib import Path

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
"""Ids of the two elements that a Matroska or WebM file consists of (RFC 8794, RFC 9559)."""
_HEAD_BYTES = 4096
"""The first element is some 40 bytes long."""
_TS_PACKET, _TS_SYNC = 188, 0x47
"""ISO/IEC 13818-1: packets of a transport stream, and the byte that each begins with."""


def is_end_missing(path: Path) -> bool:
    """Whether a Matroska, WebM or MPEG-TS file is shorter than it says.

    A file that was written as a stream does not say how long it is, and counts as whole.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:1] == bytes([_TS_SYNC]) and head[_TS_PACKET : _TS_PACKET + 1] == bytes([_TS_SYNC]):
        return size % _TS_PACKET != 0
    end = find_segment_end(head)
    return end is not None and size < end


def find_segment_end(head: bytes) -> int | None:
    """Return where the segment of a Matroska file ends, in bytes from its start.

    Args:
        head: The first bytes of a file.

    Returns:
        None for another kind of file, and where the file does not say it.

    >>> find_segment_end(bytes.fromhex("1a45dfa3 82 0000 18538067 84 00000000"))
    16
    >>> find_segment_end(b"no video") is None
    True
    """
    place, end = 0, 0
    for expected in (_EBML, _SEGMENT):
        if head[place : place + 4] != expected.to_bytes(4, "big"):
            return None
        width, length = _read_length(head[place + 4 : place + 12])
        if length is None:
            return None
        place = end = place + 4 + width + length
    return end


def _read_length(content: bytes) -> tuple[int, int | None]:
    """Return the bytes that an element's length takes, and the length; None where it is not known."""
    if not content or not content[0]:
        return 0, None
    width = 9 - content[0].bit_length()
    number = int.from_bytes(content[:width], "big") - (1 << 7 * width)
    unknown = (1 << 7 * width) - 1
    return width, None if len(content) < width or number == unknown else number
