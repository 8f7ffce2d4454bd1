"""How long it takes from a cold process to the first answer: `sam3-agent bench start`."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.machine import described
from bench.tables import Cell, Table

SCENE = Path(__file__).parent.parent / "examples" / "scene.png"
PROGRAM = (sys.executable, "-c", "from agent.cli import main; main()")


def measure(*, rounds: int = 5) -> list[Table]:
    """Seconds by the clock and of processor time, of whole processes."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        commands: dict[str, Sequence[str]] = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "import agent": (sys.executable, "-c", "import agent"),
            "import agent, with all its names": (sys.executable, "-c", "from agent import *"),
            "sam3-agent --help": (*PROGRAM, "--help"),
            "sam3-agent segment, embedded SAM 3": (*PROGRAM, "segment", str(SCENE), "the watermelons", "--out", folder),
        }
        rows = [_row(name, command, rounds) for name, command in commands.items()]
    about: dict[str, Cell] = {"device": described(torch.device("cpu")), "cores": os.cpu_count(), "rounds": rounds}
    return [Table("start", "From a cold process", ("command", "seconds", "slowest", "processor seconds"), rows, about)]


def _row(name: str, command: Sequence[str], rounds: int) -> Sequence[Cell]:
    runs = [_run(command) for _ in range(rounds + 1)][1:]  # the first fills the file cache
    clock, processor = zip(*runs, strict=True)
    return name, statistics.median(clock), max(clock), statistics.median(processor)


def _run(command: Sequence[str]) -> tuple[float, float]:
    started, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True)
    took, after = time.perf_counter() - started, os.times()
    return took, after.children_user + after.children_system - before.children_user - before.children_system
