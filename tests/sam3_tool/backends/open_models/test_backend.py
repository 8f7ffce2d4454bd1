"""Open models behind `Sam3`, as whoever asks about a photograph meets them."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agent import GrammarPlanner, Task, run
from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3, Video, VisualPrompt
from sam3_tool.backends.open_models.backend import OpenBackend
from sam3_tool.backends.open_models.duplicates import MAX_MASK_IOU

PHRASES = ["red cup", "cat", "a long striped dog with 7", "dog"]
NETWORKS = pytest.mark.parametrize("name", ["with_dino", "with_owl"])


def assert_same(one: Instances, other: Instances) -> None:
    assert len(one) == len(other)
    assert np.allclose(one.scores, other.scores, atol=1e-4)
    assert np.allclose(one.boxes, other.boxes, atol=1e-2)
    assert np.count_nonzero(one.masks != other.masks) <= one.masks.size / 1000
    assert one.presence == pytest.approx(other.presence, abs=1e-4)


@pytest.fixture(scope="module")
def views(photo) -> list[Image]:
    """The photo, a part of it in another shape, and its mirror image."""
    return [photo, Image(photo.pixels[:60, 20:80]), Image(photo.pixels[:, ::-1])]


@NETWORKS
def test_images_and_phrases_together_are_answered_as_one_by_one(name, request, views):
    sam3 = request.getfixturevalue(name)
    questions = [(image, ConceptPrompt(phrase, threshold=0.05)) for image in views for phrase in PHRASES]
    together = sam3.segment_batch(questions)
    alone = [sam3.segment_batch([question])[0] for question in questions]
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)
    assert max(map(len, together)) > 1


def test_an_image_is_encoded_once_for_phrases_clicks_and_boxes(with_dino, photo):
    image = Image(photo.pixels[::-1].copy())
    first = with_dino.run_requests([(image, ConceptPrompt("cat")), (image, ConceptPrompt("dog"))])
    second = with_dino.run_requests([(image, VisualPrompt(((20, 30),))), (image, ConceptPrompt("cup"))])
    assert (first.encodes, second.encodes) == (1, 0)


def test_threads_share_one_network(with_dino, photo, dino_folder, sam2_folder):
    alone = [with_dino.segment(photo, phrase, threshold=0.0) for phrase in PHRASES]
    again = Sam3.load(f"open:{dino_folder},{sam2_folder}", device="cpu", dtype="float32")
    assert again._backend is with_dino._backend
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda phrase: again.segment(photo, phrase, threshold=0.0), PHRASES))
    for one, other in zip(found, alone, strict=True):
        assert_same(one, other)


@NETWORKS
def test_a_threshold_cuts_what_a_lower_one_finds(name, request, photo):
    sam3 = request.getfixturevalue(name)
    every = sam3.segment(photo, "red cup", threshold=0.0)
    assert (np.diff(every.scores) <= 0).all()
    assert every.presence >= every.scores[0]
    middle = float(every.scores[len(every) // 2])
    assert_same(sam3.segment(photo, "red cup", threshold=middle), every[every.scores > middle])


def test_no_two_masks_of_a_phrase_are_nearly_the_same(with_dino, photo):
    for phrase in PHRASES:
        masks = with_dino.segment(photo, phrase, threshold=0.0).masks
        assert all(masks.any(axis=(1, 2)))
        cells = masks.reshape(len(masks), -1).astype(float)
        together = cells @ cells.T
        areas = cells.sum(axis=1)
        overlaps = together / (areas[:, None] + areas - together)
        np.fill_diagonal(overlaps, 0)
        assert overlaps.max() < MAX_MASK_IOU + 0.05  # which was measured before they were enlarged


def test_a_query_is_answered_by_the_loop_of_the_agent(with_dino, photo):
    episode = run(Task(photo, "the leftmost cup"), GrammarPlanner(), with_dino)
    assert episode.outcome in {"answered", "no_match"}
    assert Counter(step.decision.tool for step in episode.steps)["segment"] >= 1


def test_everything_mode_and_corrections_need_nothing_special(with_owl, photo):
    everything = with_owl.segment_everything(
        photo, points_per_side=4, min_score=0.0, min_stability=0.0, max_box_iou=1.0
    )
    assert len(everything) > 1
    first = with_owl.refine(photo, [(30, 40)])
    assert first.masks.shape == (3, photo.height, photo.width)
    mended = with_owl.refine(photo, [(30, 40), (60, 10)], [1, 0], mask=first.masks[0], multimask=False)
    assert len(mended) == 1
    assert len(with_owl.refine(photo, box=(10, 10, 60, 50), multimask=False)) == 1


def test_exemplar_boxes_are_refused_with_what_takes_them(with_dino, with_owl, photo):
    with pytest.raises(CheckpointError, match="`--sam3 open:owlv2` takes"):
        with_dino.segment(photo, "cup", boxes=[(10, 10, 40, 40)])
    with pytest.raises(CheckpointError, match="SAM 3 takes both"):
        with_owl.segment(photo, boxes=[(10, 10, 40, 40), (50, 10, 80, 40)], box_labels=[1, 0])
    assert len(with_dino.segment(photo, "cup", threshold=0.0)) > 0  # and the network goes on


def test_an_exemplar_finds_the_object_that_it_shows(with_owl, photo, views):
    every = with_owl.segment(photo, "red cup", threshold=0.0)
    shown = tuple(map(float, every.boxes[0]))
    found = with_owl.segment(photo, boxes=[shown], threshold=0.0)
    overlaps = [np.abs(box - np.array(shown)).max() for box in found.boxes[:1]]
    assert overlaps[0] < 1e-2  # a patch looks most like itself
    elsewhere = with_owl.segment(views[2], boxes=[shown], exemplar_image=photo, threshold=0.0)
    assert len(elsewhere) > 0
    assert not np.array_equal(elsewhere.scores, with_owl.segment(views[2], boxes=[shown], threshold=0.0).scores)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (400, 2), (64, 64), (2000, 30)])
@NETWORKS
def test_images_of_any_shape_are_answered(name, request, size):
    sam3 = request.getfixturevalue(name)
    pixels = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    found = sam3.segment(Image(pixels), "cat", threshold=0.0)
    assert found.masks.shape[1:] == size
    assert np.isfinite(found.boxes).all()


@pytest.mark.parametrize("phrase", ["...", "?", "a.b?c", "[SEP] cat [PAD]", "猫 🐈", "x" * 5000, "cat " * 400, "\x00"])
@NETWORKS
def test_any_text_is_a_phrase(name, request, phrase, photo):
    found = request.getfixturevalue(name).segment(photo, phrase, threshold=0.0)
    assert np.isfinite(found.scores).all()


def test_embeddings_leave_the_device_and_come_back_whole(with_dino, photo):
    backend = with_dino._backend
    assert isinstance(backend, OpenBackend)
    [embedding] = backend.encode([photo])
    back = embedding.copy_to_host().copy_to_device()
    assert back.nbytes == embedding.nbytes > 0
    prompt = ConceptPrompt("cat", threshold=0.0)
    assert_same(*backend.decode([embedding, back], [prompt, prompt]))


def test_sixteen_bits_change_little(dino_folder, sam2_folder, with_dino, photo):
    narrow = Sam3.load(f"open:{dino_folder},{sam2_folder}", device="cpu", dtype="bfloat16")
    assert narrow.runs_on == "cpu bfloat16"
    assert narrow.device_name == with_dino.device_name not in ("", "cpu")
    exact, rounded = (sam3.segment(photo, "cat", threshold=0.0) for sam3 in (with_dino, narrow))
    assert rounded.scores[0] == pytest.approx(exact.scores[0], abs=0.1)
    assert len(narrow.refine(photo, [(30, 40)])) == 3
    assert torch.get_default_dtype() == torch.float32


def test_a_phrase_is_followed_through_a_video(with_dino, photo):
    frames = [Image(np.roll(photo.pixels, 4 * step, axis=1)) for step in range(3)]
    tracked = list(with_dino.track(Video.from_images(frames), "red cup"))
    assert [frame.frame for frame in tracked] == [0, 1, 2]


def test_sam_2_without_its_memory_follows_nothing_and_says_so(dino_folder, sam2_folder, tmp_path, photo):
    folder = shutil.copytree(sam2_folder, tmp_path / "images-only")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if not name.startswith("memory")},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    sam3 = Sam3.load(f"open:{dino_folder},{folder}", device="cpu", dtype="float32")
    assert len(sam3.refine(photo, [(30, 40)])) == 3
    with pytest.raises(CheckpointError, match="weights of its memory are missing"):
        list(sam3.track(Video.from_images([photo, photo]), "red cup"))
