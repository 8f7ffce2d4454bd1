"""PBench: instances of expressions, from parquet files."""

import json
import shutil

import numpy as np
import pytest

from evals.datasets.formats.parquet import write_rows
from evals.datasets.images.pbench import read_targets
from evals.datasets.loading import load_dataset
from evals.errors import DatasetError, ScoringError
from evals.metrics import pbench
from evals.samples import Prediction
from sam3_tool import ImageError
from sam3_tool.masks import rle

parquet = pytest.importorskip("pyarrow.parquet")
SPLITS = ("level_0", "level_1", "level_2", "level_3", "level_4", "dense")


@pytest.fixture(scope="module")
def dataset(folders):
    return load_dataset("pbench", folders["pbench"], "level_0")


@pytest.fixture(scope="module")
def row(folders):
    """A row as the file has it."""
    return parquet.read_table(folders["pbench"] / "data").to_pylist()[0]


def answer_exactly(dataset):
    """Every target as an instance of its own."""
    return [
        Prediction(id=sample.id, status="ok", masks=tuple(pbench_targets(dataset, sample.id)))
        for sample in dataset.list_samples()
    ]


def pbench_targets(dataset, id):
    return read_targets(dataset.dataset.table, int(id))


def load_and_score(folder, nothing):
    made = load_dataset("pbench", folder, "level_0")
    return made.score(nothing(made.list_samples()))


def test_the_truth_is_perfect_and_failures_are_false_negatives(dataset, nothing):
    samples = dataset.list_samples()
    scores = dataset.score(answer_exactly(dataset))
    assert scores.headline == "f1"
    assert scores.metrics["f1"] == pytest.approx(1, abs=1e-7)
    assert {name: scores.metrics[name] for name in ("il_tp", "il_tn", "il_fp", "il_fn", "n_valid_f1", "n")} == {
        "il_tp": 18,
        "il_tn": 2,
        "il_fp": 0,
        "il_fn": 0,
        "n_valid_f1": 18,
        "n": 20,
    }
    failed = dataset.score(nothing(samples))
    assert (failed.metrics["f1"], failed.metrics["il_fn"], failed.metrics["il_tn"]) == (0, 18, 2)
    assert {sample.slices["targets"] for sample in samples} == {"none", "one", "several"}


def test_what_is_found_where_there_is_nothing_costs_no_f1_but_is_told(dataset, predicted):
    found = answer_exactly(dataset)
    place = next(place for place, sample in enumerate(dataset.list_samples()) if sample.slices["targets"] == "none")
    sample = dataset.list_samples()[place]
    assert not sample.target().any()
    found[place] = predicted(sample.id, ~sample.target()[None])
    scores = dataset.score(found)
    assert scores.metrics["f1"] == pytest.approx(1, abs=1e-7)
    assert (scores.metrics["il_fp"], scores.metrics["il_tn"], scores.per_sample[sample.id]) == (1, 1, 0)


def test_resampling_is_the_metric_over_what_is_drawn(dataset):
    found = answer_exactly(dataset)
    found[1] = Prediction.make_failed(found[1].id, "")
    measure = dataset.build_measure(found)
    for drawn in (range(len(found)), [0, 1, 1, 4]):
        assert measure(list(drawn)) == dataset.score([found[place] for place in drawn]).metrics["f1"]


def test_dense_scenes_have_one_threshold_and_all_is_the_mean_of_six(dataset, folders, tmp_path):
    file = next(iter((folders["pbench"] / "data").iterdir()))
    for split in SPLITS:
        shutil.copy(file, tmp_path / f"{split}-00000-of-00001.parquet")
    whole = load_dataset("pbench", tmp_path, "all")
    assert len(whole.list_samples()) == 6 * 20
    assert len({sample.id for sample in whole.list_samples()}) == 6 * 20
    loose = [rle.encode_mask(np.roll(rle.decode_mask(mask), 1, 1)) for mask in pbench_targets(dataset, "1")]
    found = []
    for sample in whole.list_samples():
        split, _, id = sample.id.partition("/")
        masks = loose if id == "1" else pbench_targets(dataset, id)
        found.append(Prediction(id=f"{split}/{id}", status="ok", masks=tuple(masks)))
    scores = whole.score(found).metrics
    assert scores["f1 level_0"] < scores["f1 dense"] <= 1
    assert scores["f1"] == np.mean([scores[f"f1 {split}"] for split in SPLITS])
    assert scores["n"] == 6 * 20
    assert whole.build_measure(found)(list(range(len(found)))) == scores["f1"]
    for name, content in whole.build_submission(found).items():
        (tmp_path / name).write_bytes(content)
    assert whole.score_file(tmp_path) == {**scores, "absent": 0}
    (tmp_path / "pbench_dense.json").unlink()
    with pytest.raises(ScoringError, match="the mean over all splits needs a file for each"):
        whole.score_file(tmp_path)
    assert whole.collect_info().published == 6338


