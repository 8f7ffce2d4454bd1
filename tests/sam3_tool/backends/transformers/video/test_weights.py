"""Memory weights in a checkpoint: read when the first video comes, all of them or none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3VideoConfig

from sam3_tool import CheckpointError, Image, Sam3, VisualPrompt
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import MEMORY_PARTS, read_memory
from sam3_tool.backends.transformers.video.network import MemoryWeights
from tests.support.small_tracker import draw_weights

EMBEDDED = locate_checkpoint("tiny")
PREFIX = "tracker_model."


def make_checkpoint(folder: Path, is_wanted: Callable[[str], bool]) -> Path:
    """Copy the embedded checkpoint with memory weights drawn by chance, as far as they are wanted."""
    memory = MemoryWeights(Sam3VideoConfig.from_pretrained(EMBEDDED).tracker_config)
    rng = np.random.default_rng(3)
    for name, parameter in sorted(memory.named_parameters()):
        draw_weights(rng, name, parameter)
    kept = {
        name: value
        for name, value in load_file(EMBEDDED / "model.safetensors").items()
        if not name.removeprefix(PREFIX).startswith(MEMORY_PARTS)
    }
    drawn = {f"{PREFIX}{name}": value.half() for name, value in memory.state_dict().items() if is_wanted(name)}
    shutil.copytree(EMBEDDED, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    save_file(kept | drawn, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("weights") / "whole", lambda name: True)


def follow_disc(backend: TransformersBackend, picture: Image) -> tuple[np.ndarray, np.ndarray]:
    """Return masks and presence logits of three frames on which the picture moves."""
    frames = [Image(np.roll(picture.pixels, 12 * shift, axis=1).copy()) for shift in range(3)]
    memory = backend.open_memory(picture.height, picture.width, len(frames))
    memory.prompt(backend.encode(frames[:1])[0], 0, 1, VisualPrompt(box=(30, 60, 150, 180)))
    found = [memory.propagate(embedding, frame) for frame, embedding in enumerate(backend.encode(frames))]
    return np.concatenate([low.logits for low in found]), np.concatenate([low.presences for low in found])


def test_a_folder_with_memory_weights_follows_objects_in_every_number_format(folder, picture):
    loaded = [
        TransformersBackend.load(folder, name="x", device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16")
    ]
    (logits, presences), (rounded, others) = (follow_disc(backend, picture) for backend in loaded)
    assert logits.dtype == rounded.dtype == np.float32
    assert (logits[0] > 0).sum() > 100
    assert np.abs(presences - others).max() < 0.5
    assert ((logits > 0) == (rounded > 0)).mean() > 0.95


def test_weights_without_memory_serve_images_and_refuse_videos_in_one_sentence(tmp_path, picture):
    backend = TransformersBackend.load(make_checkpoint(tmp_path / "images", lambda name: False), name="x")
    assert len(Sam3(backend).refine(picture, [(90, 120)])) == 3
    with pytest.raises(CheckpointError, match="has no memory weights, so it cannot follow objects") as refusal:
        backend.open_memory(240, 320, 3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("lost", ["memory_attention.layers.0", "no_object_pointer"])
def test_weights_with_half_a_memory_say_what_is_missing(tmp_path, lost):
    half = make_checkpoint(tmp_path / "half", lambda name: not name.startswith(lost))
    with pytest.raises(CheckpointError, match=f"weights are missing, e.g. {lost}"):
        read_memory(half, torch.float32)
