"""MOTChallenge's text files, of boxes and of masks.

https://motchallenge.net/instructions and https://www.vision.rwth-aachen.de/page/mots describe them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agent.exports.base import Exporter
from agent.exports.video.answer import VideoExportAnswer
from sam3_tool.masks.rle import RleMask, decode_mask, encode_mask

_CLASSES, _OTHER_CLASS = {"car": 1}, 2
"""MOTS knows cars (1) and pedestrians (2) only, and its tools refuse any other number."""


def write_boxes(answer: VideoExportAnswer, path: Path) -> None:
    """A line for each object on each frame where it is seen: frame, id, left, top, width, height, score, -1, -1, -1.

    Frames and pixels count from 1, as MOTChallenge asks.
    """
    path.write_text("".join(_iterate_box_lines(answer)), encoding="ascii", newline="\n")


def _iterate_box_lines(answer: VideoExportAnswer) -> Iterator[str]:
    for number, seen in enumerate(answer.iterate_frames(), start=1):
        for track, _, place in seen:
            x0, y0, x1, y1 = track.masklet.boxes[place].astype(int).tolist()
            score = float(track.masklet.scores[place])
            yield f"{number},{track.id},{x0 + 1},{y0 + 1},{x1 - x0},{y1 - y0},{score},-1,-1,-1\n"


def write_masks(answer: VideoExportAnswer, path: Path) -> None:
    """A line for each object on each frame where it is seen: frame (from 1), id, class, height, width, run lengths.

    The format allows no overlaps: the object with the higher score has the pixel. It has no scores, and two classes
    only: objects found as "car" are cars, and all others stand as pedestrians.
    """
    path.write_text("".join(_iterate_mask_lines(answer)), encoding="ascii", newline="\n")


def _iterate_mask_lines(answer: VideoExportAnswer) -> Iterator[str]:
    rank = {track.id: place for place, track in enumerate(answer.rank_tracks())}
    for number, seen in enumerate(answer.iterate_frames(), start=1):
        taken = np.zeros((answer.video.height, answer.video.width), bool)
        own: dict[int, RleMask] = {}
        for track, mask, _ in sorted(seen, key=lambda entry: rank[entry[0].id]):
            pixels = decode_mask(mask) & ~taken
            if pixels.any():
                taken |= pixels
                own[track.id] = encode_mask(pixels)
        for track, _, _ in seen:
            if track.id in own:
                mask, class_id = own[track.id], _CLASSES.get(track.category.lower(), _OTHER_CLASS)
                yield f"{number} {track.id} {class_id} {mask.size[0]} {mask.size[1]} {mask.counts}\n"


BOXES = Exporter(".mot.txt", "MOTChallenge text, boxes", write_video=write_boxes)
MASKS = Exporter(".mots.txt", "MOTS text, masks", write_video=write_masks)
