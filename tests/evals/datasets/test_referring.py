"""RefCOCO and gRefCOCO: sentences about COCO's objects, from official files."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from evals.datasets.loading import load_benchmark
from evals.errors import DatasetError
from evals.metrics import gres, refcoco
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


@pytest.fixture(scope="module", params=["refcoco", "grefcoco"])
def dataset(request, folders):
    return load_benchmark(request.param, folders[request.param], "val")


@pytest.fixture(scope="module")
def grefs(folders):
    return load_benchmark("grefcoco", folders["grefcoco"], "val")


@pytest.fixture(scope="module")
def refs(folders):
    return load_benchmark("refcoco", folders["refcoco"], "val")


def perfect(dataset, predicted):
    """The target, as one mask; no mask where there is no target."""
    return [
        predicted(sample.id, sample.target()[None][: int(sample.target().any())]) for sample in dataset.list_samples()
    ]


def spoilt(dataset, predicted):
    """Every third target shifted, every fourth left out, and something found where there is nothing."""
    some = perfect(dataset, predicted)
    for place, sample in enumerate(dataset.list_samples()):
        target = np.roll(sample.target(), 4, axis=1)
        target[:20, :20] |= not target.any()
        if place % 4 == 0:
            some[place] = predicted(sample.id, target[None][:0])
        elif place % 3 == 0 or place % 5 == 4:
            some[place] = predicted(sample.id, target[None])
    return some


def test_sentences_are_samples_about_the_pictures_of_coco(dataset):
    samples = dataset.list_samples()
    assert len(samples) > 4
    assert all(sample.query == sample.query.lower().strip() for sample in samples)
    picture = samples[0].open_image()
    assert samples[0].target().shape == (picture.height, picture.width)
    assert samples[0].group.startswith("COCO_train2014_0000000000")


def test_the_truth_is_perfect_and_failures_are_empty(refs, predicted, nothing):
    scores = refs.score(perfect(refs, predicted))
    assert scores.headline == "ciou"
    assert scores.metrics["ciou"] == pytest.approx(1, abs=1e-6)
    assert refs.score(nothing(refs.list_samples())).metrics == {"giou": 0, "ciou": 0, "n": len(refs.list_samples())}


def test_sentences_without_target_are_answered_by_no_mask(grefs, predicted, nothing):
    assert {sample.slices["targets"] for sample in grefs.list_samples()} == {"none", "one", "several"}
    scores = grefs.score(perfect(grefs, predicted))
    expected = {"giou": 1, "ciou": 1, "n_acc": 1, "t_acc": 1, "precision_0.9": 1}
    assert {name: scores.metrics[name] for name in expected} == expected
    empty = grefs.score(nothing(grefs.list_samples())).metrics
    assert (empty["giou"], empty["ciou"], empty["n_acc"], empty["t_acc"]) == (2 / 20, 0, 1, 0)
    assert (empty["grec_f1"], empty["grec_n_acc"], empty["grec_t_acc"]) == (2 / 20, 1, 0)


@pytest.mark.parametrize("convention", ["rela", "gsva"])
def test_a_grefcoco_submission_scores_as_the_run_does(folders, predicted, convention):
    dataset = load_benchmark("grefcoco", folders["grefcoco"], "val", convention=convention)
    predictions = spoilt(dataset, predicted)
    [(name, content)] = dataset.build_submission(predictions).items()
    assert name == "grefcoco_val.json"
    entries = json.loads(content)
    assert [entry["id"] for entry in entries] == [sample.id for sample in dataset.list_samples()]
    targets = [sample.target() for sample in dataset.list_samples()]
    pairs = [
        (rle.decode_mask(RleMask.from_coco(entry)), target, entry["no_target"], not target.any())
        for entry, target in zip(entries, targets, strict=True)
    ]
    expected = gres.score(pairs, convention)
    metrics = dataset.score(predictions).metrics
    assert {name: metrics[name] for name in metrics if not name.startswith("grec_")} == {
        name: value for name, value in expected.items() if name != "official"
    }
    assert 0.2 < metrics["giou"] < 0.9


def test_a_refcoco_submission_scores_as_the_run_does(refs, predicted):
    predictions = spoilt(refs, predicted)
    [content] = refs.build_submission(predictions).values()
    pairs = [
        (rle.decode_mask(RleMask.from_coco(entry)), sample.target().astype(np.uint8))
        for entry, sample in zip(json.loads(content), refs.list_samples(), strict=True)
    ]
    assert refcoco.score(pairs) == refs.score(predictions).metrics


def test_resampling_is_the_metric_over_what_is_drawn(dataset, predicted):
    predictions = spoilt(dataset, predicted)
    measure = dataset.build_measure(predictions)
    for drawn in (list(range(len(predictions))), [0, 0, 1, 3, 3, 4]):
        scores = dataset.score([predictions[place] for place in drawn])
        assert measure(drawn) == scores.metrics[scores.headline]


def test_sentences_without_target_alone_still_have_a_giou(grefs, predicted):
    predictions = perfect(grefs, predicted)
    missing = [
        p for p, sample in zip(predictions, grefs.list_samples(), strict=True) if sample.slices["targets"] == "none"
    ]
    assert grefs.score(missing).metrics == {"giou": 1.0, "n": 2}


def test_overlapping_parts_of_an_annotation_count_as_in_each_official_code(folders, refs, grefs):
    sentence = refs.refs.sentences[0]
    square = [[10, 10, 40, 10, 40, 40, 10, 40], [20, 20, 60, 20, 60, 60, 20, 60]]
    doubled = {**sentence.annotations[0], "segmentation": square}
    one = replace(sentence, annotations=[doubled])
    lisa = replace(refs, refs=replace(refs.refs, sentences=[one]))
    rela = replace(grefs, refs=replace(grefs.refs, sentences=[one]))
    assert lisa._scorer.targets[one.id].mask().max() == 2
    assert (lisa.list_samples()[0].target() == rela.list_samples()[0].target()).all()


def test_facts_tell_the_split_and_what_was_published(refs, grefs):
    assert refs.collect_info().published == 10834
    assert "unc" in refs.collect_info().notes[0]
    assert "2 of 20 sentences have no target" in grefs.collect_info().notes[1]
    assert len(refs.collect_info().hash) == len(grefs.collect_info().hash) == 64


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path, folders):
    (tmp_path / "refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch " + bytes(tmp_path) + b"/run'\ntR.")
    (tmp_path / "instances.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"it holds a os\.system"):
        load_benchmark("refcoco", tmp_path, "val")
    assert not (tmp_path / "run").exists()


def test_testa_is_found_by_its_last_letter(tmp_path, folders):
    source = folders["refcoco"] / "refcoco"
    refs = pickle.loads((source / "refs(unc).p").read_bytes())
    for ref, split in zip(refs, ["testA", "testB", "testAB", "val"], strict=False):
        ref["split"] = split
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(refs[:4], protocol=2))
    (tmp_path / "instances.json").write_bytes((source / "instances.json").read_bytes())
    pictures = folders["refcoco"] / "images/mscoco/images/train2014"
    counts = [
        len(load_benchmark("refcoco", tmp_path, split, pictures=pictures).list_samples())
        for split in ("testA", "testB", "val")
    ]
    assert counts == [2, 2, 1]


@pytest.mark.parametrize(
    ("refs", "instances", "said"),
    [
        (None, None, "the file grefs"),
        (b"[]", b"{}", "has no refs of the split 'val'"),
        (b"{", b"{}", "cannot be read"),
        (b'[{"split": "val"}]', None, "instances.json cannot be read"),
        (b'[{"split": "val"}]', b"{}", r"instances.json is not as published \(KeyError: 'images'\)"),
        (b'[{"split": "val", "image_id": 3}]', b'{"images": [], "annotations": []}', "does not have"),
        (
            b'[{"split": "val", "image_id": 3}]',
            b'{"images": [{"id": 3, "file_name": "a.jpg"}], "annotations": []}',
            "the image a.jpg is not in",
        ),
    ],
)
def test_missing_or_damaged_files_are_one_sentence_with_the_place_to_get_them(tmp_path, refs, instances, said):
    for name, content in (("grefs(unc).json", refs), ("instances.json", instances)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=said) as caught:
        load_benchmark("grefcoco", tmp_path, "val")
    assert "henghuiding/gRefCOCO" in str(caught.value)


def test_splits_and_conventions_that_there_are_not_are_told(tmp_path):
    with pytest.raises(DatasetError, match="val, test, train, not 'testA'"):
        load_benchmark("refcocog", tmp_path, "testA")
    with pytest.raises(DatasetError, match="unc, umd, google, not 'x'"):
        load_benchmark("refcoco", tmp_path, "val", split_by="x")
    with pytest.raises(DatasetError, match="not 'lisa'"):
        load_benchmark("grefcoco", tmp_path, "val", convention="lisa")
