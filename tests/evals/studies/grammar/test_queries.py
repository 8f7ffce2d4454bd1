"""Queries about generated scenes: right answers, and the commands that measure planner and checkpoint."""

from itertools import islice

import numpy as np
import pytest

from agent import GrammarPlanner, Task, run
from evals.datasets.synthetic.scenes import KINDS, TruthBackend, generate_queries, parse_phrase
from evals.studies.checkpoint import measure_checkpoint, measure_exemplar_selection
from evals.studies.grammar.queries import answer_queries, format_query_table, summarize_by_kind
from sam3_tool import Image, Sam3, ScriptedBackend

SIZES = ((200, 150), (150, 200))


@pytest.fixture(scope="module")
def queries():
    return list(generate_queries(40, sizes=SIZES))


def test_all_kinds_are_asked_in_turn(queries):
    assert [q.kind for q in queries[:10]] == list(KINDS)


def test_targets_are_objects_of_the_scene(queries):
    for q in queries:
        assert bool(q.targets) == (q.kind != "no target")
        assert all(0 <= index < len(q.scene.objects) for index in q.targets)
        assert q.target.sum() == q.scene.masks[list(q.targets)].sum()


def test_queries_are_the_same_every_time(queries):
    again = list(islice(generate_queries(40, sizes=SIZES), 5))
    assert [(q.text, q.targets) for q in again] == [(q.text, q.targets) for q in queries[:5]]


def test_a_phrase_of_another_world_is_not_understood():
    assert parse_phrase("red circles") is not None
    assert parse_phrase("the idea") is None


def test_with_exact_masks_the_grammar_plans_nearly_everything(queries):
    answered = answer_queries(Sam3(TruthBackend([q.scene for q in queries])), queries)
    rows = summarize_by_kind(answered)
    assert rows["overall"]["giou"] > 0.95
    assert rows["overall"]["n"] == 40
    assert format_query_table(rows).count("\n") == len(KINDS) + 1
    assert list(summarize_by_kind(answered[:3])) == [*list(KINDS)[:3], "overall"]


def test_an_absent_landmark_gives_no_match(queries):
    query = next(q for q in queries if q.kind == "no target")
    episode = run(Task(Image(query.scene.pixels), query.text), GrammarPlanner(), Sam3(TruthBackend([query.scene])))
    assert episode.outcome == "no_match"
    assert len(episode.answer) == 0


def test_the_embedded_checkpoint_is_measured_through_the_product(tiny):
    numbers = measure_checkpoint(tiny, pairs=12)
    assert numbers["text"]["pairs"] == 12
    assert numbers["text"]["cgF1"] > 30
    assert numbers["exemplar"]["scenes"] == 3


def test_as_many_questions_are_asked_as_wanted_however_few():
    numbers = measure_checkpoint(Sam3(ScriptedBackend({})), pairs=3)
    assert (numbers["text"]["pairs"], numbers["exemplar"]["scenes"]) == (3, 1)
    assert numbers["text"]["cgF1"] == numbers["exemplar"]["same kind kept"] == 0


def test_exemplars_select_their_kind(tiny):
    shares = measure_exemplar_selection(tiny, scenes_wanted=12)
    assert shares["same kind kept"] > shares["other kinds kept"] + 0.3
    assert np.isfinite(list(shares.values())).all()
