"""The official trainer's loaders and the official evaluator, and the file that says what they read; see README.md."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.engine.exports.conftest import builder, judged

__all__ = ["builder", "judged"]  # fixtures

HERE = Path(__file__).parent
RESULT = HERE / "result.json"
READ = ("sam3", "torch", "sam3-agent")


def pytest_collection_modifyitems(items):
    """What is here runs in an environment of its own only."""
    ours = [item for item in items if HERE in item.path.parents]
    try:
        version("sam3")
    except PackageNotFoundError:
        for item in ours:
            item.add_marker(
                pytest.mark.skip(reason="needs Meta's sam3 in an environment of its own: make test-trainer")
            )
    for item in ours:
        # of sam3 and what it imports
        item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def result(request):
    """What the job finds, into what it found before. Written down when all tests of a file were run and passed."""
    found = json.loads(RESULT.read_text(encoding="utf-8")) | {"versions": {name: version(name) for name in READ}}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
