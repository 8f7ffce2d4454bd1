"""The mask refiner's trainer: what it learns from, a run that resumes and exports, and nothing else that changes."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE, locate_checkpoint
from sam3_tool.backends.transformers.files.mask_refiner import read_refiner
from sam3_tool.backends.transformers.video.refinement import WINDOW_SIDE
from sam3_tool.training.refinement import tracks
from sam3_tool.training.refinement.network import WIDTHS, LearningRefiner
from sam3_tool.training.refinement.samples import ClipTracks, draw_windows, read_folder
from sam3_tool.training.refinement.train import Recipe, compute_refinement_losses, train_refiner

EMBEDDED = locate_checkpoint("tiny")
NUMBER = 5
"""Of a clip."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks")
    tracks.write_tracks(folder, "tiny", first=NUMBER, count=1)
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path) -> list[ClipTracks]:
    return read_folder(folder)


def test_rows_are_masks_of_the_object_that_they_name(clips: list[ClipTracks]) -> None:
    [clip] = clips
    rows = clip.rows
    assert len(rows["frames"]) > 20
    for row in range(0, len(rows["frames"]), 7):
        logits = torch.from_numpy(rows["logits"][row].astype(np.float32))[None, None]
        mask = torch.nn.functional.interpolate(logits, clip.owners.shape[1:], mode="bilinear")[0, 0] > 0
        truth = torch.from_numpy(clip.find_truth(row))
        assert (mask & truth).sum() / (mask | truth).sum() > 0.3


def test_a_clip_that_is_there_is_not_followed_again(folder: Path) -> None:
    before = (folder / f"{NUMBER}.npz").stat().st_mtime_ns
    tracks.write_tracks(folder, "tiny", first=NUMBER, count=1)
    assert (folder / f"{NUMBER}.npz").stat().st_mtime_ns == before


def test_the_refiner_that_learns_is_the_one_that_is_shipped(clips: list[ClipTracks]) -> None:
    shipped = read_refiner(EMBEDDED, torch.device("cpu"))
    read, truth = draw_windows(clips, 16, np.random.default_rng(0), shipped)
    assert read.shape[1:] == (9, WINDOW_SIDE, WINDOW_SIDE)
    assert truth.min() >= 0
    assert truth.max() <= 1
    learning = LearningRefiner(WIDTHS)
    learning.take_over(shipped, read)
    with torch.no_grad():
        wanted, found = shipped(read), learning.eval()(read)
        folded = learning.fold_norms()(read)
    assert torch.allclose(found, wanted, atol=1e-2)
    assert torch.allclose(folded, wanted, atol=1e-2)


def test_the_embedded_refiner_draws_what_it_is_asked_better_than_the_decoder(clips: list[ClipTracks]) -> None:
    refiner = read_refiner(EMBEDDED, torch.device("cpu"))
    read, truth = draw_windows(clips, 64, np.random.default_rng(1), refiner)
    with torch.no_grad():
        fine = refiner(read)
    losses = [sum(compute_refinement_losses(logits, truth).values()) for logits in (10 * read[:, 3], fine)]
    assert losses[1] < 0.7 * losses[0]


def test_a_run_resumes_and_exports_all_else_as_it_was(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(out=tmp_path / "run", tracks=folder, steps=2, batch=4, log_every=1, save_every=1)
    train_refiner(recipe)
    train_refiner(replace(recipe, steps=4))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    made = tmp_path / "run" / "checkpoint"
    for path in [*sorted(EMBEDDED.glob("*.json")), EMBEDDED / "model.safetensors"]:
        if path.name != "calibration.json":
            assert sha256((made / path.name).read_bytes()).digest() == sha256(path.read_bytes()).digest(), path.name
    before, after = (read_refiner(place, torch.device("cpu")).state_dict() for place in (EMBEDDED, made))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (made / REFINER_FILE).stat().st_size < 2_000_000
