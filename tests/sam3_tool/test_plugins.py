"""Parts of other packages are imported safely, whichever thread asks for them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam3_tool.plugins import forget_plugins, load_plugin

MODULE = """
from concurrent.futures import ThreadPoolExecutor
from sam3_tool.plugins import import_lock

with ThreadPoolExecutor(1) as pool:
    others_may_import = pool.submit(import_lock.acquire, blocking=False).result()
"""


def test_while_one_thread_imports_a_part_no_other_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "watchful_part.py").write_text(MODULE, encoding="utf-8")
    package = tmp_path / "watchful_part-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: watchful-part\nVersion: 1\n", encoding="utf-8")
    points = "[sam3_agent.tools]\nwatchful = watchful_part:others_may_import\n"
    (package / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins()
    try:
        assert load_plugin("tools", "watchful") is False
    finally:
        monkeypatch.undo()
        forget_plugins()


BACKENDS = Path(__file__).parents[2] / "sam3_tool" / "backends"


def find_unlocked_imports(node: ast.AST, *, is_locked: bool) -> Iterator[str]:
    """Yield what a function imports of the libraries, and of the modules that import them, without the lock."""
    for inner in ast.iter_child_nodes(node):
        held = is_locked or (isinstance(inner, ast.With) and "import_lock" in ast.unparse(inner.items[0]))
        if isinstance(inner, ast.Import | ast.ImportFrom) and not is_locked:
            yield ast.unparse(inner)
        yield from find_unlocked_imports(inner, is_locked=held)


@pytest.mark.parametrize("path", sorted(BACKENDS.glob("*/loading.py")), ids=lambda path: path.parent.name)
def test_a_backend_imports_its_libraries_while_no_other_thread_imports_any(path: Path) -> None:
    functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    assert functions
    assert [found for node in functions for found in find_unlocked_imports(node, is_locked=False)] == []
