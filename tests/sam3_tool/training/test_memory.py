"""The memory's trainer: the product's own function, a run that resumes and exports, and nothing else that changes."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Sam3TrackerVideoModel

from sam3_tool import Image, Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.prompts import VisualPrompt
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.training.batch import to_square
from sam3_tool.training.memory.clips import CLIP_LENGTH, ClipFeatures, write_clip_features
from sam3_tool.training.memory.losses import compute_memory_losses
from sam3_tool.training.memory.network import ADDED_PARTS, Answer, LearningMemory, Memory
from sam3_tool.training.memory.start import initialize_mask_prompt, initialize_memory
from sam3_tool.training.memory.train import Conditioning, Recipe, remember_answer, train_memory

MEMORY = tuple(f"tracker_model.{part}" for part in ADDED_PARTS)
EMBEDDED = locate_checkpoint("tiny")
SIDE = 128
"""Of the network's square, and of the clip, so that nothing is resized twice."""


@pytest.fixture(scope="module")
def network() -> LearningMemory:
    return LearningMemory(Sam3TrackerVideoModel.from_pretrained(EMBEDDED, dtype=torch.float32).eval())


@pytest.fixture(scope="module")
def clip() -> Clip:
    return draw_clip(3, length=6, size=(SIDE, SIDE))


def follow_as_trainer(network: LearningMemory, clip: Clip, masks: torch.Tensor) -> list[Answer]:
    frames = [network.encode_frames(to_square(frame)[None]) for frame in clip.frames]
    frames = [[level.expand(len(masks), -1, -1, -1) for level in levels] for levels in frames]
    taken = network.take_masks(frames[0], masks)
    given = Conditioning(0, frames[0][2], masks > 0.5, taken.best_tokens, taken.presence).remember(network)
    past: list[Memory] = []
    answers = []
    for position, levels in enumerate(frames[1:], start=1):
        answers.append(network.propagate(levels, network.recall(levels[2], position, [given], past)))
        nothing, rng = torch.zeros_like(masks), np.random.default_rng(0)
        past.append(remember_answer(network, position, levels, answers[-1], nothing, 0.0, rng))
    return answers


def test_the_memory_that_learns_is_the_one_that_is_shipped(network, clip, coarse_folder):
    """The product stores memories in bfloat16; else it computes the same."""
    masks = np.zeros((2, SIDE, SIDE), bool)
    masks[0, 32:96, 40:80] = True
    masks[1, 8:48, 64:120] = True
    with torch.inference_mode():
        answers = follow_as_trainer(network, clip, torch.from_numpy(masks).float())
    backend = Sam3.load(coarse_folder)._backend
    memory = backend.open_memory(SIDE, SIDE, 16)
    embeddings = backend.encode([Image(frame) for frame in clip.frames])
    for object_id, mask in enumerate(masks, start=1):
        memory.prompt(embeddings[0], 0, object_id, VisualPrompt((), (), None, mask))
    for position, answer in enumerate(answers, start=1):
        low = memory.propagate(embeddings[position], position)
        assert np.allclose(low.presences, answer.presence, atol=0.1)
        seen = answer.presence > 0
        assert np.allclose(low.scores[seen], answer.quality.amax(dim=1)[seen], atol=0.01)
        assert ((low.logits[seen] > 0) == (answer.best_logits[seen] > 0).numpy()).mean() > 0.995


def test_an_object_that_is_hidden_is_no_memory_of_what_it_looks_like(network):
    """Later frames look at frames on which the object was surely seen, and at the last one."""
    coarse = torch.randn(2, 128, 16, 16) * 0.3
    past = [
        Memory(frame, torch.randn(256, 2, 64), torch.randn(2, 128), torch.tensor([True, frame != 2]))
        for frame in (1, 2, 3)
    ]
    given = [Memory(0, torch.randn(256, 2, 64), torch.randn(2, 128), torch.ones(2, dtype=torch.bool))]
    with torch.inference_mode():
        both = network.recall(coarse, 4, given, past)
        without = network.recall(coarse, 4, given, [past[0], past[2]])
    assert torch.allclose(both[1], without[1], atol=1e-5)
    assert not torch.allclose(both[0], without[0], atol=1e-2)


