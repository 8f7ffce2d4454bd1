from dataclasses import replace

import numpy as np
import pytest

from agent import Budget, Episode, ScriptedPlanner, Task, Tool, run, watch
from agent.tools.search_text import drop_near_duplicates
from agent.tools.toolsets import Answer, Combine, Count, Examine, Locate, Rank, Relate, ReportNoMask, Segment
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend

CUPS = Segment(phrases=["red cup"])
ALL = Segment(phrases=["red cup", "saucer", "table"])
"""1 to 3 are the red cups from left to right, 4 is the saucer under the second, 5 is the table."""


def texts(episode: Episode) -> list[str]:
    return [step.observation.text for step in episode.steps]


def shown(episode: Episode, index: int = -1) -> tuple[int, ...] | None:
    return episode.steps[index].observation.shown


def test_many_phrases_are_one_encode_and_one_numbering(play):
    episode = play(Segment(phrases=["red cup", "plate", "table"]), Count(ids=[1]))
    assert texts(episode)[0] == (
        "Found 3 masks for 'red cup': 1 to 3 (scores 0.91 to 0.72); nothing for 'plate' (presence 0.00);"
        " 1 mask for 'table': 4 (score 0.99)."
    )
    assert shown(episode, 0) == (1, 2, 3, 4)
    assert [(search.phrase, search.ids) for search in episode.workspace.searches] == [
        ("red cup", (1, 2, 3)),
        ("plate", ()),
        ("table", (4,)),
    ]
    assert (episode.usage.sam_encodes, episode.usage.sam_decodes) == (1, 3)


def test_what_was_asked_before_is_answered_without_asking_sam_3_again(play):
    episode = play(CUPS, Segment(phrases=["plate"]), Segment(phrases=[" RED  cup", "table", "Plate"]), Count(ids=[1]))
    assert texts(episode)[2] == (
        "Found 3 masks for 'red cup': 1 to 3 (scores 0.91 to 0.72), as before; 1 mask for 'table': 4 (score 0.99);"
        " nothing for 'plate' (presence 0.00), as before."
    )
    assert shown(episode, 2) == (1, 2, 3, 4)
    assert episode.usage.sam_decodes == 3


def test_a_phrase_twice_in_one_call_is_asked_once(play):
    episode = play(Segment(phrases=["table", "Table "]), Count(ids=[1]))
    assert (shown(episode, 0), episode.usage.sam_decodes) == ((1,), 1)


def test_the_same_phrase_with_other_arguments_is_another_question(play):
    episode = play(CUPS, Segment(phrases=["red cup"], threshold=0.8), Segment(phrases=["red cup"], exemplars=[1]))
    assert [shown(episode, index) for index in range(3)] == [(1, 2, 3), (4, 5), (6, 7, 8)]
    assert [candidate.origin for candidate in episode.workspace][5] == "segment like 1"
    assert episode.usage.sam_decodes == 3


def test_near_duplicates_of_one_phrase_are_dropped_and_it_is_said(play):
    episode = play(Segment(phrases=["cup"]), Count(ids=[1, 2]))
    assert texts(episode)[0] == (
        "Found 2 masks for 'cup': 1 and 2 (scores 0.95 to 0.80);"
        " 1 near duplicate hidden, which `duplicates: true` keeps."
    )
    assert [candidate.score for candidate in episode.workspace] == pytest.approx([0.95, 0.8])


def test_near_duplicates_stay_when_they_are_asked_for(play):
    episode = play(Segment(phrases=["cup"]), Segment(phrases=["cup"], duplicates=True), Count(ids=[1, 2]))
    assert texts(episode)[1] == "Found 3 masks for 'cup': 3 to 5 (scores 0.95 to 0.80)."
    assert episode.workspace[4].score == pytest.approx(0.9)


def test_a_mask_without_pixels_is_not_a_finding(play):
    episode = play(Segment(phrases=["ghost"]), Count(ids=[1]))
    assert texts(episode)[0] == "Found 1 mask for 'ghost': 1 (score 0.60)."


