"""Every video benchmark on staged clips in its own format: right answers score 100, and survive being written."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from evals.datasets.loading import load_benchmark, load_dataset
from evals.datasets.synthetic.make_videos import ClipCase, list_cases, write_videos
from evals.errors import DatasetError, NoTruthError, ScoringError
from evals.metrics import veval
from evals.reports.preflight import check_images, describe_truth, rehearse_scoring
from evals.samples import Prediction, Sample
from sam3_tool import Masklet, Masklets
from sam3_tool.masks import rle

KINDS = ("moves left", "while above")
SCORED = {
    "mevis": "valid_u",
    "revos": "valid",
    "reasonvos": "test",
    "ref-youtube-vos": "train",
    "ref-davis": "valid",
    "davis": "val",
    "sav": "val",
    "saco-veval": "sav-test",
}
HEADLINES = {name: "cgF1" if name == "saco-veval" else "jf" for name in SCORED}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict[str, Path]:
    return write_videos(tmp_path_factory.mktemp("videos"), number=2, kinds=KINDS)


@pytest.fixture(scope="module")
def cases() -> dict[str, ClipCase]:
    return {case.name: case for case in list_cases(2, kinds=KINDS)}


def find_targets(case: ClipCase, sample: Sample) -> list[np.ndarray]:
    """What a sample means, found in the clip itself: bool (T, H, W) each."""
    if sample.given is not None:
        return [
            next(
                masks
                for masks in map(case.clip.get_masks, range(len(case.clip.actors)))
                if (masks[given.frame] == rle.decode_mask(given.mask)).all()
            )
            for given in sample.given()
        ]
    if sample.query == case.query.text:
        return case.expressions[0][1]
    if sample.query in case.nouns:
        return [case.clip.get_masks(index) for index in case.nouns[sample.query]]
    if " in row " in sample.query:
        order = np.argsort(case.clip.centres[0, :, 1])
        return [case.clip.get_masks(int(order[int(sample.query.split()[-1]) - 1]))]
    return case.expressions[1][1]


def answer(case: ClipCase, sample: Sample, *, shift: int = 0) -> Prediction:
    masks = [np.roll(one, shift, axis=2) for one in find_targets(case, sample)]
    height, width = case.size
    length = len(case.clip.frames)
    found = Masklets(
        tuple(Masklet.from_masks(one, score=0.9) for one in masks),
        tuple(range(1, len(masks) + 1)),
        (height, width),
        length,
        "",
        np.ones(length, np.float32),
    )
    return Prediction.from_masklets(sample.id, found, "ok" if masks else "no_mask")


def answer_all(dataset, cases, name: str, *, shift: int = 0) -> list[Prediction]:
    one_object = name == "ref-youtube-vos"
    answers = [answer(cases[s.source], s, shift=shift) for s in dataset.list_samples()]
    return [a.model_copy(update={"masklets": a.masklets[:1]}) for a in answers] if one_object else answers


@pytest.mark.parametrize("name", SCORED)
def test_right_answers_score_100_and_others_less(world, cases, name, tmp_path):
    dataset = load_dataset(name, world[name], SCORED[name])
    samples = dataset.list_samples()
    right, wrong = (answer_all(dataset, cases, name, shift=shift) for shift in (0, 3))
    scores = dataset.score(right)
    assert scores.headline == HEADLINES[name]
    assert scores.metrics[scores.headline] == pytest.approx(100, abs=0.02)
    assert set(scores.per_sample) == {sample.id for sample in samples}
    nothing = dataset.score([Prediction.make_failed(sample.id, "") for sample in samples])
    assert nothing.metrics[scores.headline] < dataset.score(wrong).metrics[scores.headline] < 100
    measure = dataset.build_measure(wrong)
    assert measure(range(len(samples))) == pytest.approx(dataset.score(wrong).metrics[scores.headline], abs=1e-9)


@pytest.mark.parametrize("name", SCORED)
def test_what_is_written_scores_as_what_was_answered(world, cases, name, tmp_path):
    dataset = load_dataset(name, world[name], SCORED[name])
    answers = answer_all(dataset, cases, name, shift=2)
    for file, content in dataset.build_submission(answers).items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    files = [path for path in tmp_path.iterdir() if path.suffix in (".zip", ".json")]
    again = dataset.score_file(files[0] if files else tmp_path)
    scores = dataset.score(answers).metrics
    assert again == {metric: pytest.approx(scores[metric], abs=1e-9) for metric in again}
    assert next(iter(again)) == HEADLINES[name]


@pytest.mark.parametrize("name", SCORED)
def test_the_data_are_checked_as_images_are(world, name):
    dataset = load_dataset(name, world[name], SCORED[name])
    samples = dataset.list_samples()
    assert str(check_images(samples)).endswith("opened, all whole")
    assert describe_truth(dataset, samples) == ("whole", True)
    assert len(dataset.collect_info().hash) == 64
    video = samples[0].open_video()
    assert (len(video), video.read_frame(0).key) == (20, samples[0].open_image().key)


def test_masks_of_another_size_are_told(world, cases):
    for name, split in SCORED.items():
        dataset = load_dataset(name, world[name], split)
        sample = dataset.list_samples()[0]
        with pytest.raises(DatasetError, match="ground truth"):
            dataset.score([Prediction.from_masklets(sample.id, Masklets.empty(10, 10, 20), "no_mask")])
        with pytest.raises(DatasetError, match="which the data does not have"):
            dataset.score([Prediction.make_failed("another", "")])


@pytest.mark.parametrize(("name", "home"), [("mevis", "codalab.lisn"), ("ref-youtube-vos", "codalab.org")])
def test_what_a_server_scores_is_only_predicted(world, cases, name, home, tmp_path):
    dataset = load_dataset(name, world[name], "valid")
    samples = dataset.list_samples()
    with pytest.raises(NoTruthError, match=home):
        rehearse_scoring(dataset, samples)
    assert not check_images(samples).broken
    [(file, content)] = dataset.build_submission(answer_all(dataset, cases, name)).items()
    (tmp_path / file).write_bytes(content)
    with zipfile.ZipFile(tmp_path / file) as submission:
        names = submission.namelist()
        mask = np.asarray(PIL.Image.open(submission.open(names[0])))
    prefix = "Annotations/" if name == "ref-youtube-vos" else ""
    assert f"{prefix}{samples[0].id}/00000.png" in names
    assert len(names) == 20 * len(samples)
    assert set(np.unique(mask)) <= {0, 255}
    assert len({sample.source for sample in samples}) == (1 if name == "ref-youtube-vos" else 2)


def test_saco_veval_gives_the_numbers_of_its_metric(world, cases, tmp_path):
    dataset = load_dataset("saco-veval", world["saco-veval"], "sav-test")
    answers = answer_all(dataset, cases, "saco-veval", shift=2)
    path = tmp_path / "predictions.json"
    path.write_bytes(dataset.build_submission(answers)["predictions.json"])
    official = veval.score(world["saco-veval"] / "annotation/saco_veval_sav_test.json", path)
    scores = dataset.score(answers).metrics
    assert scores == {name: pytest.approx(official[name], abs=1e-9) for name in scores}


def test_one_prediction_that_is_missing_is_told_or_counts_as_its_code_has_it(world, cases, tmp_path):
    for name, split, said in (("mevis", "valid_u", "there is no folder"), ("reasonvos", "test", "every expression")):
        benchmark = load_benchmark(name, world[name], split)
        answers = answer_all(benchmark, cases, name)
        path = tmp_path / f"{name}.zip"
        path.write_bytes(benchmark.build_submission(answers[1:])["masks.zip"])
        with pytest.raises(ScoringError, match=said):
            benchmark.score_file(path)
    revos = load_benchmark("revos", world["revos"], "valid")
    path = tmp_path / "revos.zip"
    path.write_bytes(revos.build_submission(answer_all(revos, cases, "revos")[1:])["masks.zip"])
    assert revos.score_file(path)["jf_referring"] == pytest.approx(50, abs=0.01)
    path.write_bytes(b"no zip file")
    with pytest.raises(ScoringError, match="neither a folder of masks nor a zip file"):
        revos.score_file(path)


def load_and_rehearse(name: str, folder: Path) -> None:
    dataset = load_dataset(name, folder, SCORED[name])
    rehearse_scoring(dataset, dataset.list_samples())


@pytest.mark.parametrize(
    ("name", "file", "spoil", "said"),
    [
        (
            "mevis",
            "valid_u/mask_dict.json",
            lambda masks: masks["0"].pop(),
            "has masks for 19 frames, its video has 20",
        ),
        ("mevis", "valid_u/mask_dict.json", lambda masks: masks.pop("0"), "has no `0`"),
        ("mevis", "valid_u/meta_expressions.json", lambda meta: meta["videos"]["clip001"].pop("frames"), "`frames`"),
        (
            "revos",
            "meta_expressions_valid_.json",
            lambda meta: meta["videos"]["clip001"]["expressions"]["0"].pop("type_id"),
            "has no `type_id`",
        ),
        ("revos", "mask_dict_foreground.json", lambda masks: masks.pop("clip002"), "has no `clip002`"),
        (
            "ref-davis",
            "meta_expressions/valid/meta_expressions.json",
            lambda meta: meta["videos"]["clip001"]["expressions"].pop("0"),
            "expressions, expected 4 for each object",
        ),
        ("reasonvos", "meta_expressions.json", lambda meta: meta["videos"]["clip001"].pop("source"), "has no `source`"),
    ],
)
def test_broken_annotations_are_named(world, tmp_path, name, file, spoil, said):
    folder = shutil.copytree(world[name], tmp_path / name)
    content = json.loads((folder / file).read_text())
    spoil(content)
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=said):
        load_and_rehearse(name, folder)
