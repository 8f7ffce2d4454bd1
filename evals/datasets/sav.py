"""SA-V: objects are given by their masks in the frame in which they first appear, and followed.

`sav_val.txt` names the videos, one a line; every object has a folder of its own, with a black and white PNG for every
fourth frame:

    sav_val/sav_val.txt:  sav_000262
    sav_val/JPEGImages_24fps/sav_000262/00000.jpg
    sav_val/Annotations_6fps/sav_000262/000/00000.png

Predictions: a folder with `sav_000262/000/00000.png`, not black where the object is. J&F in SA-V's convention.
"""

from pathlib import Path

from evals.datasets.files import Home
from evals.datasets.videos import Videos, beside, first_frame, names_in, region_and_boundary
from evals.samples import DataError, Sample

HOME = Home("SA-V", "ai.meta.com/datasets/segment-anything-video (sav_val.tar, sav_test.tar)", "CC BY 4.0")
PUBLISHED = {"val": 293, "test": 278}
"""Objects."""


def load(data: Path, split: str) -> Videos:
    """`data`: the folder sav_val (sav_test), or the one above."""
    if split not in PUBLISHED:
        raise DataError(f"SA-V has the splits {', '.join(PUBLISHED)} with masks of every object, not {split!r}")
    listing = HOME.first(
        [folder / f"sav_{split}.txt" for folder in (data, data / f"sav_{split}")], f"the file sav_{split}.txt"
    )
    root = listing.parent
    masks = HOME.first([root / "Annotations_6fps"], f"the masks of {split}")
    frames = HOME.first([root / "JPEGImages_24fps"], f"the frames of {split}")
    names = names_in(listing, masks, HOME)
    return Videos(
        "sav",
        HOME,
        split,
        root,
        lambda: [listing, *(path for name in names for path in sorted((masks / name).rglob("*.png")))],
        [_sample(part, frames / name) for name in names for part in sorted((masks / name).iterdir()) if part.is_dir()],
        region_and_boundary(masks, names, "sav"),
        PUBLISHED[split],
        ("Convention: SA-V; first and last annotated frame left out, an object's frames count from its entry on.",),
    )


def _sample(masks: Path, frames: Path) -> Sample:
    """Of one object, whose masks lie in a folder of their own."""
    return Sample(
        id=f"{frames.name}/{masks.name}",
        query="the object masked where it first appears",
        source=frames.name,
        open=first_frame(beside(masks, frames)),
        group=frames.name,
    )
