"""The repository keeps its own promises: versions, explained folders, no trace of anybody's machine."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work)/\w")


@cache
def our_files() -> tuple[Path, ...]:
    """Every file that is, or is about to be, under version control."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


def test_the_changelog_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == version


def test_the_citation_names_the_version_and_the_licence_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_every_folder_at_the_top_is_explained() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in our_files() if len(path.relative_to(ROOT).parts) > 1}
    architecture = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    assert {name for name in folders if not name.startswith(".") and f"`{name}/`" not in architecture} == set()


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    texts = {path: path.read_text(encoding="utf-8", errors="ignore") for path in our_files()}
    assert [path for path, text in texts.items() if MACHINE_PATH.search(text)] == []


def test_no_file_is_empty_but_for_packages() -> None:
    assert [
        path for path in our_files() if path.stat().st_size == 0 and path.name not in ("__init__.py", "py.typed")
    ] == []


def test_the_licence_is_apache_2() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_no_test_has_an_example_in_its_docstring() -> None:
    """Nobody looks for one there (conftest.py)."""
    mark = 3 * ">" + " "
    assert [path for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text(encoding="utf-8")] == []
