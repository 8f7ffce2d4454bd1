"""Finer masks in videos: what the embedded checkpoint's refiner does, and what it leaves alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3_tool import CheckpointError, Image, Sam3, Video, VisualPrompt
from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE, locate_checkpoint
from sam3_tool.backends.transformers.files.mask_refiner import read_refiner
from sam3_tool.backends.transformers.video.refinement import (
    SQUARE_SIDE,
    MaskRefiner,
    View,
    enlarge_masks,
    find_windows,
    place_window,
    to_shares,
)
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.training.refinement.network import LearningRefiner

CLIP_SEEDS = (2**41 + 5, 2**41 + 6, 2**41 + 9)


@pytest.fixture(scope="module")
def coarse(coarse_folder: Path) -> Sam3:
    return Sam3.load(coarse_folder)


@pytest.fixture(scope="module")
def refiner() -> MaskRefiner:
    return read_refiner(locate_checkpoint("tiny"), torch.device("cpu"))


def measure_followed(sam3: Sam3, clip: Clip) -> list[float]:
    """Return the IoU of every object of the first frame, given there by its mask, on each later one."""
    session = sam3.open_tracking(Video.from_images([Image(pixels) for pixels in clip.frames]))
    truth = [clip.find_masks(index) for index in range(len(clip.objects))]
    chosen = [masks for masks in truth if masks[0].mean() > 0.004]
    objects = {session.add_prompt(0, VisualPrompt(mask=masks[0]))[0]: masks for masks in chosen}
    overlaps = []
    for tracked in session.propagate(1):
        found = dict(zip(tracked.ids[0], tracked.instances[0].masks, strict=True))
        for number, masks in objects.items():
            wanted = masks[tracked.frame]
            mask = found.get(number, np.zeros_like(wanted))
            if wanted.any():
                overlaps.append((mask & wanted).sum() / (mask | wanted).sum())
    return overlaps


def test_objects_are_followed_with_finer_outlines(coarse: Sam3) -> None:
    clips = [draw_clip(seed, length=8) for seed in CLIP_SEEDS]
    plain, refined = (
        [iou for clip in clips for iou in measure_followed(sam3, clip)] for sam3 in (coarse, Sam3.load("tiny"))
    )
    assert len(plain) == len(refined) > 20
    assert np.mean(refined) > np.mean(plain) + 0.05


def test_what_a_phrase_finds_begins_with_finer_outlines(coarse: Sam3) -> None:
    overlaps: dict[str, list[float]] = {"plain": [], "refined": []}
    for seed in range(CLIP_SEEDS[0], CLIP_SEEDS[0] + 12):
        clip = draw_clip(seed, length=1)
        truths = [clip.find_masks(index)[0] for index in range(len(clip.objects))]
        for name, sam3 in (("plain", coarse), ("refined", Sam3.load("tiny"))):
            tracked = next(sam3.track(Video.from_images([Image(clip.frames[0])]), clip.objects[0].noun))
            overlaps[name] += [
                max((mask & truth).sum() / (mask | truth).sum() for truth in truths)
                for mask in tracked.instances[0].masks
            ]
    assert len(overlaps["plain"]) == len(overlaps["refined"]) > 12
    assert np.mean(overlaps["refined"]) > np.mean(overlaps["plain"]) + 0.02


def test_without_the_file_masks_are_those_of_the_decoder(coarse: Sam3) -> None:
    memory = coarse._backend.open_memory(48, 64, 4)
    [embedding] = coarse._backend.encode([Image(np.zeros((48, 64, 3), np.uint8))])
    low = memory.prompt(embedding, 0, 1, VisualPrompt(((20.0, 20.0),)))
    assert low.logits.shape == (1, 64, 64)
    assert embedding.square.numel() == 0


def test_images_and_the_fingerprint_know_nothing_of_it(coarse: Sam3) -> None:
    tiny, image = Sam3.load("tiny"), Image(draw_clip(CLIP_SEEDS[0], length=1).frames[0])
    assert tiny.segment(image, "object").rles == coarse.segment(image, "object").rles
    assert tiny.refine(image, [(60.0, 60.0)]).rles == coarse.refine(image, [(60.0, 60.0)]).rles
    assert tiny._backend.fingerprint == coarse._backend.fingerprint


def test_a_second_pass_over_the_same_frames_finds_the_same() -> None:
    """What a mask starts from is the frame before it, not what was drawn last."""
    clip = draw_clip(CLIP_SEEDS[0], length=6)
    session = Sam3.load("tiny").open_tracking(Video.from_images([Image(pixels) for pixels in clip.frames]))
    for index in range(len(clip.objects)):
        if clip.find_masks(index)[2].mean() > 0.004:
            session.add_prompt(2, VisualPrompt(mask=clip.find_masks(index)[2]))
    first = {tracked.frame: tracked for tracked in session.propagate(2)}
    for tracked in session.propagate(4):
        assert tracked.ids == first[tracked.frame].ids
        assert tracked.instances[0].rles == first[tracked.frame].instances[0].rles
    assert [tracked.frame for tracked in session.propagate(2, reverse=True)] == [2, 1, 0]


def test_an_object_is_drawn_as_if_it_were_alone(refiner: MaskRefiner) -> None:
    pixels = torch.randint(0, 255, (3, SQUARE_SIDE, SQUARE_SIDE), dtype=torch.uint8)
    logits = torch.full((3, 64, 64), -8.0)
    logits[0, 10:30, 12:40], logits[2, 40:64, 50:64] = 6.0, 4.0
    view = View(pixels.flip(-1), to_shares(enlarge_masks(logits)[2]))
    with torch.inference_mode():
        together = refiner.refine(pixels, logits, [None, None, view])
        alone = [
            refiner.refine(pixels, logits[row : row + 1], [each])[0] for row, each in enumerate([None, None, view])
        ]
    assert torch.allclose(together, torch.stack(alone), atol=1e-3)
    assert not (together[1] > 0).any(), "an empty mask stays empty"
    assert (together[[0, 2]] > 0).flatten(1).any(dim=1).all()


def test_a_refiner_that_has_learnt_nothing_changes_nothing() -> None:
    logits = torch.full((2, 64, 64), -8.0)
    logits[0, 10:30, 12:40], logits[1, 0:64, 0:64] = 6.0, 4.0
    pixels = torch.zeros(3, SQUARE_SIDE, SQUARE_SIDE, dtype=torch.uint8)
    with torch.inference_mode():
        fine = LearningRefiner().eval().refine(pixels, logits, [None, None])
    changed = (fine > 0) != (enlarge_masks(logits) > 0)
    assert changed.float().mean() < 0.01


@pytest.mark.parametrize("corner", [(0, 0), (60, 60), (0, 60), (30, 30)])
def test_a_window_lies_around_its_mask_and_goes_back_to_its_place(corner: tuple[int, int]) -> None:
    y, x = corner
    logits = torch.full((1, 64, 64), -5.0)
    logits[0, y : y + 4, x : x + 4] = 5.0
    [window] = find_windows(logits).tolist()
    assert window[0] <= 4 * x
    assert window[1] <= 4 * y
    assert window[2] >= 4 * (x + 4)
    assert window[3] >= 4 * (y + 4)
    placed = place_window(torch.ones(64, 64), window)
    inside = placed > 0
    rows, columns = torch.where(inside)
    assert int(rows.min()) == max(0, window[1])
    assert int(columns.max()) == min(SQUARE_SIDE, window[2]) - 1


NO_TENSORS = b"\x08\0\0\0\0\0\0\0{}      "


@pytest.mark.parametrize("content", [b"", b"no weights", NO_TENSORS])
def test_a_damaged_file_is_named_in_one_sentence(coarse_folder: Path, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(coarse_folder, folder)
    (folder / REFINER_FILE).write_bytes(content)
    sam3 = Sam3.load(folder)
    assert len(sam3.segment(Image(np.zeros((48, 64, 3), np.uint8)), "circle")) == 0, "images need no refiner"
    with pytest.raises(CheckpointError, match=rf"{REFINER_FILE} cannot be read as a mask refiner: .*; install"):
        sam3.open_tracking(Video.from_images([Image(np.zeros((48, 64, 3), np.uint8))]))


def test_what_is_kept_for_it_does_not_grow(coarse: Sam3) -> None:
    """Of an object that a phrase found, the masks of two frames."""
    tiny = Sam3.load("tiny")
    clip = draw_clip(CLIP_SEEDS[1], length=10)
    memory = tiny._backend.open_memory(*clip.ids.shape[1:], 10)
    embeddings = tiny._backend.encode([Image(pixels) for pixels in clip.frames])
    index = int(np.argmax([clip.find_masks(number)[0].sum() for number in range(len(clip.objects))]))
    logits = torch.from_numpy(clip.find_masks(index)[0][None].astype(np.float32) * 20 - 10)
    memory.begin(embeddings[0], 0, [1], torch.nn.functional.interpolate(logits[None], (256, 256))[0].numpy())
    sizes = []
    for frame in range(1, 10):
        memory.propagate(embeddings[frame], frame)
        sizes.append(memory._views.nbytes)
    assert 0 < max(sizes) <= 3 * (3 * SQUARE_SIDE**2 + SQUARE_SIDE**2)
