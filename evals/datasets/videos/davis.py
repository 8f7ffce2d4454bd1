"""DAVIS 2017, semi-supervised: objects are given by their masks in a video's first frame, and followed.

`ImageSets/2017/val.txt` names the videos, one a line; frames and masks lie beside each other, the masks as PNG with
object numbers (255 is void):

    ImageSets/2017/val.txt:  bike-packing
    JPEGImages/480p/bike-packing/00000.jpg
    Annotations/480p/bike-packing/00000.png

Predictions: a folder with `bike-packing/00000.png`, object numbers again. J&F in DAVIS' convention.
"""

from functools import partial
from pathlib import Path

from evals.datasets.formats.files import DataSource
from evals.datasets.formats.videos import FollowedVideo, FollowingDataset, list_jpegs, read_video_names
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics.jf import list_frames

SOURCE = DataSource(
    "DAVIS 2017",
    "davischallenge.org/davis2017/code.html (TrainVal, 480p or Full-Resolution)",
    "as its download page says; the videos have their own",
)
PUBLISHED = {"train": 60, "val": 30}
"""Videos."""


@dataset_loader(splits=PUBLISHED)
def load(data: Path, split: str, *, resolution: str = "480p") -> FollowingDataset:
    """`data`: the folder DAVIS, or the one above; `resolution`: "480p" or "Full-Resolution"."""
    if split not in PUBLISHED:
        raise DatasetError(f"DAVIS 2017 has the splits {', '.join(PUBLISHED)} with masks, not {split!r}")
    listing = SOURCE.find_first(
        [folder / "ImageSets" / "2017" / f"{split}.txt" for folder in (data, data / "DAVIS")],
        f"the file ImageSets/2017/{split}.txt",
    )
    root = listing.parents[2]
    masks = SOURCE.find_first([root / "Annotations" / resolution], f"the masks of {split} in it")
    frames = SOURCE.find_first([root / "JPEGImages" / resolution], f"the frames of {split} in it")
    names = read_video_names(listing, masks, SOURCE)
    return FollowingDataset(
        "davis",
        SOURCE,
        split,
        root,
        lambda: [listing, *(path for name in names for path in list_frames(masks / name))],
        [_build_video(name, masks / name, frames / name) for name in names],
        masks,
        names,
        "davis",
        PUBLISHED[split],
        ("Convention: DAVIS, semi-supervised; first and last frame left out, late entries counted from the start.",),
    )


def _build_video(name: str, masks: Path, frames: Path) -> FollowedVideo:
    return FollowedVideo(
        name,
        "the objects masked in the first frame",
        name,
        partial(list_jpegs, frames),
        partial(list_frames, masks),
        is_one_object=False,
        frame_rate=24.0,
    )
