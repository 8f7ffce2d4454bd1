"""What import-linter does not see. Layers, and who may import which library, are contracts in pyproject.toml."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.support.syntax_trees import PACKAGES, list_package_modules, parse_modules

ROOT = Path(__file__).parent.parent
MAX_MODULES = 17
"""Modules in one folder, `__init__.py` not counted."""


def test_no_module_imports_by_relative_path() -> None:
    relative = [
        path
        for path, module in parse_modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []


def test_no_folder_has_more_modules_than_a_reader_can_take_in() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    counts = {folder: len([*folder.glob("*.py")]) - (folder / "__init__.py").exists() for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_importing_the_packages_and_the_command_line_loads_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "openai", "lark", "cv2", "jinja2", "huggingface_hub"}
    program = f"import sys, agent.planners.loading, agent.cli.main; print(*sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (loaded.stdout, loaded.stderr) == ("\n", "")


NOT_ON_WINDOWS = {"curses", "fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}


def test_no_module_needs_at_import_what_python_on_windows_lacks() -> None:
    needed = [
        f"{path}: {node.lineno}"
        for path, module in list_package_modules("sam3_tool", "agent", "evals")
        for node in module.body
        if (isinstance(node, ast.Import) and NOT_ON_WINDOWS & {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module in NOT_ON_WINDOWS)
    ]
    assert needed == []


WINDOWS = """
import os, signal, sys
sys.modules["fcntl"] = None  # so that importing it fails
del os.O_NOFOLLOW, os.O_NONBLOCK, signal.SIGHUP
import sam3_tool, agent, agent.cli.main, evals
from pathlib import Path
from sam3_tool.system.files import write_atomically
from sam3_tool.system.unfinished_files import FOREIGN_AGE, build_unfinished_path, make_unfinished_folder
fresh, old = (build_unfinished_path(Path()) for _ in range(2))
for path, age in ((fresh, 0), (old, 2 * FOREIGN_AGE)):
    path.touch()
    os.utime(path, times=(path.stat().st_mtime - age,) * 2)
write_atomically(Path("a.json"), b"{}")
with make_unfinished_folder(Path()) as stage:
    (stage / "half.png").touch()
print(*sorted(path.name.replace(fresh.name, "fresh") for path in Path().iterdir()))
"""


def test_files_are_written_and_old_leftovers_removed_where_nothing_can_be_locked(tmp_path: Path) -> None:
    there = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    words = [sys.executable, "-c", WINDOWS]
    done = subprocess.run(words, env=there, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("a.json fresh\n", "")
