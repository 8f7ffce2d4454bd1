"""Negatives: near to what is in an image, never true of it, and hard where SAM 3 is misled."""

import numpy as np
import pytest

from engine.phrases.negatives.adversarial import CheckedNegative, check_candidates, choose_negatives, measure_hardness
from engine.phrases.negatives.attributes import list_alternatives, swap_attributes
from engine.phrases.negatives.candidates import (
    NegativeCandidate,
    NegativeSources,
    Positive,
    propose_easy_negatives,
    propose_negatives,
)
from engine.phrases.ontology import Ontology
from engine.phrases.ontology_files import build_world_ontology
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.masks.rle import encode_mask, encode_masks
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene


def list_phrases(candidates: list[NegativeCandidate], origin: str) -> list[str]:
    return [one.phrase for one in candidates if one.origin == origin]


def test_relatives_swaps_and_look_alikes_are_proposed_nearest_first():
    sources = NegativeSources(build_world_ontology(), {"red apple": ["tomato"]})
    found = propose_negatives([Positive("red apple"), Positive("blue circle")], sources)
    assert list_phrases(found, "attribute")[:2] == ["orange apple", "yellow apple"]
    assert "red circle" in list_phrases(found, "attribute")
    assert list_phrases(found, "sibling")[:2] == ["red banana", "red lemon"]
    assert list_phrases(found, "look-alike") == ["tomato"]
    few = propose_negatives([Positive("apple")], NegativeSources(build_world_ontology(), per_positive=3))
    assert [one.phrase for one in few] == ["banana", "lemon", "grapes"]


@pytest.mark.parametrize("phrase", ["dog", "red cup", "mug", "small striped circle", "sheep"])
def test_no_synonym_and_no_wider_word_of_any_positive_is_a_negative(phrase):
    world = build_world_ontology()
    positives = [Positive(phrase), Positive("cat"), Positive("vehicle")]
    sources = NegativeSources(world, {phrase: ["puppy", "animal", "kitten", "thing", "cup", "CUPS", "circle", "sheep"]})
    found = propose_negatives(positives, sources)
    easy = propose_easy_negatives(positives, [*world.list_leaves(), "bike", "animals"], sources, count=500, seed="5")
    assert len(found) > 10
    for one in (*found, *easy):
        assert not any(world.may_cover(one.phrase, positive.phrase) for positive in positives), one
    assert not {"animal", "kitten", "thing", "car", "bike"} & {one.phrase for one in (*found, *easy)}


def test_without_an_ontology_the_noun_alone_and_kinds_of_it_are_left_out():
    sources = NegativeSources(look_alikes={"red coffee cup": ["cup", "red cup", "coffee cup", "blue cup", "bowl"]})
    found = propose_negatives([Positive("red coffee cup")], sources)
    assert list_phrases(found, "look-alike") == ["blue cup", "bowl"]


def test_what_the_image_has_already_and_what_is_blocked_is_not_proposed():
    sources = NegativeSources(
        look_alikes={"dog": ["wolf", "Wolves", "fox", "muslims", "idiot"]}, flagged=frozenset({"fox"})
    )
    assert propose_negatives([Positive("dog")], sources, known=["wolf"]) == []


def test_a_candidate_of_two_positives_names_both():
    tree = Ontology.from_children({"pet": ["dog", "cat", "hamster"]})
    [found] = propose_negatives([Positive("dog"), Positive("cat")], NegativeSources(tree))
    assert (found.phrase, found.parents) == ("hamster", ("dog", "cat"))


def test_attributes_are_exchanged_for_others_of_their_scale_alone():
    assert list(swap_attributes("cup")) == list(swap_attributes("red")) == []
    swapped = [*swap_attributes("purple wooden chair")]
    assert "violet wooden chair" not in swapped
    assert {"red wooden chair", "purple metal chair"} <= {*swapped}
    assert "grey" not in list_alternatives("gray")


def test_easy_negatives_are_drawn_alike_for_equal_seeds():
    def draw(seed: str) -> list[str]:
        words = [f"kind {n}" for n in range(50)]
        return [
            one.phrase
            for one in propose_easy_negatives([Positive("dog")], words, NegativeSources(), count=5, seed=seed)
        ]

    assert draw("a") == draw("a") != draw("b")


def make_instances(mask: np.ndarray) -> Instances:
    return Instances(mask[None], np.array([[0, 0, 8, 8]], np.float32), np.array([0.9], np.float32), 1.0, "x")


def make_checked(phrase: str, overlap: float) -> CheckedNegative:
    return CheckedNegative(NegativeCandidate(phrase, "sibling", ("dog",)), "dog", overlap)


def test_three_hard_negatives_come_with_one_easy_and_others_fill_up_where_hard_ones_are_few():
    easy = [NegativeCandidate(f"easy {n}", "easy") for n in range(9)]
    hard = [make_checked(f"hard {n}", 0.6 + n / 100) for n in range(9)]
    near = [make_checked(f"near {n}", 0.2) for n in range(9)]
    many = choose_negatives([*hard, *near], easy, wanted=8)
    assert [one.candidate.phrase for one in many[:6]] == [f"hard {n}" for n in (8, 7, 6, 5, 4, 3)]
    assert [one.is_hard for one in many] == [True] * 6 + [False] * 2
    few = choose_negatives([*hard[:1], *near], easy, wanted=8)
    assert len(few) == 8
    assert [one.is_hard for one in few] == [True] + [False] * 7
    assert {one.candidate.origin for one in few} == {"easy", "sibling"}
    assert choose_negatives([], [], wanted=8) == []


def test_a_negative_is_hard_where_sam3_takes_its_parents_mask_for_it():
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    other = np.zeros((8, 8), bool)
    other[6:, 6:] = True
    sam3 = Sam3(ScriptedBackend({None: {"wolf": make_instances(mask), "fox": make_instances(other)}}))
    candidates = [NegativeCandidate(word, "sibling", ("dog", "bird")) for word in ("wolf", "fox", "cat")]
    positives = [Positive("dog", (encode_mask(mask),)), Positive("bird", ())]
    checked = check_candidates(sam3, Image(np.zeros((8, 8, 3), np.uint8)), candidates, positives)
    assert [(one.is_hard, one.parent) for one in checked] == [(True, "dog"), (False, ""), (False, "")]
    assert measure_hardness(checked) == {"sibling": (1, 3)}
    assert check_candidates(sam3, Image(np.zeros((8, 8, 3), np.uint8)), [], positives) == []


def test_the_embedded_sam3_is_asked_about_a_drawn_scene(tiny):
    scene = draw_scene(HELD_OUT + 3, size=(160, 120))
    rles = encode_masks(scene.masks)
    nouns = dict.fromkeys(thing.noun for thing in scene.objects)
    positives = [
        Positive(noun, tuple(rle for rle, thing in zip(rles, scene.objects, strict=True) if thing.noun == noun))
        for noun in nouns
    ]
    candidates = propose_negatives(positives, NegativeSources(build_world_ontology(), per_positive=4))
    checked = check_candidates(tiny, Image(scene.pixels), candidates, positives)
    assert [one.candidate for one in checked] == candidates
    assert all(0 <= one.overlap <= 1 for one in checked)
