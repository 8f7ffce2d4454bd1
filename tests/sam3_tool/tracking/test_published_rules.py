"""The rules against transformers' functions, and where those lack a part, against the official formula."""

import warnings
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage.measure import label
from transformers import Sam3VideoConfig

from sam3_tool.masks import rle
from sam3_tool.tracking.association import associate_detections, compute_mask_ious, select_distinct
from sam3_tool.tracking.holes import clean_logits
from sam3_tool.tracking.hot_start import HotStart
from sam3_tool.tracking.rules import TrackingRules
from sam3_tool.tracking.suppression import find_recently_away, resolve_overlaps

with warnings.catch_warnings():  # it compiles a function in a way that PyTorch has deprecated since
    warnings.simplefilter("ignore", DeprecationWarning)
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel
    from transformers.models.sam3_video.processing_sam3_video import Sam3VideoProcessor

RULES = TrackingRules()
CONFIG = Sam3VideoConfig()
PUBLISHED = SimpleNamespace(**{name: value for name, value in vars(CONFIG).items() if isinstance(value, int | float)})
"""What `Sam3VideoModel` holds of its configuration, by the same names."""


def draw_rectangles(rng: np.random.Generator, number: int, *, near: np.ndarray | None = None) -> np.ndarray:
    """Masks, bool (number, 24, 24): some empty, some shifted copies of those in `near`."""
    masks = np.zeros((number, 24, 24), bool)
    for mask in masks:
        x, y, w, h = rng.integers(0, 16, 2).tolist() + rng.integers(0, 9, 2).tolist()
        mask[y : y + h, x : x + w] = True
        if near is not None and len(near) and rng.random() < 0.7:
            mask[:] = np.roll(near[rng.integers(len(near))], rng.integers(-1, 2), axis=1)
    return masks


def to_tensor(masks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.where(masks, 1.0, -1.0).astype(np.float32))


