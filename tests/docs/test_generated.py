"""The generated parts of the documentation are what the program and the committed results say today."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_generator() -> ModuleType:
    """The program behind `make docs`, which belongs to no package."""
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = load_generator()


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_what_the_generator_writes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generate.refresh(text) == text, "stale: run `make docs`"


def test_a_plot_is_the_committed_one() -> None:
    assert generate.plots()
    assert all(path.read_bytes() == content for path, content in generate.plots().items())


def test_the_document_of_the_http_interface_is_fresh() -> None:
    assert generate.OPENAPI.read_text("utf-8") == generate.openapi(), "stale: run `make docs`"


def test_every_generated_part_stands_on_some_page() -> None:
    written = {name for page in generate.pages() for _, name, _ in generate.SECTION.findall(page.read_text("utf-8"))}
    assert written == set(generate.SECTIONS)


def test_numbers_of_the_network_may_differ_a_little_and_words_may_not() -> None:
    assert generate._is_close("area 5443, 3 masks", "area 5440, 3 masks")
    assert not generate._is_close("area 5443, 3 masks", "area 5443, 4 masks")
    assert not generate._is_close("area 5443, 3 masks", "size 5443, 3 masks")
