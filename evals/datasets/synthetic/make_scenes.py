"""The generated world, written as the benchmarks write theirs, so that their loaders read real files."""

import json
import pickle
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

from evals.datasets.formats.parquet import has_parquet, write_rows
from evals.datasets.synthetic.scenes import SIZES, SceneQuery, generate_queries
from sam3_tool.masks import rle
from sam3_tool.synthetic.nouns import NOUNS
from sam3_tool.synthetic.phrases import Concept
from sam3_tool.synthetic.scenes import Scene

JPEG_QUALITY = 95
SENTENCE_MIN_WORDS = 7
"""Words from which on a ReasonSeg query is written down as a sentence."""


def write_scenes(
    out: Path, *, number: int = 20, seed: int = 0, sizes: Sequence[tuple[int, int]] = SIZES
) -> dict[str, Path]:
    """Write `number` queries in the format of each benchmark, and return benchmark -> its folder.

    The formats are those of ReasonSeg, OmniLabel, SA-Co Gold and Silver, RefCOCO, gRefCOCO, RefCOCOm and ConverSeg, a
    folder of one's own, and PBench where pyarrow is installed. The same seed writes the same bytes. Raises OSError.
    """
    return write_queries(out, generate_queries(number, seed=seed, sizes=sizes))


def write_queries(
    out: Path, queries: Iterable[SceneQuery], *, benchmarks: Sequence[str] | None = None
) -> dict[str, Path]:
    """Write these queries in the format of each of these benchmarks, or of all that can be written."""
    possible = [name for name in WRITERS if name != "pbench" or has_parquet()]
    cases = [_SceneCase(index, query) for index, query in enumerate(queries, start=1)]
    folders = {benchmark: out / benchmark for benchmark in benchmarks or possible}
    for benchmark, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        WRITERS[benchmark](folder, cases)
    return folders


