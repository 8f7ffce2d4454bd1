"""COCO instance files of a video: its frames are the images, each mask on a frame is an annotation."""

from pathlib import Path
from typing import Any

from agent.exports.answer import GENERATOR_NAME, to_json_bytes
from agent.exports.video.answer import VideoExportAnswer


def write_frames(answer: VideoExportAnswer, path: Path) -> None:
    """Masks as run lengths.

    `track_id`, `tracks`, `time` (seconds) and `score` are not COCO's; readers pass over them.
    """
    size = {"width": answer.video.width, "height": answer.video.height}
    times = answer.video.times.tolist()
    names = answer.categories
    annotations: list[dict[str, Any]] = []
    for image_id, seen in enumerate(answer.iterate_frames(), start=1):
        for track, mask, place in seen:
            x0, y0, x1, y1 = track.masklet.boxes[place].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": names.index(track.category) + 1,
                    "track_id": track.id,
                    "iscrowd": 0,
                    "area": int(track.masklet.areas[place]),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": track.masklet.scores[place],
                    "segmentation": mask.to_coco(),
                }
            )
    content = {
        "info": {"description": f"made by {GENERATOR_NAME}"},
        "licenses": [],
        "images": [
            {"id": image_id, "file_name": name, "time": time, **size}
            for image_id, (name, time) in enumerate(zip(answer.frame_paths, times, strict=True), start=1)
        ],
        "categories": [{"id": category_id, "name": name} for category_id, name in enumerate(names, start=1)],
        "tracks": [
            {"id": track.id, "phrase": track.phrase, "score": track.masklet.score, "reason": track.reason}
            for track in answer.tracks
        ],
        "annotations": annotations,
    }
    path.write_bytes(to_json_bytes(content))
