"""Staged clips and queries about them, written as the video benchmarks write theirs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from evals.datasets.synthetic.choreography import StagedClip
from evals.datasets.synthetic.make_scenes import write_json
from evals.datasets.synthetic.temporal import TemporalQuery, generate_temporal_queries
from evals.metrics.inputs.boxes import compute_mask_box
from sam3_tool.masks import rle
from sam3_tool.synthetic.nouns import NOUNS, pluralize_noun

JPEG_QUALITY = 95
ANNOTATORS = 4
"""Of Ref-DAVIS17, each of whom has an expression for every object."""
SAV_STEP = 4
"""SA-V annotates every fourth frame."""


def write_videos(out: Path, *, number: int = 8, seed: int = 0, kinds: Sequence[str] | None = None) -> dict[str, Path]:
    """Write `number` clips in the format of each video benchmark, and return benchmark -> its folder.

    The same seed writes the same bytes. `kinds`: of the queries; None = all in turn. Raises OSError.
    """
    cases = list_cases(number, seed=seed, kinds=kinds)
    folders = {benchmark: out / benchmark for benchmark in WRITERS}
    for benchmark, write in WRITERS.items():
        folders[benchmark].mkdir(parents=True, exist_ok=True)
        write(folders[benchmark], cases)
    return folders


@dataclass(frozen=True, eq=False)
class ClipCase:
    """A clip with its query, and its name."""

    name: str
    query: TemporalQuery

    @property
    def clip(self) -> StagedClip:
        return self.query.clip

    @property
    def frame_names(self) -> list[str]:
        return [f"{frame:05d}" for frame in range(len(self.clip.frames))]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.clip.ids.shape[1], self.clip.ids.shape[2]

    @cached_property
    def nouns(self) -> dict[str, tuple[int, ...]]:
        """Plain phrases with the objects they name: all nouns of the clip, and one that is not there."""
        nouns = [thing.noun for thing in self.clip.objects]
        absent = next(noun for noun in NOUNS if noun not in nouns)
        return {
            noun: tuple(index for index, other in enumerate(nouns) if other == noun)
            for noun in (*dict.fromkeys(nouns), absent)
        }

    @property
    def expressions(self) -> list[tuple[str, list[np.ndarray]]]:
        """The query, and a plain plural: text, and bool (T, H, W) for each object that is meant."""
        noun = self.clip.objects[self.query.targets[0]].noun
        return [
            (self.query.text, [self.query.get_target_masks(index) for index in self.query.targets]),
            (f"the {pluralize_noun(noun)}", [self.clip.get_masks(index) for index in self.nouns[noun]]),
        ]

    def save_frames(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in zip(self.frame_names, self.clip.frames, strict=True):
            PIL.Image.fromarray(frame).save(folder / f"{name}.jpg", quality=JPEG_QUALITY)

    def save_labels(self, folder: Path, labels: np.ndarray, *, step: int = 1) -> None:
        """`labels`: uint8, (T, H, W); every `step`th frame is written."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in list(zip(self.frame_names, labels, strict=True))[::step]:
            PIL.Image.fromarray(frame).save(folder / f"{name}.png")

    @property
    def first_objects(self) -> list[int]:
        """Indices of objects that the first frame shows, three at most."""
        return [int(index) for index in np.flatnonzero(self.clip.seen[0])[:3]]

    def draw_first_objects(self) -> np.ndarray:
        """uint8, (T, H, W): these objects, numbered from 1."""
        numbers = np.zeros(256, np.uint8)
        for number, index in enumerate(self.first_objects, start=1):
            numbers[index + 1] = number
        return np.asarray(numbers[self.clip.ids])


def list_cases(number: int, *, seed: int = 0, kinds: Sequence[str] | None = None) -> list[ClipCase]:
    """The clips that `write_videos` writes."""
    queries = generate_temporal_queries(number, seed=seed, kinds=kinds)
    return [ClipCase(f"clip{place:03d}", query) for place, query in enumerate(queries, start=1)]