@dataclass(frozen=True, eq=False)
class _SceneCase:
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
        return {noun: Concept(noun).find_matches(self.scene.objects) for noun in (*there, absent)}

    def save_image(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(self.scene.pixels).save(path, quality=JPEG_QUALITY)

    def encode_image(self) -> bytes:
        content = BytesIO()
        PIL.Image.fromarray(self.scene.pixels).save(content, "JPEG", quality=JPEG_QUALITY)
        return content.getvalue()

    def save_target(self, path: Path) -> None:
        """All that the query means, white on black."""
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(self.query.target * 255).save(path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _trace_polygons(mask: np.ndarray) -> list[np.ndarray]:
    """int, (K, 2) each: x, y of the outlines' pixels. Holes are filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0] for contour in contours if len(contour) >= 3]


# --- ReasonSeg --------------------------------------------------------------------------------------------------------


_WRITTEN_FILE_NAME = re.compile(r"scene_\d{6,}_0\.(jpg|json)")
"""Names that `_write_reasonseg` gives."""


def _write_reasonseg(out: Path, cases: Sequence[_SceneCase]) -> None:
    for earlier in sorted((out / "val").glob("scene_*")):  # of more scenes, perhaps: whatever lies there is read
        if _WRITTEN_FILE_NAME.fullmatch(earlier.name):
            earlier.unlink()
    for case in cases:
        if case.query.kind == "no target":  # every published query has a target
            continue
        stem = out / "val" / f"scene_{case.number:06d}_0"
        case.save_image(stem.with_suffix(".jpg"))
        sentence = len(case.query.text.split()) >= SENTENCE_MIN_WORDS
        write_json(
            stem.with_suffix(".json"),
            {"text": [case.query.text], "is_sentence": sentence, "shapes": list(_build_shapes(case))},
        )


def _build_shapes(case: _SceneCase) -> Iterator[dict[str, Any]]:
    """The targets; in some files something to be ignored, too, or a mere mark."""
    for index in case.query.targets:
        for polygon in _trace_polygons(case.scene.masks[index]):
            yield _build_shape("target", polygon.astype(float) + 0.25)  # fractions, which are to be cut off
    height, width = case.size
    corner = np.array([[0, 0], [width / 8, 0], [width / 8, height / 8], [0, height / 8]])
    if case.number % 4 == 0:
        yield _build_shape("ignore", corner)
    if case.number % 5 == 0:
        yield _build_shape("flag", corner + 5)


def _build_shape(label: str, points: np.ndarray) -> dict[str, Any]:
    return {"label": label, "points": points.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}


# --- OmniLabel --------------------------------------------------------------------------------------------------------


def _write_omnilabel(out: Path, cases: Sequence[_SceneCase]) -> None:
    descriptions: dict[tuple[str, str], dict[str, Any]] = {}
    annotations, images = [], []
    for case in cases:
        file_name = f"coco/scene_{case.number:06d}.jpg"
        case.save_image(out / file_name)
        images.append({"id": case.number, "file_name": file_name})
        meant: dict[int, list[int]] = {}
        for kind, text, targets in _list_label_space(case):
            entry = descriptions.setdefault((kind, text), _build_description(len(descriptions) + 1, kind, text))
            entry["image_ids"].append(case.number)
            for index in targets:
                meant.setdefault(index, []).append(entry["id"])
        annotations += [_build_box(case, index, ids) for index, ids in meant.items()]
    file = {
        "info": {"name": "OmniLabel", "version": "0.1.3", "url": "https://www.omnilabel.org"},
        "images": images,
        "descriptions": list(descriptions.values()),
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, start=1)],
    }
    write_json(out / "dataset_all_val_v0.1.3.json", file)


def _list_label_space(case: _SceneCase) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(type, text, targets)."""
    yield from (("object_category", noun, targets) for noun, targets in case.nouns.items())
    yield "object_description", case.query.text, case.query.targets


def _build_description(number: int, kind: str, text: str) -> dict[str, Any]:
    return {"id": number, "text": text, "image_ids": [], "anno_info": {"type": kind, "orig_id": number}}


def _build_box(case: _SceneCase, index: int, ids: list[int]) -> dict[str, Any]:
    x0, y0, x1, y1 = case.scene.boxes[index].tolist()
    box = [x0, y0, x1 - x0, y1 - y0]
    return {"image_id": case.number, "bbox": box, "description_ids": ids, "iscrowd": 0, "area": box[2] * box[3]}


# --- SA-Co ------------------------------------------------------------------------------------------------------------

_GROWTH_BY_ANNOTATOR = {"a": 0, "b": 1, "c": -1}
"""Annotator -> pixels by which his masks are larger than the objects."""


def _write_saco_gold(out: Path, cases: Sequence[_SceneCase]) -> None:
    for annotator, grown in _GROWTH_BY_ANNOTATOR.items():
        write_json(out / f"gold_metaclip_merged_{annotator}_release_test.json", _build_pairs(cases, grown))
    for case in cases:
        case.save_image(out / "metaclip-images" / f"{case.number}.jpg")


def _write_saco_silver(out: Path, cases: Sequence[_SceneCase]) -> None:
    write_json(out / "silver_sav_merged_test.json", _build_pairs(cases, 0))
    for case in cases:
        case.save_image(out / "images" / f"{case.number}.jpg")


def _build_pairs(cases: Sequence[_SceneCase], grown: int) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    numbers = count(1)
    for case in cases:
        for phrase, targets in case.nouns.items():
            pair = 10_000_000 + len(images)
            images.append(_build_pair(case, pair, phrase, exhaustive=grown <= 0 or pair % 7 != 3))
            annotations += [
                {"id": next(numbers), "image_id": pair, **_build_instance(case.scene.masks[index], grown)}
                for index in targets
            ]
    categories = [{"id": 1, "name": "object", "supercategory": "object"}]
    return {"info": {"version": "v1"}, "images": images, "annotations": annotations, "categories": categories}


def _build_pair(case: _SceneCase, pair: int, phrase: str, *, exhaustive: bool) -> dict[str, Any]:
    height, width = case.size
    return {
        "id": pair,
        "file_name": f"{case.number}.jpg",
        "text_input": phrase,
        "width": width,
        "height": height,
        "queried_category": str(pair % 10),
        "is_instance_exhaustive": int(exhaustive),
        "is_pixel_exhaustive": int(exhaustive),
    }


def _build_instance(mask: np.ndarray, grown: int) -> dict[str, Any]:
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
        "segmentation": rle.encode_mask(changed).to_coco(),
        "category_id": 1,
        "iscrowd": 0,
    }


# --- RefCOCO and gRefCOCO ---------------------------------------------------------------------------------------------


def _write_refcoco(out: Path, cases: Sequence[_SceneCase]) -> None:
    single = [case for case in cases if len(case.query.targets) == 1]
    refs = [_build_ref(case, _make_annotation_ids(case, case.query.targets)[0], 1) for case in single]
    (out / "refcoco").mkdir(exist_ok=True)
    (out / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    _write_instances(out, out / "refcoco", cases)


def _write_grefcoco(out: Path, cases: Sequence[_SceneCase]) -> None:
    targets = [_make_annotation_ids(case, case.query.targets) for case in cases]
    refs = [_build_ref(case, ids or [-1], [1] * len(ids) or [-1]) for case, ids in zip(cases, targets, strict=True)]
    write_json(out / "grefcoco" / "grefs(unc).json", refs)
    _write_instances(out, out / "grefcoco", cases)


def _build_ref(case: _SceneCase, annotation: Any, category: Any) -> dict[str, Any]:
    text = case.query.text
    sentence = {"raw": text.title(), "sent": text, "sent_id": case.number, "tokens": text.split()}
    return {
        "ref_id": case.number,
        "ann_id": annotation,
        "image_id": case.number,
        "category_id": category,
        "file_name": f"COCO_train2014_{case.number:012d}_{case.number}.jpg",
        "split": "val",
        "sent_ids": [case.number],
        "sentences": [sentence],
    }


def _make_annotation_ids(case: _SceneCase, indices: Sequence[int]) -> list[int]:
    return [case.number * 100 + index for index in indices]


def _write_instances(out: Path, folder: Path, cases: Sequence[_SceneCase]) -> None:
    """`instances.json` and the images of both."""
    images, annotations = [], []
    for case in cases:
        file_name = f"COCO_train2014_{case.number:012d}.jpg"
        case.save_image(out / "images" / "mscoco" / "images" / "train2014" / file_name)
        images.append({"id": case.number, "file_name": file_name, "height": case.size[0], "width": case.size[1]})
        annotations += [_build_coco_annotation(case, index) for index in range(len(case.scene.objects))]
    write_json(
        folder / "instances.json",
        {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]},
    )


def _build_coco_annotation(case: _SceneCase, index: int) -> dict[str, Any]:
    mask = case.scene.masks[index]
    [number] = _make_annotation_ids(case, [index])
    x0, y0, x1, y1 = case.scene.boxes[index].tolist()
    return {
        "id": number,
        "image_id": case.number,
        "category_id": 1,
        "iscrowd": 0,
        "area": int(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": [polygon.ravel().tolist() for polygon in _trace_polygons(mask)],
    }


# --- RefCOCOm, ConverSeg and PBench -----------------------------------------------------------------------------------


def _write_refcocom(out: Path, cases: Sequence[_SceneCase]) -> None:
    segments = []
    for case in cases:
        if case.query.kind == "no target":  # every segment has pixels
            continue
        file_name = f"COCO_train2014_{case.number:012d}.jpg"
        case.save_image(out / "images" / file_name)
        case.save_target(out / "masks" / f"{case.number}.png")
        sentence = {"idx": 0, "sent_id": case.number, "sent": case.query.text}
        segments.append({"img_name": file_name, "segment_id": case.number, "sentences": [sentence]})
    write_json(out / "annotations" / "val_object_part.json", segments)


def _write_converseg(out: Path, cases: Sequence[_SceneCase]) -> None:
    lines = []
    for case in cases:
        image, mask = f"images/{case.number}.jpg", f"masks/{case.number}.png"
        case.save_image(out / image)
        case.save_target(out / mask)
        entry = {"id": f"scene_{case.number}", "image": image, "mask": mask, "prompt": case.query.text}
        lines.append(json.dumps({**entry, "concept": case.query.kind}, ensure_ascii=False))
    (out / "data").mkdir(exist_ok=True)
    (out / "data" / "human_annotated.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_pbench(out: Path, cases: Sequence[_SceneCase]) -> None:
    rows = [
        {
            "image": {"bytes": case.encode_image(), "path": f"{case.number}.jpg"},
            "expression": case.query.text,
            "masks": [_build_run_lengths(case, index) for index in case.query.targets],
            "count": len(case.query.targets),
            "id": case.number,
        }
        for case in cases
    ]
    write_rows(out / "data" / "level_0-00000-of-00001.parquet", rows)


def _build_run_lengths(case: _SceneCase, index: int) -> dict[str, Any]:
    found = rle.encode_mask(case.scene.masks[index]).to_coco()
    return {"size": list(found["size"]), "counts": found["counts"]}


# --- one's own --------------------------------------------------------------------------------------------------------


def _write_own(out: Path, cases: Sequence[_SceneCase]) -> None:
    lines = []
    for case in cases:
        image_name, mask = f"scene_{case.number}.png", f"masks/scene_{case.number}.png"
        case.save_image(out / image_name)
        case.save_target(out / mask)
        lines.append(json.dumps({"image": image_name, "query": case.query.text, "mask": mask}, ensure_ascii=False))
    (out / "queries.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


WRITERS = {
    "reasonseg": _write_reasonseg,
    "omnilabel": _write_omnilabel,
    "saco-gold": _write_saco_gold,
    "saco-silver": _write_saco_silver,
    "refcoco": _write_refcoco,
    "grefcoco": _write_grefcoco,
    "refcocom": _write_refcocom,
    "converseg": _write_converseg,
    "pbench": _write_pbench,
    "own": _write_own,
}
"""Benchmark, by the name its loader has -> what writes it."""