def test_hidden_objects_teach_presence_and_no_mask():
    answer = Answer(
        torch.zeros(2, 3, 64, 64, requires_grad=True),
        torch.zeros(2, 3),
        torch.zeros(2, 3, 128),
        torch.zeros(2, requires_grad=True),
    )
    truth = torch.zeros(2, 128, 128)
    truth[0, 32:64, 32:64] = 1
    losses = compute_memory_losses(answer, truth)
    torch.stack([value for name, value in losses.items() if name != "iou"]).sum().backward()
    assert answer.logits.grad is not None
    assert answer.presence.grad is not None
    assert [bool(grad.any()) for grad in answer.logits.grad] == [True, False]
    assert [bool(grad > 0) for grad in answer.presence.grad] == [False, True]


def test_a_memory_that_has_learnt_nothing_is_read_where_it_lies():
    network = LearningMemory(Sam3TrackerVideoModel.from_pretrained(EMBEDDED, dtype=torch.float32).eval())
    clip = draw_clip(4, length=3, size=(SIDE, SIDE))
    levels = network.encode_frames(torch.stack([to_square(frame) for frame in clip.frames]))
    initialize_mask_prompt(network.sam3)
    initialize_memory(network.sam3, levels[2], seed=0)
    frame, nothing = levels[2][:1], torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    left = nothing.clone()
    left[..., : SIDE // 2] = True
    with torch.inference_mode():
        given = [
            Conditioning(0, frame, mask, torch.zeros(1, 128), torch.ones(1)).remember(network)
            for mask in (nothing, left)
        ]
        without, with_mask = (network.recall(frame, 1, [memory], [])[0] for memory in given)
    change = (with_mask - without).norm(dim=0)
    assert change[:, :8].mean() > 1.25 * change[:, 8:].mean()


@pytest.fixture(scope="module")
def trained(network, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A step on two clips, and after a break another."""
    folder = tmp_path_factory.mktemp("memory")
    write_clip_features(folder / "clips", network, count=1, first_seed=1)
    write_clip_features(folder / "clips", network, count=1, first_seed=1)  # nothing is left to do
    recipe = Recipe(
        folder, folder / "clips", held_out=folder / "clips", fresh=True,
        steps=2, cooldown_steps=1, groups=1, clips_per_group=1, objects=1, window=1, corrections=1.0,
        save_every=1, log_every=1, look_every=2,
    )  # fmt: skip
    train_memory(replace(recipe, steps=1))
    train_memory(recipe)
    return recipe


def test_a_run_goes_on_after_a_break(trained):
    lines = [json.loads(line) for line in (trained.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert 0 <= lines[0]["held-out J"] <= 1


def test_kept_features_are_those_of_the_clip(network, trained):
    features = ClipFeatures.open(trained.clips)
    clip = draw_clip(1, length=CLIP_LENGTH, fast=True)
    levels = network.encode_frames(to_square(clip.frames[5])[None])
    for kept, seen in zip(features.read_levels([0], [5]), levels, strict=True):
        assert torch.allclose(kept, seen, atol=0.02)
    assert features.read_truth(0, 5, 0).mean().item() == pytest.approx(clip.find_masks(0)[5].mean(), abs=0.003)


OTHERS = "0090b8cd578fb3db62ccfb2f1988d1a9a32ff3c75272752f4be0412427b676c8"
"""SHA-256 of names and bits of all weights, as they were before there was a memory."""


def fingerprint_others(folder: Path) -> str:
    weights = load_file(folder / "model.safetensors")
    digest = sha256()
    for name in sorted(name for name in weights if not name.startswith(MEMORY)):
        digest.update(name.encode() + weights[name].numpy().tobytes())
    return digest.hexdigest()


def test_training_the_memory_leaves_every_other_bit_as_it_was(trained):
    assert fingerprint_others(trained.out / "checkpoint") == OTHERS
    assert fingerprint_others(EMBEDDED) == OTHERS


def test_the_memory_adds_at_most_four_megabytes():
    weights = load_file(EMBEDDED / "model.safetensors")
    assert 1e6 < sum(value.nbytes for name, value in weights.items() if name.startswith(MEMORY)) < 4e6
