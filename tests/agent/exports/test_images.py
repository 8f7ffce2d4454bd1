"""Masks as pictures, read by Pillow."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import PIL.Image

from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.rle import decode_mask, encode_mask


def pictures(path: Path) -> dict[str, np.ndarray]:
    with ZipFile(path) as zipped:
        assert zipped.testzip() is None
        return {
            name: np.asarray(PIL.Image.open(BytesIO(zipped.read(name)))) for name in zipped.namelist() if ".png" in name
        }


def manifest(path: Path) -> dict:
    with ZipFile(path) as zipped:
        return json.loads(zipped.read("masks.json"))


def test_an_indexed_picture_holds_each_masks_number_and_its_colour(write, fruit):
    image = PIL.Image.open(write("png-indexed"))
    numbers = np.asarray(image)
    assert (image.mode, numbers.shape) == ("P", (480, 640))
    covered = sum(decode_mask(one.rle).astype(int) for one in fruit)
    assert ((numbers == 0) == (covered == 0)).all()
    for one in fruit:
        alone = decode_mask(one.rle) & (covered == 1)
        assert (numbers[alone] == one.id).all()
        assert tuple(image.getpalette()[3 * one.id : 3 * one.id + 3]) == get_mask_color(one.id)
    assert [row["id"] for row in json.loads(image.text["masks"])] == [one.id for one in fruit]


def test_of_masks_that_overlap_the_higher_score_has_the_pixel(write, fruit):
    whole, part = np.zeros((2, 480, 640), bool)
    whole[10:100, 10:100] = part[50:150, 50:150] = True
    masks = (
        replace(fruit[0], id=1, rle=encode_mask(whole), score=0.6),
        replace(fruit[0], id=2, rle=encode_mask(part), score=0.9),
        replace(fruit[0], id=3, rle=encode_mask(part), score=0.9),
    )
    numbers = np.asarray(PIL.Image.open(write("png-indexed", masks)))
    assert (numbers == np.where(part, 2, np.where(whole, 1, 0))).all()


def test_numbers_beyond_a_palette_are_kept_in_sixteen_bits(write, fruit):
    image = PIL.Image.open(write("png-indexed", (replace(fruit[0], id=256), replace(fruit[-1], id=7))))
    assert image.mode == "I;16"
    assert set(np.unique(np.asarray(image)).tolist()) == {0, 7, 256}


def test_each_mask_is_a_black_and_white_picture(write, fruit):
    path = write("png-masks")
    found = pictures(path)
    assert list(found) == [f"mask_{one.id:03}.png" for one in fruit]
    for one, picture in zip(fruit, found.values(), strict=True):
        assert (picture == 255 * decode_mask(one.rle).astype(np.uint8)).all()
    told = manifest(path)
    assert [(row["file"], row["phrase"]) for row in told["masks"]] == list(
        zip(found, [one.phrase for one in fruit], strict=True)
    )
    assert (told["image"], told["masks"][0]["reason"]) == ("scene.png", "It is round.")


def test_what_is_cut_out_is_the_picture_within_the_mask_and_nothing_of_it_elsewhere(write, fruit, scene):
    path = write("cutout")
    found, rows = pictures(path), manifest(path)["masks"]
    union = np.any([decode_mask(one.rle) for one in fruit], axis=0)
    assert (found["all.png"] == np.dstack([scene.pixels * union[..., None], union * np.uint8(255)])).all()
    for one, row in zip(fruit, rows, strict=True):
        x0, y0, x1, y1 = row["box"]
        mask = decode_mask(one.rle)
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
        rgba = found[row["file"]]
        assert (rgba[..., 3] == 255 * mask[y0:y1, x0:x1]).all()
        assert (rgba[..., :3] == scene.pixels[y0:y1, x0:x1] * mask[y0:y1, x0:x1, None]).all()


def test_an_archive_is_the_same_to_the_byte_whenever_it_is_made(write):
    assert write("cutout").read_bytes() == write("cutout").read_bytes()


def test_without_a_mask_there_are_no_mask_pictures(write):
    assert pictures(write("png-masks", ())) == {}
    assert not pictures(write("cutout", ()))["all.png"].any()
    assert not np.asarray(PIL.Image.open(write("png-indexed", ()))).any()
