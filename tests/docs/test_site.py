"""The documentation builds without a complaint, and its pages ask no other server for anything."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^>]*>"""
    r"""|url\(["']?(?:https?:)?//[^)]*\)|@import ["'](?:https?:)?//[^"']*""",
    re.IGNORECASE,
)

pytest.importorskip("zensical", reason="the documentation is built by zensical, of the extra 'docs'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as HTML, built from a copy, so that nothing is written into the repository."""
    copy = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns(".*", "site", "runs", "out", "tests", "__pycache__", "*.safetensors")
    shutil.copytree(ROOT, copy, ignore=skipped, dirs_exist_ok=True)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "site"


def test_every_page_is_built(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").glob("**/*.md")}
    built = {path.parent.relative_to(site) for path in site.glob("**/index.html")}
    assert {page.parent if page.name == "index" else page for page in pages} <= built


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    found = {
        (path.name, tag)
        for path in site.glob("**/*")
        if path.suffix in {".html", ".css"}
        for tag in LOADED.findall(path.read_text(encoding="utf-8"))
        if 'rel="canonical"' not in tag
    }
    assert found == set()


def test_the_examples_of_the_python_reference_are_code(site: Path) -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted((site / "reference" / "python").glob("*/index.html"))]
    assert sum(page.count("&gt;&gt;&gt;") for page in pages) > 20
    assert all("<blockquote" not in page for page in pages)  # which `>>>` is to Markdown where it is no example
