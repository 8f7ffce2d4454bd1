"""Conversations about generated scenes: right answers, and the command that measures the planner."""

import numpy as np
import pytest

from evals.datasets.synthetic.conversations import KINDS, generate_dialogues
from evals.datasets.synthetic.scenes import TruthBackend
from evals.studies.grammar.conversations import format_transcript, format_turn_table, run_dialogue, summarize_by_kind
from sam3_tool import Sam3


@pytest.fixture(scope="module")
def talks():
    return list(generate_dialogues(12))


@pytest.fixture(scope="module")
def answered(talks):
    scenes = [scene for talk in talks for scene in (talk.scene, *(turn.shown_scene for turn in talk.turns)) if scene]
    sam3 = Sam3(TruthBackend(scenes))
    return [one for talk in talks for one in run_dialogue(talk, sam3)]


def test_conversations_have_four_to_six_turns_about_objects_of_their_scenes(talks):
    assert all(4 <= len(talk.turns) <= 6 for talk in talks)
    for talk in talks:
        scene = talk.scene
        for turn in talk.turns:
            scene = turn.shown_scene or scene
            assert turn.targets
            assert max(turn.targets) < len(scene.objects)
            assert set(turn.named_objects) <= set(range(len(scene.objects)))


def test_every_kind_of_turn_is_taken(talks):
    assert {turn.kind for talk in talks for turn in talk.turns} >= set(KINDS) - {"another picture", "the others"}


def test_conversations_are_the_same_every_time(talks):
    again = next(generate_dialogues(1))
    assert again.turns == talks[0].turns
    assert np.array_equal(again.scene.pixels, talks[0].scene.pixels)
    assert next(generate_dialogues(1, seed=1)).turns != talks[0].turns


def test_with_exact_masks_every_answer_is_right(answered):
    rows = summarize_by_kind(answered)
    assert rows["overall"]["giou"] > 0.97, "\n".join(format_transcript([one]) for one in answered)
    assert rows["overall"]["n"] == len(answered)
    assert format_turn_table(rows).count("\n") == len(rows)


def test_an_answer_says_how_well_it_went(answered):
    first = answered[0]
    assert format_transcript([first]) == f"1.00 {first.query} -> {first.conversation.message}\n"
