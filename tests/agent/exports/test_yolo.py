"""YOLO data sets, loaded by ultralytics and by supervision."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import yaml

from agent.exports import EXPORTERS
from sam3_tool import Image
from sam3_tool.masks.rle import decode_mask, encode_mask

pytestmark = pytest.mark.usefixtures("owners")
LOADER = Path(__file__).with_name("ultralytics_loads.py")


def unpacked(path: Path) -> Path:
    folder = path.parent / "unpacked"
    with ZipFile(path) as zipped:
        zipped.extractall(folder)
    return folder


def loaded(folders: list[Path], settings: Path) -> list[dict[str, np.ndarray]]:
    """What ultralytics makes of unpacked data sets: see `ultralytics_loads.py`. `settings`: a folder for its own."""
    (own := settings / "Ultralytics").mkdir()
    for font in ("Arial.ttf", "Arial.Unicode.ttf"):  # it looks for them in the network otherwise
        (own / font).touch()
    done = subprocess.run(
        [sys.executable, str(LOADER), *(str(folder / "data.yaml") for folder in folders)],
        env={**os.environ, "YOLO_CONFIG_DIR": str(settings), "YOLO_OFFLINE": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [dict(np.load(folder / "loaded.npz")) for folder in folders]


def rows(labels: Path, classes: int) -> list[tuple[int, np.ndarray]]:
    """Class and corners, (P, 2) in fractions, of each line. Refuses a class that is not named,
    a line that could be a box, an odd number of coordinates, coordinates out of the picture, and the same box twice."""
    lines = [line.split() for line in labels.read_text("ascii").splitlines()]
    assert all(len(line) > 6 and len(line) % 2 == 1 and line[0].isdigit() for line in lines)
    assert all(int(line[0]) < classes for line in lines)
    corners = [np.array(line[1:], dtype=float).reshape(-1, 2) for line in lines]
    assert all(np.isfinite(one).all() and one.min() >= 0 and one.max() <= 1 for one in corners)
    boxes = {(line[0], *one.min(0), *one.max(0)) for line, one in zip(lines, corners, strict=True)}
    assert len(boxes) == len(lines)
    return [(int(line[0]), one) for line, one in zip(lines, corners, strict=True)]


def drawn(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """As ultralytics draws a polygon: fractions are cut off."""
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [(corners * [width, height]).astype(np.int32)], 1)
    return canvas.astype(bool)


def write_small_sets(fruit, folder: Path) -> tuple[list[Path], list[tuple[Image, np.ndarray, str]]]:
    """Data sets of a small picture with one mask each, unpacked; and picture, mask and phrase of each."""
    random, folders, wanted = np.random.default_rng(0), [], []
    for size, phrase in [((32, 11), "yes"), ((37, 64), 'a "b": {c}'), ((10, 32), "- 1"), ((95, 96), "\U0001f431 cat")]:
        mask = np.zeros(size, bool)
        y, x = (int(random.integers(side)) for side in size)
        mask[: y + 1, : x + 1] = True
        one = replace(fruit[0], rle=encode_mask(mask), box=(0.0, 0.0, x + 1.0, y + 1.0), phrase=phrase)
        (place := folder / f"{size[0]}x{size[1]}").mkdir()
        picture = Image(random.integers(256, size=(*size, 3), dtype=np.uint8))
        folders.append(unpacked(EXPORTERS["yolo-seg"].write(picture, [one], "x.png", place, {})))
        wanted.append((picture, mask, phrase))
    return folders, wanted


def test_ultralytics_loads_pictures_large_and_small_and_every_mask_with_its_class(
    write, fruit, awkward, scene, iou, tmp_path
):
    candidates = (*fruit, awkward)
    folders, wanted = write_small_sets(fruit, tmp_path)
    large, *small = loaded([unpacked(write("yolo-seg", candidates)), *folders], tmp_path)
    assert (large["image"] == scene.pixels).all()
    assert large["names"].tolist() == [one.phrase for one in candidates]
    for one, mask in zip(candidates, large["masks"], strict=True):
        # it walks an outline in a thousand steps, and so cuts corners of long ones
        assert iou(mask, decode_mask(one.rle)) > (0.9 if one is awkward else 0.98)
    for found, (picture, mask, phrase) in zip(small, wanted, strict=True):
        assert (found["image"] == picture.pixels).all()
        assert found["names"].tolist() == [phrase]
        assert (found["masks"] == mask).all()


def test_every_line_is_one_mask_that_opencv_draws_again(write, fruit, awkward, iou):
    candidates = (*fruit, awkward)
    folder = unpacked(write("yolo-seg", candidates))
    names = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))["names"]
    lines = rows(folder / "labels" / "scene.txt", len(names))
    assert [names[number] for number, _ in lines] == [one.phrase for one in candidates]
    for one, (_, corners) in zip(candidates, lines, strict=True):
        # between distant parts, a line of a pixel is drawn too
        assert iou(drawn(corners, 480, 640), decode_mask(one.rle)) > (0.96 if one is awkward else 0.98)


def test_a_mask_of_one_piece_is_drawn_to_the_pixel(write, fruit):
    folder = unpacked(write("yolo-seg"))
    exact = 0
    for one, (_, corners) in zip(fruit, rows(folder / "labels" / "scene.txt", 3), strict=True):
        mask = decode_mask(one.rle)
        if (
            cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
            and cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)[0] == 2
        ):
            assert (drawn(corners, 480, 640) == mask).all()
            exact += 1
    assert exact >= 3


def test_supervision_loads_the_data_set(write, fruit, scene, iou):
    import supervision  # slow to import

    folder = unpacked(write("yolo-seg"))
    loaded = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml")
    )
    assert loaded.classes == ["watermelon", "cherry", "banana"]
    ((path, picture, found),) = list(loaded)
    assert (Path(path).name, picture.shape) == ("scene.png", scene.pixels.shape)
    assert [loaded.classes[number] for number in found.class_id] == [one.phrase for one in fruit]
    assert min(iou(mask, decode_mask(one.rle)) for one, mask in zip(fruit, found.mask, strict=True)) > 0.98


def test_the_picture_is_in_it_to_the_bit_and_where_ultralytics_looks(write, scene):
    folder = unpacked(write("yolo-seg", name="my photo.JPG"))
    described = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    assert (described["train"], described["val"], "path" in described) == ("images", "images", False)
    assert (Image.open(folder / "images" / "my photo.png").pixels == scene.pixels).all()
    assert (folder / "labels" / "my photo.txt").is_file()


def test_a_mask_of_one_pixel_in_the_last_corner_is_a_polygon_within_the_picture(write, fruit, scene):
    mask = np.zeros((scene.height, scene.width), bool)
    mask[-1, -1] = True
    folder = unpacked(write("yolo-seg", (replace(fruit[0], rle=encode_mask(mask)),)))
    ((_, corners),) = rows(folder / "labels" / "scene.txt", 1)
    assert (drawn(corners, 480, 640) == mask).all()


def test_without_a_mask_it_is_a_picture_without_labels(write):
    folder = unpacked(write("yolo-seg", ()))
    assert (folder / "labels" / "scene.txt").read_text() == ""
    assert yaml.safe_load((folder / "data.yaml").read_text())["names"] == {}


@pytest.mark.parametrize("phrase", ['a "b": {c}', "l\u00e9opard\u2028\u0085tab\tend", "\U0001f431 cat", "yes", "- 1"])
def test_any_phrase_can_be_a_class(write, fruit, phrase):
    folder = unpacked(write("yolo-seg", (replace(fruit[0], phrase=phrase),)))
    (name,) = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))["names"].values()
    assert name == " ".join(phrase.split())
    assert len(rows(folder / "labels" / "scene.txt", 1)) == 1
