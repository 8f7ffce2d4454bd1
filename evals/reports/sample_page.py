"""A sample's page: its episode, with the ground truth beside the answer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ImageDraw

from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.outcome import Outcome
from agent.core.workspace import Workspace
from agent.records.episode_file import load_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from evals.errors import DatasetError
from evals.samples import Prediction, Sample
from sam3_tool import Image, Instances, Masklet, Video
from sam3_tool.drawing.frame_sheet import draw_frame_sheet
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import decode_masks

HIT_COLOUR, MISSED_COLOUR, WRONG_COLOUR = (50, 180, 75), (30, 120, 255), (240, 50, 50)
"""Colours of pixels: in both, in the target alone, in the answer alone."""
FILL_OPACITY = 0.6
"""Opacity of these colours."""
MAX_TARGET_FRAMES = 9
"""Frames of a video that show what was to be found."""
OUTCOME_BY_STATUS: dict[str, Outcome] = {"ok": "answered", "no_mask": "no_match", "failed": "failed"}


def render_page(sample: Sample, prediction: Prediction, trace: Path, made_by: Provenance) -> str:
    """Raises ImageError, DatasetError or RecordError where something it shows cannot be read."""
    if sample.open_video is not None:
        return _render_video_page(sample, sample.open_video(), prediction, trace, made_by)
    image = sample.open_image()
    if trace.exists():
        loaded = load_episode(trace, image=image)
        episode, made_by = loaded.episode, loaded.made_by
    else:
        episode = _build_direct_episode(sample, prediction, image)
    return to_html(episode, made_by, source=sample.source, extra_images=_draw_comparisons(sample, prediction, image))


def _render_video_page(sample: Sample, video: Video, prediction: Prediction, trace: Path, made_by: Provenance) -> str:
    """The same of a video: frames with the answer's tracks, and with those that were to be found."""
    if trace.exists():
        loaded = load_episode(trace, image=video.read_frame(0))
        episode, made_by = loaded.episode, loaded.made_by
        episode = replace(episode, task=replace(episode.task, video=video))
    else:
        episode = _build_tracked_episode(sample, prediction, video)
    sheets = {} if sample.target_masklets is None else _draw_targets(video, sample.target_masklets())
    return to_html(episode, made_by, source=sample.source, extra_images=sheets)


def _build_tracked_episode(sample: Sample, prediction: Prediction, video: Video) -> Episode:
    """Show what SAM 3 found or followed without a planner, or the error of a sample that never got so far."""
    space, found = Workspace(video.height, video.width), prediction.to_masklets(len(video), sample.query)
    if found is not None:
        space = space.with_tracks(found)
    outcome = OUTCOME_BY_STATUS.get(prediction.status, "failed")
    text = prediction.error or f"SAM 3 was asked directly; {len(space)} objects were followed."
    seen = Observation(
        text,
        workspace=space,
        shown=tuple(candidate.id for candidate in space),
        outcome=outcome,
        is_error=bool(prediction.error),
    )
    is_planned = sample.given is None and not sample.direct
    step = Step(Decision(tool="" if is_planned else "segment", arguments="{}"), seen, prediction.seconds)
    return Episode(Task.from_video(video, sample.query)).append(step)


def _draw_targets(video: Video, targets: Sequence[Masklet]) -> dict[str, Image]:
    frames = np.unique(np.linspace(0, len(video) - 1, MAX_TARGET_FRAMES).round().astype(int)).tolist()
    return {f"ground truth: {len(targets)} objects": draw_frame_sheet(video, frames, targets)}


def _build_direct_episode(sample: Sample, prediction: Prediction, image: Image) -> Episode:
    """Show what SAM 3 found when it was asked directly, or the error of a sample that never got so far."""
    found = Instances(
        masks=decode_masks(prediction.masks, image.height, image.width),
        boxes=np.array(prediction.boxes, np.float32).reshape(-1, 4),
        scores=np.array(prediction.scores, np.float32),
        presence=prediction.presence,
        phrase=sample.query,
    )
    space = Workspace(image.height, image.width).with_search(found)
    outcome = OUTCOME_BY_STATUS.get(prediction.status, "failed")
    text = prediction.error or f"SAM 3 was asked directly; presence {prediction.presence:.2f}."
    ids = tuple(candidate.id for candidate in space)
    seen = Observation(text, workspace=space, shown=ids, outcome=outcome, is_error=bool(prediction.error))
    step = Step(Decision(tool="segment" if sample.direct else "", arguments="{}"), seen, prediction.seconds)
    return Episode(Task(image, sample.query)).append(step)


def _draw_comparisons(sample: Sample, prediction: Prediction, image: Image) -> dict[str, Image]:
    """The ground truth, and where the answer differs from it; of boxes both, of a mere number nothing."""
    if sample.target_boxes is not None:
        title = f"boxes to be found: {len(sample.target_boxes)}, in green; found: {len(prediction.boxes)}, in red"
        return {title: _draw_boxes(_draw_boxes(image, sample.target_boxes, HIT_COLOUR), prediction.boxes, WRONG_COLOUR)}
    if sample.target is None:
        return {}
    target = np.asarray(sample.target(), bool)
    if target.shape != (image.height, image.width):
        size = f"{target.shape[1]} x {target.shape[0]}"
        raise DatasetError(
            f"the ground truth of {sample.id!r} is of {size} pixels, its image {sample.source} is"
            f" {image.width} x {image.height}: get the image as it was published"
        )
    images = {f"ground truth: {int(target.sum()):,} pixels": _draw_outline(image, target)}
    found = prediction.merge_masks(image.height, image.width)
    return images | {"green: right, blue: missed, red: too much": _draw_differences(image, found, target)}


def _draw_boxes(image: Image, boxes: Sequence[Sequence[float]], colour: tuple[int, int, int]) -> Image:
    canvas = image.to_pil()
    pen = ImageDraw.Draw(canvas)
    for x0, y0, x1, y1 in boxes:
        line = max(2, round(max(canvas.size) / 250))
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=line)
    return Image(np.asarray(canvas))


def _draw_outline(image: Image, target: np.ndarray) -> Image:
    masks = target[None] if target.any() else np.zeros((0, *target.shape), bool)
    scores = np.ones(len(masks), np.float32)
    return Image(np.asarray(draw_marks(image, Instances(masks, masks_to_boxes(masks), scores, 1.0, "ground truth"))))


def _draw_differences(image: Image, found: np.ndarray, target: np.ndarray) -> Image:
    pixels = image.pixels.astype(np.float32)
    for where, colour in (
        (found & target, HIT_COLOUR),
        (target & ~found, MISSED_COLOUR),
        (found & ~target, WRONG_COLOUR),
    ):
        pixels[where] = (1 - FILL_OPACITY) * pixels[where] + FILL_OPACITY * np.array(colour, np.float32)
    return Image(pixels.astype(np.uint8))
