"""What all formats have in common."""

import json
from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest

from agent.core.errors import UsageError
from agent.exports import EXPORTERS, list_formats, select_exporters
from sam3_tool import Image
from sam3_tool.masks.rle import encode_mask

FORMATS = [*list_formats("image")]


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_one_file_named_after_the_picture(write, kind, tmp_path):
    path = write(kind)
    assert path == tmp_path / EXPORTERS[kind].build_file_name("scene.png")
    assert path.name.startswith("scene.")
    assert [*tmp_path.iterdir()] == [path]
    assert path.stat().st_size > 0


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["../../etc/passwd", "", "..", "a/b\\c:d\n.png", "x" * 300 + ".png", "\ud800.png"])
def test_no_name_of_a_picture_leads_out_of_the_folder(write, kind, name, tmp_path):
    path = write(kind, name=name)
    assert path.parent == tmp_path
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "name",
    ["\u732b" * 95 + ".png", "\U0001f431" * 70 + "." + "\u732b" * 70, "x." + "y" * 300],
    ids=["letters of three bytes", "letters of four", "a long suffix"],
)
def test_a_name_of_many_bytes_is_cut_between_letters_so_that_any_file_system_takes_it(write, kind, name, tmp_path):
    path = write(kind, name=name)
    assert [*tmp_path.iterdir()] == [path]
    assert path.name.startswith(name[:2])
    assert len(path.name.encode()) <= 255
    assert set(path.name.removesuffix(EXPORTERS[kind].suffix)) <= set(name)


def test_no_two_formats_have_the_same_file():
    assert len({format.build_file_name("scene.png") for format in EXPORTERS.values()}) == len(EXPORTERS)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_mask_without_a_pixel_is_left_out(write, fruit, kind, tmp_path):
    empty = replace(fruit[0], id=99, rle=encode_mask(np.zeros((480, 640), bool)))
    assert write(kind, (*fruit, empty)).read_bytes() == write(kind, fruit).read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_phrases_and_reasons_may_hold_any_letters(write, fruit, kind):
    assert write(kind, (replace(fruit[0], phrase="\ud800 \U0001f431\x00</script>\x85"),)).stat().st_size > 0


def test_masks_of_another_picture_are_refused(fruit, tmp_path):
    other = Image(np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(480, 640\), the image is \(10, 20\)"):
        EXPORTERS["coco"].write(other, fruit, "x.png", tmp_path, {})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("names", ["coco,tfrecord", "", "coco,", "COCO"])
def test_an_unknown_format_is_one_line_with_those_that_there_are(names):
    with pytest.raises(UsageError, match=r"^no export format '.*'; there are: coco, .*, youtube-vis$"):
        select_exporters(names)


@pytest.mark.parametrize(
    "name", ["what?.png", "a:b.png", "two\nlines.png", "x" * 240 + ".png", "nul.png", "...png", "\u732b.png"]
)
@pytest.mark.parametrize("kind", ["coco", "coco-polygons", "label-studio", "png-masks"])
def test_inside_a_file_the_image_has_its_real_name(write, kind, name):
    content = write(kind, name=f"photos/{name}").read_bytes()
    if kind == "png-masks":
        with ZipFile(BytesIO(content)) as archive:
            content = archive.read("masks.json")
    held = json.loads(content)
    match kind:
        case "png-masks":
            assert held["image"] == name
        case "label-studio":
            assert held[0]["data"]["file_name"] == name
        case _:
            assert held["images"][0]["file_name"] == name
