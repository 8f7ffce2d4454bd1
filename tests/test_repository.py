"""The repository keeps its own promises: version, file tree, no trace of anybody's machine."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work)/\w")


@cache
def our_files() -> tuple[Path, ...]:
    """Every file that is, or is about to be, under version control."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


def tree() -> dict[str, bool]:
    """Entries of the README's file tree, folders with a slash at the end -> whether the tree lists what is inside."""
    block = README[README.index("```text\nREADME.md") :].split("```")[1]
    entries: dict[str, bool] = {}
    parents: list[str] = []
    for line in block.splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        path = "".join(parents[:depth]) + line.split()[0]
        parents[depth:] = [line.split()[0]]
        entries |= {"".join(parents[:depth]): True} if depth else {}
        entries.setdefault(path, False)
    return entries


def test_the_changelog_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == version


@pytest.mark.parametrize("entry", tree())
def test_what_the_file_tree_names_is_there(entry: str) -> None:
    assert (ROOT / entry).is_dir() if entry.endswith("/") else (ROOT / entry).is_file()


@pytest.mark.parametrize("folder", [entry for entry, opened in tree().items() if opened])
def test_the_file_tree_names_every_module_of_a_folder_that_it_opens(folder: str) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("*.py")}
    assert {name for name in modules if not name.endswith("__init__.py")} <= set(tree())


def test_the_file_tree_names_every_folder_at_the_top() -> None:
    folders = {f"{path.relative_to(ROOT).parts[0]}/" for path in our_files() if len(path.relative_to(ROOT).parts) > 1}
    assert folders <= set(tree())


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
