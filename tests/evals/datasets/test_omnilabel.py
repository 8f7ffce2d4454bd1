"""OmniLabel: one sample per image and description, scored as the official evaluator does."""

import json

import numpy as np
import pytest

from evals.datasets.loading import load_benchmark
from evals.errors import DatasetError
from evals.metrics import omnilabel
from evals.samples import Prediction

FILE = "dataset_all_val_v0.1.3.json"


@pytest.fixture(scope="module")
def dataset(folders):
    return load_benchmark("omnilabel", folders["omnilabel"], "val")


@pytest.fixture(scope="module")
def file(folders):
    return folders["omnilabel"] / FILE


@pytest.fixture(scope="module")
def truth(dataset, file):
    """Every target box with a high score."""
    content = json.loads(file.read_bytes())
    boxes = {sample.id: [] for sample in dataset.list_samples()}
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        for description in entry["description_ids"]:
            boxes[f"{entry['image_id']}-{description}"].append((x, y, x + w, y + h))
    return [of_boxes(id, found) for id, found in boxes.items()]


def of_boxes(id, boxes, scores=None):
    return Prediction(
        id=id, status="ok" if boxes else "no_mask", boxes=tuple(boxes), scores=scores or (0.9,) * len(boxes)
    )


@pytest.fixture(scope="module")
def mixed(truth):
    """Shifted, doubled, missing and superfluous boxes, with many equal scores."""
    rng = np.random.default_rng(0)

    def spoilt(one):
        moved = [tuple((np.array(box) + rng.integers(-6, 7, 4)).tolist()) for box in one.boxes if rng.random() < 0.8]
        more = [(5.0, 5.0, 40.0, 30.0)] * int(rng.integers(0, 3)) if rng.random() < 0.3 else []
        boxes = [*one.boxes[:1], *moved, *more]
        return of_boxes(one.id, boxes, tuple(float(s) for s in rng.choice([0.5, 0.75, 0.9], len(boxes))))

    return [spoilt(one) for one in truth]


def test_categories_go_to_sam3_and_descriptions_to_the_agent(dataset, file):
    content = json.loads(file.read_bytes())
    samples = dataset.list_samples()
    assert len(samples) == sum(len(entry["image_ids"]) for entry in content["descriptions"])
    assert [sample.group for sample in samples] == sorted((sample.group for sample in samples), key=int)
    assert sum(not sample.direct for sample in samples) == 20
    assert all(("length" in sample.slices) != sample.direct for sample in samples)
    assert samples[0].open_image().pixels.shape[2] == 3
    assert samples[0].source == "coco/scene_000001.jpg"


def test_the_truth_scores_one_and_nothing_scores_zero(dataset, truth, nothing):
    perfect = dataset.score(truth)
    assert perfect.headline == "ap_descr"
    assert [perfect.metrics[name] for name in ("ap_descr", "ap_categ", "ar_descr")] == pytest.approx([1, 1, 1])
    assert len(perfect.metrics) == 13
    empty = dataset.score(nothing(dataset.list_samples()))
    assert {empty.metrics[name] for name in ("ap", "ap_descr", "ap_categ", "ar_categ")} == {0.0}


def test_the_submission_scores_as_the_run_does(dataset, file, mixed, tmp_path):
    [(name, content)] = dataset.build_submission(mixed).items()
    (tmp_path / name).write_bytes(content)
    scores = dataset.score(mixed)
    assert omnilabel.score(file, tmp_path / name) == scores.metrics
    assert 0.05 < scores.metrics["ap_descr"] < 0.95
    order = {sample.id: place for place, sample in enumerate(dataset.list_samples())}
    places = [order[f"{entry['image_id']}-{entry['description_ids'][0]}"] for entry in json.loads(content)]
    assert places == sorted(places)


def test_resampling_is_the_metric_over_what_is_drawn(dataset, mixed):
    measure = dataset.build_measure(mixed)
    assert measure(range(len(mixed))) == dataset.score(mixed).metrics["ap_descr"]
    some = [place for place, sample in enumerate(dataset.list_samples()) if int(sample.group) % 3]
    assert measure(some) == dataset.score([mixed[place] for place in some]).metrics["ap_descr"]


def test_a_pair_that_is_drawn_twice_counts_twice(dataset, mixed):
    # scores made unequal, so that the place of a pair's double does not matter
    unequal = [
        of_boxes(one.id, one.boxes, tuple(s - 1e-4 * n - 1e-6 * k for k, s in enumerate(one.scores)))
        for n, one in enumerate(mixed)
    ]
    described = [place for place, sample in enumerate(dataset.list_samples()) if not sample.direct]
    drawn = sorted(np.random.default_rng(1).choice(described, len(described)).tolist())
    doubled = omnilabel.score_matches(
        [dataset._pairs_by_id[unequal[place].id] for place in drawn],
        dataset._match_predictions([unequal[place] for place in drawn]),
    )
    assert len(set(drawn)) < len(drawn)
    assert dataset.build_measure(unequal)(drawn[::-1]) == doubled["ap_descr"]


def test_without_a_description_there_is_no_headline(dataset, truth):
    plain = [place for place, sample in enumerate(dataset.list_samples()) if sample.direct]
    assert dataset.build_measure(truth)(plain) == -1


def test_facts_tell_the_release(dataset):
    facts = dataset.collect_info()
    assert "0.1.3" in facts.notes[0]
    assert facts.images == 20
    assert len(facts.hash) == 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, f"expected the annotation file {FILE}"),
        (b"[", "is not JSON"),
        (b'{"images": [], "descriptions": []}', "ground truth has no `annotations`"),
        (b'{"images": [], "descriptions": [], "annotations": []}', "lists no description"),
        (
            b'{"images": [{"id": 1, "file_name": "coco/a.jpg"}], "annotations": [], "descriptions": [{"id": 1,'
            b' "text": "a", "image_ids": [1], "anno_info": {"type": "object_category"}}]}',
            "the image coco/a.jpg is not in",
        ),
    ],
)
def test_missing_or_damaged_files_are_one_sentence_with_the_place_to_get_them(tmp_path, content, said):
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=said) as caught:
        load_benchmark("omnilabel", tmp_path, "val")
    assert "omnilabel.org" in str(caught.value)


def test_a_split_that_there_is_not_is_told(tmp_path):
    with pytest.raises(DatasetError, match="val-coco"):
        load_benchmark("omnilabel", tmp_path, "test")
