"""The state of a pair follows from what was said of it, in any order of people and models."""

import pytest

from engine.pairs import (
    COVERAGE_CHOICES,
    MASK_CHOICES,
    Correction,
    Entry,
    Judgement,
    LogRecord,
    Reproposal,
    Withdrawal,
)
from engine.states import ENDS, STATE_NAMES, PairDecision, StatePolicy, Thresholds, decide_pair
from sam3_tool import RleMask

MASK = RleMask((2, 3), "06")
TRUSTING = StatePolicy(mv=Thresholds(accept=0.9, reject=0.1), ev=Thresholds(accept=0.9, reject=0.1))


def judge_mask(mask: int, choice: str, by: str = "human:anna", **more: object) -> Judgement:
    values = {"pair": "p", "stage": "mv", "mask": mask, "choice": choice, "by": by, "at": 0.0, "drawn": "risk"}
    return Judgement.model_validate({**values, **more})


def judge_cover(shown: tuple[int, ...], choice: str, by: str = "human:anna", **more: object) -> Judgement:
    values = {"pair": "p", "stage": "ev", "shown": shown, "choice": choice, "by": by, "at": 0.0, "drawn": "risk"}
    return Judgement.model_validate({**values, **more})


def correct(masks: int, by: str = "human:anna", exhaustive: bool = True) -> Correction:
    return Correction(pair="p", masks=(MASK,) * masks, groups=(False,) * masks, exhaustive=exhaustive, by=by, at=0.0)


def decide(count: int | None, *entries: Entry, policy: StatePolicy = TRUSTING) -> PairDecision:
    records = [LogRecord(position=place + 1, entry=entry) for place, entry in enumerate(entries)]
    return decide_pair("cup", count, records, policy)


def test_a_pair_goes_from_proposal_over_masks_and_coverage_to_its_end() -> None:
    assert decide(None).needs == "masks"
    assert (decide(2).name, decide(2).open_masks) == ("masked", (0, 1))
    half = decide(2, judge_mask(0, "accept"))
    assert (half.name, half.accepted, half.open_masks, half.needs) == ("mv", (0,), (1,), "mv")
    judged = [judge_mask(0, "accept"), judge_mask(1, "reject")]
    assert (decide(2, *judged).name, decide(2, *judged).accepted) == ("ev", (0,))
    final = decide(2, *judged, judge_cover((0,), "accept"))
    assert (final.name, final.is_exhaustive, final.is_negative, final.decided_by) == ("final", True, False, "human")


def test_rejected_masks_need_a_correction_and_are_no_negative() -> None:
    rejected = decide(1, judge_mask(0, "reject"))
    assert (rejected.name, rejected.needs, rejected.is_negative) == ("correct", "correct", False)
    assert decide(1, judge_mask(0, "reject"), correct(0)).is_negative


def test_that_nothing_was_found_is_a_negative_only_once_somebody_says_so() -> None:
    assert (decide(0).name, decide(0).is_negative) == ("ev", False)
    assert decide(0, judge_cover((), "accept")).is_negative
    assert decide(0, judge_cover((), "reject")).name == "correct"


def test_coverage_counts_only_for_the_masks_that_were_shown() -> None:
    entries = [judge_mask(0, "accept"), judge_mask(1, "accept"), judge_cover((0,), "accept")]
    assert decide(2, *entries).name == "ev"
    assert decide(2, *entries, judge_cover((1, 0), "accept")).name == "final"


def test_a_model_decides_only_beyond_the_thresholds_and_else_a_person_is_asked() -> None:
    sure, unsure = (judge_mask(0, "accept", "model:m@1", probability=chance) for chance in (0.95, 0.6))
    assert decide(1, sure).needs == "ev"
    assert (decide(1, unsure).needs, decide(1, unsure).needs_person) == ("mv", True)
    assert decide(1, sure, policy=StatePolicy()).needs_person
    assert not decide(1).needs_person
    final = decide(1, sure, judge_cover((0,), "accept"))
    assert (final.decided_by, final.is_human_end) == ("model", False)


