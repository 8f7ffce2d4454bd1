"""CVAT's command line in an environment of its own, and the file that says what came out. README.md tells more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.own_environments import keep_result, skip_elsewhere

HERE = Path(__file__).parent
TOLD = ("cvat-cli", "cvat-sdk", "torch", "sam3-agent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here runs in an environment of its own only."""
    skip_elsewhere(items, HERE, "cvat-cli", tool="cvat-cli", target="test-cvat")


@pytest.fixture(scope="session")
def result(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the job found, by part."""
    yield from keep_result(request, HERE / "result.json", TOLD)
