"""Masks that SAM 3 finds in held-out generated scenes, and whether they are right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import get_args

import numpy as np

from agent.tools.search_text import drop_empty, drop_near_duplicates
from evals.studies.checkpoint import SIZES, TEXT_KINDS
from sam3_tool import ConceptPrompt, Image, Instances, RleMask, Sam3, VisualPrompt
from sam3_tool.masks import rle
from sam3_tool.probability import PromptKind
from sam3_tool.synthetic.phrases import VISUAL_PHRASE, TrainingPrompt, ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene
from sam3_tool.training.clicking import find_centre_click, find_next_click

FIT_SCENES, TEST_SCENES = 400_000, 500_000
"""Numbers of the first held-out scenes to fit on and to measure on; other measurements use other scenes."""
FLOOR = 0.05
"""Masks below this score are not collected."""
MATCH_IOU = 0.5
"""IoU with an object that was asked for, above which a mask is right."""
CLICKED_OBJECTS, CLICKS = 2, 2
"""Objects of each scene that are clicked, and how often."""

Row = tuple[float, float, float, bool, int]
"""Score, presence, share of the image's pixels, whether the mask is right, and the scene's number."""


@dataclass(frozen=True, eq=False)
class MaskSamples:
    """Hold what is known of N masks, and whether they are right.

    >>> MaskSamples.from_rows([(0.9, 1.0, 0.1, True, 7)]).scenes.tolist()
    [7]
    """

    scores: np.ndarray
    """float64, (N,), in [0, 1]."""
    presences: np.ndarray
    """float64, (N,), in [0, 1]."""
    shares: np.ndarray
    """float64, (N,), in [0, 1]: of the image's pixels."""
    is_right: np.ndarray
    """bool, (N,)."""
    scenes: np.ndarray
    """int64, (N,): the number of each mask's scene."""

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> "MaskSamples":
        """Make columns of rows."""
        scores, presences, shares, is_right, scenes = zip(*rows, strict=True) if rows else ((),) * 5
        return cls(
            np.array(scores, np.float64),
            np.array(presences, np.float64),
            np.array(shares, np.float64),
            np.array(is_right, bool),
            np.array(scenes, np.int64),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def select_above(self, score: float) -> "MaskSamples":
        """Return the masks that score strictly above a threshold."""
        kept = self.scores > score
        return MaskSamples(*(column[kept] for column in vars(self).values()))


def collect_samples(sam3: Sam3, first_scene: int, number: int) -> dict[PromptKind, MaskSamples]:
    """Ask SAM 3 about generated scenes.

    Of each scene it is asked three phrases that hold, two that do not, what looks like example boxes, and two objects
    by two clicks each. Empty masks and near duplicates are dropped, as the agent's tools do it.

    Args:
        sam3: The segmenter.
        first_scene: Number of the first held-out scene.
        number: Scenes.

    Returns:
        The masks by what they were found by.
    """
    rows: dict[PromptKind, list[Row]] = {kind: [] for kind in get_args(PromptKind)}
    for index in islice(count(first_scene), number):
        scene = draw_scene(HELD_OUT + index, size=SIZES[index % len(SIZES)])
        image, rng = Image(scene.pixels), np.random.default_rng(index)
        prompts = [ask_about_scene(scene, kind, rng) for kind in (*TEXT_KINDS, "visual")]
        truth = rle.encode_masks(scene.masks)
        for kind, rated in _rate_prompts(sam3, image, scene, prompts, truth):
            rows[kind] += [(*row, index) for row in rated]
        rows["click"] += [(*row, index) for row in _rate_clicks(sam3, image, scene, rng)]
    return {kind: MaskSamples.from_rows(held) for kind, held in rows.items()}


RatedMask = tuple[float, float, float, bool]


def _rate_prompts(
    sam3: Sam3, image: Image, scene: Scene, prompts: Sequence[TrainingPrompt], truth: Sequence[RleMask]
) -> Iterator[tuple[PromptKind, list[RatedMask]]]:
    found = sam3.segment_batch([(image, _to_concept_prompt(prompt, scene)) for prompt in prompts])
    for prompt, instances in zip(prompts, found, strict=True):
        kept = drop_near_duplicates(drop_empty(instances))
        yield "exemplar" if prompt.exemplars else "phrase", rate_masks(kept, [truth[row] for row in prompt.targets])


def _to_concept_prompt(prompt: TrainingPrompt, scene: Scene) -> ConceptPrompt:
    boxes = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in scene.boxes[[*prompt.exemplars]])
    return ConceptPrompt(None if prompt.phrase == VISUAL_PHRASE else prompt.phrase, boxes, prompt.labels, FLOOR)


def rate_masks(found: Instances, truth: Sequence[RleMask]) -> list[RatedMask]:
    """Say of each mask whether it is right.

    Args:
        found: N masks.
        truth: The objects that were asked for.

    Returns:
        Score, presence, share of the image's pixels, and whether an object overlaps it by an IoU above 0.5.
    """
    overlaps = rle.compute_ious([*truth], found.rles).reshape(len(truth), len(found))
    best = overlaps.max(axis=0, initial=0.0) > MATCH_IOU
    height, width = found.size
    shares = (found.areas / (height * width)).tolist()
    return [
        (score, found.presence, share, right)
        for score, share, right in zip(found.scores.tolist(), shares, best.tolist(), strict=True)
    ]


def _rate_clicks(sam3: Sam3, image: Image, scene: Scene, rng: np.random.Generator) -> Iterator[RatedMask]:
    """Click objects as a person does it: on the innermost pixel, then on the deepest error of what came of it."""
    for chosen in rng.permutation(len(scene.objects))[:CLICKED_OBJECTS]:
        truth = np.asarray(scene.masks[chosen])
        clicks, mask = [find_centre_click(truth)], None
        for _ in range(CLICKS):
            points = tuple((float(x), float(y)) for x, y, _ in clicks)
            prompt = VisualPrompt(points, tuple(int(label) for *_, label in clicks), None, mask)
            prompt = replace(prompt, multimask=prompt.is_ambiguous, fill_holes=True)
            best = sam3.segment_batch([(image, prompt)])[0][[0]]
            if not best.masks.any():
                break
            yield from rate_masks(best, rle.encode_masks(truth[None]))
            mask = best.masks[0]
            clicks.append(find_next_click(truth, mask))


def count_samples(samples: Mapping[PromptKind, MaskSamples]) -> str:
    """Say how many masks there are of each kind, e.g. '12 by phrase, 3 by click'."""
    return ", ".join(f"{len(held)} by {kind}" for kind, held in samples.items())
