"""A data set as Label Studio tasks with brush predictions: https://labelstud.io/guide/predictions."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from agent.exports.answer import ExportAnswer
from agent.exports.label_studio import build_interface, build_prediction
from agent.exports.sets.base import ImageSet, SetExporter, SetImage

_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"}


def write_tasks(images: ImageSet, path: Path) -> None:
    """A JSON file for Label Studio's import: a task for each image, which holds the image itself.

    The project's labelling interface must have the tags of `meta.interface`, which all tasks share.
    """
    interface = build_interface(images.list_categories())
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.write("[")
        for number, image in enumerate(images.images):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(_build_task(image, interface), ensure_ascii=False))
        file.write("\n]\n")


def _build_task(image: SetImage, interface: str) -> dict[str, Any]:
    suffix, content = image.read_file()
    answer = ExportAnswer.from_candidates(image.open_image(), image.candidates, image.name, image.reasons)
    return {
        "data": {
            "image": f"data:{_MEDIA_TYPES[suffix]};base64,{b64encode(content).decode()}",
            "file_name": image.name,
        },
        "meta": {"interface": interface},
        "predictions": [build_prediction(answer)],
    }


TASKS = SetExporter(".label-studio.json", "Label Studio JSON", write_tasks)
