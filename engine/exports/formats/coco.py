"""Plain COCO files of a closed vocabulary: every image is judged for every phrase, or nothing is written.

OUT/train.json, val.json, test.json    with the same categories
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.exports.closed_coco import build_annotation, describe_open_pairs
from engine.exports.final_pairs import FinalPair, FinalPairs
from engine.exports.folders import write_json_object
from engine.exports.formats.saco import describe_origin
from engine.exports.saco_entries import build_mask_entry


def write_coco(pairs: FinalPairs, folder: Path) -> list[str]:
    """Write a COCO file of every split.

    Args:
        pairs: What is final.
        folder: An empty folder.

    Returns:
        Names of the files.

    Raises:
        EngineError: An image is not judged to the end for every phrase: readers of COCO would take it for absent.
    """
    phrases = pairs.list_phrases()
    _check_closed(pairs, phrases)
    categories = [{"id": number, "name": phrase} for number, phrase in enumerate(phrases, start=1)]
    numbers = {phrase: number for number, phrase in enumerate(phrases, start=1)}
    for split in pairs.splits:
        lists = {
            "images": _build_images(pairs, split),
            "annotations": _build_annotations(pairs, split, numbers),
            "categories": categories,
        }
        write_json_object(folder / f"{split}.json", {"info": pairs.build_info("coco") | {"split": split}}, lists)
    return [f"{split}.json" for split in pairs.splits]


def _check_closed(pairs: FinalPairs, phrases: list[str]) -> None:
    open_pairs, images = 0, 0
    first: tuple[str, str] | None = None
    for image in _group_images(pairs):
        closed = {pair.state.pair.phrase for pair in image if pair.use.is_pixel_exhaustive}
        images += 1
        open_pairs += len(phrases) - len(closed)
        if first is None and len(closed) < len(phrases):
            first = (image[0].file_name, next(phrase for phrase in phrases if phrase not in closed))
    if first is not None:
        told = describe_open_pairs(open_pairs, images * len(phrases), *first)
        raise EngineError(f"{told}; judge these, or take a form that says what was judged, such as --to saco")


def _group_images(pairs: FinalPairs, split: str = "") -> Iterator[list[FinalPair]]:
    for _, group in groupby(pairs.read_pairs(split), key=lambda pair: pair.image.key):
        yield list(group)


def _build_images(pairs: FinalPairs, split: str) -> Iterator[dict[str, Any]]:
    for number, group in enumerate(_group_images(pairs, split), start=1):
        image, origin = group[0].image, describe_origin(group[0])
        yield {
            "id": number,
            "file_name": group[0].file_name,
            "width": image.width,
            "height": image.height,
            "source": image.source,
            "licence": image.licence,
            **{name: origin[name] for name in ("split", "duplicate_group", "image_key", "original_hash")},
        }


def _build_annotations(pairs: FinalPairs, split: str, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image_number, group in enumerate(_group_images(pairs, split), start=1):
        for pair in group:
            size = {"width": pair.image.width, "height": pair.image.height}
            for mask, is_group in zip(pair.state.masks, pair.state.groups, strict=True):
                number += 1
                entry = build_mask_entry(number, 0, mask, is_group=is_group, source=pair.state.decided_by)
                annotation = build_annotation(entry, size, image_number, numbers[pair.state.pair.phrase])
                yield annotation | {"decided_by": pair.state.decided_by}
