"""Predictions that anybody made, in a benchmark's own format, score as a run of the same answers does."""

import json

import numpy as np
import pytest

from evals.datasets.loading import load_benchmark, load_dataset
from evals.errors import ScoringError
from evals.samples import Prediction

SETS = {
    "reasonseg": ("val", "giou"),
    "refcoco": ("val", "ciou"),
    "grefcoco": ("val", "giou"),
    "omnilabel": ("val", "ap_descr"),
    "saco-gold": ("metaclip", "cgF1"),
    "saco-silver": ("sav", "cgF1"),
    "own": ("all", "giou"),
    "refcocom": ("val_object_part", "giou"),
    "converseg": ("human_annotated", "giou"),
    "pbench": ("level_0", "f1"),
}


@pytest.fixture
def answered(predicted):
    """Moved targets for every third sample, exact ones for the others, and nothing where there is no target."""

    def of(dataset) -> list[Prediction]:
        return [_answer(sample, index) for index, sample in enumerate(dataset.list_samples())]

    def _answer(sample, index: int) -> Prediction:
        picture = sample.open_image()
        mask = np.zeros((picture.height, picture.width), bool)
        for x0, y0, x1, y1 in sample.target_boxes or ():
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        mask = mask if sample.target is None else sample.target()
        moved = np.roll(mask, 5, axis=1) if index % 3 == 0 else mask
        return predicted(sample.id, moved[None] if moved.any() else moved[None][:0])

    return of


@pytest.mark.parametrize("name", SETS)
def test_a_file_scores_as_the_run_that_wrote_it(name, folders, answered, tmp_path):
    split, headline = SETS[name]
    dataset = load_dataset(name, folders[name], split)
    found = answered(dataset)
    [content] = dataset.build_submission(found).values()
    (tmp_path / "file.json").write_bytes(content)
    scores = load_benchmark(name, folders[name], split).score_file(tmp_path / "file.json")
    metrics = dataset.score(found).metrics
    assert next(iter(scores)) == headline
    assert 0 < scores[headline] < 100
    assert {known: scores[known] for known in metrics if known in scores and not known.startswith("grec_")} == {
        known: pytest.approx(value, abs=1e-12) for known, value in metrics.items() if known in scores
    }


def test_what_a_file_lacks_counts_as_empty_and_is_told(folders, answered, tmp_path):
    dataset = load_dataset("reasonseg", folders["reasonseg"], "val")
    found = answered(dataset)
    held = json.loads(dataset.build_submission(found)["reasonseg_val.json"])
    (tmp_path / "file.json").write_text(json.dumps(held[2:]))
    scores = dataset.score_file(tmp_path / "file.json")
    empty = [Prediction.make_failed(one.id, "") for one in found[:2]]
    assert scores["absent"] == 2
    assert scores["giou"] == dataset.score([*empty, *found[2:]]).metrics["giou"]


def test_grefcoco_keeps_a_mask_that_is_declared_to_be_no_target(folders, answered, tmp_path):
    """Its pixels stay in the union, as in the official code."""
    dataset = load_dataset("grefcoco", folders["grefcoco"], "val")
    held = json.loads(dataset.build_submission(answered(dataset))["grefcoco_val.json"])
    file = tmp_path / "file.json"
    file.write_text(json.dumps(held))
    before = dataset.score_file(file)
    place = next(place for place, one in enumerate(held) if not one["no_target"])
    file.write_text(json.dumps([one | {"no_target": one["no_target"] or one is held[place]} for one in held]))
    declared = dataset.score_file(file)
    assert declared["t_acc"] < before["t_acc"]
    assert 0 < before["ciou"] - declared["ciou"] < 0.5


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("reasonseg", lambda held: [*held, held[0]], "is there twice"),
        ("reasonseg", lambda held: [held[0] | {"id": "x"}], "the id 'x' is not in the data, whose first one is"),
        ("reasonseg", lambda held: [held[0] | {"counts": "0"}], "the runs do not make up a mask"),
        ("reasonseg", lambda held: [{"id": held[0]["id"]}], "must be run lengths with a size"),
        ("reasonseg", lambda held: [held[0] | {"size": ["a", 60]}], "a height and a width must be whole numbers"),
        (
            "reasonseg",
            lambda held: [held[0] | {"size": [float("inf"), 1]}],
            "whole numbers of pixels, 1 or more, found inf",
        ),
        (
            "reasonseg",
            lambda held: [held[0] | {"counts": ["a"]}],
            r"^prediction '.*': runs are whole numbers of pixels.*'a'",
        ),
        (
            "reasonseg",
            lambda held: [held[0] | {"counts": [[3], 4]}],
            r"runs are whole numbers of pixels, 0 or more, found \[3\]",
        ),
        ("reasonseg", lambda held: [held[0] | {"counts": [-1, 2], "size": [-1, -1]}], "1 or more, found -1 and -1"),
        ("reasonseg", lambda held: [held[0] | {"counts": [1], "size": [-1, -1]}], "1 or more, found -1 and -1"),
        (
            "reasonseg",
            lambda held: [held[0] | {"counts": None}],
            "`counts` must be a text or a list of runs, found None",
        ),
        ("reasonseg", lambda held: 5, "predictions must be a list, found int"),
        ("own", lambda held: [held[0] | {"masks": None}], "prediction '.*': `masks` must be a list, found NoneType"),
        ("own", lambda held: [held[0] | {"masks": 5}], "`masks` must be a list, found int"),
        ("own", lambda held: [held[0] | {"masks": [5]}], "`segmentation` must be run lengths with a size"),
        ("own", lambda held: [held[0] | {"masks": [{"size": [12, 5], "counts": ["a"]}]}], "runs are whole numbers"),
        (
            "saco-gold",
            lambda held: [held[0] | {"segmentation": {"size": ["a", 60], "counts": "1"}}],
            "must be whole numbers",
        ),
        ("own", lambda held: [held[0] | {"boxes": [[0, 0, 10**400, 1]], "scores": [1]}], "must be lists of x0, y0, x1"),
        ("omnilabel", lambda held: [held[0] | {"bbox": [0, 0, 10**400, 1]}], "`bbox` must be four numbers"),
        ("saco-gold", lambda held: [held[0] | {"segmentation": [["a", "b", 1, 2, 3, 4]]}], "found 'a' in it"),
        ("grefcoco", lambda held: [held[0] | {"size": [1, 1], "counts": "1"}], r"its mask is \(1, 1\), its image"),
        ("own", lambda held: [held[0] | {"scores": []}], "boxes need as many scores, found 0"),
        ("own", lambda held: [held[0] | {"boxes": [[1, 2]]}], "must be lists of x0, y0, x1, y1"),
        ("saco-gold", lambda held: {"predictions": held}, "predictions must be a list, found dict"),
        ("omnilabel", lambda held: [{"image_id": 1}], "prediction 0 has no `bbox`"),
    ],
)
def test_a_wrong_entry_is_named(name, change, said, folders, answered, tmp_path):
    dataset = load_dataset(name, folders[name], SETS[name][0])
    [content] = dataset.build_submission(answered(dataset)).values()
    (tmp_path / "file.json").write_text(json.dumps(change(json.loads(content))))
    with pytest.raises(ScoringError, match=said):
        dataset.score_file(tmp_path / "file.json")


def test_a_file_that_is_nested_too_deeply_is_one_sentence(folders, tmp_path):
    (tmp_path / "file.json").write_text("[" * 100_000)
    with pytest.raises(ScoringError, match=r"predictions: .*file.json is not JSON"):
        load_dataset("own", folders["own"], "all").score_file(tmp_path / "file.json")
