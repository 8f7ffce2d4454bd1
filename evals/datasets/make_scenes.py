"""The generated world, written as the benchmarks write theirs, so that their loaders read real files."""

import json
import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from evals.datasets.scenes import SIZES, SceneQuery, scene_queries
from sam3_tool import rle
from sam3_tool.training.prompts import Concept
from sam3_tool.training.scenes import Scene
from sam3_tool.training.vocabulary import NOUNS

QUALITY = 95
LONG_FROM = 7
"""Words from which on a ReasonSeg query is written down as a sentence."""


def make_scenes(
    out: Path, *, number: int = 20, seed: int = 0, sizes: Sequence[tuple[int, int]] = SIZES
) -> dict[str, Path]:
    """Benchmark -> its folder: `number` queries each in the formats of ReasonSeg, OmniLabel, SA-Co Gold and Silver,
    RefCOCO and gRefCOCO, and as a folder of one's own. The same seed writes the same bytes. Raises OSError."""
    asked = [_Asked(index, query) for index, query in enumerate(scene_queries(number, seed=seed, sizes=sizes), start=1)]
    folders = {benchmark: out / benchmark for benchmark in WRITERS}
    for benchmark, write in WRITERS.items():
        folders[benchmark].mkdir(parents=True, exist_ok=True)
        write(folders[benchmark], asked)
    return folders


@dataclass(frozen=True, eq=False)
class _Asked:
    number: int
    query: SceneQuery

    @property
    def scene(self) -> Scene:
        return self.query.scene

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.scene.ids.shape
        return height, width

    @cached_property
    def nouns(self) -> dict[str, tuple[int, ...]]:
        """Plain phrases with the objects they name: all nouns of the scene, and one that is not there."""
        there = dict.fromkeys(thing.noun for thing in self.scene.objects)
        absent = next(noun for noun in NOUNS[self.number % len(NOUNS) :] + NOUNS if noun not in there)
        return {noun: Concept(noun).matches(self.scene.objects) for noun in (*there, absent)}

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.scene.pixels).save(path, quality=QUALITY)


def _dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _polygons(mask: np.ndarray) -> list[np.ndarray]:
    """int, (K, 2) each: x, y of the outlines' pixels. Holes are filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0] for contour in contours if len(contour) >= 3]


# --- ReasonSeg --------------------------------------------------------------------------------------------------------


_OURS = re.compile(r"scene_\d{6,}_0\.(jpg|json)")
"""Names that `_reasonseg` gives."""


def _reasonseg(out: Path, asked: Sequence[_Asked]) -> None:
    for earlier in sorted((out / "val").glob("scene_*")):  # of more scenes, perhaps: whatever lies there is read
        if _OURS.fullmatch(earlier.name):
            earlier.unlink()
    for one in asked:
        if one.query.kind == "no target":  # every published query has a target
            continue
        stem = out / "val" / f"scene_{one.number:06d}_0"
        one.save(stem.with_suffix(".jpg"))
        sentence = len(one.query.text.split()) >= LONG_FROM
        _dump(
            stem.with_suffix(".json"), {"text": [one.query.text], "is_sentence": sentence, "shapes": list(_shapes(one))}
        )


def _shapes(one: _Asked) -> Iterator[dict[str, Any]]:
    """The targets; in some files something to be ignored, too, or a mere mark."""
    for index in one.query.targets:
        for polygon in _polygons(one.scene.masks[index]):
            yield _shape("target", polygon.astype(float) + 0.25)  # fractions, which are to be cut off
    height, width = one.size
    corner = np.array([[0, 0], [width / 8, 0], [width / 8, height / 8], [0, height / 8]])
    if one.number % 4 == 0:
        yield _shape("ignore", corner)
    if one.number % 5 == 0:
        yield _shape("flag", corner + 5)


def _shape(label: str, points: np.ndarray) -> dict[str, Any]:
    return {"label": label, "points": points.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}


# --- OmniLabel --------------------------------------------------------------------------------------------------------


def _omnilabel(out: Path, asked: Sequence[_Asked]) -> None:
    descriptions: dict[tuple[str, str], dict[str, Any]] = {}
    annotations, images = [], []
    for one in asked:
        file_name = f"coco/scene_{one.number:06d}.jpg"
        one.save(out / file_name)
        images.append({"id": one.number, "file_name": file_name})
        meant: dict[int, list[int]] = {}
        for kind, text, targets in _label_space(one):
            entry = descriptions.setdefault((kind, text), _description(len(descriptions) + 1, kind, text))
            entry["image_ids"].append(one.number)
            for index in targets:
                meant.setdefault(index, []).append(entry["id"])
        annotations += [_box_of(one, index, ids) for index, ids in meant.items()]
    file = {
        "info": {"name": "OmniLabel", "version": "0.1.3", "url": "https://www.omnilabel.org"},
        "images": images,
        "descriptions": list(descriptions.values()),
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
    }
    _dump(out / "dataset_all_val_v0.1.3.json", file)


def _label_space(one: _Asked) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(type, text, targets)."""
    yield from (("object_category", noun, targets) for noun, targets in one.nouns.items())
    yield "object_description", one.query.text, one.query.targets


def _description(number: int, kind: str, text: str) -> dict[str, Any]:
    return {"id": number, "text": text, "image_ids": [], "anno_info": {"type": kind, "orig_id": number}}


def _box_of(one: _Asked, index: int, ids: list[int]) -> dict[str, Any]:
    x0, y0, x1, y1 = one.scene.boxes[index].tolist()
    box = [x0, y0, x1 - x0, y1 - y0]
    return {"image_id": one.number, "bbox": box, "description_ids": ids, "iscrowd": 0, "area": box[2] * box[3]}


# --- SA-Co ------------------------------------------------------------------------------------------------------------

