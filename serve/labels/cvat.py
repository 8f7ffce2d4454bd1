"""SAM 3 as functions of CVAT, which its agent runs beside the GPU: detection by labels, clicks, and tracking.

`cvat-cli function create-native NAME --function-module serve.labels.cvat -p kind=str:detect -p labels=str:cat,apple`
registers a function, and `function run-agent` with the same parameters works for it. CVAT asks nothing of this machine:
the agent fetches its work, so that no port is opened. https://docs.cvat.ai/docs/api_sdk/sdk/auto-annotation/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np

from agent.core.errors import UsageError
from sam3_tool import Image, Sam3, TrackingSession, Video, VisualPrompt
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.polygons import trace_outlines
from sam3_tool.video.memory import compute_regular_times

MAX_TRACKED_FRAMES = 100_000
"""Frames through which an object can be followed. Nothing is kept for frames that have not come."""


def create(
    kind: str = "detect", labels: str = "", sam3: str = "tiny", device: str = "auto"
) -> "Detector | Interactor | Tracker":
    """Make a function; cvat-cli calls this with what `-p NAME=TYPE:VALUE` says.

    Args:
        kind: "detect" finds every instance of the labels, "interact" what is clicked, "track" follows shapes.
        labels: For "detect": the labels of the CVAT project, with commas. A label is a phrase; LABEL=PHRASE looks for
            another one.
        sam3: "tiny", "facebook/sam3" or a folder.
        device: "auto", "cpu", "cuda:1" …

    Raises:
        UsageError: There is no such kind, or "detect" has no labels.

    >>> create("interact").__class__.__name__
    'Interactor'
    """
    if kind not in ("detect", "interact", "track"):
        raise UsageError(f"there is no kind {kind!r} of function; expected detect, interact or track")
    phrases = _read_labels(labels)
    if kind == "detect" and not phrases:
        raise UsageError("a detector needs labels, e.g. -p labels=str:cat,apple")
    loaded = Sam3.load(sam3, device=device)
    match kind:
        case "detect":
            return Detector(loaded, phrases)
        case "interact":
            return Interactor(loaded)
    return Tracker(loaded)


def _read_labels(text: str) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in text.split(",") if entry.strip()]
    return {label.strip(): (phrase or label).strip() for label, _, phrase in pairs}


@dataclass(frozen=True)
class Detector:
    """Finds every instance of each label."""

    sam3: Sam3
    phrases: Mapping[str, str]
    """What is looked for, by label."""

    @property
    def spec(self) -> Any:
        """What CVAT shows of the function."""
        from cvat_sdk.auto_annotation import DetectionFunctionSpec, label_spec

        labels = [label_spec(label, number, type="mask") for number, label in enumerate(self.phrases)]
        return DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Any) -> list[Any]:
        """Return the masks of all labels, or polygons where CVAT asks for these. `image`: of Pillow."""
        from cvat_sdk.auto_annotation import mask as make_mask
        from cvat_sdk.auto_annotation import polygon as make_polygon

        shown, threshold = _to_image(image), 0.5 if context.conf_threshold is None else context.conf_threshold
        return [
            shape
            for number, phrase in enumerate(self.phrases.values())
            for mask in self.sam3.segment(shown, phrase, threshold=min(threshold, 0.999)).masks
            if mask.any()
            for shape in (
                [make_polygon(number, outline.ravel().tolist()) for outline in trace_outlines(mask)]
                if context.conv_mask_to_poly
                else [make_mask(number, _encode_mask(mask))]
            )
        ]


@dataclass(frozen=True)
class Interactor:
    """Finds the object that clicks and a box show."""

    sam3: Sam3

    @property
    def spec(self) -> Any:
        """Which prompts are needed: any."""
        from cvat_sdk.auto_annotation import InteractionFunctionSpec

        return InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def preprocess_image(self, context: Any, image: Any) -> Image:
        """Begin to encode an image; CVAT's agent keeps what is returned for ten minutes."""
        shown = _to_image(image)
        self.sam3.prefetch(shown)
        return shown

    def detect(self, context: Any, image: Image, prompts: Any) -> list[Any]:
        """Return the mask of what is shown; nothing where there is none."""
        from cvat_sdk.auto_annotation import InteractionResultShape

        points = tuple((*prompts.pos_points, *prompts.neg_points))
        labels = (1,) * len(prompts.pos_points) + (0,) * len(prompts.neg_points)
        box = None if prompts.bounding_box is None else (*prompts.bounding_box[0], *prompts.bounding_box[1])
        if not points and box is None:
            return []
        prompt = VisualPrompt(points, labels, box)
        found = self.sam3.refine(image, points, labels, box=box, multimask=prompt.is_ambiguous)
        return [
            InteractionResultShape(type="mask", points=_encode_mask(mask)) for mask in found.masks[:1] if mask.any()
        ]


