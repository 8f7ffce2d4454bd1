"""The training log: one line of JSON for every few steps."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)


def log_steps(folder: Path, recent: Sequence[dict[str, float]], *, step: int, seconds: float, rate: float) -> None:
    """Log the mean of each loss over the steps that had it. `seconds`: per step; `rate`: share of the full rate."""
    names = sorted({name for losses in recent for name in losses})
    values_by_name = {name: [losses[name] for losses in recent if name in losses] for name in names}
    means = {name: round(sum(values) / len(values), 4) for name, values in values_by_name.items()}
    line = {"step": step, "seconds_per_step": round(seconds, 3), "rate": round(rate, 4)} | means
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    logger.info("%s", " ".join(f"{name} {value}" for name, value in line.items()))
