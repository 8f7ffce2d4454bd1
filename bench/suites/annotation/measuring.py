"""What a run over many images costs beside SAM 3, and whether it loses one: `sam3-agent bench annotate`.

Each run is a process of its own with workers of its own, as a user starts it (`program`). Where the cost of the program
itself is measured, SAM 3 is scripted, finds nothing and takes no time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL.Image
import torch

from agent.core.errors import UsageError
from annotate.plan import PLAN_FILE, Plan
from annotate.shards import ShardFolder, read_shard
from bench.harness.machine import describe_device
from bench.harness.tables import Cell, Table
from bench.suites.annotation.program import SCRIPTED
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

GROWTH = (100, 10_000, 1_000_000)
WORKERS = (1, 2, 4, 8)
SIZE = (480, 360)
"""Width and height of the images that are read from files."""
SCENES = 50
"""Different images; the files after them hold the same again."""
REAL_PHRASES = ("circle", "red square", "apple", "star")
KILLS = 5
LEAST_IMAGES = 10_000
"""From there on what one more costs is told: with fewer, the start of two processes hides it."""
POLL_INTERVAL = 0.02


def measure_annotation(
    *,
    growth: Sequence[int] = GROWTH,
    files: int = 2000,
    workers: Sequence[int] = WORKERS,
    real: int = 240,
    killed: int = 10_000,
) -> Iterator[Table]:
    """Yield each table: own cost by number, own cost with decoding, workers, and kills.

    Args:
        growth: Numbers of images that take no time to read.
        files: JPEG files that are read for the cost with decoding.
        workers: Numbers of processes.
        real: JPEG files that the embedded checkpoint answers with each number of processes.
        killed: JPEG files of the run that is killed.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder)
        yield measure_numbers(root, growth)
        yield measure_decoding(write_scenes(root / "files", files), root)
        yield measure_workers(write_scenes(root / "real", real), root, workers)
        yield measure_kills(write_scenes(root / "killed", killed, size=(160, 120)), root)


def measure_numbers(root: Path, numbers: Sequence[int]) -> Table:
    """Measure the program's own cost for so many images, none of which takes time to read."""
    started = _add_processor_seconds(run_program(root, "1"))
    rows: list[tuple[Cell, ...]] = []
    for number in numbers:
        took = run_program(root, str(number))
        spent = _add_processor_seconds(took)
        more = 1000 * (spent - started) / number if number >= LEAST_IMAGES else None
        rows.append((number, 1000 * spent / number, more, took["seconds"], took["parent_mib"], took["worker_mib"]))
    columns = ("images", "each, ms", "one more, ms", "by the clock, s", "the run, MiB", "its worker, MiB")
    about = {**describe_conditions(), "start, s of processor": started}
    title = "Own cost of a run whose images take no time to read, in processor time"
    return Table("annotate-growth", title, columns, rows, about)


def measure_decoding(source: Path, root: Path) -> Table:
    """Measure the program's own cost with reading and decoding files."""
    started = _add_processor_seconds(run_program(root, "1"))
    took = run_program(root, str(source))
    working = _add_processor_seconds(took) - started
    row = (took["images"], 1000 * working / took["images"], took["seconds"], took["parent_mib"], took["worker_mib"])
    columns = ("images", "one more, ms", "by the clock, s", "the run, MiB", "its worker, MiB")
    about = {**describe_conditions(), "files": f"JPEG, {SIZE[0]} x {SIZE[1]}"}
    return Table("annotate-decoding", "Own cost with reading and decoding", columns, [row], about)