@dataclass
class FollowedShape:
    """An object on its way: what has been seen of it, and the frame that it is on."""

    session: TrackingSession
    frames: "LiveFrames"
    position: int = 0


@dataclass(frozen=True)
class Tracker:
    """Follows masks, polygons and rectangles from frame to frame."""

    sam3: Sam3

    @property
    def spec(self) -> Any:
        """Which shapes can be followed."""
        from cvat_sdk.auto_annotation import TrackingFunctionSpec

        return TrackingFunctionSpec(supported_shape_types=["mask", "polygon", "rectangle"])

    def preprocess_image(self, context: Any, image: Any) -> Image:
        """Begin to encode a frame, once for all objects on it."""
        shown = _to_image(image)
        self.sam3.prefetch(shown)
        return shown

    def init_tracking_state(self, context: Any, image: Image, shape: Any) -> FollowedShape:
        """Begin to follow a shape."""
        frames = LiveFrames(image.width, image.height)
        frames.show(0, image)
        session = self.sam3.open_tracking(Video(frames))
        session.add_prompt(0, _to_prompt(shape, image))
        return FollowedShape(session, frames)

    def track(self, context: Any, image: Image, state: FollowedShape) -> Any:
        """Return the shape on the next frame, of the same type; None where the object is not seen."""
        state.position += 1
        state.frames.show(state.position, image)
        [tracked] = state.session.propagate(state.position, stop=state.position + 1)
        masks = [mask for found in tracked.instances for mask in found.masks if mask.any()]
        return _to_shape(context.original_shape_type, masks[0]) if masks else None


@dataclass
class LiveFrames:
    """The frames of a video that come one at a time; only the latest is held, and more may always follow."""

    width: int
    height: int
    notes: tuple[str, ...] = ()
    _shown: dict[int, Image] = field(default_factory=dict, repr=False)

    @property
    def times(self) -> np.ndarray:
        """float64, (T,): as if all frames that may follow were there."""
        return _compute_times()

    def show(self, index: int, image: Image) -> None:
        """Put the next frame in the place of the one before."""
        self._shown.clear()
        self._shown[index] = image

    def read_frame(self, index: int) -> Image:
        """Return a frame that has come."""
        return self._shown[index]

    def compute_key(self) -> str:
        """Return no key: such a video is like no other."""
        return ""


@cache
def _compute_times() -> np.ndarray:
    return compute_regular_times(MAX_TRACKED_FRAMES, 25.0)


def _to_image(image: Any) -> Image:
    return Image(np.asarray(image.convert("RGB")))


def _encode_mask(mask: np.ndarray) -> Sequence[float]:
    from cvat_sdk.masks import encode_mask

    points: list[float] = encode_mask(mask, mask_to_box(mask))
    return points


def _to_prompt(shape: Any, image: Image) -> VisualPrompt:
    from cvat_sdk.masks import decode_mask

    match shape.type:
        case "rectangle":
            x0, y0, x1, y1 = shape.points
            return VisualPrompt(box=(x0, y0, x1, y1))
        case "polygon":
            mask = np.zeros((image.height, image.width), np.uint8)
            # pixel p reaches from p to p + 1 in CVAT, and from p - 1/2 to p + 1/2 in OpenCV; 4 bits are fractions
            corners = np.rint((np.array(shape.points).reshape(1, -1, 2) - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(mask, [*corners], 1, shift=4)
            return VisualPrompt(mask=mask.astype(bool))
    return VisualPrompt(mask=decode_mask(shape.points, image_width=image.width, image_height=image.height))


def _to_shape(kind: str, mask: np.ndarray) -> Any:
    from cvat_sdk.auto_annotation import TrackableShape

    match kind:
        case "rectangle":
            return TrackableShape(type=kind, points=list(map(float, mask_to_box(mask))))
        case "polygon":
            return TrackableShape(type=kind, points=trace_outlines(mask)[0].ravel().tolist())
    return TrackableShape(type="mask", points=_encode_mask(mask))
