"""Everything mode: the rules are those of SAM, and what stays is in the image."""

import time
from collections.abc import Callable
from threading import Event

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms
from transformers.models.sam import image_processing_sam as published

from sam3_tool import Image, Instances, Sam3, ScriptedBackend, Video, VisualPrompt
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.layers.stability import keep_stable_masks
from sam3_tool.errors import CheckpointError, DeadlineError, RequestCancelledError
from sam3_tool.everything.crops import Crop, build_crops, build_grid
from sam3_tool.everything.filters import find_cut_off, remove_small_regions, suppress_duplicates
from sam3_tool.everything.generator import CROP_OVERLAP, join_instances, split_points
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import compute_ious, decode_mask, encode_masks
from sam3_tool.prompts import PointsPrompt
from sam3_tool.synthetic.scenes import draw_scene


@pytest.mark.parametrize(("height", "width"), [(480, 640), (97, 33), (1000, 1)])
def test_crops_and_points_are_the_published_ones(height: int, width: int):
    boxes, layers = published._generate_per_layer_crops(2, CROP_OVERLAP, (height, width))
    crops = build_crops(height, width, 2, CROP_OVERLAP)
    assert [[crop.x0, crop.y0, crop.x1, crop.y1] for crop in crops] == boxes
    assert [crop.layer for crop in crops] == layers
    points = published._build_point_grid(7).numpy() * [width, height]
    np.testing.assert_allclose(build_grid(7, height, width), points, rtol=1e-5)


def test_stability_is_the_published_score():
    chance = torch.Generator().manual_seed(0)
    logits = torch.nn.functional.interpolate(torch.randn(24, 1, 5, 5, generator=chance) * 6, (20, 20), mode="bicubic")
    logits = torch.cat([logits[:, 0], torch.full((1, 20, 20), -9.0)])
    enlarged = torch.nn.functional.interpolate(logits[None], (48, 64), mode="bilinear", align_corners=False)[0]
    scores = published._compute_stability_score(enlarged, 0.0, 1).numpy()
    least = float(np.nanmedian(scores))
    kept, masks = keep_stable_masks(logits, 48, 64, offset=1.0, least=least)
    assert kept.tolist() == [bool(score >= least) for score in scores]
    for mask, expected in zip(masks, enlarged[torch.from_numpy(kept)] > 0, strict=True):
        np.testing.assert_array_equal(decode_mask(mask), expected.numpy())


