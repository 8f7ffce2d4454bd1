"""CVAT's command line in an environment of its own, and the file that says what came out. README.md tells more."""

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RESULT = HERE / "result.json"
TOLD = ("cvat-cli", "cvat-sdk", "torch", "sam3-agent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here runs in an environment of its own only."""
    ours = [item for item in items if HERE in item.path.parents]
    try:
        version("cvat-cli")
    except PackageNotFoundError:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs cvat-cli in an environment of its own: make test-cvat"))
    for item in ours:
        item.add_marker(pytest.mark.filterwarnings("default"))  # of cvat-sdk and what it imports


@pytest.fixture(scope="session")
def result(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the job found, by part. Written down when every test here was run and passed."""
    found: dict[str, Any] = {"versions": {name: version(name) for name in TOLD}}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
