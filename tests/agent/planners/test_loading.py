"""Planners by name: which there are, what they take, and one sentence for everything else."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import Task, run
from agent.core.errors import PlannerError
from agent.planners.loading import (
    list_planner_names,
    list_planner_options,
    load_model,
    load_planner,
    plans_with_model,
)
from sam3_tool.plugins import forget_plugins


@pytest.mark.parametrize("name", ["", "gramar", "chatgpt:5", ":x", "Grammar"])
def test_an_unknown_planner_is_answered_with_those_there_are(name):
    with pytest.raises(PlannerError, match=r"^there is no planner '.*'; there are grammar, .*replay:SPEC, .*openai:M"):
        load_planner(name)


def test_a_planner_whose_name_is_incomplete_says_how_it_is_written():
    with pytest.raises(PlannerError, match=r"^the planner 'grammar' is written without anything after it"):
        load_planner("grammar:x")
    for name in ("replay", "replay:"):
        with pytest.raises(PlannerError, match=r"names no recording; it is written replay:EPISODE.json or replay:DIR$"):
            load_planner(name)


@pytest.mark.parametrize("kind", ["openai", "vllm", "transformers"])
@pytest.mark.parametrize("name", ["{}", "{}:", " {}: "])
def test_a_language_model_must_be_named(kind, name):
    with pytest.raises(PlannerError, match=rf"names no model; it is written {kind}:MODEL$"):
        load_planner(name.format(kind))
    with pytest.raises(PlannerError, match=rf"it is written {kind}:MODEL$"):
        load_model(name.format(kind))


def test_an_unknown_kind_of_model_is_answered_with_those_there_are():
    with pytest.raises(PlannerError, match=r"^there is no kind of model 'grammar'; there are .*openai:MODEL"):
        load_model("grammar:x")


def test_an_option_that_a_model_does_not_take_is_named(no_server):
    with pytest.raises(PlannerError, match=r"^model 'openai' has no option 'image_side'; its options are: base_url"):
        load_model("openai:m", image_side=640)


def test_options_are_read_off_the_parts_themselves():
    assert list_planner_options("grammar") == ("threshold",)
    assert list_planner_options("replay:x") == ()
    assert {"image_side", "coordinates", "base_url", "wire"} <= set(list_planner_options("openai:m"))
    assert plans_with_model("openai:m")
    assert not plans_with_model("grammar")


def test_openai_needs_a_server_or_a_key(no_server):
    with pytest.raises(PlannerError, match=r"^OpenAI wants a key; set OPENAI_API_KEY, or give .* --base-url$"):
        load_planner("openai:some-model")


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://here/v1", "http://", "http://[::1", "http://here:80x0/v1", "nonsense"]
)
def test_an_address_that_is_none_is_named(no_server, address):
    with pytest.raises(PlannerError, match="is no address of a server; expected one such as http://localhost"):
        load_planner("openai:some-model", base_url=address)


def test_a_server_that_is_not_there_is_one_sentence(no_server):
    with pytest.raises(PlannerError, match=r"^http://127.0.0.1:9/v1 cannot be reached") as error:
        load_planner("openai:some-model", base_url="http://127.0.0.1:9/v1")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("grammar", {"base_url": "http://localhost"}, "planner 'grammar' has no option 'base_url'"),
        ("grammar", {"toolset": "tcp"}, "there is no toolset 'tcp'; there are 'workspace', 'paper' and 'video'"),
        (
            "openai:m",
            {"colour": "red"},
            "planner 'openai' has no option 'colour'; its options are: toolset, image_side",
        ),
        ("openai:m", {"toolset": "tcp"}, "there is no toolset 'tcp'; there are 'workspace', 'paper' and 'video'"),
        ("transformers:m", {"base_url": "http://localhost"}, "planner 'transformers' has no option 'base_url'"),
        ("replay:file.json", {"image_side": 640}, "planner 'replay' has no option 'image_side'"),
    ],
)
def test_an_option_that_a_planner_does_not_take_is_named(name, options, complaint):
    with pytest.raises(PlannerError) as error:
        load_planner(name, **options)
    assert complaint in str(error.value)


def test_a_model_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(PlannerError, match="nowhere") as error:
        load_planner(f"transformers:{tmp_path / 'nowhere'}")
    assert "\n" not in str(error.value)


def test_without_its_package_a_planner_says_how_to_install_it():
    """Packages of extras may well be here; this program hides one from itself."""
    program = "import sys; sys.modules['vllm'] = None; from agent import load_planner; load_planner('vllm:some-model')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Error: vllm is not installed; install it with: uv sync --inexact --extra vllm" in done.stderr


def test_an_empty_folder_is_no_recording(tmp_path):
    with pytest.raises(PlannerError, match="holds no recording") as error:
        load_planner(f"replay:{tmp_path}")
    assert "\n" not in str(error.value)


def test_loading_the_grammar_loads_nothing_heavy():
    program = (
        "import sys; from agent.planners.loading import load_planner; load_planner('grammar'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "openai", "vllm", "httpx2"} & set(done.stdout.split())


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


MINE = """
from agent import ScriptedPlanner
from agent.core.errors import PlannerError
from agent.planners.chat.scripted_model import ScriptedModel
from agent.tools.toolsets import ReportNoMask
from sam3_tool.errors import DeviceError

