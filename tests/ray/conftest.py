"""What the tests with a real Ray share: what its processes read, and the file that holds what was measured."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULT = Path(__file__).with_name("result.json")
PATIENT = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # it would leave a token in the home folder; these nodes are on this machine alone
}
"""A busy machine starts Ray's own processes slowly."""

KeepPart = Callable[[str, dict[str, Any]], None]


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """What Ray's processes read."""
    before = dict(os.environ)
    os.environ.update(PATIENT, PYTHONPATH=str(ROOT))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def keep_part() -> KeepPart:
    """Write what one file of tests has measured into `result.json`, with the day, and leave the other parts alone."""

    def write_part(name: str, measured: dict[str, Any]) -> None:
        import ray

        parts = json.loads(RESULT.read_text(encoding="utf-8"))
        parts[name] = {"day": datetime.now(UTC).date().isoformat(), "ray": ray.__version__, **measured}
        RESULT.write_text(f"{json.dumps(parts, indent=1)}\n", encoding="utf-8")

    return write_part
