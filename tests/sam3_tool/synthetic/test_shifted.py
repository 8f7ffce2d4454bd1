"""The generated world in another style."""

import numpy as np
import pytest

from sam3_tool.synthetic.scenes import HELD_OUT, MIN_VISIBLE_AREA, PLAIN, draw_scene
from sam3_tool.synthetic.shifted import PRINTED, print_object

SEEDS = range(6)


def test_a_scene_without_a_style_is_in_the_style_that_the_checkpoint_learnt():
    for seed in SEEDS:
        left_out, named = draw_scene(HELD_OUT + seed), draw_scene(HELD_OUT + seed, style=PLAIN)
        assert np.array_equal(left_out.pixels, named.pixels)
        assert np.array_equal(left_out.ids, named.ids)


def test_the_same_seed_draws_the_same_print():
    first, again = (draw_scene(HELD_OUT + 3, size=(160, 120), style=PRINTED) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.objects == again.objects


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_of_prints_are_disjoint_visible_and_show_their_objects(seed):
    scene = draw_scene(HELD_OUT + seed, size=(320, 240), style=PRINTED)
    assert scene.pixels.shape == (240, 320, 3)
    assert scene.pixels.dtype == np.uint8
    assert scene.masks.sum(axis=0).max(initial=0) <= 1
    assert all(mask.mean() >= MIN_VISIBLE_AREA for mask in scene.masks)
    assert len(scene.masks) == len(scene.objects)


def test_printing_an_object_leaves_its_outline_and_its_words():
    kept = []

    def print_and_keep(rng, stamp):
        printed = print_object(rng, stamp)
        kept.append((stamp, printed))
        return printed

    style = type(PRINTED)(PRINTED.draw_background, print_and_keep, PRINTED.finish_image)
    draw_scene(HELD_OUT + 7, size=(320, 240), style=style)
    assert kept
    for stamp, printed in kept:
        assert np.array_equal(stamp.alpha, printed.alpha)
        assert printed.scene_object == stamp.scene_object
        assert not np.array_equal(stamp.colour, printed.colour)


def test_colours_of_prints_stay_nearer_to_their_own_word_than_ink_is():
    """Words of colour stay true: the mean of an object's pixels keeps the order of its channels."""
    reds = []
    for seed in range(24):
        scene = draw_scene(HELD_OUT + seed, size=(160, 120), style=PRINTED)
        reds += [
            scene.pixels[mask].mean(axis=0)
            for mask, thing in zip(scene.masks, scene.objects, strict=True)
            if thing.colour == "red" and thing.pattern == "plain"
        ]
    assert reds
    assert all(red > green and red > blue for red, green, blue in reds)
