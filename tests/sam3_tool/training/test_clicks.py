"""The tracker head's trainer: clicks as people correct, faults worth mending, a run that resumes and exports."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import Sam3Model

from sam3_tool import Image, Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.training.clicking import draw_stray_click, find_centre_click, find_next_click
from sam3_tool.training.clicks import Recipe, train_tracker
from sam3_tool.training.networks.architecture import create_tracker
from sam3_tool.training.networks.tracker import (
    Candidates,
    LearningTracker,
    TrackerPrompts,
    compute_click_losses,
    to_mask_prompt,
)
from sam3_tool.training.spoiling import spoil_mask

EMBEDDED = locate_checkpoint("tiny")


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[y0:y1, x0:x1] = True
    return mask


TRUTH = rectangle(10, 10, 31, 21)


def test_the_first_click_is_the_innermost_pixel():
    column, row, label = find_centre_click(TRUTH)
    assert (row, label) == (15, 1)
    assert 15 <= column <= 25


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (rectangle(10, 10, 20, 21), (25, 15, 1)),  # what was missed is deepest there
        (TRUTH | rectangle(40, 10, 55, 25), (47, 17, 0)),
        (rectangle(10, 10, 29, 21) | rectangle(31, 10, 42, 21), (36, 15, 0)),  # the deeper of two errors
    ],
)
def test_the_next_click_is_in_the_middle_of_the_deepest_error(mask, expected):
    assert find_next_click(TRUTH, mask) == expected


def test_without_an_error_the_object_is_clicked_again():
    assert find_next_click(TRUTH, TRUTH) == find_centre_click(TRUTH)


def test_an_error_at_the_picture_s_edge_is_no_deeper_than_it_looks():
    """Outside the picture nothing can be clicked: half a disc at the edge has its middle inside."""
    column, row, label = find_next_click(rectangle(0, 10, 9, 30), np.zeros((40, 60), bool))
    assert (column, label) == (4, 1)
    assert 14 <= row <= 25


def test_stray_clicks_are_wrong_pixels_with_the_right_label():
    rng, mask = np.random.default_rng(0), rectangle(20, 5, 50, 18)
    for _ in range(50):
        column, row, label = draw_stray_click(TRUTH, mask, rng)
        assert TRUTH[row, column] != mask[row, column]
        assert label == TRUTH[row, column]


def test_spoilt_masks_differ_from_the_truth_and_mostly_keep_it():
    rng, others = np.random.default_rng(0), rectangle(35, 5, 50, 30)
    spoilt = [spoil_mask(TRUTH, others, rng) for _ in range(40)]
    assert all(mask.dtype == bool and mask.shape == TRUTH.shape for mask in spoilt)
    assert sum((mask != TRUTH).any() for mask in spoilt) >= 35
    assert sum((mask & TRUTH).sum() > 0.3 * TRUTH.sum() for mask in spoilt) >= 30


@pytest.fixture(scope="module")
def detector() -> Sam3Model:
    return Sam3Model.from_pretrained(EMBEDDED, dtype=torch.float32).eval()


def test_a_click_looks_at_its_own_place_before_anything_is_learnt(detector):
    torch.manual_seed(0)
    network = LearningTracker(create_tracker(detector))
    looked: list[torch.Tensor] = []
    first = network.sam3.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    first.register_forward_hook(lambda part, inputs, output: looked.append(output[1]))
    levels = [torch.randn(1, 128, side, side) * 0.3 for side in (64, 32, 16)]
    prompts = TrackerPrompts(torch.zeros(1, dtype=torch.long), torch.tensor([[[100.0, 20.0]]]), torch.ones(1, 1).long())
    with torch.no_grad():
        network.predict_masks(levels, prompts)
    attention = looked[0][0, :, 6].mean(0).reshape(16, 16)  # of the click, over the patches
    assert attention[1:5, 11:15].sum() > 2 * 16 / 256


def test_the_network_that_learns_is_the_published_one(detector):
    torch.manual_seed(0)
    network = LearningTracker(create_tracker(detector)).eval()
    pixels = torch.rand(2, 3, 128, 128) * 2 - 1
    points, labels = torch.tensor([[[30.0, 90.0]], [[64.0, 20.0]]]), torch.tensor([[1], [0]])
    masks = to_mask_prompt(torch.rand(2, 1, 128, 128) > 0.5)
    with torch.no_grad():
        learning = network.predict_masks(
            network.encode_images(pixels), TrackerPrompts(torch.arange(2), points, labels, masks=masks)
        )
        published = network.sam3(
            pixel_values=pixels, input_points=points[:, None], input_labels=labels[:, None], input_masks=masks
        )
    assert torch.allclose(learning.logits, published.pred_masks[:, 0], atol=1e-4)
    assert torch.allclose(learning.quality, published.iou_scores[:, 0], atol=1e-5)
    assert torch.allclose(learning.presence, published.object_score_logits[:, 0, 0], atol=1e-4)


def test_only_the_best_candidate_is_pulled_to_the_mask_and_all_learn_their_quality():
    truth = torch.zeros(1, 128, 128)
    truth[:, 32:96, 32:96] = 1
    right, wrong = truth[:, ::2, ::2] * 8 - 4, -(truth[:, ::2, ::2] * 8 - 4)
    logits = torch.stack([wrong, right, wrong], dim=1).requires_grad_()
    found = Candidates(
        logits,
        quality=torch.tensor([[0.2, 0.5, 0.3]]),
        presence=torch.zeros(1),
        patches=torch.zeros(2, 1, 256),
        gaze=torch.full((2, 1, 256), 1 / 256),
    )
    losses = compute_click_losses(found, truth, torch.tensor([True]))
    (losses["mask"] + losses["dice"]).backward()
    assert logits.grad is not None
    assert [bool(one.any()) for one in logits.grad[0]] == [False, True, False]
    assert losses["iou"] == 1
    assert losses["quality"].item() == pytest.approx(2 * (0.2 + 0.5 + 0.3) / 3, abs=0.1)


SMALL = Recipe(
    Path(),
    steps=2,
    cooldown_steps=1,
    images=2,
    drawn_images=2,
    objects=2,
    corrections=1,
    corrections_from=1,
    calibration=2,
    save_every=1,
    log_every=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Two steps: one, and after a break another."""
    recipe = replace(SMALL, out=tmp_path_factory.mktemp("clicks"))
    train_tracker(replace(recipe, steps=1))
    train_tracker(recipe)
    return recipe