@pytest.mark.parametrize("seed", range(30))
def test_detections_are_associated_as_in_transformers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masklets = draw_rectangles(rng, int(rng.integers(0, 5)))
    detections = draw_rectangles(rng, int(rng.integers(0, 6)), near=masklets)
    scores, ids = rng.uniform(0.5, 1, len(detections)).astype(np.float32), list(range(3, 3 + len(masklets)))
    one_prompt = torch.zeros(len(detections), dtype=torch.long), torch.zeros(len(ids), dtype=torch.long)
    births, unmatched, matches, sure, _ = Sam3VideoModel._associate_det_trk(
        PUBLISHED, to_tensor(detections), torch.from_numpy(scores), to_tensor(masklets), ids, *one_prompt
    )
    ours = associate_detections(detections, scores, masklets, ids, RULES)
    assert ours.births.tolist() == births
    assert list(ours.unmatched) == unmatched
    assert {index: list(matched) for index, matched in enumerate(ours.matches) if matched} == {
        index: matched for index, matched in matches.items() if matched
    }
    assert ours.confirmations == sure


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_young_masklets_are_removed_and_hidden_as_in_transformers(seed: int, reverse: bool) -> None:
    """Over 60 frames with births, on which masklets are unmatched or share detections at random."""
    rng = np.random.default_rng(seed)
    published = SimpleNamespace(**vars(PUBLISHED) | {"suppress_unmatched_only_within_hotstart": False})
    published.init_trk_keep_alive = 0
    rules = TrackingRules(hide_unmatched=True, first_keep_alive=0)
    names = ("obj_first_frame_idx", "unmatched_frame_inds", "trk_keep_alive", "overlap_pair_to_frame_inds")
    memory = {name: {} for name in names} | {"removed_obj_ids": set(), "suppressed_obj_ids": {}}
    alive, value, last, removed_ever, hidden_ever = [], HotStart(), 0, set(), set()
    for frame in range(60)[:: -1 if reverse else 1]:
        chosen = [rng.permutation(alive)[: rng.integers(1, 4)] for _ in range(len(alive) // 2)]
        matches = {index: sorted(map(int, ids)) for index, ids in enumerate(chosen)}
        unmatched = [id for id in alive if rng.random() < (0.2, 0.5, 0.95)[id % 3]]
        births = list(range(last + 1, last + 1 + int(rng.integers(0, 3)) * (frame % 5 == 0)))
        last += len(births)
        for id in unmatched:  # these are defaultdicts over there
            memory["unmatched_frame_inds"].setdefault(id, [])
        for id in alive:
            memory["overlap_pair_to_frame_inds"] |= {
                pair: memory["overlap_pair_to_frame_inds"].get(pair, []) for pair in ((id, other) for other in alive)
            }
        memory["suppressed_obj_ids"][frame] = set()
        removed, memory = Sam3VideoModel._process_hotstart(
            published, None, frame, reverse, matches, births, [], unmatched, memory
        )
        step = value.advance(
            frame, rules, births=births, matches=matches.values(), unmatched=unmatched, reverse=reverse
        )
        assert step.removed == removed
        assert step.hidden == memory["suppressed_obj_ids"][frame]
        value, alive = step.value, [id for id in [*alive, *births] if id not in removed]
        assert sorted(value.masklets) == alive
        removed_ever |= removed
        hidden_ever |= step.hidden
    assert removed_ever
    assert hidden_ever


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_masklet_that_was_away_more_recently_gives_way_as_in_transformers(seed: int, reverse: bool) -> None:
    rng = np.random.default_rng(seed)
    masks = draw_rectangles(rng, 3)
    masks = np.concatenate([masks, masks[rng.integers(0, 3, 3)]])
    last_away = rng.integers(-1, 4, len(masks))
    expected = Sam3VideoModel._get_objects_to_suppress_based_on_most_recently_occluded(
        PUBLISHED, torch.from_numpy(masks), torch.from_numpy(last_away), list(range(len(masks))), reverse
    )
    assert find_recently_away(masks, last_away, iou=0.7, reverse=reverse).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_shown_masks_share_no_pixel_as_in_transformers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = draw_rectangles(rng, 5)
    scores = rng.choice([0.25, 0.5, 0.75], len(masks)).astype(np.float32)
    expected = Sam3VideoProcessor._apply_object_wise_non_overlapping_constraints_impl(
        object.__new__(Sam3VideoProcessor), torch.from_numpy(masks)[:, None], torch.from_numpy(scores)[:, None], 0
    )
    resolved = rle.decode_masks(resolve_overlaps(rle.encode_masks(masks), scores.tolist()), 24, 24)
    assert (resolved == (expected[:, 0] > 0).numpy()).all()


@pytest.mark.parametrize("seed", range(8))
def test_of_overlapping_detections_the_best_stays(seed: int) -> None:
    """transformers drops this step without a package of kernels; the official `generic_nms_cpu` is a greedy loop."""
    rng = np.random.default_rng(seed)
    masks = draw_rectangles(rng, 8, near=draw_rectangles(rng, 3))
    scores = rng.permutation(len(masks)).astype(np.float32) / 10
    order, ious, expected = scores.argsort()[::-1], compute_mask_ious(masks, masks), []
    while order.size:
        expected.append(int(order[0]))
        order = order[1:][ious[order[0], order[1:]] <= 0.1]
    assert select_distinct(masks, scores, iou=0.1).tolist() == sorted(expected)


@pytest.mark.parametrize("seed", range(8))
def test_small_holes_are_filled_and_small_specks_removed(seed: int) -> None:
    """transformers drops this step as well; officially skimage counts the components on a CPU."""
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(0.3, 1, (5, 144, 288)), 2, axis=1).astype(np.float32)
    logits[1:] = -1
    logits[1, 3:5, 3:6] = 1  # tiny, and all that there is
    for mask in logits[2:4]:  # small, with holes, and often at an edge; the last one is empty
        y, x = rng.choice([0, 1, 100, 270, 276], 2)
        mask[y : y + 12, x : x + 12] = rng.normal(0.3, 1, (12, 12))
    expected = logits.copy()
    for mask in expected:
        mask[select_small(mask <= 0, 16)] = np.float32(0.1)
        inside = mask > 0
        mask[select_small(inside, min(16, np.count_nonzero(inside) // 2))] = -0.1
    assert (clean_logits(logits, most_area=16) == expected).all()
    assert clean_logits(logits, most_area=0) is logits
    coarse = logits[:, ::8, ::8]
    assert clean_logits(coarse, most_area=16) is coarse, "a cell of it is 64 of those, and no hole is that small"


def select_small(region: np.ndarray, most: int) -> np.ndarray:
    labels = label(region)
    return region & (np.bincount(labels.ravel())[labels] <= most)


def test_the_defaults_are_those_of_the_published_configuration() -> None:
    assert asdict(RULES) == {
        "duplicate_iou": CONFIG.det_nms_thresh,
        "match_iou": CONFIG.assoc_iou_thresh,
        "confirm_iou": CONFIG.trk_assoc_iou_thresh,
        "birth_score": CONFIG.new_det_thresh,
        "hot_start": CONFIG.hotstart_delay,
        "hot_start_unmatched": CONFIG.hotstart_unmatch_thresh,
        "hot_start_duplicates": CONFIG.hotstart_dup_thresh,
        "hide_unmatched": not CONFIG.suppress_unmatched_only_within_hotstart,
        "first_keep_alive": CONFIG.init_trk_keep_alive,
        "most_keep_alive": CONFIG.max_trk_keep_alive,
        "least_keep_alive": CONFIG.min_trk_keep_alive,
        "occlusion_iou": CONFIG.suppress_overlapping_based_on_recent_occlusion_threshold,
        "hole_area": CONFIG.fill_hole_area,
        "reprompt_every": CONFIG.recondition_every_nth_frame,
        "reprompt_score": CONFIG.high_conf_thresh,
        "reprompt_iou": CONFIG.high_iou_thresh,
        "reprompt_presence": CONFIG.high_conf_thresh,
        "most_objects": CONFIG.max_num_objects,
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("birth_score", 1.5), ("hot_start", -1), ("hot_start_unmatched", 16), ("hot_start_duplicates", 0)],
)
def test_impossible_rules_are_refused(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        TrackingRules(**{name: wrong})
