"""Fine-tuning of the embedded checkpoint on labels."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import encode_masks
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene
from sam3_tool.training.finetuning.labels import LabelledImage, LabelledPair, build_label_batch, label_scene
from sam3_tool.training.finetuning.run import FinetuneRecipe, FinetuneRun, compute_label_losses, run_finetuning
from sam3_tool.training.optimization.state import load_state

TINY = Path(str(files("sam3_tool"))) / "tiny"


@pytest.fixture
def gradual_underflow() -> Iterator[None]:
    """A training flushes denormal numbers in its whole process; the next test finds them as they were."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def scene():
    return draw_scene(6, size=(160, 120))


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return FinetuneRecipe(out, TINY, steps=2, new_images=1, known_images=1, mask_images=1, save_every=1, log_every=1)


def label(scene, *pairs):
    return LabelledImage(lambda: scene.pixels, pairs)


def test_a_batch_gives_each_question_the_masks_of_its_pair(scene, tokenizer):
    masks = encode_masks(scene.masks)
    pairs = LabelledPair("thing", tuple(masks)), LabelledPair("cup", ()), LabelledPair("one", (masks[0],), False)
    batch = build_label_batch([label(scene, *pairs)], tokenizer)
    assert batch.questions.targets.sum(dim=1).tolist() == [len(masks), 0, 1]
    assert not (batch.questions.targets.sum(dim=0) > 1).any()
    assert batch.exhaustive.tolist() == [True, True, False]
    height, width = scene.ids.shape
    x0, y0, x1, y1 = scene.boxes[0] / np.array([width, height, width, height])
    expected = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]).float()
    assert torch.allclose(batch.images.boxes[0, 0], expected, atol=1e-5)
    assert torch.allclose(batch.images.fine_masks[0, 0].mean(), torch.tensor(scene.masks[0].mean()).float(), atol=0.01)


def test_true_labels_of_a_scene_name_what_is_there_and_what_is_not(scene):
    labelled = label_scene(scene, ("positive", "negative"), np.random.default_rng(0))
    assert [bool(pair.masks) for pair in labelled.pairs] == [True, False]
    assert all(pair.is_exhaustive for pair in labelled.pairs)


def test_a_pair_without_masks_that_may_be_incomplete_teaches_nothing(scene, recipe):
    known = LabelledPair("thing", tuple(encode_masks(scene.masks)))
    run = FinetuneRun(recipe, [label(scene, known)])

    def compute_losses(*pairs):
        torch.manual_seed(0)
        batch = build_label_batch([label(scene, known, *pairs)], run.tokenizer)
        losses = compute_label_losses(run.network, batch, recipe)
        return {name: float(value.detach()) for name, value in losses.items()}

    alone = compute_losses()
    assert compute_losses(LabelledPair("cup", (), is_exhaustive=False)) == pytest.approx(alone, rel=1e-4)
    assert compute_losses(LabelledPair("cup", ()))["presence"] != pytest.approx(alone["presence"], rel=1e-4)


def test_an_incomplete_label_punishes_no_other_query(scene, recipe):
    masks = encode_masks(scene.masks)
    run = FinetuneRun(recipe, [label(scene, LabelledPair("thing", tuple(masks)))])

    def compute_class_loss(*, is_exhaustive):
        batch = build_label_batch([label(scene, LabelledPair("thing", (masks[0],), is_exhaustive))], run.tokenizer)
        return float(compute_label_losses(run.network, batch, recipe)["class"].detach())

    assert compute_class_loss(is_exhaustive=False) < compute_class_loss(is_exhaustive=True)


@pytest.mark.usefixtures("gradual_underflow")
def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(scene, recipe):
    labelled = [label_scene(draw_scene(HELD_OUT + 1), ("positive", "negative"), np.random.default_rng(0))]
    whole = FinetuneRun(recipe, labelled)
    whole.advance()
    whole.save()
    whole.advance()
    checkpoint = run_finetuning(recipe, labelled)
    state = load_state(recipe.out)
    assert state is not None
    assert state["step"] == 2
    assert all(torch.equal(value, state["average"][name]) for name, value in whole.average.items())
    assert len(Sam3.load(str(checkpoint)).segment(Image(scene.pixels), "thing")) > 0
