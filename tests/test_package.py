"""The built wheel in an environment of its own, with a package beside it that adds one part of each kind."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.support.program import run_program

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "examples" / "plugin"
PACKAGES = ("agent", "annotate", "bench", "demo", "engine", "evals", "prompts", "sam3_tool", "serve")
RED = "d62628"
SLOW_TO_READ = ("torch", "torchvision", "transformers", "openai", "scipy", "rich", "huggingface_hub", "prompt_toolkit")
"""For mypy."""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def find_uv() -> str:
    uv = shutil.which("uv") or shutil.which(str(ROOT / ".tools" / "bin" / "uv"))
    if uv is None:
        pytest.skip("uv is not installed")
    return uv


def call(*command: str | Path, cwd: Path = ROOT) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    call(find_uv(), "build", "--wheel", "--quiet", "--out-dir", folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, the plugin, and the locked versions of what they need; nothing else."""
    uv, folder = find_uv(), tmp_path_factory.mktemp("environment")
    locked = call(uv, "export", "--quiet", "--locked", "--no-hashes", "--no-emit-project", "--all-extras")
    (folder / "constraints.txt").write_text(locked, encoding="utf-8")
    call(uv, "venv", "--quiet", "--python", sys.executable, folder / "env")
    python = folder / "env" / "bin" / "python"
    call(uv, "pip", "install", "--quiet", "--python", python, "-c", folder / "constraints.txt", wheel, PLUGIN)
    share_bytecode(folder / "env")
    return folder / "env"


def share_bytecode(environment: Path) -> None:
    """Copy the byte code of this environment's libraries; Python takes it where the source is the same file.

    Without it the first start compiles all of torch, which takes half a minute.
    """
    ours, theirs = Path(sysconfig.get_path("purelib")), next(environment.glob("lib/python*/site-packages"))
    for package in filter(Path.is_dir, theirs.iterdir()):
        for cache in (ours / package.name).rglob("__pycache__"):
            target = theirs / cache.relative_to(ours)
            if target.parent.is_dir() and not target.exists():
                shutil.copytree(cache, target, copy_function=link_or_copy)


def link_or_copy(source: str, target: str) -> None:
    """Make the same file appear at another place: as itself where both are on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The whole environment of the installed command, with a home that is empty."""
    home = tmp_path_factory.mktemp("home")
    return {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(environment: Path, variables: dict[str, str], tmp_path: Path) -> Run:
    """Runs what is installed in an empty folder: forked from one process of its Python."""
    return partial(run_program, cwd=tmp_path, env=variables, python=environment / "bin" / "python")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Two red squares and a blue one."""
    pixels = np.full((60, 100, 3), 208, np.uint8)
    pixels[10:30, 10:30] = pixels[10:50, 50:90] = (214, 38, 40)
    pixels[40:55, 10:25] = (44, 84, 214)
    PIL.Image.fromarray(pixels).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_the_wheel_holds_code_prompts_and_the_embedded_checkpoint_only(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in names} == set(PACKAGES)
    assert "sam3_tool/tiny/model.safetensors" in names
    assert [package for package in PACKAGES if f"{package}/py.typed" not in names] == []
    assert [name for name in names if "/results/" in name or "training-log" in name or "training-curve" in name] == []


def test_the_wheel_alone_answers_with_the_embedded_checkpoint(
    environment: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "examples" / "scene.png", tmp_path / "example.png")
    words = ("segment", "example.png", "the largest watermelon", "--out", "out", "--json")
    program = (str(environment / "bin" / "sam3-agent"), *words)  # itself, as a user starts it
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "answered"
    assert (tmp_path / "out" / "overlay.png").is_file()


def test_a_foreign_planner_tool_backend_and_exporter_work_from_the_command_line(
    run: Run, scene: Path, tmp_path: Path
) -> None:
    words = ("--planner", "mine:square", "--toolset", "workspace+mine", "--sam3", f"mine:{RED}", "--export", "mine")
    done = run("segment", scene, "all squares", *words, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "#d62628" in done.stdout
    episode = json.loads((tmp_path / "out" / "episode.json").read_text(encoding="utf-8"))
    assert [step["decision"]["tool"] for step in episode["steps"]] == ["segment", "measure_color", "answer"]
    (boxes,) = (tmp_path / "out").glob("*.boxes.csv")
    assert boxes.read_text(encoding="utf-8").splitlines()[1:] == [
        "square,50.0,10.0,90.0,50.0",
        "square,10.0,10.0,30.0,30.0",
    ]


def test_a_foreign_chat_model_plans_over_a_foreign_backend(run: Run, scene: Path) -> None:
    done = run("segment", scene, "a red square", "--planner", "mine-chat:square", "--sam3", f"mine:{RED}", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["outcome"], len(result["masks"])) == ("answered", 1)


def test_a_foreign_dataset_is_run_and_scored(run: Run, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    scene.rename(tmp_path / "data" / "red-square.png")
    target = np.zeros((60, 100), np.uint8)
    target[10:30, 10:30] = target[10:50, 50:90] = 255
    PIL.Image.fromarray(target).save(tmp_path / "data" / "red-square.mask.png")
    words = ("--data", "data", "--planner", "mine:square", "--sam3", f"mine:{RED}", "--out", "run", "--pages", "0")
    done = run("eval", "run", "mine", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))["metrics"]["iou"] == 1.0


def test_a_foreign_command_answers_and_reports_bad_input_in_one_line(run: Run, scene: Path) -> None:
    done = run("mine", scene, "red square", "--sam3", f"mine:{RED}")
    assert (done.returncode, done.stdout) == (0, "2 of 'red square': 33.3% of the image\n"), done.stderr
    refused = run("mine", "gone.png", "red square", "--sam3", f"mine:{RED}")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused.stderr
    assert "gone.png" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--planner", "yours:x"), "there is no planner 'yours"),
        (("--sam3", "mine:pink"), "takes a colour such as mine:d62628, got 'pink'"),
        (("--toolset", "workspace+yours"), "there is no tool 'yours'"),
        (("--export", "yours"), "yours"),
    ],
)
def test_a_part_that_is_not_there_is_one_line(run: Run, scene: Path, words: tuple[str, ...], said: str) -> None:
    done = run("segment", scene, "square", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_the_plugin_sees_real_types(environment: Path, tmp_path: Path) -> None:
    """From outside the tree, `mypy --strict` checks a program against the installed package, and nothing is Any."""
    program = (
        "from agent import GrammarPlanner, Task, run\n"
        "from sam3_tool import Image, Sam3\n"
        "sam3 = Sam3.load('tiny')\n"
        "image = Image.open('scene.png')\n"
        "reveal_type(sam3.segment(image, 'cup').masks)\n"
        "reveal_type(run(Task(image, 'cups'), GrammarPlanner(), sam3).answer)\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    # what these libraries know of types is not the question, and reading them takes minutes
    skipped = ",".join(f"{name}.*" for name in SLOW_TO_READ)
    settings = (
        f"[mypy]\nstrict = true\n[mypy-{skipped}]\nfollow_imports = skip\n[mypy-cv2.*]\nignore_missing_imports = true\n"
    )
    (tmp_path / "mypy.ini").write_text(settings, encoding="utf-8")
    options = ("--python-executable", environment / "bin" / "python", "--cache-dir", os.devnull)
    told = call(sys.executable, "-m", "mypy", *options, "program.py", PLUGIN / "mine", cwd=tmp_path)
    assert 'Revealed type is "sam3_tool.instances.Instances"' in told
    assert "numpy.ndarray" in told
    assert "Success: no issues found" in told
