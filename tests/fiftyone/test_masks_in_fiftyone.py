"""The page on FiftyOne runs in a real FiftyOne, which keeps, matches, shows and writes our masks as they are."""

import json
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.imports.coco import read_coco
from sam3_tool import Image, Sam3
from sam3_tool.masks import rle
from tests.docs.test_pages import ROOT, find_blocks, read_page

fo = pytest.importorskip("fiftyone")

PAGE = ROOT / "docs" / "how-to" / "fiftyone.md"
PROGRAM = Path(sys.executable).with_name("sam3-agent")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The names that the page's blocks leave, each block run as a reader would run it."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        shutil.copytree(ROOT / "examples", "examples")
        for block in find_blocks(read_page(PAGE)):
            if block.language == "bash":
                [command] = block.commands
                run_command(command.removeprefix("uv run sam3-agent "))
            else:
                exec(compile(block.code, PAGE.name, "exec"), names)
        yield names
        names["session"].close()
        names["dataset"].delete()


def run_command(arguments: str) -> None:
    subprocess.run([PROGRAM, *shlex.split(arguments)], check=True)


def find_here() -> np.ndarray:
    """The same masks, found without FiftyOne: (number, height, width)."""
    found = Sam3.load("tiny").segment(Image.open("examples/scene.png"), "watermelon")
    return np.asarray(found.masks)


def paste_masks(detections: Sequence[Any], height: int, width: int) -> np.ndarray:
    """Masks of the image from those that FiftyOne keeps within boxes."""
    masks = np.zeros((len(detections), height, width), bool)
    for mask, detection in zip(masks, detections, strict=True):
        x, y, _, _ = detection.bounding_box
        left, top = round(x * width), round(y * height)
        tall, wide = detection.mask.shape
        mask[top : top + tall, left : left + wide] = detection.mask
    return sort_masks(masks)


def sort_masks(masks: np.ndarray) -> np.ndarray:
    """The masks in one order, whatever order they came in."""
    return masks[np.lexsort(masks.reshape(len(masks), -1).T[::-1])]


def test_masks_of_a_coco_file_and_by_hand_are_ours_pixel_by_pixel(page: dict[str, Any], result: dict[str, Any]) -> None:
    ours = sort_masks(find_here())
    samples = list(page["dataset"])
    assert len(samples) == 2
    from_coco, by_hand = samples
    height, width = ours.shape[1:]
    assert np.array_equal(paste_masks(by_hand["found"].detections, height, width), ours)
    [field] = [name for name in from_coco.field_names if isinstance(from_coco[name], fo.Detections)]
    assert np.array_equal(paste_masks(from_coco[field].detections, height, width), ours)
    result["masks equal, from a COCO file and by hand"] = 2 * len(ours)


def test_its_own_evaluation_takes_them(page: dict[str, Any], result: dict[str, Any]) -> None:
    sample = page["sample"]
    sample["again"] = sample["found"].copy()
    sample.save()
    report = page["dataset"].select(sample.id).evaluate_detections("found", gt_field="again", use_masks=True, iou=0.99)
    assert report.metrics()["fscore"] == 1
    result["matched at an IoU of 0.99 in FiftyOne's own evaluation"] = len(sample["found"].detections)


def test_its_page_answers(page: dict[str, Any]) -> None:
    with urllib.request.urlopen(page["session"].url) as answer:
        assert b"FiftyOne" in answer.read()


def test_what_it_writes_is_read_here(page: dict[str, Any], tmp_path: Path, result: dict[str, Any]) -> None:
    view = page["dataset"].select(page["sample"].id)
    view.export(export_dir=str(tmp_path), dataset_type=fo.types.COCODetectionDataset, label_field="found")
    [image] = read_coco(json.loads((tmp_path / "labels.json").read_text(encoding="utf-8")))
    ours = rle.encode_masks(find_here())
    written = [mask.draw(*find_here().shape[1:]) for mask in image.masks]
    assert [mask.label for mask in image.masks] == ["watermelon"] * len(ours)
    best = rle.compute_ious(ours, written).max(1)
    assert best.min() > 0.9  # FiftyOne writes outlines
    result["least IoU after FiftyOne has written them as outlines"] = round(float(best.min()), 3)
