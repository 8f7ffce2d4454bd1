"""ReasonSeg from its own folders and from the re-uploaded parquet files."""

import json
import os
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from evals.datasets.loading import load_benchmark, load_dataset
from evals.errors import DatasetError
from evals.metrics import reasonseg
from evals.reports.preflight import rehearse_scoring
from sam3_tool.errors import UserError
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.plugins import PluginError


@pytest.fixture(scope="module")
def dataset(folders):
    return load_benchmark("reasonseg", folders["reasonseg"], "val")


@pytest.fixture(scope="module")
def truth(dataset):
    """Predictions with exactly the target, as two instances where it can be cut in two."""

    def halves(sample):
        target = sample.target()
        left = target.copy()
        left[:, target.shape[1] // 2 :] = False
        return np.stack([left, target & ~left])

    return lambda predicted: [predicted(sample.id, halves(sample)) for sample in dataset.list_samples()]


def official(dataset, folder, submission):
    """The metric over what the submission file holds, against the annotation files."""
    pairs = []
    for entry in json.loads(submission):
        height, width = entry["size"]
        target, _, _ = reasonseg.load_annotation(folder / "val" / f"{entry['id']}.json", height, width)
        pairs.append((rle.decode_mask(RleMask.from_coco(entry)), target))
    return reasonseg.score(pairs)


def test_samples_are_asked_in_order_of_their_names_without_opening_a_picture(folders, dataset):
    samples = dataset.list_samples()
    assert [sample.id for sample in samples] == sorted(sample.id for sample in samples)
    assert len(samples) == 18  # two of twenty scenes have no target
    assert {sample.slices["length"] for sample in samples} == {"short", "long"}
    assert all(sample.query == sample.query.strip() for sample in samples)
    first = samples[0]
    assert first.open_image().pixels.shape[:2] == first.target().shape
    assert first.source == f"val/{first.id}.jpg"


def test_the_truth_scores_as_well_as_the_official_constants_allow(dataset, truth, predicted):
    n = len(dataset.list_samples())
    scores = dataset.score(truth(predicted))
    assert scores.headline == "giou"
    assert scores.metrics["giou"] == pytest.approx(n / (n + 1e-5), abs=1e-6)
    assert scores.metrics["ciou"] == pytest.approx(1.0, abs=1e-6)
    assert set(scores.per_sample.values()) == {1.0}


def test_failures_score_as_empty_masks(dataset, nothing):
    scores = dataset.score(nothing(dataset.list_samples()))
    assert scores.metrics == {"giou": 0.0, "ciou": 0.0, "n": len(dataset.list_samples())}


def test_the_submission_scores_as_the_run_does_and_is_in_the_data_sets_order(folders, dataset, truth, predicted):
    predictions = truth(predicted)
    predictions[3:6] = [predicted(p.id, rle.decode_masks(p.masks[:1], *p.masks[0].size)) for p in predictions[3:6]]
    [(name, content)] = dataset.build_submission(predictions).items()
    assert name == "reasonseg_val.json"
    assert [entry["id"] for entry in json.loads(content)] == [sample.id for sample in dataset.list_samples()]
    assert official(dataset, folders["reasonseg"], content) == dataset.score(predictions).metrics
    assert 0.5 < dataset.score(predictions).metrics["giou"] < 1


def test_ignored_pixels_count_for_nothing(dataset, truth, predicted):
    predictions = truth(predicted)
    [index] = [i for i, sample in enumerate(dataset.list_samples()) if sample.id == "scene_000004_0"]
    height, width = predictions[index].masks[0].size
    corner = np.zeros((height, width), bool)
    corner[: height // 8, : width // 8] = True
    masks = [*rle.decode_masks(predictions[index].masks, height, width), corner]
    more = predicted("scene_000004_0", np.stack(masks))
    assert dataset.score([more]).metrics == dataset.score([predictions[index]]).metrics


def test_resampling_is_the_metric_over_what_is_drawn(dataset, truth, nothing, predicted):
    predictions = [*truth(predicted)[:9], *nothing(dataset.list_samples())[9:]]
    measure = dataset.build_measure(predictions)
    drawn = [0, 0, 5, 12, 17, 17]
    assert measure(drawn) == dataset.score([predictions[index] for index in drawn]).metrics["giou"]
    assert measure(range(18)) == dataset.score(predictions).metrics["giou"]


def test_a_part_of_the_samples_can_be_scored(dataset, truth, predicted):
    assert dataset.score(truth(predicted)[:2]).metrics["n"] == 2


def test_facts_name_the_data(folders, dataset):
    facts = dataset.collect_info()
    assert (facts.samples, facts.published) == (18, 200)
    assert "LISA" in facts.source
    assert facts.hash == load_benchmark("reasonseg", folders["reasonseg"], "val").collect_info().hash


def test_a_turned_picture_and_an_old_encoding_are_read_as_officially(tmp_path, predicted):
    (tmp_path / "val").mkdir()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    PIL.Image.new("RGB", (40, 20), "white").save(tmp_path / "val" / "a.jpg", exif=exif)
    shape = {"label": "target", "points": [[1.9, 2.9], [10, 2], [10, 30], [1, 30]]}
    text = json.dumps(
        {"text": [" the café \n", "another"], "is_sentence": False, "shapes": [shape]}, ensure_ascii=False
    )
    (tmp_path / "val" / "a.json").write_bytes(text.encode("cp1252"))
    dataset = load_benchmark("reasonseg", tmp_path, "val")
    [sample] = dataset.list_samples()
    assert sample.query == "the café"
    assert sample.open_image().pixels.shape[:2] == sample.target().shape == (40, 20)
    assert sample.target()[2, 1]  # cut off, not rounded
    assert dataset.score([predicted("a", sample.target()[None])]).metrics["giou"] == pytest.approx(1, abs=2e-5)


def test_masks_of_another_picture_are_refused(dataset, predicted):
    sample = dataset.list_samples()[0]
    with pytest.raises(DatasetError, match="7 x 5 pixels, its image is 1"):
        dataset.score([predicted(sample.id, np.ones((1, 5, 7), bool))])
    with pytest.raises(DatasetError, match="'else', which the data does not have"):
        dataset.score([predicted("else", np.ones((1, 5, 7), bool))])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "val does not exist, expected the folder val/"),
        (lambda folder: (folder / "val").mkdir(), "holds no .jpg file"),
        (lambda folder: write(folder, None), "a.jpg has no a.json beside it"),
        (lambda folder: write(folder, b"{"), "a.json is not as published .*not JSON"),
        (lambda folder: write(folder, b'{"text": [" "], "is_sentence": true}'), "asks nothing"),
        (lambda folder: write(folder, b'{"text": ["a"]}'), "no `is_sentence`"),
    ],
)
def test_missing_or_damaged_files_are_one_sentence_with_the_place_to_get_them(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DatasetError, match=said) as caught:
        load_benchmark("reasonseg", tmp_path, "val")
    assert "dvlab-research/LISA" in str(caught.value)
    assert "\n" not in str(caught.value)


