"""The official evaluator scores an SA-Co export, with one annotator and with three."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

from engine.exports.exporting import export_engine_labels
from engine.pairs import Correction
from evals.metrics import cgf1
from tests.engine.exports.conftest import LEFT, RIGHT, draw_block

OFFICIAL_NAMES = {"cgF1": "cgF1", "pmF1": "positive_micro_F1", "IL_MCC": "IL_MCC"}
"""Our name of a number -> the end of the official one."""


@cache
def load_evaluator():
    """Load the one file of the package: its `__init__` builds networks, and imports for minutes."""
    package = importlib.util.find_spec("sam3")
    path = Path(package.submodule_search_locations[0], "eval", "cgf1_eval.py")
    spec = importlib.util.spec_from_file_location("official_cgf1_eval", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CGF1Evaluator


def score_officially(files, predictions, tmp_path):
    """Return the official numbers of predictions, under our names and in percent."""
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(predictions))
    found = load_evaluator()(gt_path=[str(file) for file in files]).evaluate(str(path))
    return {ours: found[f"cgF1_eval_segm_{theirs}"] for ours, theirs in OFFICIAL_NAMES.items()}


def score_here(files, predictions):
    found = cgf1.score(files, predictions)
    return {"cgF1": found["cgF1"] / 100, "pmF1": found["pmF1"] / 100, "IL_MCC": found["IL_MCC"]}


def read_masks(path):
    return [
        {**{name: mask[name] for name in ("image_id", "category_id", "segmentation", "bbox")}, "score": 0.9}
        for mask in json.loads(path.read_text(encoding="utf-8"))["annotations"]
    ]


@pytest.mark.parametrize("left_out", [0, 1])
def test_it_reads_an_export_and_agrees_with_our_numbers(judged, tmp_path, result, left_out):
    folder = export_engine_labels(judged.store, tmp_path / "labels", "saco").folder
    path = folder / "silver_train_merged_test.json"
    predictions = read_masks(path)[left_out:]
    official = score_officially([path], predictions, tmp_path)
    assert official == pytest.approx(score_here([path], predictions), abs=1e-12)
    assert (official["cgF1"] > 0.999) == (left_out == 0)
    result[f"cgF1 of the official evaluator, {left_out} masks left out"] = round(official["cgF1"], 6)


def test_it_takes_the_best_of_three_annotators(builder, tmp_path, result):
    image = builder.add_image("a.png")
    key = builder.add_pair(image, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    dog = builder.add_pair(image, "dog", (), ("accept",))
    said = {"ben": (draw_block(1, 1, 4, 4),), "cleo": (LEFT,)}
    for name, masks in said.items():
        for pair, drawn in ((key, masks), (dog, ())):
            groups = (False,) * len(drawn)
            told = Correction(pair=pair, masks=drawn, groups=groups, exhaustive=True, by=f"human:{name}", at=9.0)
            builder.store.append([told])
    folder = export_engine_labels(builder.store, tmp_path / "labels", "saco").folder
    files = [folder / f"gold_train_merged_{one}_release_test.json" for one in "abc"]
    predictions = read_masks(files[2])
    official = score_officially(files, predictions, tmp_path)
    assert official == pytest.approx(score_here(files, predictions), abs=1e-12)
    assert official["cgF1"] > 0.999
    worst = score_officially(files[:2], predictions, tmp_path)
    assert worst["cgF1"] < official["cgF1"]
    result["cgF1 of the official evaluator, three annotators"] = round(official["cgF1"], 6)
