"""YOLO segmentation data sets: https://docs.ultralytics.com/datasets/segment/."""

import json
from io import BytesIO

import numpy as np

from agent.exports.answer import ExportAnswer, get_category
from agent.exports.archive import build_archive
from agent.exports.base import Exporter
from sam3_tool.masks import polygons


def encode_data_set(answer: ExportAnswer) -> bytes:
    """A ZIP that can be trained on as it is: the image, its labels and `data.yaml`.

    A line of the labels is one mask: its class from 0, then the corners of one polygon in fractions of the image's
    size. The format has no parts and no holes: they are joined by cuts of no width, of which OpenCV may draw a line
    of a pixel. It has no scores either.
    """
    png_file = BytesIO()
    answer.image.to_pil().save(png_file, "PNG")
    return build_archive(
        {
            "data.yaml": build_description(answer.categories).encode(),
            f"images/{answer.stem}.png": png_file.getvalue(),
            f"labels/{answer.stem}.txt": _format_labels(answer).encode(),
        }
    )


def build_description(names: list[str], *, train: str = "images", val: str = "images") -> str:
    """Build `data.yaml`. Paths are seen from the file itself. JSON's strings are YAML's too."""
    class_names = [f"{class_id}: {json.dumps(name, ensure_ascii=False)}" for class_id, name in enumerate(names)]
    return "\n".join([f"train: {train}", f"val: {val}", "names: {" + ", ".join(class_names) + "}", ""])


def _format_labels(answer: ExportAnswer) -> str:
    names, size = answer.categories, (answer.image.width, answer.image.height)
    return "".join(
        f"{names.index(get_category(candidate))} {format_corners(mask, size, tolerance=answer.tolerance)}\n"
        for candidate, mask in answer.iterate_masks()
    )


def format_corners(mask: np.ndarray, size: tuple[int, int], *, tolerance: float = 0.0) -> str:
    """Write one polygon in fractions of the image's `size`, which is its width and height."""
    fractions = (
        polygons.to_pixel_coordinates(polygons.join_rings(polygons.trace_rings(mask, tolerance=tolerance))) / size
    )
    return " ".join(f"{coordinate:.6f}" for coordinate in fractions.ravel())


SEGMENTATION = Exporter(".yolo-seg.zip", "YOLO segmentation (zip)", encode_data_set)