def test_a_run_goes_on_after_a_break(trained):
    steps = [json.loads(line)["step"] for line in (trained.out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2]


def test_a_run_exports_a_checkpoint_that_follows_clicks(trained):
    found = Sam3.load(trained.out / "checkpoint").refine(Image(np.zeros((50, 60, 3), np.uint8)), [(20, 20)])
    assert found.masks.shape == (3, 50, 60)
    assert np.isfinite(found.scores).all()


def test_a_run_that_was_killed_before_its_last_export_makes_up_for_it(trained):
    weights = trained.out / "checkpoint" / "model.safetensors"
    exported = weights.read_bytes()
    weights.unlink()
    train_tracker(trained)
    assert weights.read_bytes() == exported


DETECTOR = "8036657acede223966e59dd9ef498a38e6e7774e1f537c8cdc040b59a7a05eb3"
"""SHA-256 of the names and bits of the detector's weights, as they were before there was a head for clicks."""


def fingerprint(folder: Path) -> str:
    weights = load_file(folder / "model.safetensors")
    digest = sha256()
    for name in sorted(name for name in weights if name.startswith("detector_model.")):
        digest.update(name.encode() + weights[name].numpy().tobytes())
    return digest.hexdigest()


def test_training_the_head_leaves_every_bit_of_the_detector_as_it_was(trained):
    assert fingerprint(trained.out / "checkpoint") == DETECTOR
    assert fingerprint(EMBEDDED) == DETECTOR


def test_the_head_adds_at_most_five_megabytes():
    with safe_open(EMBEDDED / "model.safetensors", "pt") as held:
        names = [name for name in held.keys() if not name.startswith("detector_model.")]  # noqa: SIM118
        assert 1e6 < sum(held.get_tensor(name).nbytes for name in names) < 5e6
