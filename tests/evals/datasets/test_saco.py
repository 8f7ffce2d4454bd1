"""SA-Co: one sample per image and phrase, three annotators for Gold, one file for Silver."""

import json

import numpy as np
import pytest

from evals.datasets.loading import load_benchmark
from evals.datasets.saco import GOLD_SUBSETS
from evals.errors import DatasetError, ScoringError
from evals.metrics import cgf1
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


@pytest.fixture(scope="module", params=["saco-gold", "saco-silver"])
def dataset(request, folders):
    return load_benchmark(request.param, folders[request.param], "metaclip" if request.param == "saco-gold" else "sav")


def files(dataset):
    return list(dataset.files)


@pytest.fixture(scope="module")
def truth(dataset, predicted):
    """What the first annotator has."""
    content = json.loads(dataset.files[0].read_bytes())
    masks = {sample.id: [] for sample in dataset.list_samples()}
    for entry in content["annotations"]:
        if str(entry["image_id"]) in masks:
            masks[str(entry["image_id"])].append(rle.decode_mask(RleMask.from_coco(entry["segmentation"])))
    return [predicted(id, np.array(found, bool).reshape(len(found), *shape(found))) for id, found in masks.items()]


def shape(found):
    return found[0].shape if found else (120, 160)


@pytest.fixture(scope="module")
def mixed(dataset, truth, predicted):
    """Shifted, missing and superfluous masks, some with scores that do not count."""
    rng = np.random.default_rng(0)

    def spoilt(one):
        masks = [
            np.roll(rle.decode_mask(mask), int(rng.integers(0, 5)), axis=1) for mask in one.masks if rng.random() < 0.8
        ]
        if rng.random() < 0.2:
            size = one.masks[0].size if one.masks else target_size(dataset, one.id)
            masks.append(np.indices(size).sum(axis=0) < 40)
        size = masks[0].shape if masks else (1, 1)
        return predicted(one.id, np.array(masks, bool).reshape(-1, *size), rng.uniform(0.4, 1, len(masks)))

    return [spoilt(one) for one in truth]


def target_size(dataset, id):
    [sample] = [sample for sample in dataset.list_samples() if sample.id == id]
    return sample.target().shape


def test_phrases_go_to_sam3_and_only_exhaustive_pairs_count(dataset):
    samples = dataset.list_samples()
    assert all(sample.direct for sample in samples)
    listed = len(json.loads(dataset.files[0].read_bytes())["images"])
    assert (len(samples) < listed) == (dataset.name == "saco-gold")
    assert f"{listed} pairs are listed; asked are the {len(samples)} " in dataset.collect_info().notes[0]
    picture = samples[0].open_image()
    assert samples[0].target().shape == (picture.height, picture.width)
    assert samples[0].target().any()


def test_the_truth_scores_as_well_as_the_official_constants_allow(dataset, truth):
    scores = dataset.score(truth)
    assert scores.headline == "cgF1"
    assert scores.metrics["cgF1"] == pytest.approx(99.995, abs=0.004)
    assert scores.metrics["bbox cgF1"] == pytest.approx(99.995, abs=0.004)
    assert min(scores.per_sample.values()) > 0.99


def test_failures_score_as_empty_answers(dataset, nothing):
    scores = dataset.score(nothing(dataset.list_samples()))
    assert (scores.metrics["cgF1"], scores.metrics["IL_MCC"]) == (0, 0)
    assert set(scores.per_sample.values()) == {0, 1}


def test_the_submission_scores_as_the_run_does(dataset, mixed, tmp_path):
    [(name, content)] = dataset.build_submission(mixed).items()
    assert name == "coco_predictions_segm.json"
    (tmp_path / name).write_bytes(content)
    scores = dataset.score(mixed).metrics
    official = cgf1.score(files(dataset), tmp_path / name)
    assert {key: scores[key] for key in official if key != "official"} == {
        key: value for key, value in official.items() if key != "official"
    }
    assert scores["bbox cgF1"] == cgf1.score(files(dataset), tmp_path / name, "bbox")["cgF1"]
    assert 5 < scores["cgF1"] < 95
    order = {sample.id: place for place, sample in enumerate(dataset.list_samples())}
    places = [order[str(entry["image_id"])] for entry in json.loads(content)]
    assert places == sorted(places)


def test_boxes_are_shares_of_the_picture_to_five_digits(dataset, truth):
    [content] = dataset.build_submission(truth).values()
    entry = json.loads(content)[0]
    assert all(0 <= side <= 1 and side == round(side, 5) for side in entry["bbox"])
    assert 0 < entry["area"] < 1


def test_resampling_is_the_metric_over_what_is_drawn(dataset, mixed):
    measure = dataset.build_measure(mixed)
    assert measure(range(len(mixed))) == dataset.score(mixed).metrics["cgF1"]
    drawn = np.random.default_rng(1).integers(len(mixed), size=len(mixed)).tolist()
    assert measure(drawn) == dataset.score([mixed[place] for place in drawn]).metrics["cgF1"]