def load_planner(spec, *, toolset, threshold=0.5, mood="calm"):
    if spec == "broken":
        raise DeviceError("there is no\\n such device")
    planner = ScriptedPlanner([ReportNoMask(reason=f"{spec}, {mood}")], toolset=toolset)
    return planner

def load_model(name, *, temperature=0.0):
    reply = f'{{"tool": "report_no_mask", "arguments": {{"reason": "{temperature}"}}}}'
    return ScriptedModel([reply], name=f"mine:{name}")
"""
ENTRY_POINTS = """
[sam3_agent.planners]
mine = mine_of_tests:load_planner
gone = mine_of_tests:nothing

[sam3_agent.models]
minemodel = mine_of_tests:load_model
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package with a planner and a model, as if it were installed."""
    (tmp_path / "mine_of_tests.py").write_text(MINE)
    metadata = tmp_path / "mine_of_tests-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins()
    yield
    forget_plugins()
    sys.modules.pop("mine_of_tests", None)


@pytest.mark.usefixtures("mine")
def test_a_planner_of_another_package_is_loaded_by_its_name_and_takes_its_own_options(kitchen, kitchen_sam3):
    planner = load_planner("mine:spec", toolset="workspace+segment_phrase", mood="wild")
    assert planner.toolset.name == "workspace+segment_phrase"
    assert run(Task(kitchen, "q"), planner, kitchen_sam3).message == "spec, wild"
    assert list_planner_options("mine:spec") == ("threshold", "mood")
    assert "mine:SPEC" in list_planner_names()


@pytest.mark.usefixtures("mine")
def test_a_model_of_another_package_is_planned_with_by_its_name(kitchen, kitchen_sam3):
    planner = load_planner("minemodel:large", image_side=64, temperature=0.5)
    assert run(Task(kitchen, "q"), planner, kitchen_sam3).message == "0.5"
    assert load_model("minemodel:large").name == "mine:large"
    assert plans_with_model("minemodel:large")
    assert list_planner_options("minemodel:large")[-1] == "temperature"


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("mine:broken", {}, "there is no such device"),
        (
            "mine:x",
            {"colour": "red"},
            "planner 'mine' has no option 'colour'; its options are: toolset, threshold, mood",
        ),
        ("minemodel:x", {"base_url": "x"}, "planner 'minemodel' has no option 'base_url'"),
        ("gone:x", {}, "planner 'gone' cannot be loaded from mine_of_tests:nothing"),
    ],
)
def test_what_goes_wrong_in_another_package_is_one_sentence(name, options, complaint):
    with pytest.raises(PlannerError) as error:
        load_planner(name, **options)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