def test_a_region_is_segmented_by_itself_and_its_masks_are_mapped_back(play):
    episode = play(
        Segment(phrases=["plate"], region=[49.9, -5, 120, 60]), Segment(phrases=["cup"], region=[50, 0, 100, 60])
    )
    mask, candidate = episode.answer.masks[0], episode.workspace[1]
    assert texts(episode)[0] == "Found nothing for 'plate' (presence 0.00); looked in 49,0,100,60."
    assert texts(episode)[1].startswith("Found 1 mask for 'cup': 1 (score 0.80); looked in 50,0,100,60.")
    assert (candidate.box, candidate.origin) == ((60, 40, 70, 50), "segment in 50,0,100,60")
    assert mask[40:50, 60:70].all()
    assert mask.sum() == 100


@pytest.mark.parametrize(
    "region", [[10, 10, 12, 50], [50, 50, 10, 10], [200, 0, 300, 50], [0.1, 0.2, 0.8, 0.9], [0] * 4]
)
def test_a_region_of_hardly_any_pixels_is_a_mistake(play, region, is_one_sentence):
    observation = play(Segment(phrases=["cup"], region=region)).steps[0].observation
    assert observation.is_error
    assert "is too small in a picture 100 wide and 60 high" in observation.text
    assert is_one_sentence(observation.text.removesuffix(" Stopped at the limit of 1 step; nothing was found so far."))


class Recording(ScriptedBackend):
    """Remembers what it was asked."""

    def __init__(self, script):
        super().__init__(script)
        self.asked = []

    def decode(self, embeddings, prompts):
        self.asked += prompts
        return super().decode(embeddings, prompts)


def test_exemplars_reach_sam_3_as_the_boxes_that_the_region_shows_of_them(kitchen, cups):
    backend = Recording({None: {"red cup": cups}})
    script = [
        CUPS,
        Segment(phrases=["mug"], exemplars=[3], negatives=[2], region=[35, 10, 100, 60], threshold=0.2),
        Segment(phrases=["mug"], exemplars=[1], region=[35, 10, 100, 60]),
    ]
    episode = run(Task(kitchen, "q"), ScriptedPlanner(script), Sam3(backend), budget=Budget(max_steps=3))
    _, asked = backend.asked
    assert asked == ConceptPrompt("mug", ((20, 10, 40, 20), (0, 10, 5, 20)), (1, 0), threshold=0.2)
    assert texts(episode)[1] == "Found nothing for 'mug' (presence 0.00); looked in 35,10,100,60 like 3 unlike 2."
    assert texts(episode)[2].startswith("Mask 1 lies outside the region; leave it out or choose another region.")


@pytest.mark.parametrize("most", [1e9, 1e300, 1.7e308])
def test_a_region_far_beyond_the_picture_is_the_picture(play, most):
    episode = play(Segment(phrases=["red cup"], region=[-most, -most, most, most]), Count(ids=[1]))
    assert texts(episode)[0].endswith("looked in 0,0,100,60.")
    assert episode.workspace[1].box == (5, 20, 15, 30)


@pytest.mark.parametrize(("region", "seen"), [(None, (0, 2, 100, 60)), ([10, 0, 100, 60], (0, 2, 90, 60))])
def test_an_exemplar_far_larger_than_the_picture_is_cut_to_what_is_seen(kitchen, cups, region, seen):
    backend = Recording({None: {"red cup": replace(cups[[0]], boxes=np.array([[-1e30, 2, 3e38, 1e30]], np.float32))}})
    script = [CUPS, Segment(phrases=["mug"], exemplars=[1], region=region)]
    run(Task(kitchen, "q"), ScriptedPlanner(script), Sam3(backend), budget=Budget(max_steps=2))
    assert backend.asked[-1].boxes == (seen,)