def make_boxes(count: int) -> np.ndarray:
    chance = np.random.default_rng(0)
    low = chance.integers(0, 60, (count, 2))
    return np.concatenate([low, low + chance.integers(1, 40, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize("crop", [Crop(0, 0, 100, 100, 0), Crop(0, 30, 70, 100, 1)])
def test_masks_at_the_edge_of_a_crop_are_those_that_the_published_code_drops(crop: Crop):
    edges = [crop.x0, crop.y0, crop.x1, crop.y1]
    boxes = make_boxes(200)
    offset = np.array([crop.x0, crop.y0] * 2)
    expected = published._is_box_near_crop_edge(torch.from_numpy(boxes - offset), edges, [0, 0, 100, 100])
    assert find_cut_off(boxes, crop, 100, 100).tolist() == expected.tolist()
    assert find_cut_off(boxes, crop, 100, 100).any() == (crop.layer > 0)


def test_duplicates_are_those_that_the_published_code_drops():
    boxes, scores = make_boxes(300), np.random.default_rng(1).permutation(300).astype(np.float32)
    expected = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.zeros(300), 0.4)
    found = suppress_duplicates(boxes, scores, 0.4)
    assert found.tolist() == expected.tolist()
    assert 10 < len(found) < 290


def test_small_holes_are_filled_and_small_islands_dropped_but_the_largest():
    mask = np.zeros((20, 30), bool)
    mask[2:12, 2:12] = True
    mask[4:6, 4:6] = False  # 4 pixels
    mask[15, 20:23] = True  # 3 pixels
    cleaned = remove_small_regions(mask, 5)
    assert (cleaned[4:6, 4:6].all(), cleaned[15].any(), cleaned.sum()) == (True, False, 100)
    np.testing.assert_array_equal(remove_small_regions(mask, 3), mask)
    assert remove_small_regions(mask, 400).sum() == 96 + 4  # the largest island stays, and it has no hole left


@pytest.fixture(scope="module")
def scene() -> Image:
    return Image(draw_scene(101, size=(160, 120)).pixels)


def test_objects_of_a_scene_are_found_once_each(network: TransformersBackend, scene: Image):
    sam3 = Sam3(network)
    found = sam3.segment_everything(scene, points_per_side=8)
    masks = draw_scene(101, size=(160, 120)).masks
    assert compute_ious(encode_masks(masks), found.rles).max(axis=1).mean() > 0.6
    boxes = found.boxes - [0, 0, 1, 1]
    assert len(suppress_duplicates(boxes, found.scores, 0.7)) == len(found)
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() > 0.75
    np.testing.assert_array_equal(found.boxes, masks_to_boxes(found.masks))


def test_an_image_is_encoded_once_and_so_is_each_crop(network: TransformersBackend, scene: Image):
    class CountingBackend:
        name = "counting"
        encoded = 0

        def __getattr__(self, name: str):
            return getattr(network, name)

        def encode(self, images):
            self.encoded += len(images)
            return network.encode(images)

    backend = CountingBackend()
    sam3 = Sam3(backend)
    whole = sam3.segment_everything(scene, points_per_side=4)
    assert backend.encoded == 1
    found = sam3.segment_everything(scene, points_per_side=4, crop_layers=1, min_region_area=20)
    assert backend.encoded == 1 + 4
    assert found.size == (scene.height, scene.width)
    assert len(whole) <= len(found) + 4


def test_a_search_in_batches_finds_the_very_same(network: TransformersBackend, scene: Image):
    [embedding] = network.encode([scene])
    grid = build_grid(12, scene.height, scene.width)
    prompt = PointsPrompt(grid, min_score=0.6, min_stability=0.8, stability_offset=1.0)
    batches = list(split_points(prompt, network.points_at_once))
    assert len(batches) == -(-144 // network.points_at_once) > 1
    whole = network.segment_points(embedding, prompt)
    joined = join_instances([network.segment_points(embedding, batch) for batch in batches], scene)
    assert (joined.rles, joined.presence, len(joined) > 10) == (whole.rles, whole.presence, True)
    np.testing.assert_array_equal(joined.scores, whole.scores)
    np.testing.assert_array_equal(joined.boxes, whole.boxes)


class BatchedBackend(ScriptedBackend):
    """Takes four points at once, counts its batches, and does something in each."""

    points_at_once = 4

    def __init__(self, act: Callable[[int], None]) -> None:
        super().__init__({})
        self.act = act
        self.sizes: list[int] = []

    def segment_points(self, embedding, prompt):
        self.sizes.append(len(prompt.points))
        self.act(len(self.sizes))
        return super().segment_points(embedding, prompt)


def test_a_search_ends_after_the_batch_in_which_its_caller_left():
    cancel = Event()
    backend = BatchedBackend(lambda batch: cancel.set() if batch == 2 else None)
    image = Image(np.zeros((40, 60, 3), np.uint8))
    sam3 = Sam3(backend)
    with pytest.raises(RequestCancelledError):
        sam3.for_caller("anna", cancel=cancel).segment_everything(image, points_per_side=5, crop_layers=1)
    assert backend.sizes == [4, 4]
    sam3.segment_everything(image, points_per_side=5)
    assert backend.sizes[2:] == [4, 4, 4, 4, 4, 4, 1]


def test_a_search_ends_after_the_batch_in_which_its_deadline_passed():
    deadline = time.monotonic() + 0.3

    def outlast_deadline(batch: int) -> None:
        while time.monotonic() < deadline:
            Event().wait(deadline - time.monotonic())

    backend = BatchedBackend(outlast_deadline)
    with pytest.raises(DeadlineError):
        Sam3(backend).for_caller("anna", deadline=deadline).segment_everything(
            Image(np.zeros((40, 60, 3), np.uint8)), points_per_side=5
        )
    assert backend.sizes == [4]


def test_each_mask_can_be_refined(network: TransformersBackend, scene: Image):
    sam3 = Sam3(network)
    found = sam3.segment_everything(scene, points_per_side=6)
    assert len(found) > 0
    mended = sam3.refine(scene, mask=found.masks[0], multimask=False)
    assert compute_ious(mended.rles, found.rles[:1])[0, 0] > 0.5


def test_masks_of_a_script_are_found_by_the_points_on_them():
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 4:20, 4:20] = masks[1, 24:36, 30:56] = True
    scripted = Instances(masks, masks_to_boxes(masks), np.array([0.9, 0.8], np.float32), 1.0, "thing")
    found = Sam3(ScriptedBackend({None: {"thing": scripted}})).segment_everything(
        Image(np.zeros((40, 60, 3), np.uint8))
    )
    assert sorted(found.areas.tolist()) == [256, 312]


def test_each_mask_can_start_a_track():
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 4:20, 4:20] = masks[1, 24:36, 30:56] = True
    scripted = Instances(masks, masks_to_boxes(masks), np.array([0.9, 0.8], np.float32), 1.0, "thing")
    sam3, image = Sam3(ScriptedBackend({None: {"thing": scripted}})), Image(np.zeros((40, 60, 3), np.uint8))
    session = sam3.open_tracking(Video.from_images([image] * 3))
    started = [session.add_prompt(0, VisualPrompt(mask=mask)) for mask in sam3.segment_everything(image).masks]
    assert [id for id, _ in started] == [1, 2]
    assert [frame.ids for frame in session.propagate()] == [((1, 2),)] * 3


def test_what_cannot_be_asked_about_points_says_so():
    class PlainBackend:
        name = "plain"

    with pytest.raises(CheckpointError, match="'plain' cannot segment everything"):
        Sam3(PlainBackend()).segment_everything(Image(np.zeros((4, 6, 3), np.uint8)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"points_per_side": 0}, {"crop_layers": -1}, {"max_box_iou": 2}, {"min_score": 1}, {"stability_offset": 0}],
)
def test_numbers_out_of_range_are_refused(options):
    sam3 = Sam3(ScriptedBackend({}))
    with pytest.raises(ValueError, match="must"):
        sam3.segment_everything(Image(np.zeros((4, 6, 3), np.uint8)), **options)
