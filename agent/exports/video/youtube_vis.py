"""YouTube-VIS: one annotation for each object, with a mask or null for each frame.

https://youtube-vos.org/dataset/vis/ describes it; its own annotations hold run lengths as lists of numbers, which
TrackEval and Detectron2's loaders read.
"""

from pathlib import Path
from typing import Any

from agent.exports.answer import GENERATOR_NAME, to_json_bytes
from agent.exports.base import Exporter
from agent.exports.video.answer import ExportTrack, VideoExportAnswer
from sam3_tool.masks.rle import to_runs


def write_tracks(answer: VideoExportAnswer, path: Path) -> None:
    """`score` is not in YouTube-VIS's annotations, only in its results; readers of annotations pass over it."""
    size = {"width": answer.video.width, "height": answer.video.height}
    names = answer.categories
    content = {
        "info": {"description": f"made by {GENERATOR_NAME}"},
        "licenses": [],
        "videos": [{"id": 1, **size, "length": len(answer.video), "file_names": answer.frame_paths}],
        "categories": [
            {"id": category_id, "name": name, "supercategory": "object"}
            for category_id, name in enumerate(names, start=1)
        ],
        "annotations": [
            {
                "id": track.id,
                "video_id": 1,
                "category_id": names.index(track.category) + 1,
                "iscrowd": 0,
                **size,
                "length": 1,
                "score": track.masklet.score,
                **_list_frames(track, len(answer.video)),
            }
            for track in answer.tracks
        ],
    }
    path.write_bytes(to_json_bytes(content))


def _list_frames(track: ExportTrack, length: int) -> dict[str, list[Any]]:
    """Its mask, box (x y width height) and area on each frame; null where it is not seen."""
    masks: list[Any] = [None] * length
    boxes: list[Any] = [None] * length
    areas: list[Any] = [None] * length
    seen = track.masklet
    for frame, mask, box, area in zip(seen.frames, seen.rles, seen.boxes.tolist(), seen.areas.tolist(), strict=True):
        x0, y0, x1, y1 = box
        masks[frame] = {"size": list(mask.size), "counts": to_runs(mask)}
        boxes[frame], areas[frame] = [x0, y0, x1 - x0, y1 - y0], area
    return {"segmentations": masks, "bboxes": boxes, "areas": areas}


TRACKS = Exporter(".youtube-vis.json", "YouTube-VIS JSON", write_video=write_tracks)
