"""Image files whose numbers, pages, metadata or names mean more than they seem to."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from agent.cli.main import app
from agent.report.output_folder import ANSWER_FILES
from sam3_tool import Image
from sam3_tool.masks.polygons import mask_to_polygons
from sam3_tool.masks.rle import decode_mask, from_polygons, merge_masks

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

CASES = Path(__file__).parent
RED, BLUE = [200, 0, 0], [0, 0, 200]


def get_ends(image: Image) -> list[list[int]]:
    """Return the colours in the middle of the left and of the right edge."""
    return image.pixels[image.height // 2, [2, -3]].tolist()


@pytest.mark.parametrize("file", ["12-bits-in-16/xray.png", "uint32/u32.tif", "nodata/dem.tif"])
def test_dark_and_bright_are_told_apart(file: str) -> None:
    assert get_ends(Image.open(CASES / file)) == [[0] * 3, [255] * 3]


def test_what_was_taken_for_white_is_told_where_the_file_does_not_say() -> None:
    assert Image.open(CASES / "12-bits-in-16" / "xray.png").notes == (
        "The grey values lie between 0 and 4095: 0 is shown as black, and 4095 as white.",
    )
    assert Image.open(CASES / "uint32" / "u32.tif").notes == ()


def test_what_holds_no_data_counts_for_nothing() -> None:
    ranges, missing = Image.open(CASES / "nodata" / "dem.tif").notes
    assert ranges == "The grey values lie between 100 and 3000: 100 is shown as black, and 3000 as white."
    assert missing.startswith("25 of 2,400 values hold no data")


def test_white_is_zero_at_16_bits_too() -> None:
    assert get_ends(Image.open(CASES / "white-is-zero" / "film.tif")) == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("case", ["text-checksum", "large-text"])
def test_metadata_keeps_no_png_from_being_read(case: str) -> None:
    image = Image.open(CASES / case / "a.png")
    assert (get_ends(image), image.notes) == ([RED, BLUE], ())


def test_the_page_of_full_size_is_read_and_the_other_mentioned() -> None:
    image = Image.open(CASES / "thumbnail-first" / "scan.tif")
    assert (image.width, image.height, get_ends(image)) == (60, 40, [RED, BLUE])
    assert image.notes == ("The file has 2 pages; page 2 is read, the first one of full size.",)


def test_avif_is_read_under_the_name_of_a_jpeg() -> None:
    found = np.array(get_ends(Image.open(CASES / "avif" / "a.jpg")))
    assert np.abs(found - [RED, BLUE]).max() < 4


def test_colours_in_floats_are_read() -> None:
    assert get_ends(Image.open(CASES / "tiff-that-is-expected" / "bands.tif")) == [RED, BLUE]


# --- names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def segment(*words: str) -> Result:
    return CliRunner().invoke(app, ["segment", *words])


def test_an_export_has_the_real_name_of_the_image(here: Path) -> None:
    shutil.copy(CASES / "question-mark" / "a.png", "what?.png")
    assert segment("what?.png", "circle", "--export", "coco,label-studio", "--out", "o").exit_code == 0
    (image,) = json.loads((here / "o" / "what_.coco.json").read_bytes())["images"]
    (task,) = json.loads((here / "o" / "what_.label-studio.json").read_bytes())
    assert image["file_name"] == task["data"]["file_name"] == "what?.png"
    assert (here / image["file_name"]).is_file()


@pytest.mark.parametrize("name", ["...png", "..png", "....png"])
def test_the_folder_of_the_answer_lies_below_out(here: Path, name: str) -> None:
    shutil.copy(CASES / "leading-dots" / "a.png", name)
    assert segment(name, "circle").exit_code == 0
    assert {path.name for path in here.iterdir()} == {name, "out"}
    (folder,) = (here / "out").iterdir()
    assert {path.name for path in folder.iterdir()} == set(ANSWER_FILES)


def test_a_line_break_in_a_name_does_not_break_the_answer(here: Path) -> None:
    shutil.copy(CASES / "line-break" / "a.png", "two\nlines.png")
    done = segment("two\nlines.png", "circle")
    assert done.exit_code == 0
    _, where = done.stdout.splitlines()
    assert where.startswith(f"{Path('out', 'two_lines')}: overlay.png, ")


def test_notes_are_told_on_stderr_and_in_the_result(here: Path) -> None:
    done = segment(str(CASES / "12-bits-in-16" / "xray.png"), "circle", "--json")
    note = "The grey values lie between 0 and 4095: 0 is shown as black, and 4095 as white."
    assert (done.exit_code, done.stderr) == (0, f"note: {note}\n")
    assert json.loads(done.stdout)["image"] == {"width": 60, "height": 40, "notes": [note]}


def test_the_limit_of_pixels_is_an_option(here: Path) -> None:
    done = segment(str(CASES / "uint32" / "u32.tif"), "circle", "--max-pixels", "2399")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "too large (2,400 pixels, and the limit is 2,399)" in done.stderr
    assert [*here.iterdir()] == []


# --- polygons


def test_a_mask_of_thousands_of_holes_becomes_one_polygon_that_draws_it_again() -> None:
    mask = np.ones((160, 160), bool)
    mask[1::2, 1::2] = False
    (polygon,) = mask_to_polygons(mask)
    assert (decode_mask(merge_masks(from_polygons([polygon], 160, 160))) == mask).all()
