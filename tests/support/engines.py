"""Small data engines for tests: images of drawn rectangles, and a SAM 3 that is scripted for them."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from engine.stages.running import build_stages, run_stages
from engine.stages.stage import RunContext, StageName, StageReport
from engine.store.store import EngineStore
from sam3_tool import Image, Instances, Sam3, ScriptedBackend

SIZE = (24, 32)
"""Height and width of the images."""


def draw_image(number: int) -> np.ndarray:
    """Return uint8, (24, 32, 3): noise of its own, no two alike."""
    return np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)


def write_photos(folder: Path, count: int = 4) -> Path:
    """Write images into a folder, every other one into a folder within."""
    (folder / "kitchen").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        place = folder / "kitchen" if number % 2 else folder
        PIL.Image.fromarray(draw_image(number)).save(place / f"{number}.png")
    return folder


def build_instances(*scores: float) -> Instances:
    """Make instances of these scores: columns of the image, none of which overlap."""
    masks = np.zeros((len(scores), *SIZE), bool)
    for number in range(len(scores)):
        masks[number, :, 4 * number : 4 * number + 3] = True
    boxes = np.array([[4 * number, 0, 4 * number + 3, SIZE[0]] for number in range(len(scores))], np.float32)
    return Instances(masks, boxes.reshape(-1, 4), np.array(scores, np.float32), 0.9, "cup")


class SteadyBackend(ScriptedBackend):
    """Finds two cups and one doubtful one in every image, and no hat."""

    def __init__(self, *scores: float, fingerprint: str = "") -> None:
        super().__init__({None: {"cup": build_instances(*(scores or (0.9, 0.75, 0.25)))}})
        self.fingerprint = fingerprint


def run_engine(
    folder: Path, sam3: Sam3 | None = None, *, until: StageName = "ev", **settings: Any
) -> tuple[list[StageReport], list[str]]:
    """Run every stage up to `until`; return what each did, and the notes."""
    notes: list[str] = []
    settings = {"on_note": notes.append, **settings}
    with EngineStore.open(folder) as store:
        context = RunContext(store=store, load_sam3=lambda: sam3 or Sam3(SteadyBackend()), **settings)
        return [*run_stages(context, build_stages(store), until=until)], notes


def read_image(path: Path) -> Image:
    """Read an image file."""
    return Image.open(path)
