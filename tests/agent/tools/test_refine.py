"""`refine`, and `segment` with exemplar boxes: as a planner calls them, on a scripted SAM 3 and on the embedded one."""

import json

import numpy as np
import pytest

from agent import WORKSPACE, Budget, Episode, ScriptedPlanner, Task, run
from agent.core.context import ConversationContext
from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.tools import parse_call
from agent.tools.toolsets import Refine, Segment
from sam3_tool import Image, Sam3

CIRCLE, SQUARE = (90, 120), (245, 125)
AROUND_THE_CIRCLE = [30, 60, 150, 180]


def played(picture: Image, sam3: Sam3, *calls: object, before: ConversationContext | None = None) -> Episode:
    planner, budget = ScriptedPlanner(calls), Budget(max_steps=len(calls))
    task = Task(picture, "q") if before is None else Task(picture, "q", before)
    return run(task, planner, sam3, budget=budget)


def called(tool: str, **arguments: object) -> Decision:
    return Decision(tool, json.dumps(arguments))


def last(episode: Episode) -> str:
    return episode.steps[-1].observation.text


def test_a_click_masks_the_object_under_it_and_costs_no_encode_after_a_phrase(tiny, picture):
    episode = played(
        picture, tiny, called("segment", phrases=["blue square"]), called("refine", points=[{"x": 90, "y": 120}])
    )
    assert episode.current_ids == (1, 2)
    masks = episode.workspace.get_instances([2]).masks
    assert masks[0, 120, 90]
    assert not masks[0, 125, 245]
    assert episode.workspace[2].origin == "refine: +90,120"
    assert episode.steps[1].observation.usage.sam_encodes == 0
    assert last(episode).startswith("The object there is mask 2 (score 0.")


def test_a_corrected_mask_has_a_new_number_and_takes_the_place_of_the_old_one(tiny, picture):
    episode = played(
        picture,
        tiny,
        called("segment", phrases=["red circle", "blue square"]),
        called("refine", id=1, points=[{"x": 140, "y": 120, "positive": False}]),
    )
    assert episode.current_ids == (3, 2)
    assert (episode.workspace[3].origin, episode.workspace[3].phrase) == ("refine of 1: -140,120", "red circle")
    assert episode.workspace[1].origin == "segment"
    assert last(episode).startswith("Mask 1 corrected is mask 3 (score")


def test_further_clicks_are_told_together_with_all_earlier_ones(tiny, picture):
    episode = played(
        picture,
        tiny,
        called("refine", points=[[90, 120]], box=AROUND_THE_CIRCLE),
        called("refine", id=1, points=[[245, 125, False]]),
        called("refine", id=2, points=[[60.5, 100]]),
    )
    assert [one.origin for one in episode.workspace] == [
        "refine: +90,120 in 30,60,150,180",
        "refine of 1: +90,120 -245,125 in 30,60,150,180",
        "refine of 2: +90,120 -245,125 +60.5,100 in 30,60,150,180",
    ]
    assert episode.current_ids == (3,)
    before = episode.workspace.get_instances([2]).masks[0]
    points, labels = [(90, 120), (245, 125), (60.5, 100)], [1, 0, 1]
    direct = tiny.refine(picture, points, labels, box=(30, 60, 150, 180), mask=before, multimask=False)
    assert np.array_equal(episode.workspace.get_instances([3]).masks[0], direct.masks[0])


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize(
    ("arguments", "ambiguous"),
    [
        ({"points": [CIRCLE]}, True),
        ({"points": [[*CIRCLE, False]]}, True),
        ({"points": [CIRCLE, [*SQUARE, False]]}, False),
        ({"box": AROUND_THE_CIRCLE}, False),
        ({"points": [CIRCLE], "box": AROUND_THE_CIRCLE}, False),
        ({"points": [[60, 100]], "id": 1}, False),
    ],
)
def test_only_one_click_alone_has_the_best_of_three_candidates(tiny, picture, arguments, ambiguous, by_hand):
    """As the published notebooks; and a person's clicks have no small holes, as in the published predictor."""
    first = called("refine", points=[CIRCLE])
    calls = [first, called("refine", **arguments)] if "id" in arguments else [called("refine", **arguments)]
    task, budget = Task(picture, "q", by_hand=by_hand), Budget(max_steps=len(calls))
    episode = run(task, ScriptedPlanner(calls), tiny, budget=budget)
    points = [tuple(map(float, point[:2])) for point in arguments.get("points", [])]
    labels = [point[2] if len(point) > 2 else 1 for point in arguments.get("points", [])]
    alone = tiny.refine(picture, [CIRCLE], fill_holes=by_hand, tidy=by_hand)
    earlier = alone.masks[0] if "id" in arguments else None
    direct = tiny.refine(
        picture,
        [CIRCLE, *points] if "id" in arguments else points,
        [1, *labels] if "id" in arguments else labels,
        box=arguments.get("box"),
        mask=earlier,
        multimask=ambiguous,
        fill_holes=by_hand,
        tidy=by_hand,
    )
    assert len(direct) == (3 if ambiguous else 1)
    assert np.array_equal(episode.workspace.get_instances([len(episode.workspace)]).masks[0], direct.masks[0])


