from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from agent.core.workspace import Candidate, Workspace
from agent.exports import EXPORTERS
from sam3_tool import Image, Sam3
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import encode_mask

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def owners() -> None:
    """The libraries whose formats are exported: without one of them these tests fail."""
    if missing := [name for name in ("label_studio_sdk", "ultralytics") if find_spec(name) is None]:
        pytest.fail(f"no {' and no '.join(missing)} here: uv sync --inexact --extra dev --group owners")


@pytest.fixture(scope="session")
def scene() -> Image:
    return Image.open(EXAMPLE)


@pytest.fixture(scope="session")
def fruit(tiny: Sam3, scene: Image) -> tuple[Candidate, ...]:
    """What the embedded SAM 3 finds in the example scene: masks of three phrases."""
    found = Workspace(scene.height, scene.width)
    for phrase in ("watermelon", "cherry", "banana"):
        found = found.with_search(tiny.segment(scene, phrase, threshold=0.5))
    assert len({one.phrase for one in found}) == 3
    return found.candidates


@pytest.fixture(scope="session")
def awkward(fruit: tuple[Candidate, ...], scene: Image) -> Candidate:
    """A mask with holes, islands in them, parts that touch at a corner, lines of a pixel's width, and single pixels."""
    y, x = np.mgrid[: scene.height, : scene.width]
    distance = np.hypot(x - 300, y - 200)
    mask = (distance < 120) & (distance > 80) | (distance < 30)
    mask[40:80, 40:80] = True
    mask[80:110, 80:110] = True
    mask[50:53, 50:53] = mask[60, 60] = mask[70:72, 45:75] = False
    mask[5, 5] = mask[-1, -1] = mask[400, 20:300] = mask[420:470, 15] = True
    x0, y0, x1, y1 = masks_to_boxes(mask[None])[0].tolist()
    return replace(
        fruit[0], id=200, rle=encode_mask(mask), box=(x0, y0, x1, y1), phrase="the odd: one, \u201cquoted\u201d #1"
    )


@pytest.fixture
def write(scene: Image, fruit: tuple[Candidate, ...], tmp_path: Path) -> Write:
    """Writes one format; the masks of `fruit` unless others are given."""

    def write(kind: str, candidates: tuple[Candidate, ...] = fruit, name: str = "scene.png") -> Path:
        reasons = {one.id: "It is round." for one in candidates[:1]}
        return EXPORTERS[kind].write(scene, candidates, name, tmp_path, reasons)

    return write


@pytest.fixture(scope="session")
def iou() -> Callable[[np.ndarray, np.ndarray], float]:
    """Of two masks."""
    return lambda a, b: float((a & b).sum() / (a | b).sum())
