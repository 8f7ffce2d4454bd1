"""`sam3-agent models` tells of each model what a person chooses by, and says truly which files are here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from sam3_tool.backends.catalog import CATALOG, find_entry
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint

ROOT = Path(__file__).parents[3]
LOAD_ALL = """
import json
from agent.cli.models import describe_model
from sam3_tool import CheckpointError, Sam3
from sam3_tool.backends.catalog import CATALOG
said = {}
for entry in CATALOG:
    if entry.files and not describe_model(entry)["is_here"]:
        try: Sam3.load(entry.name)
        except CheckpointError as error: said[entry.name] = str(error)
print(json.dumps([[describe_model(entry) for entry in CATALOG], said]))
"""
"""What is known of each model, and what is said where its files are not here: read in a process of its own, for the
hub's client reads its settings when it is imported."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Of a machine that holds one file of facebook/sam3, and that reaches no hub."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "hub" / "models--facebook--sam3"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    weights = folder / "snapshots" / ("0" * 40) / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LOAD_ALL], env=settings, capture_output=True, text=True, check=True)
    models, said = json.loads(done.stdout)
    return {model["name"]: model for model in models}, said, weights


def test_it_names_every_model_with_licence_gate_and_abilities():
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0
    for entry in CATALOG:
        assert f"\n{entry.name}\n" in f"\n{done.stdout}"
        assert f"{entry.title}; {entry.licence}; " in done.stdout
        assert ", ".join(entry.abilities) in done.stdout
    assert [model["name"] for model in json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)] == [
        entry.name for entry in CATALOG
    ]


def test_a_file_counts_as_here_only_where_it_is(answers):
    models, _, weights = answers
    assert [name for name, model in models.items() if model["is_here"]] == ["tiny"]
    assert models["facebook/sam3"]["files"] == [{"file": "facebook/sam3/model.safetensors", "path": str(weights)}]
    assert all(file["path"] is None for file in models["open"]["files"])


def test_weights_alone_are_no_whole_model_and_what_lacks_is_what_loading_names(answers):
    models, said, _ = answers
    missing = models["facebook/sam3"]["missing"]
    assert missing == [f"facebook/sam3/{name}" for name in ("config.json", "tokenizer.json", "processor_config.json")]
    assert "only in part, without config.json, tokenizer.json, processor_config.json" in said["facebook/sam3"]


def test_the_embedded_model_is_as_large_as_its_files():
    entry = find_entry("tiny")
    assert entry is not None
    assert entry.nbytes == sum(path.stat().st_size for path in locate_checkpoint("tiny").glob("*.safetensors"))


def test_what_is_not_here_says_in_one_sentence_what_works_now(answers):
    _, said, _ = answers
    away = [entry for entry in CATALOG if entry.files]
    assert list(said) == [entry.name for entry in away]
    for entry in away:
        assert any(files.repository in said[entry.name] for files in entry.files)
        assert "`--sam3 tiny`" in said[entry.name]
        assert "\n" not in said[entry.name]
