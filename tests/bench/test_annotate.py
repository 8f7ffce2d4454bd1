"""The benchmark of runs over many images, small: it really kills, and it counts what is left."""

from pathlib import Path

import numpy as np
import pytest

from annotate.sources.base import Item
from bench.suites.annotation.measuring import measure_kills, write_scenes
from bench.suites.annotation.program import choose_asker
from sam3_tool.image import Image

KILLED_IMAGES = 900
"""So many that the run is still under way when the signal comes, on a slow machine as well."""


def test_a_run_that_is_killed_loses_nothing_and_the_benchmark_says_so(tmp_path: Path) -> None:
    source = write_scenes(tmp_path / "in", KILLED_IMAGES, size=(32, 24))
    table = measure_kills(source, tmp_path, kills=1)
    [row] = table.rows
    told = dict(zip(table.columns, row, strict=True))
    assert told["images"] == KILLED_IMAGES
    assert (told["kills of a worker"], told["lost"], told["twice"], told["torn files"]) == (1, 0, 0, 0)


@pytest.mark.parametrize("sam3", ["scripted", "tiny"])
def test_every_sam3_that_is_measured_can_be_loaded(sam3: str) -> None:
    asker = choose_asker(sam3, phrases=["circle", "star"], batch=8)("cpu")
    item, image = Item(0, b"a.png"), Image(np.full((48, 64, 3), 255, np.uint8))
    [rows] = asker.answer_images([(item, image)])
    assert [(row.phrase, row.error) for row in rows] == [("circle", ""), ("star", "")]