def write(folder, annotation):
    (folder / "val").mkdir()
    PIL.Image.new("RGB", (8, 8)).save(folder / "val" / "a.jpg")
    if annotation is not None:
        (folder / "val" / "a.json").write_bytes(annotation)


def test_unknown_names_splits_and_options_are_told_with_what_there_is(tmp_path):
    with pytest.raises(PluginError, match=r"no dataset 'reasonsge'; there are .*, reasonseg, "):
        load_benchmark("reasonsge", tmp_path, "val")
    with pytest.raises(DatasetError, match="train, val, test, not 'dev'"):
        load_benchmark("reasonseg", tmp_path, "dev")
    with pytest.raises(DatasetError, match="has the options variant, not varient"):
        load_benchmark("reasonseg", tmp_path, "val", varient="lisa")
    with pytest.raises(DatasetError, match=r"'lisa' .* or 'hf-bool', not 'hf'"):
        load_benchmark("reasonseg", tmp_path, "val", variant="hf")


def test_a_file_name_that_is_no_text_is_one_sentence(folders, tmp_path):
    strange = os.fsdecode(b"a\xff")
    original = next((folders["reasonseg"] / "val").glob("*.jpg"))
    (tmp_path / "val").mkdir()
    for ending in (".jpg", ".json"):
        (tmp_path / "val" / f"{strange}{ending}").write_bytes(original.with_suffix(ending).read_bytes())
    with pytest.raises(
        DatasetError, match=r"reasonseg has the id 'a\\udcff', which is no Unicode text; give that sample"
    ):
        load_benchmark("reasonseg", tmp_path, "val")