def test_a_person_outweighs_every_model_whoever_came_first() -> None:
    model, person = judge_mask(0, "accept", "model:m@1", probability=0.99), judge_mask(0, "reject")
    assert decide(1, model, person).name == decide(1, person, model).name == "correct"


def test_people_who_disagree_need_another_one_and_three_who_cannot_agree_are_unsure() -> None:
    two = [judge_mask(0, "accept"), judge_mask(0, "reject", "human:ben")]
    assert (decide(1, *two).needs, decide(1, *two).needs_person) == ("mv", True)
    assert decide(1, *two, judge_mask(0, "accept", "human:cleo")).needs == "ev"
    four = [*two, judge_mask(0, "accept", "human:cleo"), judge_mask(0, "reject", "human:dora")]
    assert decide(1, *four).name == "unsure"


def test_what_is_withdrawn_never_was() -> None:
    assert decide(1, judge_mask(0, "accept"), Withdrawal(position=1, by="human:anna", at=0.0)) == decide(1)


def test_the_latest_correction_is_the_end_until_it_is_withdrawn() -> None:
    entries = [judge_mask(0, "reject"), correct(1), correct(2, "human:ben", exhaustive=False)]
    last = decide(1, *entries)
    assert (last.name, last.is_exhaustive, last.is_human_end) == ("final", False, True)
    undone = decide(1, *entries, Withdrawal(position=3, by="human:ben", at=0.0))
    assert undone.correction == entries[1]


def test_a_flag_blocks_the_phrase_and_a_blocked_phrase_is_rejected_everywhere() -> None:
    flagged = decide(1, judge_mask(0, "flag"))
    assert (flagged.name, flagged.blocked) == ("rejected", True)
    elsewhere = decide(1, policy=StatePolicy(blocked=frozenset({"cup"})))
    assert (elsewhere.name, elsewhere.blocked, elsewhere.decided_by) == ("rejected", True, "")
    assert not decide(1, judge_mask(0, "flag", "model:m@1", probability=0.5)).blocked


@pytest.mark.parametrize(
    ("choice", "reason", "name"),
    [("whole_image", "", "rejected"), ("ungroundable", "vague", "rejected"), ("ungroundable", "unsure", "unsure")],
)
def test_a_pair_that_cannot_be_labelled_is_at_its_end(choice: str, reason: str, name: str) -> None:
    assert decide(0, judge_cover((), choice, reason=reason)).name == name


def test_one_of_two_people_does_not_refuse_a_phrase_alone() -> None:
    found = decide(1, judge_mask(0, "accept"), judge_mask(0, "whole_image", "human:ben"))
    assert (found.name, found.needs_person) == ("mv", True)


def test_answers_to_gold_items_change_no_state() -> None:
    assert decide(1, judge_mask(0, "reject", drawn="gold")) == decide(1)


def test_after_a_new_proposal_only_what_was_said_of_the_same_masks_counts() -> None:
    judged = [judge_mask(0, "reject"), judge_mask(1, "accept"), judge_cover((1,), "accept")]
    again = Reproposal(pair="p", moved=(None, 0), count=2, made_by="new", at=0.0)
    moved = decide(2, *judged, again)
    assert (moved.name, moved.accepted, moved.open_masks) == ("mv", (0,), (1,))
    same = Reproposal(pair="p", moved=(1, 0), count=2, made_by="new", at=0.0)
    assert decide(2, *judged, same).accepted == (0,)
    assert decide(2, *judged, same).name == "final"


def test_every_choice_of_every_stage_leads_to_a_state_that_says_what_is_needed() -> None:
    for choice in MASK_CHOICES:
        for cover in COVERAGE_CHOICES:
            found = decide(1, judge_mask(0, choice), judge_cover((0,), cover, "human:ben"))
            assert found.name in STATE_NAMES
            assert (found.needs == "") == (found.name in ENDS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": "mv", "mask": None},
        {"stage": "ev", "mask": 0},
        {"stage": "mv", "choice": "ungroundable"},
        {"by": "anna"},
        {"by": "model:unversioned"},
        {"probability": 1.5},
        {"weight": 0},
        {"at": float("nan")},
    ],
)
def test_a_judgement_that_makes_no_sense_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Judgement.model_validate({**judge_mask(0, "accept").model_dump(), **wrong})
