"""Tests that run in an environment of their own, with another tool, and the file that says what came out of them."""

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest


def skip_elsewhere(items: Iterable[pytest.Item], folder: Path, package: str, *, tool: str, target: str) -> None:
    """Skip the tests of a folder where a package is not installed; where it is, its warnings are its own matter.

    Args:
        items: All tests.
        folder: The folder of the tests.
        package: The package without which they cannot run.
        tool: What to call it.
        target: The target of make that has it.
    """
    ours = [item for item in items if folder in item.path.parents]
    try:
        version(package)
    except PackageNotFoundError:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=f"needs {tool} in an environment of its own: make {target}"))
    for item in ours:
        item.add_marker(pytest.mark.filterwarnings("default"))


def keep_result(request: pytest.FixtureRequest, path: Path, packages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield what tests put their findings into. It is written down when every test was run and passed.

    Args:
        request: Of the fixture of the session.
        path: Of the JSON file.
        packages: Whose versions are written down, too.
    """
    found: dict[str, Any] = {"versions": {name: version(name) for name in packages}}
    yield found
    if not request.session.testsfailed and not request.config.option.keyword:
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
