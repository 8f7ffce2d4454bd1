"""Measure masklets of phrases on held-out generated clips: video cgF1 and pHOTA.

Run it: `python -m evals.studies.masklets --sam3 tiny`.

Of each clip, up to three phrases for what is in sight for a few frames (nouns, and colours of shapes), and one less,
but at least one, for what is not. Beside `Sam3.track`, the detector alone on each frame, its masks joined by overlap.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evals.metrics import veval
from evals.reports.tables import format_columns
from sam3_tool import Image, Masklet, Masklets, Sam3, Video
from sam3_tool.masks.rle import encode_mask
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.synthetic.nouns import NOUNS
from sam3_tool.synthetic.scenes import HELD_OUT
from sam3_tool.tracking.association import compute_mask_ious

FIRST_CLIP = 30_000
"""Number of the first held-out clip; other measurements use other clips."""
LENGTH = 24
MIN_FRAMES = 3
"""Frames on which an object is in sight, so that a phrase for it is asked."""
PHRASES = 3
"""For what is there, at most."""
JOINING_OVERLAP, PATIENCE = 0.1, 6
"""Of the detector alone: the IoU from which masks of two frames are one object's, and the frames that one may miss."""


@dataclass(frozen=True, eq=False)
class ClipQuestions:
    clip: Clip
    phrases: dict[str, list[int]]
    """Phrase -> the indices of the objects that it means; none where it means nothing in the clip."""


Finder = Callable[[Sam3, Video, Sequence[str]], list[Masklets]]
"""Returns the masklets of each phrase."""


def generate_questions(number: int) -> Iterator[ClipQuestions]:
    for index in range(number):
        rng = np.random.default_rng(FIRST_CLIP + index)
        clip = draw_clip(HELD_OUT + FIRST_CLIP + index, length=LENGTH)
        meant = _list_meanings(clip)
        asked = [str(phrase) for phrase in rng.permutation(sorted(meant))[:PHRASES]]
        present = {thing.noun for thing in clip.objects}
        absent = [noun for noun in NOUNS if noun not in present]
        others = rng.choice(absent, max(1, len(asked) - 1), replace=False)
        yield ClipQuestions(clip, {phrase: meant[phrase] for phrase in asked} | {str(noun): [] for noun in others})


def _list_meanings(clip: Clip) -> dict[str, list[int]]:
    """List phrases that mean something that is in sight for a few frames, and all that they mean."""
    meanings: dict[str, list[int]] = defaultdict(list)
    seen_long: set[str] = set()
    for index, thing in enumerate(clip.objects):
        phrases = [thing.noun] if thing.pattern is None else [thing.noun, f"{thing.colour} {thing.noun}"]
        frames = clip.find_masks(index).any(axis=(1, 2)).sum()
        for phrase in phrases:
            if frames:
                meanings[phrase].append(index)
            if frames >= MIN_FRAMES:
                seen_long.add(phrase)
    return {phrase: indices for phrase, indices in meanings.items() if phrase in seen_long}


def track_phrases(sam3: Sam3, video: Video, phrases: Sequence[str]) -> list[Masklets]:
    return sam3.track_masklets(video, phrases)


def detect_each_frame(sam3: Sam3, video: Video, phrases: Sequence[str]) -> list[Masklets]:
    """Ask the detector about each frame, and join the masks of frames by their overlap."""
    tracks: list[list[_Track]] = [[] for _ in phrases]
    for frame, image in video.iterate_frames():
        for row, phrase in enumerate(phrases):
            found = sam3.segment(image, phrase)
            solid = found.masks.any(axis=(1, 2))
            _join_masks(tracks[row], frame, found.masks[solid], found.scores[solid])
    return [_to_masklets(rows, video, phrase) for rows, phrase in zip(tracks, phrases, strict=True)]


@dataclass(eq=False)
class _Track:
    """An object that the detector has found so far: its masks and scores by frame."""

    masks: dict[int, np.ndarray]
    scores: dict[int, float]

    @property
    def last(self) -> int:
        """The latest frame on which it was found."""
        return max(self.masks)


def _join_masks(tracks: list[_Track], frame: int, masks: np.ndarray, scores: np.ndarray) -> None:
    """Add the masks of a frame to the tracks that they overlap, most first, and begin new ones with the others."""
    live = [track for track in tracks if frame - track.last <= PATIENCE]
    fresh = [_Track({}, {}) for _ in masks]
    owners: dict[int, _Track] = {}
    if live:
        overlaps = compute_mask_ious(np.stack([track.masks[track.last] for track in live]), masks)
        for place in np.argsort(-overlaps, axis=None, kind="stable"):
            row, column = divmod(int(place), len(masks))
            is_free = column not in owners and not any(owner is live[row] for owner in owners.values())
            if overlaps[row, column] >= JOINING_OVERLAP and is_free:
                owners[column] = live[row]
    tracks += [track for column, track in enumerate(fresh) if column not in owners]
    for column, (mask, score) in enumerate(zip(masks, scores, strict=True)):
        track = owners.get(column, fresh[column])
        track.masks[frame], track.scores[frame] = mask, float(score)