def _to_coco(masks: np.ndarray) -> list[dict[str, Any] | None]:
    """One entry per frame; null where nothing is seen."""
    return [rle.encode_mask(mask).to_coco() if mask.any() else None for mask in masks]


def _list_expressions(cases: Sequence[ClipCase]) -> tuple[dict[str, Any], dict[str, list[dict[str, Any] | None]]]:
    """`videos` of a `meta_expressions.json`, and a `mask_dict.json`."""
    videos: dict[str, Any] = {}
    masks: dict[str, list[dict[str, Any] | None]] = {}
    for case in cases:
        entries = {}
        for number, (text, targets) in enumerate(case.expressions):
            ids = list(range(len(masks), len(masks) + len(targets)))
            masks |= {str(id): _to_coco(target) for id, target in zip(ids, targets, strict=True)}
            entries[str(number)] = {"exp": text, "obj_id": ids, "anno_id": ids, "type_id": number % 2}
        height, width = case.size
        videos[case.name] = {"frames": case.frame_names, "height": height, "width": width, "expressions": entries}
    return videos, masks


def _write_mevis(out: Path, cases: Sequence[ClipCase]) -> None:
    """valid_u, and valid without masks."""
    videos, masks = _list_expressions(cases)
    for split in ("valid_u", "valid"):
        write_json(out / split / "meta_expressions.json", {"videos": videos})
        for case in cases:
            case.save_frames(out / split / "JPEGImages" / case.name)
    write_json(out / "valid_u" / "mask_dict.json", masks)


def _write_revos(out: Path, cases: Sequence[ClipCase]) -> None:
    videos, masks = _list_expressions(cases)
    write_json(out / "meta_expressions_valid_.json", {"videos": videos})
    write_json(out / "mask_dict.json", masks)
    foreground = {
        case.name: {"masks_rle": [rle.encode_mask(frame > 0).to_coco() for frame in case.clip.ids]} for case in cases
    }
    write_json(out / "mask_dict_foreground.json", foreground)
    for case in cases:
        case.save_frames(out / "JPEGImages" / case.name)


def _write_reasonvos(out: Path, cases: Sequence[ClipCase]) -> None:
    videos = {}
    for case in cases:
        entries = []
        for number, (text, targets) in enumerate(case.expressions):
            entries.append({"obj_id": number, "exp_id": number, "exp_text": text, "is_sent": number == 0})
            union = np.any(targets, axis=0).astype(np.uint8) * np.uint8(255)
            case.save_labels(out / "Annotations" / f"Staged_{case.name}_{number}", union)
        videos[case.name] = {"source": "Staged", "frames": case.frame_names, "expressions": entries}
        case.save_frames(out / "JPEGImages" / case.name)
    write_json(out / "meta_expressions.json", {"videos": videos})


def _write_ref_youtube_vos(out: Path, cases: Sequence[ClipCase]) -> None:
    """valid, of which the last clip is one of test, and train with masks of one object an expression."""
    for split in ("valid", "train"):
        videos = {}
        for case in cases:
            target = case.query.targets[0]
            entries = {"0": {"exp": case.query.text, "obj_id": str(target + 1)}}
            videos[case.name] = {"frames": case.frame_names, "expressions": entries}
            case.save_frames(out / split / "JPEGImages" / case.name)
            if split == "train":
                meant = case.query.frames[:, None, None]
                case.save_labels(out / split / "Annotations" / case.name, np.where(meant, case.clip.ids, np.uint8(0)))
        write_json(out / "meta_expressions" / split / "meta_expressions.json", {"videos": videos})
    write_json(out / "meta_expressions" / "test" / "meta_expressions.json", {"videos": {cases[-1].name: {}}})


def _select_with_objects(cases: Sequence[ClipCase]) -> list[ClipCase]:
    """Those whose first frame shows an object."""
    return [case for case in cases if case.first_objects]


