"""`serve.labels.cvat` as `cvat-cli function run-agent` loads it and has its workers call it."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from agent import UsageError
from sam3_tool.synthetic.clips import draw_clip
from sam3_tool.synthetic.scenes import draw_scene
from serve.labels.cvat import create

agent = pytest.importorskip("cvat_cli._internal.agent")
from cvat_cli._internal import agent_driver_detection, agent_driver_interaction, agent_driver_tracking  # noqa: E402
from cvat_cli._internal.common import FunctionLoader  # noqa: E402
from cvat_sdk.auto_annotation import TrackableShape  # noqa: E402
from cvat_sdk.auto_annotation.driver import _AnnotationMapper, _DetectionFunctionContextImpl  # noqa: E402
from cvat_sdk.masks import decode_mask, encode_mask  # noqa: E402

SCENE = draw_scene(3021, size=(640, 480))
IMAGE = PIL.Image.fromarray(SCENE.pixels)
NOUNS = sorted({one.noun for one in SCENE.objects})
CLIP = draw_clip(900023, length=8, size=(192, 144))


def load(kind: str, **parameters: str) -> Any:
    """What the agent's workers have: made by cvat-cli's own loader, and given to them by its own initializer."""
    ids = iter(range(100))
    agent._worker_init(FunctionLoader("serve.labels.cvat", None, {"kind": kind, **parameters}), lambda: str(next(ids)))
    return agent.worker_current_function()


def compute_iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def decode(points: list[float], width: int = 640, height: int = 480) -> np.ndarray:
    return np.asarray(decode_mask(points, image_width=width, image_height=height))


@pytest.mark.parametrize("as_polygons", [False, True])
def test_detections_fit_a_projects_labels(as_polygons: bool, result: dict[str, Any]) -> None:
    function = load("detect", labels=",".join(NOUNS))
    context = _DetectionFunctionContextImpl(frame_name="a.jpg", conf_threshold=0.5, conv_mask_to_poly=as_polygons)
    found = agent_driver_detection._worker_job_detect(context, IMAGE)
    kind = "polygon" if as_polygons else "mask"
    labels = [
        SimpleNamespace(id=100 + number, name=name, type=kind, attributes=[], sublabels=[])
        for number, name in enumerate(NOUNS)
    ]
    mapper = _AnnotationMapper(
        logging.getLogger(), function.spec.labels, labels, allow_unmatched_labels=False, conv_mask_to_poly=as_polygons
    )
    _, shapes = mapper.validate_and_remap(found, 7)
    assert {shape.label_id for shape in shapes} <= {label.id for label in labels}
    assert {(shape.type.value, shape.frame) for shape in shapes} == {(kind, 7)}
    if as_polygons:
        assert all(len(shape.points) >= 6 and np.isfinite(shape.points).all() for shape in shapes)
    else:
        ious = [max(compute_iou(decode(shape.points), mask) for mask in SCENE.masks) for shape in shapes]
        assert np.mean(ious) > 0.6
        result["detected masks, IoU"] = [round(iou, 3) for iou in ious]


def test_a_threshold_of_cvat_is_heeded() -> None:
    function = load("detect", labels=",".join(NOUNS))
    strict, lax = (
        function.detect(_DetectionFunctionContextImpl(frame_name="a.jpg", conf_threshold=threshold), IMAGE)
        for threshold in (1.0, 0.0)
    )
    assert len(strict) < len(lax)


def test_clicks_and_boxes_show_one_object(result: dict[str, Any]) -> None:
    function = load("interact")
    driver = agent.get_function_driver_class(function.spec)
    assert driver.get_remote_function_fields(function.spec)
    sizes = SCENE.masks.reshape(len(SCENE.masks), -1).sum(1)
    mask, box = SCENE.masks[sizes.argmax()], SCENE.boxes[sizes.argmax()].tolist()
    rows, columns = np.nonzero(mask)
    inside = (float(np.median(columns)), float(np.median(rows)))
    ious = {}
    for name, prompts in {
        "click": {"pos_points": (inside,), "neg_points": (), "bounding_box": None},
        "two clicks": {"pos_points": (inside,), "neg_points": ((1.0, 1.0),), "bounding_box": None},
        "box": {"pos_points": (), "neg_points": (), "bounding_box": ((box[0], box[1]), (box[2], box[3]))},
    }.items():
        given = agent_driver_interaction._InteractionPromptsImpl(**prompts)
        [shape] = agent_driver_interaction._worker_job_interact("a", IMAGE, given)
        assert shape.type == "mask"  # CVAT's page shows nothing else
        ious[name] = round(compute_iou(decode(shape.points), mask), 3)
    assert min(ious.values()) > 0.6
    result["interaction, IoU"] = ious
    nothing = agent_driver_interaction._InteractionPromptsImpl(pos_points=(), neg_points=(), bounding_box=None)
    assert agent_driver_interaction._worker_job_interact("a", IMAGE, nothing) == []


def test_shapes_are_followed_through_frames(result: dict[str, Any]) -> None:
    function = load("track")
    frames = [PIL.Image.fromarray(frame) for frame in CLIP.frames]
    truth = CLIP.find_masks(int(np.argmax([CLIP.find_masks(index)[0].sum() for index in range(len(CLIP.objects))])))
    rows, columns = np.nonzero(truth[0])
    x0, y0, x1, y1 = (float(value) for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    outline = function.track.__globals__["trace_outlines"](truth[0])[0].ravel().tolist()
    shapes = [
        TrackableShape(type="mask", points=encode_mask(truth[0])),
        TrackableShape(type="polygon", points=outline),
        TrackableShape(type="rectangle", points=[x0, y0, x1, y1]),
    ]
    states = agent_driver_tracking._worker_job_init_tracking(1, frames[0], shapes)
    tracked = [agent_driver_tracking._worker_job_track(1, frame, states) for frame in frames[1:]]
    assert [[shape.type for shape in row] for row in tracked] == [["mask", "polygon", "rectangle"]] * 7
    ious = [compute_iou(decode(row[0].points, 192, 144), mask) for row, mask in zip(tracked, truth[1:], strict=True)]
    assert np.mean(ious) > 0.7
    result["tracking, mean IoU over 7 frames"] = round(float(np.mean(ious)), 3)
    last = np.nonzero(truth[-1])
    extents = np.array([last[1].min(), last[0].min(), last[1].max() + 1, last[0].max() + 1])
    assert np.abs(np.array(tracked[-1][2].points) - extents).max() < 20
    corners = np.array(tracked[-1][1].points).reshape(-1, 2)
    assert np.abs(np.concatenate([corners.min(0), corners.max(0)]) - extents).max() < 20


@pytest.mark.parametrize(
    ("parameters", "said"),
    [({"kind": "guess"}, "no kind 'guess'"), ({"kind": "detect"}, "needs labels"), ({"labels": " , "}, "needs labels")],
)
def test_parameters_that_make_no_function_are_refused(parameters: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create(**parameters)


def test_a_label_may_stand_for_another_phrase() -> None:
    assert dict(load("detect", labels="Auto=car, cat").phrases) == {"Auto": "car", "cat": "cat"}