RELATIONS = [
    (Relate(ids=[1, 2, 3], relation="left_of", to=[2]), (1,), "1 of 3 masks is left of 2: 1."),
    (Relate(ids=[1, 2, 3], relation="right_of", to=[1, 2]), (2, 3), "2 of 3 masks are right of 1 or 2: 2 and 3."),
    (Relate(ids=[1, 2, 3], relation="on", to=[4]), (2,), "1 of 3 masks is on 4: 2."),
    (Relate(ids=[3, 1], relation="nearest", to=[2]), (1,), "1 of 2 masks is nearest to 2: 1."),
    (Relate(ids=[2], relation="between", to=[1], other=[3]), (2,), "1 of 1 mask is between 1 and 3: 2."),
    (Relate(ids=[1, 2, 3], relation="larger", to=[1]), (3,), "1 of 3 masks is larger than 1: 3."),
    (Relate(ids=[1, 2], relation="above", to=[3]), (), "None of 2 masks is above 3."),
    (Relate(ids=[1, 2], relation="inside", to=[]), (), "None of 2 masks is inside anything, as `to` is empty."),
    (Locate(ids=[1, 2, 3, 5], place="left"), (1, 2), "2 of 4 masks are in the left of the picture: 1 and 2."),
    (Locate(ids=[], place="top_left"), (), "None of 0 masks is in the top left of the picture."),
    (Count(ids=[4, 1, 2, 3, 3]), (4, 1, 2, 3), "4 masks: 4 and 1 to 3."),
    (Count(ids=[]), (), "0 masks."),
]


@pytest.mark.parametrize(("call", "expected", "text"), RELATIONS, ids=lambda value: getattr(value, "name", None))
def test_masks_are_chosen_by_geometry(play, call, expected, text):
    episode = play(ALL, call, Count(ids=[1]))
    assert shown(episode, 1) == expected
    assert texts(episode)[1].startswith(text)


def test_only_between_takes_a_second_group(play):
    episode = play(ALL, Relate(ids=[1], relation="on", to=[2], other=[3]), Count(ids=[1]))
    assert texts(episode)[1] == "`other` is for the relation 'between' only, not 'on'; leave it out."


RANKS = [
    (Rank(ids=[1, 2, 3], by="size", order="descending"), (3,), "By size, descending, place 1 of 3 is 3 (200 pixels)."),
    (Rank(ids=[1, 2, 3], by="size", order="ascending"), (1,), "By size, ascending, place 1 of 3 is 1 (100 pixels)."),
    (Rank(ids=[3, 2, 1], by="x", order="descending", start=2), (2,), "By x, descending, place 2 of 3 is 2 (34 px)."),
    (
        Rank(ids=[1, 2, 3], by="score", order="descending", start=2, take=5),
        (2, 3),
        "By score, descending, places 2 to 3 of 3 are 2 (0.85), 3 (0.72).",
    ),
    (Rank(ids=[1, 3], by="distance", order="ascending", to=[2]), (1,), ""),
    (
        Rank(ids=[1, 2, 3], by="distance", order="descending", to=[2, 3]),
        (1,),
        "By distance, descending, place 1 of 3 is 1 (16 px).",
    ),
    (
        Rank(ids=[1, 2], by="distance", order="ascending", take=2, to=[2]),
        (1,),
        "By distance, ascending, place 1 of 1 is 1 (16 px).",
    ),
    (
        Rank(ids=[1], by="distance", order="ascending"),
        (),
        "By distance, ascending, there is no place 1 among 0 masks, as `to` is empty.",
    ),
    (Rank(ids=[1, 2], by="y", order="ascending", start=3), (), "By y, ascending, there is no place 3 among 2 masks."),
    (Rank(ids=[], by="y", order="ascending"), (), "By y, ascending, there is no place 1 among 0 masks."),
]


@pytest.mark.parametrize(("call", "expected", "text"), RANKS)
def test_masks_are_ranked_and_ties_go_to_the_lower_number(play, call, expected, text):
    episode = play(ALL, call, Count(ids=[1]))
    assert shown(episode, 1) == expected
    assert texts(episode)[1].startswith(text)


def test_only_a_distance_has_masks_to_measure_from(play):
    episode = play(ALL, Rank(ids=[1], by="x", order="ascending", to=[2]), Count(ids=[1]))
    assert texts(episode)[1] == "`to` is for sorting by 'distance' only, not by 'x'; leave it out."


SETS = [
    ("union", [1, 2], [2, 4], (1, 2, 4)),
    ("union", [4], [1, 2], (4, 1, 2)),
    ("union", [1, 2, 3], [6], (1, 2, 3)),
    ("union", [], [6], (6,)),
    ("minus", [1, 2, 3], [6, 3], (2,)),
    ("minus", [1, 2], [], (1, 2)),
    ("minus", [], [1], ()),
    ("intersect", [1, 2, 3], [6, 7], (1,)),
    ("intersect", [6], [1, 2], (6,)),
    ("intersect", [1], [], ()),
]


