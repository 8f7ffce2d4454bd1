"""The official trainer's loaders and the official evaluator, and the file that says what they read; see README.md."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.engine.exports.conftest import builder, judged
from tests.support.own_environments import skip_elsewhere

__all__ = ["builder", "judged"]  # fixtures

HERE = Path(__file__).parent
RESULT = HERE / "result.json"
READ = ("sam3", "torch", "sam3-agent")


def pytest_collection_modifyitems(items):
    """What is here runs in an environment of its own only."""
    skip_elsewhere(items, HERE, "sam3", tool="Meta's sam3", target="test-trainer")


@pytest.fixture(scope="session")
def result(request):
    """What the job finds, into what it found before. Written down when all tests of a file were run and passed."""
    found = json.loads(RESULT.read_text(encoding="utf-8")) | {"versions": {name: version(name) for name in READ}}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