def _to_masklets(tracks: list[_Track], video: Video, phrase: str) -> Masklets:
    masklets = tuple(
        Masklet(
            tuple(track.masks),  # in order, as they were found
            tuple(map(encode_mask, track.masks.values())),
            tuple(track.scores.values()),
            float(np.mean(list(track.scores.values()))),
        )
        for track in tracks
    )
    ids = tuple(range(1, len(masklets) + 1))
    presence = np.zeros(len(video), np.float32)
    return Masklets(masklets, ids, (video.height, video.width), len(video), phrase, presence)


FINDERS: dict[str, Finder] = {"detector alone": detect_each_frame, "with memory": track_phrases}


def measure_masklets(sam3: Sam3, *, number: int = 100, ways: list[str] | None = None) -> dict[str, dict[str, float]]:
    """cgF1, pmF1, pHOTA, pDetA and pAssA in percent, IL_MCC, and the number of pairs, of each way."""
    truth: dict[str, Any] = {"videos": [], "categories": [], "annotations": [], "video_np_pairs": []}
    predictions: dict[str, list[dict[str, Any]]] = {way: [] for way in ways or FINDERS}
    categories: dict[str, int] = {}
    for index, asked in enumerate(generate_questions(number)):
        _add_truth(truth, index, asked, categories)
        for way, rows in predictions.items():
            video = Video.from_images([Image(pixels) for pixels in asked.clip.frames])
            for found in FINDERS[way](sam3, video, list(asked.phrases)):
                rows += [
                    {"video_id": index, "category_id": categories[found.phrase], "score": masklet.score}
                    | _describe_frames(masklet)
                    for masklet in found.masklets
                ]
    truth["categories"] = [{"id": number, "name": phrase} for phrase, number in categories.items()]
    return {way: _select_numbers(veval.score(truth, rows)) for way, rows in predictions.items()}


def _add_truth(truth: dict[str, Any], video: int, asked: ClipQuestions, categories: dict[str, int]) -> None:
    """Add a clip and its phrases in the form of SA-Co/VEval."""
    length, height, width = asked.clip.ids.shape
    names = [f"{video}/{frame:05d}.jpg" for frame in range(length)]
    size = {"height": height, "width": width}
    truth["videos"].append({"id": video, "video_name": str(video), "file_names": names, "length": length} | size)
    for phrase, objects in asked.phrases.items():
        category = categories.setdefault(phrase, len(categories))
        pair = {"video_id": video, "category_id": category, "noun_phrase": phrase}
        truth["video_np_pairs"].append(pair | {"id": len(truth["video_np_pairs"]), "num_masklets": len(objects)})
        for index in objects:
            masklet = Masklet.from_masks(asked.clip.find_masks(index))
            row = {"id": len(truth["annotations"]), "iscrowd": 0} | pair | size | _describe_frames(masklet)
            truth["annotations"].append(row)


def _describe_frames(masklet: Masklet) -> dict[str, list[Any]]:
    """Describe a masklet with an entry for every frame, None where it is not seen."""
    places = [masklet.find_place(frame) for frame in range(LENGTH)]
    x0, y0, x1, y1 = masklet.boxes.T.tolist()
    boxes = [[left, top, right - left, bottom - top] for left, top, right, bottom in zip(x0, y0, x1, y1, strict=True)]
    coco, areas = [mask.to_coco() for mask in masklet.rles], masklet.areas.tolist()
    return {
        name: [None if place is None else values[place] for place in places]
        for name, values in (("segmentations", coco), ("bboxes", boxes), ("areas", areas))
    }


def _select_numbers(score: dict[str, Any]) -> dict[str, float]:
    return {name: float(score[name]) for name in ("cgF1", "pmF1", "IL_MCC", "pHOTA", "pDetA", "pAssA", "pairs")}


def format_masklets_table(numbers: dict[str, dict[str, float]]) -> str:
    names = ("cgF1", "pmF1", "IL_MCC", "pHOTA", "pDetA", "pAssA")
    rows = [
        (way, *(f"{row[name]:.3f}" if name == "IL_MCC" else f"{row[name]:.1f}" for name in names))
        for way, row in numbers.items()
    ]
    pairs = next(iter(numbers.values()))["pairs"]
    return f"{pairs:.0f} pairs of a clip and a phrase\n{format_columns([('phrase to masklets', *names), *rows])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=100, help="clips (default 100)")
    parser.add_argument("--ways", nargs="+", choices=FINDERS, help="only these rows")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    numbers = measure_masklets(Sam3.load(arguments.sam3), number=arguments.number, ways=arguments.ways)
    print(format_masklets_table(numbers))
    if arguments.out:
        rounded = {way: {name: round(value, 3) for name, value in row.items()} for way, row in numbers.items()}
        arguments.out.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
