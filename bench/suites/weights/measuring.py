"""How long it takes to load SAM 3 of the published size, and how much memory: `sam3-agent bench load`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.harness.tables import Cell, Table

DTYPES = ("float32", "bfloat16")
_CHILD = """
import json, sys, time
from bench.harness.memory import measure_peak_mib
from sam3_tool import Sam3
import sam3_tool.backends.transformers.backend  # what a program over these libraries has in memory anyway
loaded = []
started = time.perf_counter()
peak = measure_peak_mib(lambda: loaded.append(Sam3.load(sys.argv[1], device="cpu", dtype=sys.argv[2])))
seconds = time.perf_counter() - started
parts = [loaded[0]._backend._model, loaded[0]._backend._tracker.model]
sizes = {weight.data_ptr(): weight.nbytes for part in parts for weight in (*part.parameters(), *part.buffers())}
print(json.dumps([seconds, peak, sum(sizes.values()) / 2**20]))
"""


def measure_load(*, dtypes: Sequence[str] = DTYPES, folder: Path | None = None) -> list[Table]:
    """Measure a process each: seconds by the clock, and the peak of memory beside that of the weights.

    Args:
        dtypes: In which formats SAM 3 is loaded on the CPU.
        folder: Where the files are written, or were written before: 7 GB. Default: a temporary folder.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        _write_files(place)
        paths = {"sam3.pt": place / "native" / "sam3.pt", "folder with safetensors": place / "converted"}
        rows = [_measure_process(name, path, dtype) for name, path in paths.items() for dtype in dtypes]
    import torch  # only now: what a process has in memory counts for those it starts

    from bench.harness.machine import describe_device

    columns = ("files", "format", "seconds", "weights, MiB", "peak, MiB", "peak / weights")
    about: dict[str, Cell] = {"device": describe_device(torch.device("cpu")), "files": "random, in the file cache"}
    return [Table("load", "Loading SAM 3 of the published size", columns, rows, about)]


def _write_files(place: Path) -> None:
    """Write `native/sam3.pt` and `converted/`, if they are not there, in a process whose memory ends with it."""
    if (place / "converted" / "preprocessor_config.json").exists():
        return
    for name in ("native", "converted"):
        (place / name).mkdir(parents=True, exist_ok=True)
    program = (
        "import sys; from pathlib import Path; from bench.suites.weights.files import *; place = Path(sys.argv[1]); "
        "write_converted_folder(write_native_file(place / 'native'), place / 'converted')"
    )
    subprocess.run((sys.executable, "-c", program, str(place)), check=True, stdout=subprocess.DEVNULL)


def _measure_process(name: str, path: Path, dtype: str) -> Sequence[Cell]:
    command = (sys.executable, "-c", _CHILD, str(path), dtype)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak, weights = json.loads(said.splitlines()[-1])
    return name, dtype, seconds, weights, peak, peak and peak / weights
