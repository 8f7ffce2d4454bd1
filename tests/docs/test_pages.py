"""Every Python and bash block of the README and of the documentation runs, and what pages say of the program is so.

A block that needs what a test machine lacks has a line before it that says so: `<!-- not run: needs a GPU -->`.
Its commands, options and modules must exist all the same. A block with a `title` is written to the file of that name.
"""

import asyncio
import contextlib
import importlib.util
import io
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from agent.cli.main import app
from tests.support.program import Program, start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
SKILLS = sorted((ROOT / "serve" / "skills").glob("*/SKILL.md"))
PAGES_OF_THE_SITE = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [README, *PAGES_OF_THE_SITE, *SKILLS]

_FENCE = re.compile(
    r"(?:<!-- (?P<marker>[^>]+?) -->\n+)?^```(?P<language>\S*)(?: (?P<options>[^\n]*))?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, with what the page says about how it is tested."""

    language: str
    code: str
    title: str
    """The file that the block is written to before the next one runs; empty for none."""
    reason: str
    """Why it is not run, as `<!-- not run: ... -->` before it says; empty where it is run."""
    is_output: bool
    """Whether it is what the block before it prints, as `<!-- output -->` before it says."""

    @property
    def includes(self) -> list[str]:
        """The files that the site puts in its place."""
        return re.findall(r"^--8<--\n(.+)\n--8<--$", self.code, re.MULTILINE)

    @property
    def commands(self) -> list[str]:
        """Its shell commands, each on one line."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def read_page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_page(path: Path) -> str:
    """The page's path in the repository, for the names of tests."""
    return path.relative_to(ROOT).as_posix()


def find_blocks(text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        marker = found["marker"] or ""
        title = re.search(r'title="([^"]+)"', found["options"] or "")
        yield Block(
            language=found["language"],
            code=found["code"],
            title=title[1] if title else "",
            reason=marker.removeprefix("not run: ") if marker.startswith("not run: ") else "",
            is_output=marker == "output",
        )


def find_code(text: str) -> list[str]:
    """Every piece of code of a page, one line each: blocks' lines and inline code."""
    lines = [line for block in find_blocks(text) for line in block.commands]
    return lines + re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
LANGUAGES = {"python", "bash", "text", "json", "toml", "yaml", "dockerfile"}
RUNNABLE = {"python", "bash"}


def list_pages(*, having: Any = None) -> list[Any]:
    """The pages as parameters of a test, those alone that hold a block for which `having` is true."""
    chosen = [page for page in PAGES if having is None or any(map(having, find_blocks(read_page(page))))]
    return [pytest.param(page, id=name_page(page)) for page in chosen]


def is_run(block: Block) -> bool:
    return block.language in RUNNABLE and not block.reason and not block.includes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the examples in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


# running


@pytest.mark.parametrize("page", list_pages(having=is_run))
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, folder: Path) -> None:
    if "playwright" in read_page(page) and not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium here; Debian and Ubuntu: apt-get install chromium-headless-shell")
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    with contextlib.closing(Shell()) as shell:
        for block in find_blocks(read_page(page)):
            if block.title:
                (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.title).write_text(block.code, encoding="utf-8")
            elif block.is_output:
                check_output(block.code, printed)
            elif is_run(block) and block.language == "python":
                run = run_with_loop if "import gradio" in block.code else run_python
                printed = run(shell.find_server(block.code), names)
            elif is_run(block):
                printed = "".join(map(shell.run_command, block.commands))


def run_with_loop(program: str, names: dict[str, Any]) -> str:
    """Where no event loop runs, Gradio opens one for the locks of each page, and never closes it."""

    async def run() -> str:
        return run_python(program, names)

    return asyncio.run(run())


def run_python(program: str, names: dict[str, Any]) -> str:
    """What it prints, which must be what the comments after its calls of `print` promise."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        exec(compile(program, "page", "exec"), names)
    promised = re.findall(r"^\s*print\(.*\)  # (.+)$", program, re.MULTILINE)
    if promised:
        assert stdout.getvalue().splitlines() == promised
    return stdout.getvalue()


PORT = "localhost:8000"
"""Where pages let a server listen; the tests' own listens at a free port."""


class Shell:
    """Runs the commands of a page in the current folder: most of them in this process."""

    def __init__(self) -> None:
        self._server: Program | None = None
        self._address = PORT

    def find_server(self, text: str) -> str:
        """The text with the address of the server that the page has started."""
        return text.replace(PORT, self._address)

    def run_command(self, command: str) -> str:
        """What it prints. Make targets are looked up, not run."""
        words = shlex.split(self.find_server(command))
        if words[:2] == ["uv", "run"]:
            words = words[2:]
        while words[:1] == ["--extra"]:
            words = words[2:]
        match words:
            case ["make", target]:
                assert recipe(target)
                return ""
            case ["python", script]:
                with contextlib.redirect_stdout(io.StringIO()) as stdout:
                    runpy.run_path(script, run_name="__main__")
                return stdout.getvalue()
            case ["sam3-agent", "serve", *arguments, "&"]:
                return self._start_server(["serve", *arguments])
            case ["sam3-agent", "engine", "review", *arguments, "&"]:
                return self._start_server(["engine", "review", *arguments])
            case ["kill", "%1"]:
                self._server.send_signal(signal.SIGTERM)
                assert self._server.wait() == 0
                return ""
            case ["curl", *_]:
                return subprocess.run(words, capture_output=True, text=True, check=True).stdout
            case ["sam3-agent", *arguments]:
                done = CliRunner().invoke(app, arguments)
                assert done.exit_code == 0, f"{command}\n{done.output}{done.exception!r}"
                return done.stdout
        raise AssertionError(f"a test cannot run this; mark the block as not run, or make it text: {command}")

    def _start_server(self, arguments: list[str]) -> str:
        self._server = start_program(*arguments, "--port", 0, stderr=subprocess.DEVNULL)
        printed = self._server.stdout.readline()
        address = printed.split()[0]
        self._address = address.removeprefix("http://")
        while arguments[0] == "serve":  # it answers before its models are loaded
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{address}/ready"):
                return printed
            time.sleep(0.05)
        return printed

    def close(self) -> None:
        """End the server, if the page has not."""
        if self._server is not None:
            self._server.kill()
            self._server.close()


def check_output(promised: str, printed: str) -> None:
    """Each promised line was printed, in this order; … stands for anything."""
    place = 0
    for line in filter(str.strip, promised.splitlines()):
        pattern = re.compile(".*?".join(map(re.escape, line.strip().split("…"))))
        found = pattern.search(printed, place)
        assert found, f"{line!r} is not in what follows:\n{printed[place:]}"
        place = found.end()


@cache
def recipe(target: str) -> str:
    """The shell commands behind a make target, which are not run."""
    quiet = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    command = ["make", "--dry-run", "--no-print-directory", "-C", str(ROOT), target]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=quiet).stdout