def _write_ref_davis(out: Path, cases: Sequence[ClipCase]) -> None:
    videos = {}
    for case in _select_with_objects(cases):
        labels = case.draw_first_objects()
        texts = [_describe_object(case, index) for index in case.first_objects for _ in range(ANNOTATORS)]
        entries = {
            str(number): {"exp": text, "obj_id": str(number // ANNOTATORS + 1)} for number, text in enumerate(texts)
        }
        videos[case.name] = {"frames": case.frame_names, "expressions": entries}
        case.save_frames(out / "valid" / "JPEGImages" / case.name)
        case.save_labels(out / "valid" / "Annotations" / case.name, labels)
    write_json(out / "meta_expressions" / "valid" / "meta_expressions.json", {"videos": videos})


def _describe_object(case: ClipCase, index: int) -> str:
    """Its noun, its colour, and its row from the top, which tells it from all others."""
    thing = case.clip.objects[index]
    above = (case.clip.centres[0, :, 1] < case.clip.centres[0, index, 1]).sum()
    return " ".join(filter(None, ("the", thing.colour, thing.noun, f"in row {above + 1}")))


def _write_davis(out: Path, cases: Sequence[ClipCase]) -> None:
    shown = _select_with_objects(cases)
    listing = out / "ImageSets" / "2017" / "val.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("".join(f"{case.name}\n" for case in shown), encoding="utf-8")
    for case in shown:
        case.save_frames(out / "JPEGImages" / "480p" / case.name)
        case.save_labels(out / "Annotations" / "480p" / case.name, case.draw_first_objects())


def _write_sav(out: Path, cases: Sequence[ClipCase]) -> None:
    (out / "sav_val.txt").write_text("".join(f"{case.name}\n" for case in cases), encoding="utf-8")
    for case in cases:
        case.save_frames(out / "JPEGImages_24fps" / case.name)
        # first and last annotated frame do not count
        counted = case.clip.seen[::SAV_STEP][1:-1].any(axis=0)
        for number, index in enumerate(np.flatnonzero(counted).tolist()):
            masks = case.clip.get_masks(index).astype(np.uint8) * np.uint8(255)
            case.save_labels(out / "Annotations_6fps" / case.name / f"{number:03d}", masks, step=SAV_STEP)


def _write_veval(out: Path, cases: Sequence[ClipCase]) -> None:
    categories = {noun: number for number, noun in enumerate(dict.fromkeys(n for case in cases for n in case.nouns), 1)}
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        height, width = case.size
        names = [f"{case.name}/{name}.jpg" for name in case.frame_names]
        sizes = {"height": height, "width": width}
        videos.append({"id": number, "video_name": case.name, "file_names": names, "length": len(names), **sizes})
        case.save_frames(out / "media" / "saco_sav" / "JPEGImages_24fps" / case.name)
        for noun, targets in case.nouns.items():
            about = {"video_id": number, "category_id": categories[noun], "noun_phrase": noun}
            pairs.append({"id": len(pairs), **about, "num_masklets": len(targets)})
            for index in targets:
                track = _write_track(case.clip.get_masks(index))
                annotations.append({"id": len(annotations), **about, **sizes, "iscrowd": 0, **track})
    file = {
        "info": {"version": "v1", "description": "staged clips"},
        "videos": videos,
        "annotations": annotations,
        "categories": [{"id": id, "name": noun} for noun, id in categories.items()],
        "video_np_pairs": pairs,
    }
    write_json(out / "annotation" / "saco_veval_sav_test.json", file)


def _write_track(masks: np.ndarray) -> dict[str, Any]:
    boxes = [compute_mask_box(rle.encode_mask(mask)) if mask.any() else None for mask in masks]
    areas = [int(mask.sum()) or None for mask in masks]
    return {"segmentations": _to_coco(masks), "bboxes": boxes, "areas": areas}


Writer = Callable[[Path, Sequence[ClipCase]], None]
WRITERS: Mapping[str, Writer] = {
    "mevis": _write_mevis,
    "ref-youtube-vos": _write_ref_youtube_vos,
    "ref-davis": _write_ref_davis,
    "revos": _write_revos,
    "reasonvos": _write_reasonvos,
    "davis": _write_davis,
    "sav": _write_sav,
    "saco-veval": _write_veval,
}
"""Benchmark -> what writes its files."""
