"""Plain COCO files, whose readers take every phrase that has no mask in an image for absent."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.errors import EngineError
from engine.exports.split_spool import SplitSpool


class ClosedVocabulary:
    """The phrases of several splits as categories of COCO, with the same numbers in each.

    Args:
        spools: One for each split.

    Raises:
        EngineError: An image is not judged for every phrase: what is missing would be taken for absent.
    """

    def __init__(self, spools: Iterable[SplitSpool]) -> None:
        judged: dict[str, set[str]] = defaultdict(set)
        phrases: set[str] = set()
        for spool in spools:
            for pair in spool.read_pairs():
                phrases.add(pair["text_input"])
                judged[pair["file_name"]].update([pair["text_input"]] if pair["is_instance_exhaustive"] else [])
        self._numbers = {phrase: number for number, phrase in enumerate(sorted(phrases), start=1)}
        self._check_closed(judged)

    def _check_closed(self, judged: Mapping[str, set[str]]) -> None:
        count = sum(len(self._numbers) - len(phrases) for phrases in judged.values())
        if not count:
            return
        name = next(name for name, phrases in judged.items() if len(phrases) < len(self._numbers))
        phrase = next(phrase for phrase in self._numbers if phrase not in judged[name])
        told = describe_open_pairs(count, len(judged) * len(self._numbers), name, phrase)
        raise EngineError(f"{told}; judge these, or export without --plain-coco")

    def build_lists(self, spool: SplitSpool) -> dict[str, Iterable[Any]]:
        """Build the lists of a COCO file: images once, phrases as categories, boxes in pixels."""
        images: dict[str, int] = {}
        for pair in spool.read_pairs():
            images.setdefault(pair["file_name"], len(images) + 1)
        return {
            "images": _build_images(spool),
            "annotations": self._build_annotations(spool, images),
            "categories": [{"id": number, "name": phrase} for phrase, number in self._numbers.items()],
        }

    def _build_annotations(self, spool: SplitSpool, images: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        pairs = spool.read_pairs()
        pair: dict[str, Any] = {"id": 0}
        for mask in spool.read_masks():  # they come in the order of their pairs
            while pair["id"] != mask["image_id"]:
                pair = next(pairs)
            yield build_annotation(mask, pair, images[pair["file_name"]], self._numbers[pair["text_input"]])


def _build_images(spool: SplitSpool) -> Iterator[dict[str, Any]]:
    names: set[str] = set()
    for pair in spool.read_pairs():
        if pair["file_name"] not in names:
            names.add(pair["file_name"])
            kept = {name: pair[name] for name in ("file_name", "width", "height", "source", "licence")}
            yield {"id": len(names), **kept}


def describe_open_pairs(count: int, total: int, name: str, phrase: str) -> str:
    """Say why labels are no plain COCO.

    >>> describe_open_pairs(1, 4, "a.png", "cup")[-60:]
    "phrase: 1 of 4 pairs are not ('cup' in 'a.png' is the first)"
    """
    return (
        f"plain COCO needs every image judged to the end for every phrase: {count:,} of {total:,} pairs are not"
        f" ({phrase!r} in {name!r} is the first)"
    )


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
