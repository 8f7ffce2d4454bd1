"""Parts of other packages are imported safely, whichever thread asks for them."""

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
