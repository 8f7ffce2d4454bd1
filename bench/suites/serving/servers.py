"""Servers in processes of their own, and what these use of the machine. Linux only."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

START_SECONDS = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    url: str
    process: "subprocess.Popen[str]"

    def read_processor_seconds(self) -> float:
        """Return the processor time that the server has used so far, all of its processes together."""
        return sum(_read_ticks(pid) for pid in _list_family(self.process.pid)) / _TICKS

    def read_resident_mib(self) -> float:
        """Return the memory that the server holds, all of its processes together."""
        return sum(_read_resident_kib(pid) for pid in _list_family(self.process.pid)) / 1024


@contextmanager
def start_scripted() -> Iterator[Server]:
    """Start a server whose SAM 3 costs nothing."""
    with _start_server([sys.executable, "-m", "bench.suites.serving.scripted"]) as server:
        yield server


@contextmanager
def start_embedded(*words: str) -> Iterator[Server]:
    """Start `sam3-agent serve` with the embedded checkpoint on one thread for each process.

    Args:
        words: Further options of the command.
    """
    program = "from agent.cli.main import main; main()"
    with _start_server([sys.executable, "-c", program, "serve", "--port", "0", *words]) as server:
        yield server


@contextmanager
def _start_server(command: list[str]) -> Iterator[Server]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split(" ")[0].strip()
            _wait_until_ready(url, process)
            yield Server(url, process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(url: str, process: "subprocess.Popen[str]") -> None:
    """Wait until the server answers. Raises OSError if it does not."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx2.get(f"{url}/ready").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise OSError(f"the server at {url!r} ended, or was not ready within {START_SECONDS:.0f} s; see above")


def _list_family(pid: int) -> list[int]:
    """Return a process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in _list_family(int(child)))]


def _read_ticks(pid: int) -> int:
    """Return the ticks that a process has used in user and in system mode; see proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _read_resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