def test_a_target_is_looked_up_without_being_run() -> None:
    """A line with `$(MAKE)` would be run all the same."""
    lines = read_page(ROOT / "Makefile").splitlines()
    assert [line for line in lines if line.startswith("\t") and "$(MAKE)" in line] == []


# what is said of commands, modules and files


@pytest.mark.parametrize("page", list_pages())
def test_a_block_has_a_language_that_says_what_becomes_of_it(page: Path) -> None:
    blocks = list(find_blocks(read_page(page)))
    assert {block.language for block in blocks} <= LANGUAGES
    assert all(block.language in RUNNABLE for block in blocks if block.reason)


@pytest.mark.parametrize("page", list_pages(having=lambda block: block.language in {"json", "toml", "yaml"}))
def test_a_block_of_data_can_be_read(page: Path) -> None:
    read = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
    for block in find_blocks(read_page(page)):
        if block.language in read and not block.includes:
            lines = block.code.splitlines() if block.title.endswith(".jsonl") else [block.code]
            assert all(read[block.language](line) is not None for line in lines)


@pytest.mark.parametrize("page", list_pages(having=lambda block: block.language == "python" and bool(block.reason)))
def test_a_program_that_is_not_run_is_python(page: Path) -> None:
    for block in find_blocks(read_page(page)):
        if block.language == "python":
            compile(block.code, name_page(page), "exec")


@pytest.mark.parametrize("page", list_pages())
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    lines = find_code(read_page(page))
    named = {found for line in lines for found in re.findall(r"\bsam3-agent ([a-z][^|;&()]*)", line)}
    named = {text for text in named if text.split()[0] not in find_own_parts(read_page(page)).get(COMMANDS, {})}
    assert {text: unknown for text in named if (unknown := find_unknown(text.split()))} == {}


COMMANDS = "sam3_agent.commands"
"""Of the package in `examples/plugin`, which is not installed here."""