def test_masks_of_a_file_are_brought_to_the_size_of_the_image_and_those_of_a_run_are_not(dataset, tmp_path):
    found = answer_exactly(dataset)
    height, width = found[0].masks[0].size
    double = tuple(pbench.resize_mask(mask, 2 * height, 2 * width) for mask in found[0].masks)
    changed = found[0].model_copy(update={"masks": double})
    file = tmp_path / "file.json"
    file.write_bytes(dataset.build_submission([changed, *found[1:]])["pbench_level_0.json"])
    assert dataset.score_file(file)["f1"] == dataset.score(found).metrics["f1"]
    with pytest.raises(DatasetError, match="they are of another image"):
        dataset.score([changed])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"id": "0"}, "prediction '0' has no `masks`"),
        ({"id": "0", "masks": 5}, "prediction '0': `masks` must be a list"),
        ({"id": "0", "masks": [{"size": [4, 4], "counts": "0"}]}, "prediction '0': "),
        ({"id": "0", "masks": [{"size": [0, 4], "counts": "0"}]}, "prediction '0': "),
        ({"id": "0", "masks": [[[1, 2, 3, 4]]]}, "must be run lengths with a size"),
        ({"id": "x", "masks": []}, "the id 'x' is not in the data"),
    ],
)
def test_entries_of_a_file_that_cannot_be_scored_are_named(dataset, tmp_path, entry, said):
    (tmp_path / "file.json").write_text(json.dumps([entry]))
    with pytest.raises(ScoringError, match=said):
        dataset.score_file(tmp_path / "file.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expression": None}, "asks nothing in row 1: None"),
        ({"expression": " "}, "asks nothing in row 1: ' '"),
        ({"masks": None}, "row 1: `masks` must be a list, found NoneType"),
        ({"masks": [{"size": [4, 4], "counts": "0"}]}, "row 1, mask 0: "),
        ({"masks": [{"size": [4], "counts": "04"}]}, "row 1, mask 0: `segmentation` must be run lengths with a size"),
        ({"masks": [{"size": [4, 4], "counts": None}]}, "row 1, mask 0: `counts` must be a text"),
        (
            {"masks": [{"size": [4, 4], "counts": "0`0"}, {"size": [5, 4], "counts": "0d0"}]},
            "row 1: .* its masks are 4 x 4 and 4 x 5 pixels",
        ),
    ],
)
def test_rows_that_are_not_as_published_are_named(row, tmp_path, nothing, change, said):
    write_rows(tmp_path / "level_0-00000-of-00001.parquet", [row, row | change])
    with pytest.raises(DatasetError, match=said) as caught:
        load_and_score(tmp_path, nothing)
    assert "level_0-00000-of-00001.parquet" in str(caught.value)


def test_truth_of_another_size_than_its_image_is_told(row, tmp_path, predicted):
    write_rows(tmp_path / "level_0-0.parquet", [row | {"masks": [{"size": [4, 4], "counts": "0`0"}]}])
    made = load_dataset("pbench", tmp_path, "level_0")
    image = made.list_samples()[0].open_image()
    with pytest.raises(DatasetError, match=r"the masks of '0' are .* pixels, its image is 4 x 4"):
        made.score([predicted("0", np.ones((1, image.height, image.width), bool))])


def test_a_row_without_an_image_fails_when_it_is_opened(row, tmp_path):
    rows = [row, row | {"image": None}, row | {"image": {"bytes": b"GIF89a", "path": None}}]
    write_rows(tmp_path / "level_0" / "0000.parquet", rows)
    samples = load_dataset("pbench", tmp_path, "level_0").list_samples()
    assert samples[0].open_image().height > 0
    for sample in samples[1:]:
        with pytest.raises(ImageError, match=rf"level_0-{sample.id}"):
            sample.open_image()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: b"", "holds parquet files that cannot be read"),
        (lambda content: b"version https://git-lfs.github.com/spec/v1\n", "holds parquet files that cannot be read"),
        (lambda content: content[: len(content) // 2], "holds parquet files that cannot be read"),
        (lambda content: content[:4] + bytes(len(content) - 2000) + content[4 - 2000 :], "cannot be read"),
    ],
)
def test_damaged_files_are_one_sentence(folders, tmp_path, nothing, spoil, said):
    content = next(iter((folders["pbench"] / "data").iterdir())).read_bytes()
    (tmp_path / "level_0-0.parquet").write_bytes(spoil(content))
    with pytest.raises(DatasetError, match=said):
        load_and_score(tmp_path, nothing)


def test_columns_that_are_missing_are_named(row, tmp_path):
    for absent in ("expression", "masks", "image"):
        write_rows(tmp_path / "level_0-0.parquet", [{name: row[name] for name in row if name != absent}])
        with pytest.raises(DatasetError, match=f"not {absent}"):
            load_dataset("pbench", tmp_path, "level_0")
