"""Masks are proposed above one threshold, kept as evidence above another, and each object once."""

import numpy as np
import pytest

from engine.media.duplicates import MAX_BITS, compute_dhash, count_different_bits
from engine.media.splits import choose_split
from engine.pairs import Pair
from engine.phrases.coarse import build_parent_finder
from engine.phrases.ontology import Ontology
from engine.proposing import build_proposal, describe_maker, describe_recipe, get_recipe, propose_masks
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.synthetic.scenes import draw_scene
from tests.support.engines import SteadyBackend, build_instances, draw_image

PAIR = Pair(image="5d", phrase="cup", original="cup", origin="list")


def test_what_scores_above_a_half_is_offered_and_what_is_weaker_is_evidence() -> None:
    found = build_proposal(PAIR, build_instances(0.9, 0.51, 0.5, 0.06), made_by="test")
    assert found.scores == pytest.approx((0.9, 0.51))
    assert found.evidence_scores == pytest.approx((0.5, 0.06))


def test_a_mask_that_is_nearly_a_better_one_is_dropped_and_so_is_an_empty_one() -> None:
    masks = np.zeros((3, 24, 32), bool)
    masks[0, :10], masks[1, :9] = True, True
    scores = np.array([0.6, 0.8, 0.7], np.float32)
    found = Instances(masks, np.zeros((3, 4), np.float32), scores, 1.0, "cup")
    assert build_proposal(PAIR, found, made_by="test").scores == pytest.approx((0.8,))


def test_a_phrase_that_the_weights_do_not_know_gets_the_masks_of_its_coarser_one_and_says_so(tiny: Sam3) -> None:
    image = Image(draw_scene(6).pixels)
    phrases = ("dog", "whippet", "gizmo")
    pairs = [Pair(image=image.key, phrase=phrase, original=phrase, origin="list") for phrase in phrases]
    ontology = Ontology.from_children({"animal": ["dog"], "dog": ["whippet"], "whatsit": ["gizmo"]})
    [found] = propose_masks(tiny, [(image, pairs)], find_parent=build_parent_finder(ontology))
    assert [proposal.asked for proposal in found] == ["", "dog", ""]
    assert (found[1].masks, found[1].presence) == (found[0].masks, found[0].presence)


def test_a_recipe_changes_with_the_weights_alone_and_not_with_the_version_of_the_program() -> None:
    recipes = {describe_recipe(Sam3(SteadyBackend(fingerprint=mark))) for mark in ("", "f00d", "beef")}
    assert len(recipes) == 3
    assert {get_recipe(describe_maker(recipe)) for recipe in recipes} == recipes


def test_hashes_of_nearly_equal_images_nearly_agree_and_those_of_others_do_not() -> None:
    first = draw_scene(6).pixels
    noisy = np.clip(first.astype(int) + np.random.default_rng(0).integers(-4, 5, first.shape), 0, 255)
    hashes = [compute_dhash(Image(pixels.astype(np.uint8))) for pixels in (noisy, draw_image(1), draw_image(2))]
    others = np.array([int(one, 16) for one in hashes], np.uint64)
    bits = count_different_bits(compute_dhash(Image(first)), others)
    assert bits[0] <= MAX_BITS < min(bits[1:])


def test_splits_have_their_shares_and_depend_on_nothing_but_the_name() -> None:
    names = [str(number) for number in range(4000)]
    chosen = [choose_split(name, validation_share=0.1, test_share=0.2) for name in names]
    assert chosen[:10] == [choose_split(name, validation_share=0.1, test_share=0.2) for name in names[:10]]
    shares = {split: chosen.count(split) / len(chosen) for split in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.02)


def test_features_of_an_image_are_told_by_the_network_and_by_no_script(tiny: Sam3) -> None:
    image = Image(draw_scene(6).pixels)
    features = tiny.pool_features(image)
    assert features is not None
    assert (features.dtype, features.ndim, bool(np.isfinite(features).all())) == (np.float32, 1, True)
    assert np.array_equal(features, tiny.pool_features(image))
    assert Sam3(ScriptedBackend({})).pool_features(image) is None