def test_a_click_at_the_very_edge_is_told_again_as_it_was(picture, tiny):
    episode = played(
        picture,
        tiny,
        called("refine", points=[[1e-05, 40], [90.123, 120]]),
        called("refine", id=1, points=[[60.5, 100]]),
    )
    assert [one.origin for one in episode.workspace] == [
        "refine: +0,40 +90.12,120",
        "refine of 1: +0,40 +90.12,120 +60.5,100",
    ]


def test_in_a_conversation_the_mask_of_the_answer_so_far_is_replaced(kitchen, kitchen_sam3):
    first = played(kitchen, kitchen_sam3, called("segment", phrases=["red cup"]))
    before = ConversationContext(first.workspace, (1, 3))
    episode = played(kitchen, kitchen_sam3, called("refine", id=3, points=[[60, 25]]), before=before)
    assert episode.current_ids == (1, 4)
    assert episode.workspace[4].phrase == "red cup"


def test_where_nothing_is_found_nothing_changes(kitchen, kitchen_sam3):
    episode = played(
        kitchen,
        kitchen_sam3,
        called("segment", phrases=["red cup"]),
        called("refine", points=[[99, 1]]),
        called("refine", id=2, points=[[99, 1], [99, 2], [99, 3]]),
    )
    assert episode.steps[1].observation.text == "Nothing was found there (presence 0.00)."
    assert last(episode).startswith("Nothing was found there (presence 0.00). Mask 2 is as it was.")
    assert len(episode.workspace) == 3
    assert episode.current_ids == (1, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "`refine` needs `points`, a `box` or both"),
        ({"id": 7, "points": [[5, 5]]}, "There is no mask 7"),
        ({"points": [[500, 5]]}, "The point [500, 5] lies outside the picture, which is 100 wide and 60 high"),
        ({"box": [50, 5, 40, 9]}, "has no inside in a picture 100 wide and 60 high"),
        ({"points": [[5, 5]], "labels": [1, 0]}, "There are 1 points but 2 labels"),
        ({"points": "here"}, "points"),
    ],
)
def test_a_call_that_cannot_be_is_refused_in_words(kitchen, kitchen_sam3, arguments, said):
    episode = played(kitchen, kitchen_sam3, called("refine", **arguments))
    assert episode.steps[0].observation.is_error
    assert said in last(episode)


@pytest.mark.parametrize(
    "points", [[{"x": 3, "y": 4, "positive": True}], [[3, 4]], [3, 4], {"x": 3, "y": 4}, [["3", "4", True]]]
)
def test_points_may_be_written_as_models_write_them(points):
    call = parse_call(called("click", points=points, mask_id=2), WORKSPACE.tools)
    assert isinstance(call, Refine)
    assert [(one.x, one.y, one.positive) for one in call.points] == [(3, 4, True)]
    assert call.id == 2


def test_labels_say_which_points_are_positive(kitchen, kitchen_sam3):
    episode = played(kitchen, kitchen_sam3, called("refine", points=[[8, 25], [60, 25]], labels=[1, 0]))
    assert episode.workspace[1].origin == "refine: +8,25 -60,25"


# Exemplar boxes


def test_a_box_stands_for_what_looks_like_it_without_a_phrase(tiny, picture):
    episode = played(picture, tiny, called("segment", phrases=[], boxes=[AROUND_THE_CIRCLE]))
    [mask] = episode.answer.masks
    assert mask[120, 90]
    assert episode.workspace[1].origin == "segment like the box 30,60,150,180"
    assert last(episode).startswith("Found 1 mask for the examples: 1 (score")


def test_a_negative_box_takes_its_kind_out_of_what_a_phrase_finds(tiny, picture):
    every = played(picture, tiny, called("segment", phrases=["shape"]))
    fewer = played(picture, tiny, called("segment", phrases=["shape"], negative_boxes=AROUND_THE_CIRCLE))
    assert len(every.answer) == 2
    assert [mask[125, 245] for mask in fewer.answer.masks] == [True]


def test_a_box_in_a_region_means_the_same_place(tiny, picture):
    episode = played(picture, tiny, called("segment", boxes=[AROUND_THE_CIRCLE], region=[10, 40, 190, 200]))
    assert episode.answer.masks[0][120, 90]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"phrases": []}, "`segment` needs `phrases`, or `exemplars` or `boxes` that show what is meant"),
        ({"negative_boxes": [[1, 2, 3, 4]]}, "`segment` needs `phrases`"),
        ({"boxes": [[200, 200, 300, 300]]}, "The box [200.0, 200.0, 300.0, 300.0] has no inside that is looked at"),
        ({"boxes": [[1, 2, 3]]}, "boxes"),
    ],
)
def test_exemplar_boxes_that_cannot_be_are_refused_in_words(kitchen, kitchen_sam3, arguments, said):
    episode = played(kitchen, kitchen_sam3, called("segment", **arguments))
    assert episode.steps[0].observation.is_error
    assert said in last(episode)


def test_one_box_may_stand_alone():
    call = parse_call(called("segment", boxes=[1, 2, 3, 4]), WORKSPACE.tools)
    assert isinstance(call, Segment)
    assert call.boxes == [[1, 2, 3, 4]]
    with pytest.raises(ToolError):
        parse_call(called("segment", boxes=[1, 2, 3]), WORKSPACE.tools)
