"""Planners by name: which there are, what they take, and one sentence for everything else."""

import subprocess
import sys

import pytest

from agent.core.errors import PlannerError
from agent.planners.loading import load_planner


@pytest.mark.parametrize("name", ["", "gramar", "grammar:x", "replay", "replay:", "chatgpt:5", ":x", "Grammar"])
def test_an_unknown_planner_is_answered_with_those_there_are(name):
    with pytest.raises(PlannerError, match=r"^there is no planner '.*'; there are 'grammar' .* 'openai:MODEL' .*"):
        load_planner(name)


@pytest.mark.parametrize("kind", ["openai", "vllm", "transformers"])
@pytest.mark.parametrize("name", ["{}", "{}:", " {}: "])
def test_a_language_model_must_be_named(kind, name):
    with pytest.raises(PlannerError, match=rf"names no model; it is written {kind}:MODEL$"):
        load_planner(name.format(kind))


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
        ("grammar", {"toolset": "tcp"}, "there is no toolset 'tcp'; there are 'workspace' and 'paper'"),
        (
            "openai:m",
            {"colour": "red"},
            "planner 'openai' has no option 'colour'; its options are: toolset, image_side",
        ),
        ("openai:m", {"toolset": "tcp"}, "there is no toolset 'tcp'; there are 'workspace' and 'paper'"),
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
    program = "import sys; sys.modules['vllm'] = None; from agent.planners.loading import load_planner; load_planner('vllm:some-model')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "PlannerError: vllm is not installed; install it with: uv sync --inexact --extra vllm" in done.stderr


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
