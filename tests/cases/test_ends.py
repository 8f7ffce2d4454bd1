"""Ends, writing, homes and paths: what strangers' terminals, disks, containers and shells do to the program."""

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.conversation.conversation import Conversation
from agent.report.output_folder import ANSWER_FILES
from tests.support.program import run_program, start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

CASES = Path(__file__).parent
SCENE = CASES.parents[1] / "examples" / "scene.png"
INSTALLED = [sys.executable, "-c", "from agent.cli.main import main; main()"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The current folder, with the picture of the case in it."""
    shutil.copy(CASES / getattr(request, "param", "sigterm") / "a.png", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(CASES.parents[1]), os.environ.get("PYTHONPATH")]))
    )
    return tmp_path


def end_while_working(number: int) -> tuple[int, str]:
    """Exit code and stderr of a command that gets this signal once its output folder is there."""
    process = start_program("segment", "a.png", "circle", "--out", "o")
    while not list(Path().glob("o/.unfinished-*[0-9a-f]")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    printed, told = process.communicate()
    assert printed == ""
    return process.returncode, told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_sigterm_and_sighup_end_as_ctrl_c_does(here: Path, number: int, code: int) -> None:
    assert end_while_working(number) == (code, f"ended by {signal.Signals(number).name}; nothing was written\n")
    assert not Path("o").exists()


def test_what_a_killed_run_left_is_removed_by_the_next(here: Path) -> None:
    assert end_while_working(signal.SIGKILL) == (-signal.SIGKILL, "")
    assert list(Path("o").glob(".unfinished-*")), "nobody can do anything about a kill at once"
    done = CliRunner().invoke(app, ["segment", "a.png", "circle", "--out", "o"])
    assert done.exit_code == 0
    assert {path.name for path in Path("o").iterdir()} == set(ANSWER_FILES)


def test_ctrl_c_twice_saves_or_says_that_it_did_not(here: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), np.uint8)
    PIL.Image.fromarray(noise).save("big.png")
    chat = start_program("chat", "big.png", "--out", "o", "--save", "talk.json", stdin=subprocess.PIPE)
    assert chat.stdin is not None
    assert chat.stdout is not None
    print("circle", file=chat.stdin, flush=True)
    assert chat.stdout.readline().startswith("Nothing in the picture")
    for _ in range(2):
        chat.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, told = chat.communicate()
    kept = "the conversation is in talk.json" if Path("talk.json").exists() else "nothing was saved"
    assert (chat.returncode, told) == (130, f"interrupted; {kept}\n")
    if Path("talk.json").exists():
        assert len(Conversation.open("talk.json").turns) == 1
    assert not list(here.rglob(".unfinished-*"))


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may have more than 20 KiB: what a full disk is, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 * 2**10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_a_chat_goes_on_and_a_query_is_one_line(here: Path, no_room: None) -> None:
    talk = [word for line in ("the banana", "the watermelons too") for word in ("--say", line)]
    done = CliRunner().invoke(app, ["chat", str(SCENE), *talk, "--out", "d/o"])
    assert (done.exit_code, done.stderr) == (1, "")
    first, error, second, again = done.stdout.splitlines()
    assert first.startswith("1 mask: 'banana'.")
    assert second.startswith("Added 4 to the banana")
    assert error == again == "error: cannot write into d/o: File too large"
    done = CliRunner().invoke(app, ["segment", str(SCENE), "the banana", "--out", "d/o"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: cannot write into d/o: File too large\n"
    assert not Path("d").exists()


@pytest.mark.parametrize("here", ["stdout"], indirect=True)
def test_an_answer_that_cannot_be_printed_is_one_line(here: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_program("segment", "a.png", "circle", "--out", "o", "--json", stdout=full)
    assert (done.returncode, done.stderr) == (1, "error: cannot write to standard output: No space left on device\n")
    assert {path.name for path in Path("o").iterdir()} == set(ANSWER_FILES)


@pytest.mark.parametrize("here", ["stdout-not-utf8"], indirect=True)
def test_json_is_json_in_any_encoding(here: Path) -> None:
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = run_program("segment", "a.png", "circle 🍌", "--out", "o", "--json", env=latin, text=False)
    assert json.loads(done.stdout.decode("latin-1"))["query"] == "circle 🍌"


CONTAINER_USER = ["unshare", "-U", "--map-user=12345", "--map-group=12345", "env", "-u", "HOME"]
can_be_nobody = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*CONTAINER_USER, "true"], capture_output=True).returncode != 0,
    reason="no user namespaces here",
)


@can_be_nobody
@pytest.mark.parametrize("here", ["container-user"], indirect=True)
def test_a_chat_starts_for_a_user_without_a_home(here: Path) -> None:
    ours, theirs = pty.openpty()
    here.chmod(0o777)
    words = [*CONTAINER_USER, "-u", "XDG_STATE_HOME", "TERM=dumb", *INSTALLED, "chat", "a.png"]
    chat = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"> " not in seen:
        seen += os.read(ours, 4096)
    while chat.poll() is None:
        os.write(ours, b"\x04")
        time.sleep(0.3)
    os.close(ours)
    assert b"Traceback" not in seen
    assert chat.returncode == 0
    assert not Path("~").exists()


@can_be_nobody
@pytest.mark.parametrize("here", ["container-user"], indirect=True)
def test_a_checkpoint_of_the_hub_needs_a_home_or_hf_home(here: Path) -> None:
    words = [*CONTAINER_USER, "-u", "HF_HOME", *INSTALLED, "segment", "a.png", "circle", "--sam3", "facebook/sam3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "set HOME or HF_HOME to a folder that can be written" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("here", ["tilde-of-somebody"], indirect=True)
def test_the_home_of_nobody_is_one_line_and_the_conversation_goes_on(here: Path) -> None:
    done = CliRunner().invoke(app, ["chat", "a.png"], input="circle\n/open ~bob/x.png\ncircle\n")
    answer, error, again = done.stdout.splitlines()
    assert (done.exit_code, answer) == (1, again)
    assert error.startswith("error: '~bob/x.png': no user 'bob' is known")
    for words in (["--sam3", "~bob/x"], ["--planner", "transformers:~bob/x"], ["--planner", "replay:~bob/x"]):
        done = CliRunner().invoke(app, ["segment", "a.png", "circle", *words])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "no user 'bob' is known" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("here", ["tilde"], indirect=True)
def test_a_tilde_is_the_home_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    done = CliRunner().invoke(app, ["segment", "a.png", "circle", "--out=~/answers"])
    assert done.exit_code == 0
    assert {path.name for path in (here / "home" / "answers").iterdir()} == set(ANSWER_FILES)
    assert not Path("~").exists()


@pytest.mark.parametrize("here", ["empty"], indirect=True)
@pytest.mark.parametrize("words", [["a.png", "--out", ""], ["a.png", "--record", ""], [""]])
def test_an_empty_path_is_bad_input(here: Path, words: list[str]) -> None:
    done = CliRunner().invoke(app, ["segment", *words[:1], "circle", *words[1:]])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "the path is empty; is a variable not set?" in done.stderr
    assert [path.name for path in here.iterdir()] == ["a.png"]