def test_the_parquet_files_are_a_variant_of_their_own(tmp_path, predicted, nothing):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    masks = [np.zeros((6, 8), bool) for _ in range(5)]
    for number, mask in enumerate(masks):
        mask[1:3, : number + 1] = True
    content = BytesIO()
    PIL.Image.new("RGB", (8, 6), "red").save(content, "PNG")
    table = pyarrow.table(
        {
            "image": [{"bytes": content.getvalue(), "path": None}] * 5,
            "text": [f" thing {number} " for number in range(5)],
            "mask": [mask.tolist() for mask in masks],
            "image_id": [f"p{number}" for number in range(5)],
            "ann_id": [f"a{number}" for number in range(5)],
            "img_height": [6] * 5,
            "img_width": [8] * 5,
        }
    )
    parquet.write_table(table, tmp_path / "test-00000-of-00001.parquet", row_group_size=2)
    dataset = load_benchmark("reasonseg", tmp_path, "test", variant="hf-bool")
    samples = dataset.list_samples()
    assert [(sample.id, sample.query) for sample in samples[:2]] == [("a0", "thing 0"), ("a1", "thing 1")]
    assert samples[3].open_image().pixels.shape == (6, 8, 3)
    assert [sample.target().sum() for sample in samples] == [2, 4, 6, 8, 10]
    assert dataset.version != load_version(tmp_path)
    perfect = [predicted(sample.id, mask[None]) for sample, mask in zip(samples, masks, strict=True)]
    assert dataset.score(perfect).metrics == {"giou": 1.0, "ciou": 1.0, "n": 5}
    assert dataset.score(nothing(samples)).metrics["giou"] == 0
    assert "hf-bool" in dataset.collect_info().notes[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ann_id": None}, "has no `ann_id` in row 1"),
        ({"ann_id": "a0"}, "reasonseg has the id 'a0' twice"),
        ({"mask": None}, "in row 1 a `mask` that is no list of equally long lists of true and false"),
        ({"mask": [None] * 6}, "in row 1 a `mask` that is no list of equally long lists of true and false"),
        ({"mask": [[True], [True, False]]}, "in row 1 a `mask` that is no list of equally long lists"),
        ({"img_height": 7}, r"has in row 1 a mask of \(6, 8\), its image is \(7, 8\)"),
        ({"image": None}, "a1: cannot be read as an image"),
    ],
)
def test_a_broken_row_of_the_parquet_files_is_told_before_a_run(tmp_path, changes, said):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    content = BytesIO()
    PIL.Image.new("RGB", (8, 6), "red").save(content, "PNG")
    first = {"image": {"bytes": content.getvalue(), "path": None}, "text": "a cup", "mask": [[True] * 8] * 6}
    first |= {"image_id": "a0", "ann_id": "a0", "img_height": 6, "img_width": 8}
    rows = [first, first | {"image_id": "a1", "ann_id": "a1"} | changes]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "test.parquet")
    with pytest.raises(UserError, match=said):
        prepare_table(tmp_path)


def prepare_table(folder):
    dataset = load_dataset("reasonseg", folder, "test", variant="hf-bool")
    rehearse_scoring(dataset, dataset.list_samples())
    dataset.list_samples()[1].open_image()


def load_version(folder):
    write(folder, b'{"text": ["a"], "is_sentence": false, "shapes": []}')
    return load_benchmark("reasonseg", folder, "val").version
