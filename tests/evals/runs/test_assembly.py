"""What `eval` is asked for with options changes its answers, and stands in the manifest."""

from pathlib import Path

import pytest

import sam3_tool
from agent import UsageError
from agent.cli.options.segment_options import Options
from evals.runs.assembly import assemble_components
from evals.samples import Sample
from sam3_tool import Concept
from sam3_tool.errors import ConceptError

TINY = Path(sam3_tool.__file__).with_name("tiny")


def test_a_run_looks_for_concepts_and_its_manifest_names_them(tiny, picture, tmp_path):
    concept = tiny.describe(picture, boxes=[(205.0, 85.0, 285.0, 165.0)])
    concept.save(tmp_path / "gizmo.concept")
    options = Options(planner="grammar", concept=[str(tmp_path / "gizmo.concept")], device="cpu")
    parts = assemble_components(options, cache=None, threshold=0.5, batch=1)
    assert parts.manifest_fields["made_by"].concepts == {"gizmo": concept.key}
    assert parts.solver.sam3.segment(picture, "gizmo").rles == tiny.segment(picture, concept).rles
    other = Concept(concept.examples, (1,), concept.surroundings, None, "ab" * 32, "other", "float32")
    other.save(tmp_path / "gizmo.concept")
    with pytest.raises(ConceptError, match="made with the weights 'other'"):
        assemble_components(options, cache=None, threshold=0.5, batch=1)


def assemble(**options):
    return assemble_components(Options(device="cpu", **options), cache=None, threshold=0.5, batch=1)


def test_a_run_leaves_doubtful_masks_out_of_answers(picture):
    sample = Sample("one", "the circles", "one.png", lambda: picture, group="one.png")
    whole, sure = (assemble(planner="grammar", min_probability=least) for least in (None, 1.0))
    assert len(whole.solver(sample).prediction.masks) > 0
    assert len(sure.solver(sample).prediction.masks) == 0
    assert sure.manifest_fields["made_by"].doubt.min_probability == 1


def test_a_run_that_needs_probabilities_is_refused_where_there_are_none(tmp_path):
    for file in TINY.iterdir():
        if file.name != "calibration.json":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(UsageError, match="not calibrated"):
        assemble(planner="grammar", sam3=str(tmp_path), min_probability=0.5)


def test_runs_with_other_thresholds_of_the_grammar_are_other_runs():
    found = [assemble(planner="grammar", threshold=value).manifest_fields["generation"] for value in (None, 0.5, 0.9)]
    assert found == [{}, {}, {"threshold": 0.9}]
