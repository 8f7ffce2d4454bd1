"""SA-V: objects are given by their masks in the frame in which they first appear, and followed.

`sav_val.txt` names the videos, one a line; every object has a folder of its own, with a black and white PNG for every
fourth frame:

    sav_val/sav_val.txt:  sav_000262
    sav_val/JPEGImages_24fps/sav_000262/00000.jpg
    sav_val/Annotations_6fps/sav_000262/000/00000.png

Predictions: a folder with `sav_000262/000/00000.png`, not black where the object is. J&F in SA-V's convention.
"""

from functools import partial
from pathlib import Path

from evals.datasets.formats.files import DataSource
from evals.datasets.formats.videos import FollowedVideo, FollowingDataset, list_jpegs, read_video_names
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics.jf import list_folders, list_frames

SOURCE = DataSource("SA-V", "ai.meta.com/datasets/segment-anything-video (sav_val.tar, sav_test.tar)", "CC BY 4.0")
PUBLISHED = {"val": 293, "test": 278}
"""Objects."""


@dataset_loader(splits=PUBLISHED)
def load(data: Path, split: str) -> FollowingDataset:
    """`data`: the folder sav_val (sav_test), or the one above."""
    if split not in PUBLISHED:
        raise DatasetError(f"SA-V has the splits {', '.join(PUBLISHED)} with masks of every object, not {split!r}")
    listing = SOURCE.find_first(
        [folder / f"sav_{split}.txt" for folder in (data, data / f"sav_{split}")], f"the file sav_{split}.txt"
    )
    root = listing.parent
    masks = SOURCE.find_first([root / "Annotations_6fps"], f"the masks of {split}")
    frames = SOURCE.find_first([root / "JPEGImages_24fps"], f"the frames of {split}")
    names = read_video_names(listing, masks, SOURCE)
    return FollowingDataset(
        "sav",
        SOURCE,
        split,
        root,
        lambda: [listing, *(path for name in names for path in _list_masks(masks / name))],
        [_build_video(part, frames / name) for name in names for part in list_folders(masks / name)],
        masks,
        names,
        "sav",
        PUBLISHED[split],
        ("Convention: SA-V; first and last annotated frame left out, an object's frames count from its entry on.",),
    )


def _build_video(masks: Path, frames: Path) -> FollowedVideo:
    """One object, whose masks lie in a folder of their own."""
    return FollowedVideo(
        f"{frames.name}/{masks.name}",
        "the object masked where it first appears",
        frames.name,
        partial(list_jpegs, frames),
        partial(list_frames, masks),
        is_one_object=True,
        frame_rate=24.0,
    )


def _list_masks(video: Path) -> list[Path]:
    """The masks of all objects of a video."""
    return [mask for part in list_folders(video) for mask in list_frames(part)]
