"""The shared part of video benchmarks, which are checked here, and scored from predictions in their own format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.datasets.formats.files import DataSource, hash_files
from evals.metrics import jf
from evals.metrics.jf import Convention
from evals.samples import DatasetInfo, Sample
from sam3_tool import Image, ImageError
from sam3_tool.system.files import decode_text

Judge = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class VideoBenchmark:
    """A split of a video benchmark. Cheap to make: neither frames nor masks are read before they are needed."""

    name: str
    source: DataSource
    split: str
    root: Path
    files: Callable[[], Sequence[Path]]
    """The annotations, all below `root`."""
    loaded_samples: Sequence[Sample]
    """Samples that a tracker would be asked; `open_image` gives the first frame, once all annotated ones exist."""
    judge: Judge
    """Predictions in the benchmark's own format -> its numbers, the headline first."""
    published: int | None = None
    notes: tuple[str, ...] = ()

    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return self.loaded_samples

    def collect_info(self) -> DatasetInfo:
        return DatasetInfo(
            samples=len(self.loaded_samples),
            images=len({sample.group for sample in self.loaded_samples}),
            hash=hash_files(self.files(), self.root),
            published=self.published,
            licence=self.source.licence,
            source=self.source.location,
            notes=self.notes,
        )

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """The numbers of predictions in the benchmark's own format. Raises ScoringError for what has none."""
        return self.judge(predictions)


def make_frame_finder(masks: Path, frames: Path) -> Callable[[], list[Path]]:
    """The frames in `frames` that have a PNG in `masks`."""
    return lambda: [frames / f"{mask.stem}.jpg" for mask in jf.list_frames(masks)]


def make_first_frame_opener(
    frames: Callable[[], Sequence[Path]], masks: Callable[[], Sequence[Path]] = lambda: ()
) -> Callable[[], Image]:
    """Reads the first of a video's annotated frames when it is called, after all of its masks.

    It raises ImageError if any of the frames is missing, and ScoringError if a mask cannot be used.
    """

    def open_image() -> Image:
        for _ in jf.read_masks(masks()):
            pass
        paths = frames()
        if not paths:
            raise ImageError("a video without a single annotated frame")
        for path in paths:
            if not path.is_file():
                raise ImageError(f"{path}: no such file, though it is annotated")
        return Image.open(paths[0])

    return open_image


def read_video_names(listing: Path, masks: Path, source: DataSource) -> list[str]:
    """The videos that a file lists, one a line, each of which has a folder in `masks`. Raises DatasetError."""
    try:
        names = [line.strip() for line in decode_text(listing.read_bytes()).split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise source.build_broken_error(listing, f"cannot be read ({error})") from error
    if not names:
        raise source.build_broken_error(listing, "names no video")
    if absent := [name for name in names if not (masks / name).is_dir()]:
        raise source.build_missing_error(
            f"{masks} has no folder {absent[0]}", f"masks of all {len(names)} videos in {listing.name}"
        )
    return names


def make_jf_judge(masks: Path, names: Sequence[str], convention: Convention) -> Judge:
    """J&F of a folder of masks against those in `masks`."""

    def judge_folder(predictions: Path) -> Mapping[str, float]:
        scores = jf.score(jf.read_folders(masks, predictions, names=names), convention=convention)
        return {name: scores[name] for name in ("jf", "j", "f", "objects")}

    return judge_folder
