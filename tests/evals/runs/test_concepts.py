"""`eval --concept`: a run whose phrases are looked for by examples, which its manifest names."""

import pytest

from agent.cli.options.segment_options import Options
from evals.runs.assembly import assemble_components
from sam3_tool import Concept
from sam3_tool.errors import ConceptError


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
