"""A sample's page: its episode, with the ground truth beside the answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ImageDraw

from agent import transcript
from agent.episode import Decision, Episode, Observation, Outcome, Step, Task, Workspace
from agent.transcript import MadeBy
from evals.samples import DataError, Prediction, Sample
from sam3_tool import Instances, Picture
from sam3_tool.boxes import around
from sam3_tool.draw import draw_marks
from sam3_tool.rle import decode_all

HIT, MISSED, WRONG = (50, 180, 75), (30, 120, 255), (240, 50, 50)
"""Colours of pixels: in both, in the target alone, in the answer alone."""
FILL = 0.6
"""Opacity of these colours."""
OUTCOMES: dict[str, Outcome] = {"ok": "answered", "no_mask": "no_match", "failed": "failed"}


def page_of(sample: Sample, prediction: Prediction, trace: Path, made_by: MadeBy) -> str:
    """Raises PictureError, DataError or TranscriptError where something it shows cannot be read."""
    picture = sample.open()
    if trace.exists():
        loaded = transcript.load(trace, picture=picture)
        episode, made_by = loaded.episode, loaded.made_by
    else:
        episode = _without_planner(sample, prediction, picture)
    return transcript.to_html(episode, made_by, source=sample.source, beside=_beside(sample, prediction, picture))


def _without_planner(sample: Sample, prediction: Prediction, picture: Picture) -> Episode:
    """What SAM 3 found when it was asked directly, or the error of a sample that never got so far."""
    found = Instances(
        masks=decode_all(prediction.masks, picture.height, picture.width),
        boxes=np.array(prediction.boxes, np.float32).reshape(-1, 4),
        scores=np.array(prediction.scores, np.float32),
        presence=prediction.presence,
        phrase=sample.query,
    )
    space = Workspace(picture.height, picture.width).found(found)
    outcome = OUTCOMES.get(prediction.status, "failed")
    text = prediction.error or f"SAM 3 was asked directly; presence {prediction.presence:.2f}."
    ids = tuple(candidate.id for candidate in space)
    seen = Observation(text, workspace=space, shown=ids, outcome=outcome, is_error=bool(prediction.error))
    step = Step(Decision(tool="segment" if sample.direct else "", arguments="{}"), seen, prediction.seconds)
    return Episode(Task(picture, sample.query)).append(step)


def _beside(sample: Sample, prediction: Prediction, picture: Picture) -> dict[str, Picture]:
    """The ground truth, and where the answer differs from it; of boxes both, of a mere number nothing."""
    if sample.target_boxes is not None:
        title = f"boxes to be found: {len(sample.target_boxes)}, in green; found: {len(prediction.boxes)}, in red"
        return {title: _framed(_framed(picture, sample.target_boxes, HIT), prediction.boxes, WRONG)}
    if sample.target is None:
        return {}
    target = np.asarray(sample.target(), bool)
    if target.shape != (picture.height, picture.width):
        size = f"{target.shape[1]} x {target.shape[0]}"
        raise DataError(
            f"the ground truth of {sample.id!r} is of {size} pixels, its picture {sample.source} is"
            f" {picture.width} x {picture.height}: get the picture as it was published"
        )
    pictures = {f"ground truth: {int(target.sum()):,} pixels": _outlined(picture, target)}
    found = prediction.union(picture.height, picture.width)
    return pictures | {"green: right, blue: missed, red: too much": _compared(picture, found, target)}


def _framed(picture: Picture, boxes: Sequence[Sequence[float]], colour: tuple[int, int, int]) -> Picture:
    image = picture.to_pil()
    pen = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in boxes:
        line = max(2, round(max(image.size) / 250))
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=line)
    return Picture(np.asarray(image))


def _outlined(picture: Picture, target: np.ndarray) -> Picture:
    masks = target[None] if target.any() else np.zeros((0, *target.shape), bool)
    scores = np.ones(len(masks), np.float32)
    return Picture(np.asarray(draw_marks(picture, Instances(masks, around(masks), scores, 1.0, "ground truth"))))


def _compared(picture: Picture, found: np.ndarray, target: np.ndarray) -> Picture:
    pixels = picture.pixels.astype(np.float32)
    for where, colour in ((found & target, HIT), (target & ~found, MISSED), (found & ~target, WRONG)):
        pixels[where] = (1 - FILL) * pixels[where] + FILL * np.array(colour, np.float32)
    return Picture(pixels.astype(np.uint8))