def measure_workers(source: Path, root: Path, numbers: Sequence[int]) -> Table:
    """Measure the embedded checkpoint's throughput with so many processes of one thread each."""
    rows: list[tuple[Cell, ...]] = []
    for number in numbers:
        load = os.getloadavg()[0]
        # as many shards as the most workers need, and each of a size that all runs have
        took = run_program(
            root,
            str(source),
            sam3="tiny",
            phrases=REAL_PHRASES,
            workers=number,
            shard=max(1, count_files(source) // 24),
        )
        rate = took["rate"]
        rows.append((number, rate, rate / float(rows[0][1]) if rows else 1.0, took["seconds"], load))  # type: ignore[arg-type]
    columns = ("workers", "images a second", "of one worker", "by the clock, s", "load before")
    about = {**describe_conditions(), "phrases": len(REAL_PHRASES), "cores": os.cpu_count()}
    return Table("annotate-workers", "Embedded checkpoint, one thread in each worker", columns, rows, about)


def measure_kills(source: Path, root: Path, *, kills: int = KILLS) -> Table:
    """Kill a run, its workers, or both, again and again; count what is lost, and what is there twice."""
    out = root / "killed-out"
    killed = Counter[str]()
    targets = cycle(("a worker", "the run", "everything"))
    number = count_files(source)
    for kill in range(kills):
        program = start_program(out, str(source), workers=2)
        _wait_for_shards(program, out, (kill + 1) / (kills + 2))
        target = next(targets)
        if not kill_target(program, target):
            raise UsageError(f"the run over {number:,} images ended before it could be killed; take more, e.g. 10000")
        killed[target] += 1
    run_program(root, str(source), out=out, workers=2)
    images = Counter(rows[0].index for path in sorted((out / "shards").iterdir()) for rows in read_shard(path))
    lost, twice = len(set(range(number)) - images.keys()), sum(count > 1 for count in images.values())
    torn = sum(not path.name.startswith("shard-") for path in (out / "shards").iterdir())
    columns = (
        "images",
        *(f"kills of {target}" for target in ("a worker", "the run", "everything")),
        "lost",
        "twice",
        "torn files",
    )
    row = (number, killed["a worker"], killed["the run"], killed["everything"], lost, twice, torn)
    return Table("annotate-kills", "A run that is ended by kill -9", columns, [row], describe_conditions())


def kill_target(program: "subprocess.Popen[str]", target: str) -> bool:
    """Kill -9 one of the workers, the run alone, or the run with all of its workers; return False if it has ended."""
    if target == "a worker" and (worker := _find_worker(program)) is not None:
        os.kill(worker, signal.SIGKILL)
        time.sleep(1)  # it is found, and its shard is cut
    is_running = program.poll() is None
    if target == "the run":
        program.kill()
    else:
        with suppress(ProcessLookupError):  # all of it has ended
            os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    return is_running


def _find_worker(program: "subprocess.Popen[str]") -> int | None:
    """Wait for a worker of the run, and return its number; None if the run ends before."""
    while program.poll() is None:
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text(encoding="utf-8").split()
        if children:
            return int(children[-1])
        time.sleep(POLL_INTERVAL)
    return None


def _wait_for_shards(program: "subprocess.Popen[str]", out: Path, share: float) -> None:
    """Wait until such a share of the shards is done, or the run has ended."""
    while program.poll() is None:
        if (out / PLAN_FILE).exists() and len(ShardFolder(out).find_done()) >= share * Plan.load(out).shards:
            return
        time.sleep(POLL_INTERVAL)


def start_program(out: Path, source: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a run as the leader of a group of processes. The options are those of `run_job`."""
    asked = {"sam3": SCRIPTED, "phrases": ["cup"], "workers": 1, "shard": None, "batch": 8, **options}
    words = json.dumps({"source": source, "out": str(out), **asked})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.suites.annotation.program", words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )


def run_program(root: Path, source: str, *, out: Path | None = None, **options: Any) -> dict[str, Any]:
    """Run to its end; return what it took. A folder of results that is not named is a temporary one."""
    with TemporaryDirectory(dir=root) as folder:
        program = start_program(out or Path(folder), source, **options)
        try:
            printed, _ = program.communicate()
        finally:
            if program.poll() is None:  # interrupted: it is in a session of its own, which no Ctrl-C reaches
                os.killpg(program.pid, signal.SIGKILL)
    if program.returncode:
        raise RuntimeError(f"the run ended with exit code {program.returncode}")
    took: dict[str, Any] = json.loads(printed)
    return took


def write_scenes(folder: Path, number: int, *, size: tuple[int, int] = SIZE) -> Path:
    """Write so many JPEG files of generated scenes."""
    folder.mkdir()
    scenes = []
    for index in range(min(number, SCENES)):
        path = folder / f"{index:06d}.jpg"
        PIL.Image.fromarray(np.asarray(draw_scene(HELD_OUT + index, size=size).pixels)).save(path, quality=88)
        scenes.append(path.read_bytes())
    for index in range(len(scenes), number):
        (folder / f"{index:06d}.jpg").write_bytes(scenes[index % SCENES])
    return folder


def count_files(folder: Path) -> int:
    """Return how many files a folder holds."""
    return sum(1 for _ in folder.iterdir())


def describe_conditions() -> dict[str, Cell]:
    """Return what a reader of the numbers has to know."""
    torch.set_num_threads(1)
    return {"device": describe_device(torch.device("cpu"))}


def _add_processor_seconds(took: dict[str, Any]) -> float:
    return float(took["parent"] + took["workers"])