def find_unknown(words: list[str]) -> list[str]:
    """The words after `sam3-agent` that are neither a command nor an option of it."""
    command = typer.main.get_command(app)
    while words and hasattr(command, "get_command"):
        if words[0].startswith("-") or words[0] in {"...", "…"}:
            break
        context = typer.Context(command)
        inner = command.get_command(context, words[0])
        if inner is None and getattr(command, "default_command", None):  # its name may be left out
            command = command.get_command(context, command.default_command)
        elif inner is None:
            return words[:1]
        else:
            command, words = inner, words[1:]
    known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]} | {"--help"}
    options = [word.strip("[]…").partition("=")[0] for word in words]
    return [name for name in options if re.fullmatch(r"--[a-z][a-z0-9-]*", name) and name not in known]


@pytest.mark.parametrize("page", list_pages())
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    modules = {name for code in find_code(read_page(page)) for name in re.findall(r"python -m (\w+(?:\.\w+)*)", code)}
    assert [name for name in modules if not has_module(name)] == []


def has_module(name: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(name) is not None
    return False


@pytest.mark.parametrize("page", list_pages())
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = {name for code in find_code(read_page(page)) for name in re.findall(r"^make ([a-z-]+)$", code)}
    assert all(recipe(target) for target in targets)


@pytest.mark.parametrize("page", list_pages(having=lambda block: bool(block.includes)))
def test_every_file_that_a_page_includes_exists(page: Path) -> None:
    names = [name for block in find_blocks(read_page(page)) for name in block.includes]
    assert [name for name in names if not (ROOT / name).is_file()] == []


def find_own_parts(text: str) -> dict[str, dict[str, str]]:
    """Group of entry points -> name -> value, of those that a page shows for the package in `examples/plugin`."""
    parts: dict[str, dict[str, str]] = {}
    for block in find_blocks(text):
        if block.language == "toml" and "sam3_agent." in block.code:
            for group, names in tomllib.loads(block.code)["project"]["entry-points"].items():
                parts.setdefault(group, {}).update({k: v for k, v in names.items() if v.startswith("mine.")})
    return parts


def test_the_entry_points_that_pages_show_are_those_of_the_example() -> None:
    example = tomllib.loads(read_page(ROOT / "examples" / "plugin" / "pyproject.toml"))["project"]["entry-points"]
    shown: dict[str, dict[str, str]] = {}
    for page in PAGES:
        for group, names in find_own_parts(read_page(page)).items():
            shown.setdefault(group, {}).update(names)
    assert {group: names for group, names in shown.items() if names} == example


# the front page


def find_targets(page: Path) -> Iterator[str]:
    """The files that a page links to, or shows."""
    for target in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", read_page(page)):
        if not re.match(r"[a-z]+:|#", target):
            yield target.partition("#")[0]


def test_every_link_and_image_of_the_front_page_is_there() -> None:
    targets = list(find_targets(README))
    assert targets
    assert [name for name in targets if not (ROOT / name).exists()] == []


def test_the_front_page_is_short() -> None:
    assert len(read_page(README).splitlines()) <= 150
    assert README.stat().st_size <= 10_000


def test_the_two_commands_come_first() -> None:
    commands = [command for block in find_blocks(read_page(README)) if is_run(block) for command in block.commands]
    assert commands[:2] == ["make try", "make test"]


def test_make_try_answers_the_query_below_the_image(folder: Path) -> None:
    (command,) = [line for line in recipe("try").splitlines() if "sam3-agent" in line]
    query, answer = re.search(r"^> \*\*(.+)\*\* → (.+)$", read_page(README), re.MULTILINE).groups()
    assert shlex.split(command)[-1] == query
    printed = Shell().run_command(command[command.index("sam3-agent") :])
    assert answer in printed
    assert (folder / "out" / "scene" / "overlay.png").read_bytes()


def test_the_navigation_lists_every_page_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = sorted(find_paths(config["nav"]))
    assert listed == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES_OF_THE_SITE)


def find_paths(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for entry in nav:
                yield from find_paths(entry)
        case dict():
            for entry in nav.values():
                yield from find_paths(entry)


def test_every_test_that_a_page_names_exists() -> None:
    files = (ROOT / "tests").glob("**/test_*.py")
    defined = {name for path in files for name in re.findall(r"def (test_\w+)", read_page(path))}
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", read_page(page))}
    assert named - defined == set()