_GROWN = {"a": 0, "b": 1, "c": -1}
"""How many pixels an annotator's masks are larger than the objects."""


def _saco_gold(out: Path, asked: Sequence[_Asked]) -> None:
    for annotator, grown in _GROWN.items():
        _dump(out / f"gold_metaclip_merged_{annotator}_release_test.json", _pairs(asked, grown))
    for one in asked:
        one.save(out / "metaclip-images" / f"{one.number}.jpg")


def _saco_silver(out: Path, asked: Sequence[_Asked]) -> None:
    _dump(out / "silver_sav_merged_test.json", _pairs(asked, 0))
    for one in asked:
        one.save(out / "images" / f"{one.number}.jpg")


def _pairs(asked: Sequence[_Asked], grown: int) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    numbers = count(1)
    for one in asked:
        for phrase, targets in one.nouns.items():
            pair = 10_000_000 + len(images)
            images.append(_pair(one, pair, phrase, exhaustive=grown <= 0 or pair % 7 != 3))
            annotations += [
                {"id": next(numbers), "image_id": pair, **_instance(one.scene.masks[index], grown)} for index in targets
            ]
    categories = [{"id": 1, "name": "object", "supercategory": "object"}]
    return {"info": {"version": "v1"}, "images": images, "annotations": annotations, "categories": categories}


def _pair(one: _Asked, pair: int, phrase: str, *, exhaustive: bool) -> dict[str, Any]:
    height, width = one.size
    return {
        "id": pair,
        "file_name": f"{one.number}.jpg",
        "text_input": phrase,
        "width": width,
        "height": height,
        "queried_category": str(pair % 10),
        "is_instance_exhaustive": int(exhaustive),
        "is_pixel_exhaustive": int(exhaustive),
    }


def _instance(mask: np.ndarray, grown: int) -> dict[str, Any]:
    turned = cv2.dilate if grown > 0 else cv2.erode
    changed = turned(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=abs(grown)) > 0
    changed = changed if changed.any() else mask
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    height, width = mask.shape
    x, y, w, h = columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return {
        "area": float(changed.mean()),
        "source": "generated",
        "bbox": [x / width, y / height, w / width, h / height],
        "segmentation": rle.encode(changed).to_coco(),
        "category_id": 1,
        "iscrowd": 0,
    }


# --- RefCOCO and gRefCOCO ---------------------------------------------------------------------------------------------


def _refcoco(out: Path, asked: Sequence[_Asked]) -> None:
    single = [one for one in asked if len(one.query.targets) == 1]
    refs = [_ref(one, _annotation_ids(one, one.query.targets)[0], 1) for one in single]
    (out / "refcoco").mkdir(exist_ok=True)
    (out / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    _instances(out, out / "refcoco", asked)


def _grefcoco(out: Path, asked: Sequence[_Asked]) -> None:
    targets = [_annotation_ids(one, one.query.targets) for one in asked]
    refs = [_ref(one, ids or [-1], [1] * len(ids) or [-1]) for one, ids in zip(asked, targets, strict=True)]
    _dump(out / "grefcoco" / "grefs(unc).json", refs)
    _instances(out, out / "grefcoco", asked)


def _ref(one: _Asked, annotation: Any, category: Any) -> dict[str, Any]:
    text = one.query.text
    sentence = {"raw": text.title(), "sent": text, "sent_id": one.number, "tokens": text.split()}
    return {
        "ref_id": one.number,
        "ann_id": annotation,
        "image_id": one.number,
        "category_id": category,
        "file_name": f"COCO_train2014_{one.number:012d}_{one.number}.jpg",
        "split": "val",
        "sent_ids": [one.number],
        "sentences": [sentence],
    }


def _annotation_ids(one: _Asked, indices: Sequence[int]) -> list[int]:
    return [one.number * 100 + index for index in indices]


def _instances(out: Path, folder: Path, asked: Sequence[_Asked]) -> None:
    """`instances.json` and the pictures of both."""
    images, annotations = [], []
    for one in asked:
        file_name = f"COCO_train2014_{one.number:012d}.jpg"
        one.save(out / "images" / "mscoco" / "images" / "train2014" / file_name)
        images.append({"id": one.number, "file_name": file_name, "height": one.size[0], "width": one.size[1]})
        annotations += [_coco(one, index) for index in range(len(one.scene.objects))]
    _dump(
        folder / "instances.json",
        {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]},
    )


def _coco(one: _Asked, index: int) -> dict[str, Any]:
    mask = one.scene.masks[index]
    [number] = _annotation_ids(one, [index])
    x0, y0, x1, y1 = one.scene.boxes[index].tolist()
    return {
        "id": number,
        "image_id": one.number,
        "category_id": 1,
        "iscrowd": 0,
        "area": int(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": [polygon.ravel().tolist() for polygon in _polygons(mask)],
    }


# --- one's own --------------------------------------------------------------------------------------------------------


def _own(out: Path, asked: Sequence[_Asked]) -> None:
    lines = []
    for one in asked:
        picture, mask = f"scene_{one.number}.png", f"masks/scene_{one.number}.png"
        one.save(out / picture)
        (out / "masks").mkdir(exist_ok=True)
        Image.fromarray(one.query.target * 255).save(out / mask)
        lines.append(json.dumps({"image": picture, "query": one.query.text, "mask": mask}, ensure_ascii=False))
    (out / "queries.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


WRITERS = {
    "reasonseg": _reasonseg,
    "omnilabel": _omnilabel,
    "saco-gold": _saco_gold,
    "saco-silver": _saco_silver,
    "refcoco": _refcoco,
    "grefcoco": _grefcoco,
    "own": _own,
}
"""Benchmark, by the name its loader has -> what writes it."""
