"""Reads a data engine's labels for the official trainer of SAM 3: one datapoint an image, one query a judged pair.

The trainer's own reader makes every category of a file a query on every image, and takes whatever has no mask for a
complete negative. In a data engine's labels an image is judged for some phrases only, so that this would teach wrong
negatives. The class below answers the same three calls, and asks what was judged.

This file is copied beside the labels and needs nothing but Python: put its folder on PYTHONPATH, and name the class in
the trainer's config, as `trainer.yaml` beside it does.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any


class JudgedPairs:
    """The labels of one SA-Co file, by image.

    Args:
        annotation_file: The SA-Co file: an entry of `images` is a pair of an image and a phrase.
        category_chunk_size: Queries a datapoint has at most; an image with more becomes several datapoints. None: as
            many as there are. The trainer leaves out an image with more queries than its `max_train_queries`.

    Raises:
        ValueError: `category_chunk_size` is not a whole number above 0.
    """

    def __init__(self, annotation_file: str, category_chunk_size: int | None = None) -> None:
        if category_chunk_size is not None and category_chunk_size < 1:
            raise ValueError(f"category_chunk_size is a whole number above 0 or null, got {category_chunk_size!r}")
        content = json.loads(Path(annotation_file).read_text(encoding="utf-8"))
        self._masks: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            self._masks[annotation["image_id"]].append(annotation)
        pairs_of_images: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for pair in content["images"]:
            pairs_of_images[pair["file_name"]].append(pair)
        self._datapoints = [
            (number, pairs[first : first + (category_chunk_size or len(pairs))])
            for number, pairs in enumerate(pairs_of_images.values())
            for first in range(0, len(pairs), category_chunk_size or len(pairs))
        ]

    def getDatapointIds(self) -> list[int]:  # the trainer's name
        """Return the number of every datapoint."""
        return list(range(len(self._datapoints)))

    def loadImagesFromDatapoint(self, idx: int) -> list[dict[str, Any]]:  # the trainer's name
        """Return the one image of a datapoint."""
        number, pairs = self._datapoints[idx]
        return [
            {"id": 0, "file_name": pairs[0]["file_name"], "original_img_id": number, "coco_img_id": int(pairs[0]["id"])}
        ]

    def loadQueriesAndAnnotationsFromDatapoint(  # the trainer's name
        self, idx: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the queries of a datapoint, and the masks of all of them; queries name theirs by id."""
        queries: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for pair in self._datapoints[idx][1]:
            masks = self._masks[pair["id"]]
            shown = range(len(annotations), len(annotations) + len(masks))
            annotations += [build_annotation(mask, number) for mask, number in zip(masks, shown, strict=True)]
            queries.append(build_query(pair, len(queries), list(shown)))
        return queries, annotations


def build_query(pair: dict[str, Any], number: int, shown: list[int]) -> dict[str, Any]:
    """Build the trainer's query of a pair: `shown` are the ids of its masks."""
    return {
        "id": number,
        "original_cat_id": int(pair["queried_category"]),
        "object_ids_output": shown,
        "query_text": pair["text_input"],
        "query_processing_order": 0,
        "ptr_x_query_id": None,
        "ptr_y_query_id": None,
        "image_id": 0,
        "input_box": None,
        "input_box_label": None,
        "input_points": None,
        "is_exhaustive": bool(pair["is_instance_exhaustive"]),
        "is_pixel_exhaustive": bool(pair["is_pixel_exhaustive"]),
    }


def build_annotation(mask: dict[str, Any], number: int) -> dict[str, Any]:
    """Build the trainer's annotation of a mask. Its box is x, y, width, height as shares of the image in both files."""
    x, y, width, height = mask["bbox"]
    return {
        "id": number,
        "object_id": number,
        "image_id": 0,
        "bbox": [x, y, width, height],
        "area": width * height,
        "segmentation": mask["segmentation"],
        "is_crowd": mask["iscrowd"],
        "source": mask["source"],
    }
