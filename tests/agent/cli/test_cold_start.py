"""What a cold `sam3-agent segment` does not do: counted in a process of its own, for no clock is asked."""

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli.main import app

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"

PROGRAM = """
import gc, json, sys
from agent.cli.main import main

collections = []
gc.callbacks.append(lambda phase, about: phase == "start" and collections.append("torch" in sys.modules))
try:
    main(["segment", sys.argv[1], "the watermelons", "--out", sys.argv[2]])
finally:
    about = {"loaded at collections": collections, "frozen": gc.get_freeze_count(), "modules": [*sys.modules]}
    print(json.dumps(about), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen in a process that did nothing else."""
    command = [sys.executable, "-c", PROGRAM, str(EXAMPLE), str(tmp_path_factory.mktemp("out"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("4 masks")
    return json.loads(done.stderr)


def test_no_garbage_is_looked_for_until_everything_is_loaded(cold):
    assert all(cold["loaded at collections"])


def test_garbage_is_looked_for_from_then_on_but_not_among_what_was_loaded(cold):
    assert len(cold["loaded at collections"]) > 0
    assert cold["frozen"] > 100_000


def test_nothing_is_imported_that_the_grammar_and_a_phrase_do_not_need(cold):
    not_needed = {
        *("openai", "gradio", "vllm", "matplotlib", "skimage", "pyarrow", "evals", "demo", "bench"),
        *("sam3_tool.training", "agent.models.openai.client", "agent.conversation.conversation", "agent.cli.doctor"),
        *("transformers.models.sam3.processing_sam3", "transformers.models.sam3_video", "transformers.pipelines"),
    }
    assert not_needed & {*cold["modules"]} == set()


def test_commands_of_other_packages_look_for_garbage():
    gc.disable()
    try:
        CliRunner().invoke(app, ["bench", "--help"])
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()
