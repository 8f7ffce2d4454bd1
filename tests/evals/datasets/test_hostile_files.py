"""Files of benchmarks that hold what they should not: one sentence that names file and entry, whatever the format."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evals.datasets.loading import load_dataset
from evals.datasets.synthetic.make_scenes import write_scenes
from evals.errors import DatasetError, ScoringError
from sam3_tool.errors import UserError

NAN = float("nan")
POLYGONS = [[[NAN, 2, 9, 2, 9, 6]], [[1e8, 2, 9, 2, 9, 6]], [[1, 1, 5, 5]], [[]], [["3", 2, 9, 2, 9, 6]], [[[3, 2]]]]
RUNS = [
    {"size": [120, 160], "counts": [3]},
    {"size": [120, 160], "counts": [-1, 19201]},
    {"size": [120, 160], "counts": "~"},
    {"size": [120, 160], "counts": "PPPPPPPPP"},
    {"size": [0, 0], "counts": ""},
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [True, True], "counts": "1"},
    {"size": ["120", 160], "counts": "0"},
    {"size": 5, "counts": "0"},
    None,
    5,
    "x",
]
SPLITS = {"refcoco": "val", "grefcoco": "val", "saco-gold": "metaclip", "saco-silver": "sav", "reasonseg": "val"}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, Path]:
    return write_scenes(tmp_path_factory.mktemp("small"), number=4, sizes=((160, 120),))


@pytest.fixture
def made(small, tmp_path) -> dict[str, Path]:
    """Files that a test may change."""
    return {name: shutil.copytree(folder, tmp_path / folder.name) for name, folder in small.items()}


def score_nothing(name: str, folder: Path) -> None:
    dataset = load_dataset(name, folder, SPLITS[name])
    for sample in dataset.list_samples():
        sample.target()


@pytest.mark.parametrize("name", ["refcoco", "grefcoco", "saco-gold", "saco-silver"])
def test_masks_of_the_truth_that_are_none_are_named(made, name):
    file = next(path for path in sorted(made[name].rglob("*.json")) if b'"segmentation"' in path.read_bytes()[: 10**6])
    content = json.loads(file.read_bytes())
    for segmentation in (*POLYGONS, *RUNS):
        for annotation in content["annotations"]:
            annotation["segmentation"] = segmentation
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match=rf"{file.name},? annotation \d+:? .*found|{file.name},? annotation .*: "):
            score_nothing(name, made[name])


@pytest.mark.parametrize(
    "points", [[[NAN, 2]], [[1e8, 2]], [[1, 2, 3]], [[]], [], [["3", 2]], [[True, 2]], 5, None, [5]]
)
def test_points_of_reasonseg_that_are_none_are_named(made, points):
    file = next(iter(sorted((made["reasonseg"] / "val").glob("*.json"))))
    content = json.loads(file.read_bytes())
    content["shapes"] = [{"label": "target", "points": points}]
    file.write_text(json.dumps(content))
    with pytest.raises(ScoringError, match=rf"{file.name}: `points` .* are no polygon"):
        score_nothing("reasonseg", made["reasonseg"])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("text", 5, "`text` must be a list of texts, found 5"),
        ("text", [5], r"`text` must be a list of texts, found \[5\]"),
        ("text", [" "], "asks nothing"),
        ("text", [], "asks nothing"),
        ("is_sentence", "false", "`is_sentence` must be true or false, found 'false'"),
        ("is_sentence", None, "`is_sentence` must be true or false, found None"),
    ],
)
def test_texts_of_reasonseg_that_would_be_misread_are_refused(made, key, value, said):
    file = next(iter(sorted((made["reasonseg"] / "val").glob("*.json"))))
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {key: value}))
    with pytest.raises(DatasetError, match=said):
        load_dataset("reasonseg", made["reasonseg"], "val")


def test_reasonseg_says_which_file_has_no_other_beside_it(made):
    folder = made["reasonseg"] / "val"
    first, second, *_ = sorted(folder.glob("*.jpg"))
    for ending in (".png", ".jpeg"):
        first.with_suffix(ending).write_bytes(first.read_bytes())
    with pytest.raises(DatasetError, match=rf"has {first.stem}.jpeg and {first.name} for one annotation"):
        load_dataset("reasonseg", made["reasonseg"], "val")
    first.with_suffix(".jpeg").unlink()
    assert load_dataset("reasonseg", made["reasonseg"], "val").list_samples()[0].source == f"val/{first.name}"
    first.unlink()
    (folder / "readme.png").write_bytes(b"")
    assert load_dataset("reasonseg", made["reasonseg"], "val").list_samples()[0].source == f"val/{first.stem}.png"
    second.unlink()
    with pytest.raises(DatasetError, match=rf"{second.stem}.json has no image beside it"):
        load_dataset("reasonseg", made["reasonseg"], "val")


@pytest.mark.parametrize("segmentation", RUNS)
@pytest.mark.parametrize("name", ["saco-gold", "reasonseg", "own"])
def test_masks_of_predictions_that_are_none_are_named(folders, predicted, tmp_path, name, segmentation):
    dataset = load_dataset(name, folders[name], {"own": "all", **SPLITS}[name])
    samples = dataset.list_samples()
    mask = np.ones((1, samples[0].open_image().height, samples[0].open_image().width), bool)
    [held] = [json.loads(file) for file in dataset.build_submission([predicted(samples[0].id, mask)]).values()]
    place = "segmentation" if name == "saco-gold" else "masks"
    entry = {place: [segmentation] if name == "own" else segmentation}
    if name == "reasonseg":
        entry = segmentation if isinstance(segmentation, dict) else {"size": segmentation, "counts": "0"}
    (tmp_path / "p.json").write_text(json.dumps([held[0] | entry]))
    with pytest.raises(ScoringError, match=r"^prediction (0|'.*'): "):
        dataset.score_file(tmp_path / "p.json")


@pytest.mark.parametrize(
    "box", [[NAN, 0, 1, 1], [0, 0, float("inf"), 1], [True, 0, 1, 1], ["0", 0, 1, 1], [0, 0, 1], None]
)
def test_boxes_of_predictions_that_are_none_are_named(folders, tmp_path, box):
    own = load_dataset("own", folders["own"])
    entry = {"id": own.list_samples()[0].id, "boxes": [box], "scores": [0.9]}
    (tmp_path / "p.json").write_text(json.dumps([entry]))
    with pytest.raises(ScoringError, match="`boxes` must be lists of x0, y0, x1, y1"):
        own.score_file(tmp_path / "p.json")
    boxes = load_dataset("omnilabel", folders["omnilabel"], "val")
    image, description = boxes.list_samples()[0].id.split("-")
    entry = {"image_id": int(image), "bbox": box, "description_ids": [int(description)], "scores": [0.9]}
    (tmp_path / "p.json").write_text(json.dumps([entry]))
    with pytest.raises(ScoringError, match="prediction 0: `bbox` must be four numbers"):
        boxes.score_file(tmp_path / "p.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_benchmark_files_and_predictions_may_begin_with_a_byte_order_mark(made, tmp_path, encoding):
    split = {**SPLITS, "omnilabel": "val", "own": "all"}
    for name, folder in made.items():
        if name not in split:
            continue
        before = [sample.query for sample in load_dataset(name, folder, split[name]).list_samples()]
        for path in (path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl")):
            path.write_bytes(path.read_text("utf-8").encode(encoding))
        dataset = load_dataset(name, folder, split[name])
        assert [sample.query for sample in dataset.list_samples()] == before
        (tmp_path / "p.json").write_bytes("[]".encode(encoding))
        assert dataset.score_file(tmp_path / "p.json")
