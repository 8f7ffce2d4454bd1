"""The generated world: its words, its scenes, and what is asked about them."""

import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, SHAPES, STRANGERS, THINGS, list_known_words
from sam3_tool.synthetic.phrases import Concept, ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, MIN_VISIBLE_AREA, SceneObject, draw_scene, trace_outline


def test_the_world_is_as_rich_as_promised():
    assert len(SHAPES) >= 12
    assert len(COLOURS) >= 10
    assert len(THINGS) >= 60
    assert {"animal", "fruit", "vehicle"} <= HYPERNYMS.keys()
    assert not set(STRANGERS) & set(list_known_words())


def test_the_same_seed_draws_the_same_scene():
    first, again = draw_scene(HELD_OUT + 3), draw_scene(HELD_OUT + 3)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.objects == again.objects


@pytest.mark.parametrize("seed", range(12))
def test_masks_are_disjoint_and_every_object_is_visible(seed):
    scene = draw_scene(HELD_OUT + seed, size=(320, 240))
    assert scene.pixels.shape == (240, 320, 3)
    assert scene.masks.sum(axis=0).max(initial=0) <= 1
    assert all(mask.mean() >= MIN_VISIBLE_AREA for mask in scene.masks)
    for mask, (x0, y0, x1, y1) in zip(scene.masks, scene.boxes.astype(int), strict=True):
        assert mask.sum() == mask[y0:y1, x0:x1].sum()


def test_a_concept_describes_by_noun_hypernym_colour_and_size():
    apple = SceneObject("apple", "red", None, "small")
    assert Concept("fruit").is_true_of(apple)
    assert Concept("apple", "red", size="small").is_true_of(apple)
    assert not Concept("apple", "green").is_true_of(apple)
    assert not Concept("vehicle").is_true_of(apple)


def test_negatives_are_absent_and_positives_present():
    rng = np.random.default_rng(0)
    for seed in range(40):
        scene = draw_scene(HELD_OUT + seed)
        if scene.objects:
            assert ask_about_scene(scene, "positive", rng).targets
        assert not ask_about_scene(scene, "negative", rng).targets


def test_a_negative_box_takes_its_kind_out_of_the_answer():
    rng = np.random.default_rng(0)
    for seed in range(40):
        scene = draw_scene(HELD_OUT + seed)
        prompt = ask_about_scene(scene, "text_minus_box", rng) if scene.objects else None
        if prompt and prompt.kind == "text_minus_box":
            boxed = scene.objects[prompt.exemplars[0]].kind
            assert prompt.labels == (0,)
            assert all(scene.objects[index].kind != boxed for index in prompt.targets)


SHAPES_OF_SEED_0 = "37a34a754794c75a53f61c55c550a52de7f649ab15e4ee56690045fb5494d341"
"""SHA-256 of the outlines of all shapes: the embedded checkpoint and the saved scenes were made with exactly these."""


def test_shapes_are_those_that_the_checkpoint_was_trained_on():
    rng = np.random.default_rng(0)
    outlines = [(loop.round(9) + 0.0).tobytes() for noun in SHAPES for loop in trace_outline(noun, rng)]
    assert sha256(b"".join(outlines)).hexdigest() == SHAPES_OF_SEED_0


def test_a_shape_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no shape is called 'blob'; shapes are circle"):
        trace_outline("blob", np.random.default_rng(0))


def test_the_world_is_drawn_without_the_trainer():
    program = (
        "import sys, sam3_tool.synthetic.phrases;"
        "print([name for name in sys.modules if name == 'torch' or name.startswith('sam3_tool.training')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
