"""Files of benchmarks that hold what they should not: one sentence that names file and entry, whatever the format."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from evals.datasets.loading import load_dataset
from evals.datasets.synthetic.make_scenes import write_scenes
from evals.errors import DatasetError, ScoringError
from evals.reports.preflight import rehearse_scoring
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


def command(*words: object):
    return CliRunner().invoke(app, ["eval", *map(str, words)])


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


def empty_answers(dataset):
    return rehearse_scoring(dataset, dataset.list_samples())


def change(file, key, value, at=-1):
    content = json.loads(file.read_bytes())
    content["annotations"][at][key] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "file", "key", "value"),
    [
        ("refcoco", "refcoco/instances.json", "segmentation", [[1, 1, 5, 5]]),
        ("grefcoco", "grefcoco/instances.json", "segmentation", [[1, 1, 5, NAN, 9, 9]]),
        ("grefcoco", "grefcoco/instances.json", "bbox", None),
        ("saco-gold", "gold_metaclip_merged_a_release_test.json", "segmentation", {"size": [120, 160], "counts": "PP"}),
        ("saco-gold", "gold_metaclip_merged_c_release_test.json", "segmentation", {"size": [9, 9], "counts": [3]}),
        ("saco-gold", "gold_metaclip_merged_b_release_test.json", "bbox", [0, 0, NAN, 1]),
        ("saco-silver", "silver_sav_merged_test.json", "segmentation", [[1, 1, 5, 5]]),
    ],
)
def test_a_broken_target_is_told_before_a_run_asks_anything(made, tmp_path, name, file, key, value):
    """Whichever annotator it is of, and a box as well as a mask."""
    for at in range(len(json.loads((made[name] / file).read_bytes())["annotations"])):
        change(made[name] / file, key, value, at)
    where = ["--data", made[name], "--split", SPLITS[name]]
    run = command("run", name, *where, "--planner", "grammar", "--out", tmp_path / "run")
    assert (run.exit_code, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert Path(file).name in run.stderr
    assert "annotation" in run.stderr
    assert not (tmp_path / "run").exists()
    check = command("check", name, *where)
    assert check.exit_code == 1
    assert Path(file).name in check.stdout
    assert "CANNOT BE SCORED" in check.stdout
    with pytest.raises(UserError, match=Path(file).name):
        empty_answers(load_dataset(name, made[name], SPLITS[name]))


def test_a_broken_outline_or_photo_of_reasonseg_is_told_before_a_run(made, tmp_path):
    folder = made["reasonseg"] / "val"
    where = ["--data", made["reasonseg"], "--split", "val", "--out", tmp_path / "run"]
    last = sorted(folder.glob("*.json"))[-1]
    content = json.loads(last.read_bytes())
    last.write_text(json.dumps(content | {"shapes": [{"label": "target", "points": [[1, NAN]]}]}))
    assert f"{last.name}: `points` [[1, nan]] are no polygon" in command("run", "reasonseg", *where).stderr
    last.write_text(json.dumps(content))
    last.with_suffix(".jpg").write_bytes(b"no image")
    assert f"{last.stem}.jpg: not an image" in command("run", "reasonseg", *where).stderr
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_than_their_ground_truth_are_told_before_a_run(made, tmp_path):
    for path in made["refcoco"].rglob("*.jpg"):
        PIL.Image.open(path).resize((80, 60)).save(path)
    where = ["--data", made["refcoco"], "--split", "val"]
    told = "is 80 x 60 pixels, the ground truth of sample 1-1 is 160 x 120; expected the image in the size in which"
    run = command("run", "refcoco", *where, "--out", tmp_path / "run")
    assert (run.exit_code, run.stderr.count("\n")) == (2, 1)
    assert told in run.stderr
    assert told in command("check", "refcoco", *where).stdout


def test_what_has_no_ground_truth_is_not_run(made, tmp_path):
    lines = [json.loads(line) for line in (made["own"] / "queries.jsonl").read_text().splitlines()]
    bare = [{key: line[key] for key in ("image", "query")} for line in lines]
    (made["own"] / "queries.jsonl").write_text("\n".join(map(json.dumps, bare)))
    words = ["own", "--data", made["own"], "--out", tmp_path / "run", "--limit", 1]
    run = command("run", *words)
    assert (run.exit_code, run.stderr.count("\n")) == (2, 1)
    assert "nothing to score against; add `mask` or `boxes`, or use `sam3-agent eval predict`" in run.stderr
    check = command("check", *words[:3])
    assert check.exit_code == 0
    assert "nothing to score against" in check.stdout


def test_samples_of_one_id_are_refused(made):
    refs = made["grefcoco"] / "grefcoco" / "grefs(unc).json"
    content = json.loads(refs.read_bytes())
    refs.write_text(json.dumps([*content, content[0]]))
    with pytest.raises(DatasetError, match="grefcoco has the id '1-1' twice"):
        load_dataset("grefcoco", made["grefcoco"], "val")


@pytest.mark.parametrize(
    ("change_ref", "said"),
    [
        (lambda ref: ref["sentences"][0].update(sent=None), r"sentence 1-1: `sent` must be a text, found None"),
        (lambda ref: ref.update(ann_id=[99999]), "ref 1 is of annotation 99999, which instances.json does not have"),
        (lambda ref: ref.update(ann_id=[[1]]), r"ref 1 is of annotation \[1\], which instances.json does not have"),
    ],
)
def test_refs_that_would_be_misread_are_refused(made, change_ref, said):
    refs = made["grefcoco"] / "grefcoco" / "grefs(unc).json"
    content = json.loads(refs.read_bytes())
    change_ref(content[0])
    refs.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"grefs\(unc\).json, {said}"):
        load_dataset("grefcoco", made["grefcoco"], "val")


@pytest.mark.parametrize("at", [0, 1])
def test_an_image_without_a_file_name_is_named(made, at):
    file = made["grefcoco"] / "grefcoco" / "instances.json"
    content = json.loads(file.read_bytes())
    del content["images"][at]["file_name"]
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"instances.json, image {at + 1} has no `file_name`"):
        load_dataset("grefcoco", made["grefcoco"], "val")


@pytest.mark.parametrize("declared", ["false", None, 2, []])
def test_no_target_is_true_or_false(folders, tmp_path, declared):
    dataset = load_dataset("grefcoco", folders["grefcoco"], "val")
    entry = {"id": dataset.list_samples()[0].id, "size": [120, 160], "counts": [19200], "no_target": declared}
    (tmp_path / "p.json").write_text(json.dumps([entry]))
    with pytest.raises(ScoringError, match="`no_target` must be true or false, found "):
        dataset.score_file(tmp_path / "p.json")


def test_predictions_in_a_form_that_is_not_read_are_refused(folders, tmp_path):
    dataset = load_dataset("own", folders["own"])
    id = dataset.list_samples()[0].id
    for entry, said in (
        ({"mask": {"size": [120, 160], "counts": [19200]}}, "has neither `masks` nor `boxes`; give"),
        ({"masks": [[[1, 1, 5, 1, 5, 5]]]}, "must be run lengths with a size, found"),
    ):
        (tmp_path / "p.json").write_text(json.dumps([{"id": id} | entry]))
        with pytest.raises(ScoringError, match=rf"^prediction '{id}'.* {said}"):
            dataset.score_file(tmp_path / "p.json")
    (tmp_path / "p.json").write_text('{"predictions": []}')
    done = command("score", "own", "--data", folders["own"], "--predictions", tmp_path / "p.json")
    assert done.stderr == f"error: {tmp_path}/p.json: predictions must be a list, found dict\n"
