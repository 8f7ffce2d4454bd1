"""What SAM 3 says of its own masks when it is asked again."""

import logging

import numpy as np
import pytest

from engine.pairs import Pair, Proposal
from engine.verifiers.inputs import add_mirrored_signals, add_signals, list_pair_signals
from engine.verifiers.measuring import PhraseFindings, compare_findings
from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.rle import RleMask, encode_mask


def draw_bar(left: int, right: int) -> RleMask:
    mask = np.zeros((4, 20), bool)
    mask[:, left:right] = True
    return encode_mask(mask)


def propose_picture(sam3: Sam3, picture: Image, phrases: list[str]) -> tuple[list[Pair], list[Proposal]]:
    pairs = [Pair(image=picture.key, phrase=phrase, original=phrase, origin="list") for phrase in phrases]
    found = sam3.segment_batch([(picture, ConceptPrompt(phrase)) for phrase in phrases])
    proposals = [
        Proposal(
            pair=pair.key,
            masks=tuple(one.rles),
            scores=tuple(map(float, one.scores)),
            presence=one.presence,
            made_by="tiny",
        )
        for pair, one in zip(pairs, found, strict=True)
    ]
    return pairs, proposals


def test_all_boxes_of_an_image_are_one_batch_of_the_embedding_that_the_search_has_left(
    tiny: Sam3, picture: Image
) -> None:
    reports = []
    sam3 = Sam3(tiny._backend, on_batch=reports.append, max_batch=64)
    pairs, proposals = propose_picture(sam3, picture, ["red circle", "blue square", "dog"])
    measured = add_signals(sam3, picture, pairs, proposals)
    # two masks: two boxes for the tracker, and one question with exemplars for each phrase that has a mask
    assert [(report.size, report.encodes) for report in reports] == [(3, 1), (4, 0)]
    circle, _, dog = measured
    assert circle.mask_signals[0]["agreement"] > 0.9
    assert circle.mask_signals[0]["exemplar_score"] > 0.5
    assert dog.mask_signals == ()
    assert dog.pair_signals["presence"] == pytest.approx(proposals[2].presence)


class ClicklessBackend(ScriptedBackend):
    def refine(self, embeddings: object, prompts: object) -> list[Instances]:
        raise CheckpointError("these weights cannot follow clicks")


def test_a_backend_without_clicks_leaves_two_signals_out_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    picture = Image(np.zeros((4, 6, 3), np.uint8))
    cup = Instances(
        np.ones((1, 4, 6), bool), np.array([[0, 0, 6, 4]], np.float32), np.array([0.9], np.float32), 1.0, "cup"
    )
    sam3 = Sam3(ClicklessBackend({None: {"cup": cup}}))
    pairs, proposals = propose_picture(sam3, picture, ["cup"])
    with caplog.at_level(logging.WARNING):
        [measured] = add_signals(sam3, picture, pairs, proposals)
    assert "cannot follow clicks" in caplog.text
    assert {"score", "exemplar_score"} <= measured.mask_signals[0].keys()
    assert not {"agreement", "predicted_iou"} & measured.mask_signals[0].keys()


def test_a_weak_finding_is_told_apart_from_masks_of_its_own_phrase_and_of_others() -> None:
    own, weak, taken = draw_bar(0, 5), draw_bar(5, 10), draw_bar(10, 15)
    others = [PhraseFindings("hat", (taken,), (0.9,), 1.0)]
    assert compare_findings([own], [own, weak, taken], [0.4, 0.2, 0.3], others) == (0.3, 0.2)


def test_a_rejected_mask_leaves_its_place_uncovered() -> None:
    proposal = Proposal(
        pair="c4",
        masks=(draw_bar(0, 5), draw_bar(10, 15)),
        scores=(0.9, 0.6),
        presence=0.9,
        evidence=(draw_bar(10, 15),),
        evidence_scores=(0.4,),
        pair_signals={"presence": 0.9, "uncovered": 0.0, "uncovered_free": 0.0},
        made_by="tiny",
    )
    both, first = list_pair_signals(proposal, (0, 1)), list_pair_signals(proposal, (0,))
    assert (both["uncovered"], both["rejected"], both["masks"]) == (0.0, 0.0, 2.0)
    assert (first["uncovered"], first["rejected"], first["masks"]) == (0.4, 0.6, 1.0)


def test_an_empty_mask_is_measured_like_any_other(tiny: Sam3, picture: Image) -> None:
    nothing = encode_mask(np.zeros((picture.height, picture.width), bool))
    pair = Pair(image=picture.key, phrase="circle", original="circle", origin="list")
    proposal = Proposal(pair=pair.key, masks=(nothing,), scores=(0.6,), presence=0.9, made_by="tiny")
    [measured] = add_signals(tiny, picture, [pair], [proposal])
    assert all(0 <= value <= 1 for value in measured.mask_signals[0].values())


def test_the_mirrored_image_is_one_more_encode_and_a_sure_mask_is_found_again_there(tiny: Sam3, picture: Image) -> None:
    reports = []
    sam3 = Sam3(tiny._backend, on_batch=reports.append, max_batch=64)
    pairs, proposals = propose_picture(sam3, picture, ["red circle", "dog"])
    plain = add_signals(sam3, picture, pairs, proposals)
    circle, dog = add_mirrored_signals(sam3, picture, pairs, plain)
    assert [report.encodes for report in reports] == [1, 0, 1]
    assert circle.mask_signals[0].items() > plain[0].mask_signals[0].items()
    assert circle.mask_signals[0]["mirrored_iou"] > 0.8
    assert circle.mask_signals[0]["mirrored_score"] > 0.5
    assert circle.pair_signals["mirrored_uncovered"] < 0.5
    assert dog.mask_signals == ()


class SidedBackend(ScriptedBackend):
    """Finds a cup at the left edge of whatever it sees."""

    def __init__(self, picture: Image) -> None:
        mask = np.zeros((1, picture.height, picture.width), bool)
        mask[:, :, :2] = True
        box = np.array([[0, 0, 2, picture.height]], np.float32)
        super().__init__({None: {"cup": Instances(mask, box, np.array([0.9], np.float32), 0.9, "cup")}})


def test_what_does_not_move_with_the_image_is_neither_sure_nor_covered() -> None:
    picture = Image(np.random.default_rng(0).integers(0, 255, (4, 20, 3), np.uint8))
    sam3 = Sam3(SidedBackend(picture))
    pairs, proposals = propose_picture(sam3, picture, ["cup", "hat"])
    cup, hat = add_mirrored_signals(sam3, picture, pairs, add_signals(sam3, picture, pairs, proposals))
    assert (cup.mask_signals[0]["mirrored_iou"], cup.mask_signals[0]["mirrored_score"]) == (0.0, 0.0)
    assert cup.pair_signals["mirrored_uncovered"] == cup.pair_signals["mirrored_free"] == pytest.approx(0.9)
    assert (hat.pair_signals["mirrored_uncovered"], hat.pair_signals["mirrored_presence"]) == (0.0, 0.0)
    without = list_pair_signals(proposals[1], ())
    assert "empty_mirrored_presence" not in without  # what nobody has measured is no zero
    assert list_pair_signals(hat, ())["empty_mirrored_presence"] == 0.0