@pytest.mark.parametrize(("op", "a", "b", "expected"), SETS)
def test_sets_are_sets_of_objects_not_of_numbers(play, op, a, b, expected):
    """6 is the first red cup once more, found as 'cup'; 7 is another cup."""
    episode = play(ALL, Segment(phrases=["cup"]), Combine(op=op, a=a, b=b), Count(ids=[1]))
    assert shown(episode, 2) == expected


def test_the_set_operation_is_said_with_its_numbers(play):
    episode = play(ALL, Combine(op="minus", a=[1, 2, 3], b=[3]), Count(ids=[1]))
    assert texts(episode)[1] == "Of [1, 2, 3] and [3], the first without the second: 2 masks: 1 and 2."


def test_parts_are_merged_into_one_mask_with_its_own_number(play):
    episode = play(ALL, Combine(op="merge", a=[1], b=[2, 1]), Combine(op="merge", a=[1, 2], b=[]), Answer(ids=[6]))
    assert texts(episode)[1:3] == ["1 and 2 together are mask 6.", "1 and 2 are mask 6 already."]
    merged = episode.workspace[6]
    assert (merged.box, merged.phrase, merged.origin) == ((5, 20, 40, 30), "red cup", "merge of 1, 2")
    assert merged.score == pytest.approx(0.91)
    assert episode.answer.areas.tolist() == [200]
    assert len(episode.workspace) == 6


def test_merging_less_than_two_masks_makes_none(play):
    episode = play(ALL, Combine(op="merge", a=[2], b=[2]), Combine(op="merge", a=[], b=[]))
    assert (shown(episode, 1), len(episode.workspace)) == ((2,), 5)
    assert episode.steps[2].observation.is_error


CALLS_OF_NOTHING = [
    Segment(phrases=["cup"], exemplars=[9]),
    Relate(ids=[9], relation="on", to=[1]),
    Relate(ids=[1], relation="on", to=[9]),
    Relate(ids=[1], relation="between", to=[1], other=[9]),
    Locate(ids=[9], place="left"),
    Rank(ids=[9], by="x", order="ascending"),
    Combine(op="union", a=[9], b=[1]),
    Combine(op="merge", a=[1], b=[9]),
    Count(ids=[9]),
    Examine(ids=[1, 9]),
    Answer(ids=[1, 9]),
]


@pytest.mark.parametrize("call", CALLS_OF_NOTHING, ids=lambda call: call.name)
def test_unknown_numbers_are_answered_with_the_valid_ones(play, call):
    after = play(ALL, call, ReportNoMask()).steps[1].observation
    before = play(call, ReportNoMask()).steps[0].observation
    assert after.text == "There is no mask 9; the valid numbers are 1 to 5."
    assert before.text.endswith("as none was found so far; call `segment` first.")
    assert after.is_error
    assert before.is_error


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_count_from_one(play, number):
    text = play(CUPS, Count(ids=[number, 2]), Answer(ids=[1])).steps[1].observation.text
    assert text == f"There is no mask {number}; the valid numbers are 1 to 3."


def test_an_answer_keeps_the_order_of_its_numbers_and_says_its_message(play):
    episode = play(CUPS, Answer(ids=[3, 1, 3], message=" The red ones. "))
    assert (episode.outcome, episode.current_ids, episode.message) == ("answered", (3, 1), "The red ones.")


def test_reporting_no_mask_gives_the_reason_and_an_empty_answer(play):
    episode = play(CUPS, ReportNoMask(reason="No cup is blue."))
    assert (episode.outcome, episode.current_ids, episode.message) == ("no_match", (), "No cup is blue.")
    assert play(ReportNoMask()).message == "Nothing in the picture matches."


class SmallVocabulary(ScriptedBackend):
    """Knows cups only, and says so."""

    def vocabulary_warning(self, phrase: str) -> str:
        unknown = sorted(set(phrase.replace(",", "").split()) - {"red", "cup"})
        return f"Not known: {' '.join(unknown)}." if unknown else "A small model."


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        (["red cup"], "1 mask."),
        (["red cup", "cup"], "1 mask. A small model."),
        (["red cup", "zebra", "gnu"], "1 mask. Not known: gnu zebra."),
        (["red cup", "red saucer"], "1 mask. Not known: saucer."),
    ],
)
def test_the_answer_says_what_sam_3_could_not_know(kitchen, phrases, message):
    one = Instances(np.ones((1, 60, 100), bool), np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), 1.0, "")
    sam3 = Sam3(SmallVocabulary({None: {"red cup": one, "red saucer": one}}))
    planner = ScriptedPlanner([Segment(phrases=phrases), Answer(ids=[1])])
    assert run(Task(kitchen, "q"), planner, sam3).message == message


