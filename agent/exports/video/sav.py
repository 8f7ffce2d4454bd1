"""SA-V: https://github.com/facebookresearch/sam2/tree/main/sav_dataset describes its JSON and its folders of PNG."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image

from agent.exports.answer import to_json_bytes
from agent.exports.archive import write_archive
from agent.exports.base import Exporter
from agent.exports.video.answer import ExportTrack, VideoExportAnswer
from sam3_tool.masks.rle import decode_mask, encode_mask

_SMALL, _MEDIUM = 32**2, 96**2
"""Mean pixels of an object below which SA-V calls it small, and medium."""


def write_annotations(answer: VideoExportAnswer, path: Path) -> None:
    """One JSON file as those of SA-V's training set: `masklet[frame][object]` is a mask, empty where it is not seen.

    Every frame is annotated, not every fourth as in SA-V itself: its loader is told so by `annot_sample_rate=1`.
    """
    height, width = answer.video.height, answer.video.width
    empty = encode_mask(np.zeros((height, width), bool))
    tracks, length = answer.tracks, len(answer.video)
    areas = [float(track.masklet.areas.mean()) for track in tracks]
    content = {
        "video_id": answer.stem,
        "video_duration": answer.duration,
        "video_frame_count": float(length),
        "video_height": float(height),
        "video_width": float(width),
        "video_resolution": float(height * width),
        "video_environment": [],
        "video_split": "",
        "masklet": [[(track.masklet.at(frame) or empty).to_coco() for track in tracks] for frame in range(length)],
        "masklet_id": [track.id for track in tracks],
        "masklet_size_rel": [area / (height * width) for area in areas],
        "masklet_size_abs": areas,
        "masklet_size_bucket": [_name_size(area) for area in areas],
        "masklet_visibility_changes": [_count_changes(track, length) for track in tracks],
        "masklet_first_appeared_frame": [float(track.masklet.first) for track in tracks],
        "masklet_frame_count": [length] * len(tracks),
        "masklet_edited_frame_count": [0] * len(tracks),
        "masklet_type": ["auto"] * len(tracks),
        "masklet_stability_score": None,
        "masklet_num": len(tracks),
        "masklet_phrase": [track.phrase for track in tracks],
        "masklet_score": [track.masklet.score for track in tracks],
    }
    path.write_bytes(to_json_bytes(content))


def _name_size(area: float) -> str:
    if area < _SMALL:
        return "small"
    return "medium" if area < _MEDIUM else "large"


def _count_changes(track: ExportTrack, length: int) -> int:
    """How often it hides or comes back after it has first been seen."""
    spans = track.masklet.spans
    return 2 * (len(spans) - 1) + (spans[-1][1] < length)


def write_binary_images(answer: VideoExportAnswer, path: Path) -> None:
    """A ZIP with `Annotations/NAME/001/00000.png` and so on: for every object, a black and white PNG of every frame.

    The folder of an object is its id. Overlaps are kept.
    """
    write_archive(path, _iterate_images(answer))


def _iterate_images(answer: VideoExportAnswer) -> Iterator[tuple[str, bytes]]:
    black = _encode_binary_image(np.zeros((answer.video.height, answer.video.width), bool))
    for track in answer.tracks:
        for index in range(len(answer.video)):
            mask = track.masklet.at(index)
            content = black if mask is None else _encode_binary_image(decode_mask(mask))
            yield f"Annotations/{answer.stem}/{track.id:03}/{index:05}.png", content


def _encode_binary_image(mask: np.ndarray) -> bytes:
    file = BytesIO()
    PIL.Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


ANNOTATIONS = Exporter(".sav.json", "SA-V JSON", write_video=write_annotations)
BINARY_IMAGES = Exporter(".sav.zip", "SA-V, a PNG per object and frame (zip)", write_video=write_binary_images)
