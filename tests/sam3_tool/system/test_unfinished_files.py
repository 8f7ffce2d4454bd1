"""What killed processes left is removed by the next one, and what a living one is writing is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sam3_tool.system.files import write_atomically
from sam3_tool.system.interruptions import defer_interruptions
from sam3_tool.system.unfinished_files import FOREIGN_AGE, clear_leftovers, make_unfinished_folder

WRITER = """
import sys
from pathlib import Path
from sam3_tool.system.unfinished_files import build_unfinished_path, hold_file, make_unfinished_folder

folder = Path(sys.argv[1])
with make_unfinished_folder(folder) as stage, hold_file(build_unfinished_path(folder)):
    (stage / "half.png").touch()
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writing(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is in the middle of writing a folder and a file."""
    words = [sys.executable, "-c", WRITER, str(folder)]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=there) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_living_process_writes_stays_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    with writing(tmp_path) as process:
        held = list_names(tmp_path)
        assert len(held) == 3
        clear_leftovers(tmp_path)
        assert list_names(tmp_path) == held
        process.kill()
    assert list_names(tmp_path) == held
    write_atomically(tmp_path / "talk.json", b"{}")
    assert list_names(tmp_path) == ["talk.json"]


def test_what_this_process_writes_in_another_thread_stays(tmp_path: Path) -> None:
    with make_unfinished_folder(tmp_path) as first, make_unfinished_folder(tmp_path) as second:
        (first / "a").touch()
        write_atomically(tmp_path / "b", b"")
        assert first.is_dir()
        assert second.is_dir()
    assert list_names(tmp_path) == ["b"]


@pytest.mark.parametrize(
    ("name", "is_left"),
    [
        (".unfinished-01234567-0123456789abcdef", False),
        (".unfinished-01234567-0123456789abcdef.lock", False),
        (".unfinished-business", True),
        (".unfinished-projects.lock", True),
    ],
)
def test_what_another_machine_left_goes_once_it_is_old_and_what_is_not_ours_never(name, is_left, tmp_path) -> None:
    path = tmp_path / name
    path.write_text("x")
    clear_leftovers(tmp_path)
    assert path.exists()
    old = time.time() - FOREIGN_AGE - 60
    os.utime(path, (old, old))
    clear_leftovers(tmp_path)
    assert path.exists() == is_left


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").touch()
    link = tmp_path / ".unfinished-01234567-0123456789abcdef"
    link.symlink_to(tmp_path / "mine")
    clear_leftovers(tmp_path)
    assert (tmp_path / "mine" / "a.txt").exists()


def save_while_interrupted(done: list[str], *, fail: bool) -> None:
    with defer_interruptions():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        if fail:
            raise OSError("no room")
        done.append("saved")


@pytest.mark.parametrize("fail", [False, True])
def test_an_interruption_waits_until_the_block_has_ended_even_where_it_fails(fail: bool) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt) as raised:
        save_while_interrupted(done, fail=fail)
    assert done == ([] if fail else ["saved"])
    assert isinstance(raised.value.__context__, OSError) == fail
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
