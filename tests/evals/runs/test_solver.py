"""What SAM 3 is asked directly, with its presence score and without."""

from pathlib import Path

import numpy as np
import pytest

from agent.planners.grammar.planner import GrammarPlanner
from evals.runs.solver import Solver, remove_presence_factor
from evals.samples import Sample
from sam3_tool import Image, Instances

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"


def instances(*scores: float, presence: float) -> Instances:
    masks = np.zeros((len(scores), 4, 6), bool)
    boxes = np.zeros((len(scores), 4), np.float32)
    return Instances(masks, boxes, np.array(scores, np.float32), presence=presence, phrase="dog")


def test_without_presence_scores_are_those_of_the_queries_alone():
    kept = remove_presence_factor(instances(0.2, 0.1, 0.05, presence=0.2), 0.5)
    assert kept.scores.tolist() == pytest.approx([1.0])
    assert kept.presence == 0.2
    assert remove_presence_factor(instances(0.2, 0.101, presence=0.2), 0.5).scores.tolist() == pytest.approx(
        [1.0, 0.505]
    )


def test_no_presence_at_all_leaves_nothing_to_count():
    assert len(remove_presence_factor(instances(0.0, 0.0, presence=0.0), 0.5)) == 0


def test_a_phrase_that_sam3_doubts_is_counted_where_presence_is_off(tiny):
    """An idea is in no image: with presence nothing scores, without it some queries still look like objects."""
    picture = Image.open(EXAMPLE)
    solver = Solver(tiny, GrammarPlanner())
    with_it, without_it = (
        solver(Sample("a", "unicorn", "a", lambda: picture, "a", direct=True, presence=presence)).prediction
        for presence in (True, False)
    )
    assert (with_it.status, with_it.masks) == ("no_mask", ())
    assert len(without_it.masks) == len(without_it.scores)
    assert all(score > 0.5 for score in without_it.scores)
    assert without_it.presence == with_it.presence < 0.5
