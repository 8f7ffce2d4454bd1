"""The formats of data sets by their names."""

from collections.abc import Mapping

from agent.exports.sets import coco, label_studio, yolo
from agent.exports.sets.base import SetExporter

SET_EXPORTERS: Mapping[str, SetExporter] = {
    "coco": coco.RUNS,
    "coco-polygons": coco.POLYGONS,
    "yolo-seg": yolo.SEGMENTATION,
    "label-studio": label_studio.TASKS,
}
"""Every format by its name."""
