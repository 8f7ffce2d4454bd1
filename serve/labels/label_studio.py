"""What Label Studio asks of an ML backend, answered by SAM 3: masks of every label, and of what somebody clicks."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import fmean
from typing import Any
from uuid import uuid4

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import UsageError
from agent.exports.label_studio import encode_brush
from sam3_tool.errors import DeadlineError, ImageError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.polygons import trace_outlines
from sam3_tool.network.fetching import FetchError
from sam3_tool.overlap import select_non_overlapping
from sam3_tool.prompts import ConceptPrompt, VisualPrompt
from sam3_tool.sam3 import Sam3
from serve.labels.label_config import Control, LabelConfig, parse_label_config, resolve_value
from serve.labels.label_studio_images import LabelStudioImages

log = logging.getLogger(__name__)

PREDICT_SECONDS = 80.0
"""Label Studio gives up after 100 seconds and then keeps nothing, so that what is there by then must be sent."""
SAME_OBJECT = 0.8
"""Two phrases of one label found the same object where their masks share more than this of the smaller one."""


class PromptValue(BaseModel):
    """Where a prompt is, in per cent of the image."""

    model_config = ConfigDict(extra="allow")

    x: float = Field(allow_inf_nan=False)
    y: float = Field(allow_inf_nan=False)
    width: float = Field(default=0, allow_inf_nan=False)
    height: float = Field(default=0, allow_inf_nan=False)


class PromptRegion(BaseModel):
    """A click or a box of somebody who uses a smart tool."""

    model_config = ConfigDict(extra="ignore")

    type: str
    value: PromptValue
    is_positive: bool = True
    from_name: str = ""
    to_name: str = ""
    item_index: int = 0

    @property
    def label(self) -> str | None:
        """The label that is chosen, if any."""
        labels = (self.value.model_extra or {}).get(self.type)
        return str(labels[0]) if isinstance(labels, list) and labels else None


class PromptContext(BaseModel):
    """What was clicked and drawn so far."""

    result: list[PromptRegion] = Field(default=[], max_length=1000)


class PredictParams(BaseModel):
    context: PromptContext | None = None
    """Given when a smart tool was used."""


class TaskEntry(BaseModel):
    """A task, of which only the data matter."""

    id: int | str | None = None
    data: dict[str, Any]


class PredictRequest(BaseModel):
    """The body of `POST /predict`."""

    tasks: list[TaskEntry] = Field(min_length=1, max_length=10_000)
    label_config: str
    params: PredictParams = PredictParams()


class SetupRequest(BaseModel):
    """The body of `POST /setup`. The `access_token` in it is not even read: whoever can call could name any host."""

    label_schema: str = Field(alias="schema")


@dataclass(frozen=True, kw_only=True)
class LabelStudioBackend:
    """Answers the questions of one request.

    >>> LabelStudioBackend.compute_version("tiny", "<View/>")
    'sam3-agent-tiny-22735e1e'
    """

    sam3: Sam3
    images: LabelStudioImages
    weights: str
    """The name of the weights, as in versions."""
    max_pixels: int | None = None
    seconds: float = PREDICT_SECONDS

    @staticmethod
    def compute_version(weights: str, label_config: str) -> str:
        """Return the version of predictions with these weights and labels.

        Label Studio asks again about no task that has predictions of the current version, so that a label that was
        changed must change it too.
        """
        digest = sha256(label_config.encode()).hexdigest()[:8]
        return f"sam3-agent-{weights.rstrip('/').rpartition('/')[2]}-{digest}"

    def predict(self, request: PredictRequest) -> list[dict[str, Any]]:
        """Find what every label stands for in the images of each task.

        Returns:
            A prediction for each task, in order. A task that cannot be answered has an error in its place: Label
            Studio logs it, keeps the others, and asks again next time.

        Raises:
            UsageError: The labelling interface has nothing to look for.
        """
        config = parse_label_config(request.label_config)
        version = self.compute_version(self.weights, request.label_config)
        until = time.monotonic() + self.seconds
        return [self._predict_task(task, config, version, until) for task in request.tasks]

    def _predict_task(self, task: TaskEntry, config: LabelConfig, version: str, until: float) -> dict[str, Any]:
        try:
            if time.monotonic() > until:
                raise UsageError("there was no time left for this task; retrieve predictions again for the rest")
            regions = [
                region
                for image_name in config.labelled_images
                for index, image in self._open_images(task, config, image_name)
                for region in self._find_labels(image, config, image_name, index)
            ]
        except (UsageError, ImageError, FetchError, DeadlineError) as error:
            log.warning("task %s has no prediction: %s", task.id, error)
            return {"error": str(error)}
        return _build_prediction(regions, version)

    def answer_prompts(self, request: PredictRequest) -> dict[str, Any]:
        """Find the one object that clicks and a box show, with the label that is chosen.

        Returns:
            A prediction with that object, of the request's only task.

        Raises:
            UsageError: The image or the prompts cannot be used.
            ImageError: The image cannot be read.
        """
        config, prompts = parse_label_config(request.label_config), (request.params.context or PromptContext()).result
        image_name = config.image_names.get(prompts[-1].from_name, prompts[-1].to_name)
        if image_name not in config.image_values:
            image_name = next(iter(config.image_values))
        label = next((prompt.label for prompt in reversed(prompts) if prompt.label is not None), None)
        control = config.find_control(label, image_name)
        if control is None:
            raise UsageError(f"no tag of the labelling interface draws masks of {label!r} on the image {image_name!r}")
        number = prompts[-1].item_index
        images = self._open_images(request.tasks[0], config, image_name)
        if not 0 <= number < len(images):
            raise UsageError(f"the task has {len(images)} images, and the click is on number {number + 1}")
        index, image = images[number]
        found = self._refine_image(image, [prompt for prompt in prompts if prompt.item_index == number])
        chosen = label if label is not None else next(iter(control.phrases))
        regions = _build_regions(control, chosen, found, index)
        return _build_prediction(regions, self.compute_version(self.weights, request.label_config))

    def _refine_image(self, image: Image, prompts: Sequence[PromptRegion]) -> Instances:
        clicks = [prompt for prompt in prompts if prompt.type.startswith("keypoint")]
        boxes = [prompt for prompt in prompts if prompt.type.startswith("rectangle")]
        if not clicks and not boxes:
            raise UsageError("expected a key point or a rectangle; no other smart tool is understood")
        points = tuple(_locate_click(prompt.value, image) for prompt in clicks)
        box = _locate_box(boxes[-1].value, image) if boxes else None
        prompt = VisualPrompt(points, tuple(int(click.is_positive) for click in clicks), box)
        best = self.sam3.refine(image, points, prompt.labels, box=box, multimask=prompt.is_ambiguous)
        return best[[0]] if len(best) else best

    def _open_images(self, task: TaskEntry, config: LabelConfig, image_name: str) -> list[tuple[int | None, Image]]:
        """The images that an `<Image>` tag shows: one, or those of a list with their numbers in it."""
        named = config.image_values[image_name]
        value = resolve_value(named, task.data)
        values = value if isinstance(value, list) else [value]
        urls = [url for url in values if isinstance(url, str) and url]
        if not urls or len(urls) < len(values):
            raise UsageError(f"the task has no image under {named!r}")
        images = [Image.read(self.images.read(url, task=task.id), max_pixels=self.max_pixels) for url in urls]
        return [*enumerate(images)] if isinstance(value, list) else [(None, images[0])]

    def _find_labels(
        self, image: Image, config: LabelConfig, image_name: str, index: int | None
    ) -> list[dict[str, Any]]:
        """The regions of all labels of the controls of one image."""
        controls = [control for control in config.controls if control.image_name == image_name]
        asked = [(control, label) for control in controls for label in control.phrases]
        prompts = [
            ConceptPrompt(phrase, threshold=control.threshold)
            for control, label in asked
            for phrase in control.phrases[label]
        ]
        found = iter(self.sam3.segment_batch([(image, prompt) for prompt in prompts]))
        return [
            region
            for control, label in asked
            for instances in _drop_doubles([next(found) for _ in control.phrases[label]])
            for region in _build_regions(control, label, instances, index)
        ]


def _drop_doubles(found: Sequence[Instances]) -> list[Instances]:
    """Of what several phrases of one label found, leave each object once."""
    if len(found) == 1:
        return [*found]
    masks = [mask for instances in found for mask in instances.rles]
    scores = np.concatenate([instances.scores for instances in found])
    owners = np.repeat(np.arange(len(found)), [len(instances) for instances in found])
    kept = np.isin(np.arange(len(masks)), select_non_overlapping(masks, scores, threshold=SAME_OBJECT))
    return [instances[kept[owners == number]] for number, instances in enumerate(found)]


def _locate_click(value: PromptValue, image: Image) -> tuple[float, float]:
    if not (0 <= value.x <= 100 and 0 <= value.y <= 100):
        raise UsageError(f"the click at {value.x:g} %, {value.y:g} % lies outside the image")
    return value.x / 100 * image.width, value.y / 100 * image.height


def _locate_box(value: PromptValue, image: Image) -> tuple[float, float, float, float]:
    """The part of a rectangle that lies in the image, in pixels."""
    x0, x1 = (min(max(x, 0.0), 100.0) / 100 * image.width for x in (value.x, value.x + value.width))
    y0, y1 = (min(max(y, 0.0), 100.0) / 100 * image.height for y in (value.y, value.y + value.height))
    if not (x0 < x1 and y0 < y1):
        raise UsageError("the rectangle has no area in the image")
    return x0, y0, x1, y1


def _build_prediction(regions: Sequence[Mapping[str, Any]], version: str) -> dict[str, Any]:
    scores = [region["score"] for region in regions]
    return {"model_version": version, "score": fmean(scores) if scores else 0.0, "result": [*regions]}


def _build_regions(control: Control, label: str, found: Instances, index: int | None) -> list[dict[str, Any]]:
    """The regions of masks; of a polygon control, one for each part of a mask. `index`: of the image in a list."""
    return [
        {
            "id": uuid4().hex[:10],
            "type": control.type_name,
            "from_name": control.name,
            "to_name": control.image_name,
            "original_width": mask.shape[1],
            "original_height": mask.shape[0],
            "image_rotation": 0,
            **({} if index is None else {"item_index": index}),
            "score": float(np.clip(score, 0, 1)),
            "readonly": False,
            "value": {**value, control.type_name: [label]},
        }
        for mask, score in zip(found.masks, found.scores.tolist(), strict=True)
        if mask.any()
        for value in _describe_shape(control, mask)
    ]


def _describe_shape(control: Control, mask: np.ndarray) -> list[dict[str, Any]]:
    """The value of each region that a mask becomes, in per cent. `mask`: bool, (H, W), with a pixel at least."""
    height, width = mask.shape
    match control.shape:
        case "brush":
            return [{"format": "rle", "rle": list(encode_brush(mask))}]
        case "polygon":
            scale = np.array([100 / width, 100 / height])
            return [{"points": (outline * scale).tolist(), "closed": True} for outline in trace_outlines(mask)]
    x0, y0, x1, y1 = mask_to_box(mask)
    return [
        {
            "x": 100 * x0 / width,
            "y": 100 * y0 / height,
            "width": 100 * (x1 - x0) / width,
            "height": 100 * (y1 - y0) / height,
            "rotation": 0,
        }
    ]
