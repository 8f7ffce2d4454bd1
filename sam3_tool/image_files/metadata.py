"""The pixels of a PNG, JPEG or WebP file without its metadata: nobody asked for texts, profiles and checksums."""

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
"""What pixels are made of, in PNG's specification; an animation's further frames are left out."""
_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
_WEBP_METADATA_FLAGS = 0b0010_1100
"""Of a VP8X chunk: an ICC profile, EXIF and XMP are there."""
_ADOBE, _FIRST_APP, _LAST_APP, _COMMENT = 0xEE, 0xE0, 0xEF, 0xFE
_ADOBE_BYTES = 16
"""Of Adobe's segment, marker included; a shorter one says nothing."""
_SCAN = 0xDA


def strip_metadata(content: bytes) -> bytes | None:
    """Return a file of the same format with the same pixels: without metadata but, in PNG, what tells which side is up.

    Returns:
        The file's content; None for a format whose metadata cannot be taken out here.
    """
    if content.startswith(PNG_SIGNATURE):
        return _strip_png(content)
    if content.startswith(JPEG_START):
        return _strip_jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _strip_webp(content)
    return None


def _strip_png(content: bytes) -> bytes:
    """Keep critical chunks as they are, checksums included. EXIF tells which side is up, whatever its checksum says."""
    kept = [PNG_SIGNATURE]
    for kind, chunk in _iterate_png_chunks(content):
        if kind == b"eXIf":
            body = chunk[4:-4]
            kept.append(chunk[:-4] + struct.pack(">I", zlib.crc32(body)))
        elif kind in _PNG_CHUNKS and (kind != b"tRNS" or _has_right_checksum(chunk)):
            kept.append(chunk)
    return b"".join([*kept, _build_png_end()])


def _build_png_end() -> bytes:
    return struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


def _has_right_checksum(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _iterate_png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each chunk's type, and the chunk as a whole. The last IDAT may be cut off; other chunks are whole."""
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if kind == b"IEND" or (end > len(content) and kind != b"IDAT"):
            return
        yield kind, content[start:end]
        start = end


def _strip_jpeg(content: bytes) -> bytes:
    """Drop application segments and comments before the first scan, but Adobe's, which tells how colours are coded."""
    kept, start = [JPEG_START], 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF:  # a fill byte
            start += 1
            continue
        if marker == _SCAN:
            break
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        is_adobe = marker == _ADOBE and end - start >= _ADOBE_BYTES
        if is_adobe or not (_FIRST_APP <= marker <= _LAST_APP or marker == _COMMENT):
            kept.append(content[start:end])
        start = end
    return b"".join([*kept, content[start:]])


def _strip_webp(content: bytes) -> bytes:
    kept, start = [], 12
    while start + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, start)
        end = start + 8 + length + length % 2
        if kind in _WEBP_CHUNKS:
            chunk = content[start:end]
            if kind == b"VP8X" and length:
                chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_METADATA_FLAGS]) + chunk[9:]
            kept.append(chunk)
        start = end
    body = b"".join([b"WEBP", *kept])
    return b"RIFF" + struct.pack("<I", len(body)) + body
