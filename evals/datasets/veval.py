"""SA-Co/VEval: all masklets of a noun phrase, in videos that hold some or none.

`annotation/saco_veval_sav_test.json`, with the frames in `media/`. Boxes are x, y, w, h in pixels; a frame in which the
object is not seen has null:

    {"videos": [{"id": 0, "video_name": "sav_000208", "file_names": ["sav_000208/00000.jpg"], "height": 1280,
                 "width": 720, "length": 1}],
     "annotations": [{"id": 167, "video_id": 0, "category_id": 1390, "noun_phrase": "a braid", "iscrowd": 0,
                      "segmentations": [{"size": [1280, 720], "counts": "..."}], "bboxes": [[286, 497, 69, 77]],
                      "areas": [1425], "height": 1280, "width": 720}],
     "categories": [{"id": 1390, "name": "a braid"}],
     "video_np_pairs": [{"id": 977, "video_id": 0, "category_id": 1390, "noun_phrase": "a braid", "num_masklets": 1}]}

Predictions: a list of `{video_id, category_id, score, bboxes, segmentations, areas}` with an entry for every frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evals.datasets.formats.files import DataSource
from evals.datasets.formats.videos import Judge, VideoBenchmark, make_first_frame_opener
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics import veval
from evals.metrics.inputs.entries import require_list
from evals.samples import Sample

SOURCE = DataSource(
    "SA-Co/VEval",
    "huggingface.co/datasets/facebook/SACo-VEval, and the frames as scripts/eval/veval of"
    " github.com/facebookresearch/sam3 says",
    "CC BY-NC 4.0 (SmartGlasses: CC BY 4.0); the videos have their own",
)
MEDIA = {
    "sav": "saco_sav/JPEGImages_24fps",
    "yt1b": "saco_yt1b/JPEGImages_6fps",
    "smartglasses": "saco_sg/JPEGImages_6fps",
}
"""Source -> the folder of its frames."""
SPLITS = tuple(f"{source}-{part}" for source in MEDIA for part in ("val", "test"))


@dataset_loader(splits=SPLITS, only_scored=True)
def load(data: Path, split: str, *, pictures: str | Path | None = None) -> VideoBenchmark:
    """Load SA-Co/VEval.

    Args:
        data: The folder that holds `annotation/` and `media/`, or that of the annotations.
        split: For example "sav-test".
        pictures: Where the folders of `file_names` lie.
    """
    if split not in SPLITS:
        raise DatasetError(f"SA-Co/VEval has the splits {', '.join(SPLITS)}, not {split!r}")
    source, part = split.split("-")
    name = f"saco_veval_{source}_{part}.json"
    file = SOURCE.find_first([data / "annotation" / name, data / name], f"the file annotation/{name}")
    frames = Path(pictures) if pictures else _find_frames(data, source)
    samples = SOURCE.parse_json(file, lambda content: list(_build_samples(content, frames)))
    if not samples:
        raise SOURCE.build_broken_error(file, "lists no pair of a video and a phrase in `video_np_pairs`")
    return VideoBenchmark(
        "saco-veval",
        SOURCE,
        split,
        file.parent,
        lambda: [file],
        samples,
        _make_judge(file),
        notes=("Headline: cgF1 of masks; pHOTA beside it.", "Frames of YT-Temporal-1B shift when fetched again."),
    )


def _find_frames(data: Path, source: str) -> Path:
    folders = [folder / "media" / MEDIA[source] for folder in (data, data.parent)]
    return SOURCE.find_first(folders, f"the frames in media/{MEDIA[source]}")


def _build_samples(content: Any, frames: Path) -> Iterator[Sample]:
    veval.check_truth(content)
    videos = {video["id"]: video for video in content["videos"]}
    for pair in content["video_np_pairs"]:
        video = videos[pair["video_id"]]
        require_list(video["file_names"], f"`file_names` of video {video['id']!r}")
        yield Sample(
            id=f"{pair['video_id']}-{pair['category_id']}",
            query=str(pair["noun_phrase"]),
            source=str(video["video_name"]),
            open_image=make_first_frame_opener(partial(_list_frames, video, frames)),
            group=str(video["id"]),
            slices={"phrase": "positive" if pair["num_masklets"] else "negative"},
        )


def _list_frames(video: Mapping[str, Any], frames: Path) -> Sequence[Path]:
    return [frames / str(name) for name in video["file_names"]]


def _make_judge(file: Path) -> Judge:
    def judge_file(predictions: Path) -> Mapping[str, float]:
        scores = veval.score(file, predictions)
        return {name: value for name, value in scores.items() if name != "official"}

    return judge_file
