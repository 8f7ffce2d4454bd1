"""Plain COCO files, whose readers take every phrase that has no mask in an image for absent."""

from collections import defaultdict
from typing import Any

from engine.errors import EngineError


def build_closed_coco(saco: dict[str, Any]) -> dict[str, Any]:
    """Build COCO's form of an SA-Co file: images once, phrases as categories, boxes in pixels.

    Args:
        saco: The file's content.

    Raises:
        EngineError: An image is not judged for every phrase of the file: what is missing would be taken for absent.
    """
    pairs_of_images: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for pair in saco["images"]:
        pairs_of_images[pair["file_name"]][pair["text_input"]] = pair
    phrases = sorted({pair["text_input"] for pair in saco["images"]})
    _check_closed(pairs_of_images, phrases)
    numbers = {phrase: number for number, phrase in enumerate(phrases, start=1)}
    images = [_build_image(number, pairs) for number, pairs in enumerate(pairs_of_images.values(), start=1)]
    image_numbers = {name: number for number, name in enumerate(pairs_of_images, start=1)}
    pairs = {pair["id"]: pair for pair in saco["images"]}
    return {
        "info": saco["info"],
        "images": images,
        "annotations": [
            build_annotation(mask, pair, image_numbers[pair["file_name"]], numbers[pair["text_input"]])
            for mask in saco["annotations"]
            for pair in [pairs[mask["image_id"]]]
        ],
        "categories": [{"id": number, "name": phrase} for phrase, number in numbers.items()],
    }


def _check_closed(pairs_of_images: dict[str, dict[str, dict[str, Any]]], phrases: list[str]) -> None:
    open_pairs = [
        (name, phrase)
        for name, pairs in pairs_of_images.items()
        for phrase in phrases
        if phrase not in pairs or not pairs[phrase]["is_instance_exhaustive"]
    ]
    if open_pairs:
        name, phrase = open_pairs[0]
        total = len(pairs_of_images) * len(phrases)
        told = describe_open_pairs(len(open_pairs), total, name, phrase)
        raise EngineError(f"{told}; judge these, or export without --plain-coco")


def describe_open_pairs(count: int, total: int, name: str, phrase: str) -> str:
    """Say why labels are no plain COCO.

    >>> describe_open_pairs(1, 4, "a.png", "cup")[-60:]
    "phrase: 1 of 4 pairs are not ('cup' in 'a.png' is the first)"
    """
    return (
        f"plain COCO needs every image judged to the end for every phrase: {count:,} of {total:,} pairs are not"
        f" ({phrase!r} in {name!r} is the first)"
    )


def _build_image(number: int, pairs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first = next(iter(pairs.values()))
    return {"id": number, **{name: first[name] for name in ("file_name", "width", "height", "source", "licence")}}


def build_annotation(mask: dict[str, Any], pair: dict[str, Any], image: int, category: int) -> dict[str, Any]:
    """Build an annotation with its box, x y width height, in pixels and its area in pixels.

    Args:
        mask: Its entry in an SA-Co file.
        pair: What says `width` and `height` of the image, in pixels.
        image: The image's number.
        category: The phrase's number.
    """
    width, height = pair["width"], pair["height"]
    x, y, w, h = mask["bbox"]
    return {
        "id": mask["id"],
        "image_id": image,
        "category_id": category,
        "bbox": [round(x * width), round(y * height), round(w * width), round(h * height)],
        "area": round(mask["area"] * width * height),
        "segmentation": mask["segmentation"],
        "iscrowd": mask["iscrowd"],
    }
