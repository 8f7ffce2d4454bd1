"""The time from a cold process to the first answer: `sam3-agent bench start`."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.harness.tables import Cell, Table
from sam3_tool.system.interruptions import defer_interruptions

SCENE = Path(__file__).parents[2] / "examples" / "scene.png"
PROGRAM = (sys.executable, "-c", "from agent.cli.main import main; main()")
LIBRARIES = "import gc; gc.disable(); import torch, transformers.models.sam3.modeling_sam3; gc.freeze()"
"""The imports that any program over these libraries needs, without garbage collection, as in ours."""


def measure_start(*, rounds: int = 5) -> list[Table]:
    """Measure whole processes: seconds by the clock and of processor time, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        commands: dict[str, Sequence[str]] = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "import agent": (sys.executable, "-c", "import agent"),
            "import agent, with all its names": (sys.executable, "-c", "from agent import *"),
            "sam3-agent --help": (*PROGRAM, "--help"),
            "sam3-agent segment, embedded SAM 3": (*PROGRAM, "segment", str(SCENE), "the watermelons", "--out", folder),
            "of that, import of PyTorch and transformers": (sys.executable, "-c", LIBRARIES),
        }
        rows = [_measure_command(name, command, rounds) for name, command in commands.items()]
    import torch  # only now: what a process has in memory counts for those it starts

    from bench.harness.machine import describe_device

    about: dict[str, Cell] = {"device": describe_device(torch.device("cpu")), "cores": os.cpu_count(), "rounds": rounds}
    columns = ("command", "seconds", "slowest", "processor seconds", "peak, MiB")
    return [Table("start", "From a cold process", columns, rows, about)]


def _measure_command(name: str, command: Sequence[str], rounds: int) -> Sequence[Cell]:
    runs = [_time_process(command) for _ in range(rounds + 1)][1:]  # the first fills the file cache
    clock, processor, memory = zip(*runs, strict=True)
    return name, statistics.median(clock), max(clock), statistics.median(processor), max(memory)


def _time_process(command: Sequence[str]) -> tuple[float, float, float]:
    """Seconds by the clock and of processor time, and the peak of memory in MiB."""
    started = time.perf_counter()
    # with byte code, as a user's Python keeps it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = None
    try:
        with defer_interruptions():  # one that came in the middle would leave a process that nobody knows
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:  # an interruption leaves nothing running
        if process is not None:
            process.kill()
            process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024  # KiB on Linux
