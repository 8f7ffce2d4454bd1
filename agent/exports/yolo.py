"""YOLO segmentation data sets: https://docs.ultralytics.com/datasets/segment/."""

import json
from io import BytesIO

import numpy as np

from agent.exports import polygons
from agent.exports.answer import Answer, category
from agent.exports.archive import archive


def data_set(answer: Answer) -> bytes:
    """A ZIP that can be trained on as it is: the picture, its labels and `data.yaml`.

    A line of the labels is one mask: its class from 0, then the corners of one polygon in fractions of the picture's
    size. The format has no parts and no holes: they are joined by cuts of no width, of which OpenCV may draw a line
    of a pixel. It has no scores either.
    """
    picture = BytesIO()
    answer.picture.to_pil().save(picture, "PNG")
    return archive(
        {
            "data.yaml": _description(answer.categories).encode(),
            f"images/{answer.stem}.png": picture.getvalue(),
            f"labels/{answer.stem}.txt": _labels(answer).encode(),
        }
    )


def _description(names: list[str]) -> str:
    """Paths are seen from the file itself. JSON's strings are YAML's too."""
    listed = [f"{number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(names)]
    return "\n".join(["train: images", "val: images", "names: {" + ", ".join(listed) + "}", ""])


def _labels(answer: Answer) -> str:
    names, size = answer.categories, (answer.picture.width, answer.picture.height)
    return "".join(f"{names.index(category(one))} {_corners(mask, size)}\n" for one, mask in answer.masks())


def _corners(mask: np.ndarray, size: tuple[int, int]) -> str:
    """`size`: width and height of the picture."""
    fractions = polygons.as_pixels(polygons.joined(polygons.parts(mask))) / size
    return " ".join(f"{number:.6f}" for number in fractions.ravel())
