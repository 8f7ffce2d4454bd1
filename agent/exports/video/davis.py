"""DAVIS: a PNG for each frame, whose pixels are objects' numbers: https://davischallenge.org."""

import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image

from agent.exports.answer import to_json_bytes
from agent.exports.archive import write_archive
from agent.exports.base import Exporter
from agent.exports.video.answer import ExportTrack, VideoExportAnswer
from sam3_tool.masks.rle import decode_mask

MAX_OBJECTS = 254
"""Of a palette of 256: 0 is the background, and 255 is what DAVIS leaves out when it scores."""
MANIFEST = "objects.json"
"""The file of the archive that says which object each number is."""
_COLORFUL, _BRIGHTEST = 22, 191
"""DAVIS' own annotations have so many colours, whose channels are no brighter, and greys after them."""

_logger = logging.getLogger(__name__)


def write_palette_images(answer: VideoExportAnswer, path: Path) -> None:
    """A ZIP with `Annotations/NAME/00000.png` and so on, one for every frame.

    A pixel's number is the object's id; with an id above 254 among them, the objects count from 1 in their order. With
    more than 254 objects, those with the highest scores are written, and a warning says so. Where objects overlap,
    the one with the higher score has the pixel. `objects.json` says which object each number is.
    """
    numbers = _number_tracks(answer)
    write_archive(path, _iterate_files(answer, numbers))


def _number_tracks(answer: VideoExportAnswer) -> dict[int, int]:
    """Return track id -> number; those that have no place in the palette are missing."""
    kept = set(track.id for track in answer.rank_tracks()[:MAX_OBJECTS])
    if left_out := len(answer.tracks) - len(kept):
        _logger.warning(
            "DAVIS' palette has room for %d objects; the %d with the lowest scores are left out of it",
            MAX_OBJECTS,
            left_out,
        )
    ids = [track.id for track in answer.tracks if track.id in kept]
    return {id: id if max(ids) <= MAX_OBJECTS else place for place, id in enumerate(ids, start=1)}


def _iterate_files(answer: VideoExportAnswer, numbers: dict[int, int]) -> Iterator[tuple[str, bytes]]:
    yield MANIFEST, _encode_manifest(answer, numbers)
    # the best comes last, on top of the others
    tracks = [track for track in reversed(answer.rank_tracks()) if track.id in numbers]
    for index in range(len(answer.video)):
        pixels = np.zeros((answer.video.height, answer.video.width), np.uint8)
        for track in tracks:
            if (mask := track.masklet.at(index)) is not None:
                pixels[decode_mask(mask)] = numbers[track.id]
        yield f"Annotations/{answer.stem}/{index:05}.png", encode_palette_image(pixels)


def encode_palette_image(pixels: np.ndarray) -> bytes:
    """`pixels`: uint8, (H, W)."""
    image = PIL.Image.fromarray(pixels, "L")
    image.putpalette(build_palette())
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def build_palette() -> bytes:
    """Return red, green and blue of each of 256 numbers, as in DAVIS' own annotations.

    >>> [*build_palette()[3:9]], [*build_palette()[27:30]], [*build_palette()[-3:]]
    ([128, 0, 0, 0, 128, 0], [191, 0, 0], [255, 255, 255])
    """
    # bit 0, 1 and 2 of a number are the highest bits of red, green and blue, and bits 3 to 5 the next
    colors = [
        [min(_BRIGHTEST, 128 * (number >> channel & 1) + 64 * (number >> channel + 3 & 1)) for channel in range(3)]
        for number in range(_COLORFUL)
    ]
    return bytes([part for color in colors for part in color] + [n for n in range(_COLORFUL, 256) for _ in range(3)])


def _encode_manifest(answer: VideoExportAnswer, numbers: dict[int, int]) -> bytes:
    def describe_track(track: ExportTrack) -> dict[str, object]:
        facts = {"id": track.id, "phrase": track.phrase, "score": track.masklet.score, "reason": track.reason}
        return {"number": numbers.get(track.id), **facts}

    rows = [describe_track(track) for track in answer.tracks]
    return to_json_bytes({"video": answer.name, "frames": len(answer.video), "objects": rows})


PALETTE_IMAGES = Exporter(".davis.zip", "DAVIS, a palette PNG per frame (zip)", write_video=write_palette_images)
