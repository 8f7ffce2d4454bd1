"""`annotate --concept`: examples stand for a phrase in every image of a run."""

import pickle

import numpy as np
import pytest

from agent.cli.options.segment_options import Options
from agent.core.errors import UsageError
from annotate.questions import ask_phrases, ask_query
from annotate.sources.base import Item
from sam3_tool import Concept
from sam3_tool.errors import ConceptError

ITEM = Item(0, b"scene.png")


@pytest.fixture(scope="module")
def gizmo(tiny, picture, tmp_path_factory):
    """The file of a concept, and what is found for it."""
    concept = tiny.describe(picture, boxes=[(205.0, 85.0, 285.0, 165.0)])
    file = tmp_path_factory.mktemp("concepts") / "gizmo.concept"
    concept.save(file)
    return file, tiny.segment(picture, concept)


@pytest.mark.parametrize("way", ["phrases", "query"])
def test_a_worker_looks_for_the_examples_wherever_their_phrase_is_asked_for(gizmo, picture, way):
    file, expected = gizmo
    options = Options(planner="grammar", concept=[str(file)], device="cpu")
    if way == "phrases":
        question = ask_phrases(options, ("gizmo", "gadget"), batch=4, max_pixels=None)
        key = question.options["concepts"]["gizmo"]
    else:
        question = ask_query(options, "the gizmo", batch=4, episodes=1, max_pixels=None)
        key = question.options["concepts"]["gizmo"]
    assert key == Concept.load(file).key  # so that a plan with another concept is another plan
    asker = pickle.loads(pickle.dumps(question.build_asker))("cpu")
    [rows] = list(asker.answer_images([(ITEM, picture)]))
    np.testing.assert_allclose(rows[0].scores, expected.scores, atol=1e-4)
    assert rows[0].error == ""
    if way == "phrases":
        assert len(rows[1].scores) == 0


def test_a_plan_without_concepts_says_nothing_of_them():
    question = ask_phrases(Options(planner="grammar"), ("cup",), batch=4, max_pixels=None)
    assert question.options == {"sam3": "tiny", "max_pixels": None}


def test_a_concept_that_no_phrase_asks_for_is_refused_before_anything_is_loaded(gizmo):
    options = Options(planner="grammar", concept=[str(gizmo[0])])
    with pytest.raises(UsageError, match=r"stands for 'gizmo', and --phrases does not ask for it"):
        ask_phrases(options, ("cup",), batch=4, max_pixels=None)


def test_a_concept_of_other_weights_ends_the_worker_with_one_sentence(gizmo, tmp_path):
    concept = Concept.load(gizmo[0])
    other = Concept(concept.examples, (1,), concept.surroundings, None, "ab" * 32, "other", "float32")
    other.save(tmp_path / "gizmo.concept")
    options = Options(planner="grammar", concept=[str(tmp_path / "gizmo.concept")])
    question = ask_phrases(options, ("gizmo",), batch=4, max_pixels=None)
    with pytest.raises(ConceptError, match="made with the weights 'other'"):
        question.build_asker("cpu")