def test_a_picture_of_another_size_than_the_files_say_is_told_and_not_scored(dataset, truth):
    place = next(place for place, one in enumerate(truth) if one.masks)
    height, width = truth[place].masks[0].size
    larger = [rle.encode_mask(np.pad(rle.decode_mask(mask), ((0, 1), (0, 2)))) for mask in truth[place].masks]
    spoilt = [*truth[:place], truth[place].model_copy(update={"masks": tuple(larger)}), *truth[place + 1 :]]
    said = rf"are {width + 2} x {height + 1} pixels, its image is {width} x {height}: they are of another image"
    for use in (dataset.score, dataset.build_submission):
        with pytest.raises(DatasetError, match=said):
            use(spoilt)


def test_all_three_annotators_are_needed(tmp_path, folders):
    one = "gold_metaclip_merged_a_release_test.json"
    (tmp_path / one).write_bytes((folders["saco-gold"] / one).read_bytes())
    with pytest.raises(
        DatasetError, match=r"merged_b_release_test.json does not exist, expected the files of all anno"
    ):
        load_benchmark("saco-gold", tmp_path, "metaclip")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "silver_geode_merged_test.json does not exist"),
        (b"{}", "ground truth has no `images`"),
        (b'{"images": [], "categories": []}', "nothing to score"),
        (
            b'{"images": [{"id": 1, "is_instance_exhaustive": 1, "file_name": "a.jpg"}], "categories": []}',
            "a.jpg is not",
        ),
    ],
)
def test_missing_or_damaged_files_are_one_sentence_with_the_place_to_get_them(tmp_path, content, said):
    if content is not None:
        (tmp_path / "silver_geode_merged_test.json").write_bytes(content)
    with pytest.raises(DatasetError, match=said) as caught:
        load_benchmark("saco-silver", tmp_path, "geode")
    assert "facebook/SACo-Silver" in str(caught.value)


def test_a_subset_that_there_is_not_is_told(tmp_path):
    with pytest.raises(DatasetError, match="wiki_common, and all, not 'test'"):
        load_benchmark("saco-gold", tmp_path, "test")


@pytest.fixture
def whole(folders, tmp_path):
    """Gold with all its subsets: the generated one, thinned out differently for each."""
    for number, subset in enumerate(GOLD_SUBSETS):
        for annotator in "abc":
            file = folders["saco-gold"] / f"gold_metaclip_merged_{annotator}_release_test.json"
            content = json.loads(file.read_bytes())
            content["images"] = content["images"][3 * number : 3 * number + 12]
            kept = {entry["id"] for entry in content["images"]}
            content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] in kept]
            (tmp_path / file.name.replace("metaclip", subset)).write_text(json.dumps(content))
    return tmp_path, {"pictures": folders["saco-gold"] / "metaclip-images"}


def as_first_annotator(dataset, predicted, *, every=1):
    found = []
    for number, sample in enumerate(dataset.list_samples()):
        mask = sample.target()
        found.append(predicted(sample.id, mask[None] if mask.any() and number % every == 0 else mask[None][:0]))
    return found


def test_all_of_gold_is_the_plain_mean_of_its_subsets(whole, predicted):
    data, pictures = whole
    dataset = load_benchmark("saco-gold", data, "all", **pictures)
    found = as_first_annotator(dataset, predicted, every=2)
    scores = dataset.score(found)
    alone = {}
    for subset in GOLD_SUBSETS:
        part = load_benchmark("saco-gold", data, subset, **pictures)
        own = [one for one in found if one.id.startswith(f"{subset}/")]
        assert [one.id for one in own] == [f"{subset}/{sample.id}" for sample in part.list_samples()]
        alone[subset] = part.score([one.model_copy(update={"id": one.id.split("/")[1]}) for one in own])
    for name in ("cgF1", "pmF1", "IL_MCC", "bbox cgF1"):
        assert scores.metrics[name] == pytest.approx(np.mean([one.metrics[name] for one in alone.values()]), abs=1e-12)
    assert scores.metrics["cgF1 wiki_common"] == alone["wiki_common"].metrics["cgF1"]
    assert scores.metrics["pairs"] == dataset.collect_info().samples == len(dataset.list_samples())
    everything = list(range(len(found)))
    assert dataset.build_measure(found)(everything) == pytest.approx(scores.metrics["cgF1"], abs=1e-9)
    last = [place for place in everything if found[place].id.startswith("wiki_common/")]
    assert dataset.build_measure(found)(last) == pytest.approx(alone["wiki_common"].metrics["cgF1"], abs=1e-9)


def test_a_file_for_every_subset_scores_as_the_run_that_wrote_them(whole, predicted, tmp_path):
    dataset = load_benchmark("saco-gold", whole[0], "all", **whole[1])
    found = as_first_annotator(dataset, predicted)
    for name, content in dataset.build_submission(found).items():
        (tmp_path / "files" / name).parent.mkdir(parents=True)
        (tmp_path / "files" / name).write_bytes(content)
    scores = dataset.score_file(tmp_path / "files")
    expected = dataset.score(found).metrics
    assert {name: scores[name] for name in expected} == {
        name: pytest.approx(value, abs=1e-12) for name, value in expected.items()
    }
    (tmp_path / "files/sa1b/coco_predictions_segm.json").unlink()
    with pytest.raises(ScoringError, match="the mean over all subsets needs a file for each of them"):
        dataset.score_file(tmp_path / "files")
