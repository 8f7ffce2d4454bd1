"""The program ends with its own exit code, whatever its threads do then."""

import subprocess
import sys

import pytest

WORKING = """
import sys, threading
import torch
from agent.cli.terminal.ending import end_at_once

def work():
    rows = torch.rand(200, 200)
    while True:
        rows = (rows @ rows).clamp(0, 1)

for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
print("begun")
with end_at_once():
    raise SystemExit({code})
"""


@pytest.mark.parametrize(("code", "expected"), [("3", 3), ("None", 0), ("'what is wrong'", 1)])
def test_a_thread_in_pytorch_does_not_change_how_the_program_ends(code, expected):
    done = subprocess.run([sys.executable, "-c", WORKING.format(code=code)], capture_output=True, text=True)
    assert done.stdout == "begun\n"
    if expected != 1:
        assert (done.returncode, done.stderr) == (expected, "")
    else:  # Python says it, and its threads may then bring the process down
        assert done.stderr.startswith("what is wrong\n")


CLEANING = """
import atexit, tempfile, threading, time
atexit.register(print, "what was registered first")
from agent.cli.terminal.ending import end_at_once

folder = tempfile.TemporaryDirectory()
atexit.register(print, "what was registered later")
threading.Thread(target=lambda: (time.sleep(0.1), print("a thread"))).start()
with end_at_once():
    raise SystemExit(5)
"""


def test_what_cleans_up_has_run_before(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CLEANING], capture_output=True, text=True, env={"TMPDIR": str(tmp_path)}, cwd=sys.path[0]
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        5,
        ["a thread", "what was registered later", "what was registered first"],
    )
    assert list(tmp_path.iterdir()) == []
