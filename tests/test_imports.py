"""What import-linter does not see. Layers, and who may import which library, are contracts in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "bench", "demo", "evals", "prompts", "sam3_tool")
MAX_MODULES = 17
"""Modules in one folder, `__init__.py` not counted."""


def test_no_module_imports_by_relative_path() -> None:
    relative = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
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