def random_call(random: np.random.Generator, size: int) -> Tool:
    """Any tool that does not end an episode, with numbers of which a few are not valid."""

    def ids() -> list[int]:
        return random.integers(0, size + 2, size=random.integers(0, 4)).tolist()

    match random.integers(7):
        case 0:
            return Segment(
                phrases=random.choice(["red cup", "cup", "saucer", "ghost", "plate"], 2).tolist(), exemplars=ids()[:1]
            )
        case 1:
            return Relate(
                ids=ids(), relation=random.choice(["on", "left_of", "between", "nearest"]), to=ids(), other=ids()
            )
        case 2:
            return Locate(ids=ids(), place=random.choice(["left", "middle"]))
        case 3:
            return Rank(ids=ids(), by=random.choice(["size", "x", "distance"]), order="ascending", take=2, to=ids()[:1])
        case 4:
            return Combine(op=random.choice(["union", "minus", "intersect", "merge"]), a=ids(), b=ids())
        case 5:
            return Examine(ids=[1, *ids()], closely=bool(random.integers(2)))
        case _:
            return Count(ids=ids())


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_called_numbers_stay_and_nothing_found_is_lost(kitchen, kitchen_sam3, seed, is_one_sentence):
    random = np.random.default_rng(seed)
    script = [CUPS, *(random_call(random, 8) for _ in range(29))]
    planner, budget = ScriptedPlanner(script, rejects=[2]), Budget(max_steps=30, max_repairs=30)
    before: tuple = ()
    for episode in watch(Task(kitchen, "q"), planner, kitchen_sam3, budget=budget):
        candidates, last = episode.workspace.candidates, episode.steps[-1].observation
        assert candidates[: len(before)] == before
        assert [candidate.id for candidate in candidates] == list(range(1, len(candidates) + 1))
        assert set(episode.current_ids) <= {candidate.id for candidate in candidates}
        assert not (last.is_error and episode.outcome is None) or is_one_sentence(last.text)
        assert last.is_error == (last.shown is None) or episode.outcome
        before = candidates
    assert len(episode.answer) > 0


def test_duplicates_are_dropped_in_favour_of_the_better_score(kitchen):
    masks = np.zeros((3, 60, 100), bool)
    masks[0, :10], masks[1, :11], masks[2, 30:] = True, True, True
    found = Instances(masks, np.zeros((3, 4), np.float32), np.array([0.9, 0.8, 0.7], np.float32), 0.9, "x")
    assert drop_near_duplicates(found).scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(drop_near_duplicates(Instances.empty(60, 100))) == 0


@pytest.fixture
def circles() -> Image:
    """Two red discs and a blue one on grey."""
    pixels = np.full((200, 320, 3), 200, np.uint8)
    y, x = np.mgrid[:200, :320]
    for cx, color in [(60, (220, 30, 30)), (160, (30, 60, 220)), (260, (220, 30, 30))]:
        pixels[(x - cx) ** 2 + (y - 100) ** 2 < 35**2] = color
    return Image(pixels)


def test_the_embedded_network_is_asked_through_the_same_tools(circles, tiny):
    script = [
        Segment(phrases=["red circle", "blue circle", "carburettor"], threshold=0.3),
        Locate(ids=[1, 2], place="left"),
        Answer(ids=[1]),
    ]
    *_, before, episode = watch(Task(circles, "the red circle left of the blue one"), ScriptedPlanner(script), tiny)
    assert [len(search.ids) for search in episode.workspace.searches] == [2, 1, 0]
    assert episode.answer.areas.tolist() == pytest.approx([3848], rel=0.15)
    [left] = before.current_ids
    assert episode.workspace[left].box[2] < 160
    assert (episode.usage.sam_encodes, episode.usage.sam_decodes) == (1, 3)
    assert "carburettor" in episode.message
    assert "facebook/sam3" in episode.message
