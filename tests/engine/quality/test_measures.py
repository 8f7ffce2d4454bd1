"""What `engine status` says of quality, on small logs whose numbers are computed by hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.lottery import draw_lot, is_in_lottery
from engine.media.images import EngineImage
from engine.pairs import Correction, Entry, Judgement, Pair, Proposal, Withdrawal
from engine.quality.measures.describing import describe_quality
from engine.quality.measures.evidence import read_evidence
from engine.quality.measures.label_scores import (
    LabelPair,
    compute_label_intervals,
    compute_label_scores,
    score_labels,
    select_pairs,
)
from engine.quality.measures.people import group_opinions
from engine.quality.measures.summary import QualityReport, measure_quality
from engine.quality.weighing import weigh_by_risk
from engine.states import StatePolicy, Thresholds
from engine.store.store import EngineStore
from evals.metrics.cgf1 import score_pairs
from sam3_tool.masks.rle import RleMask, encode_mask

TRUSTING = StatePolicy(mv=Thresholds(accept=0.9), ev=Thresholds(accept=0.9))
VERIFIER = "model:signals@1"
WEEK = 7 * 24 * 3600.0


def draw_bar(first: int, last: int) -> RleMask:
    bar = np.zeros((4, 20), bool)
    bar[:, first:last] = True
    return encode_mask(bar)


BAR, HALF, OTHER = draw_bar(2, 10), draw_bar(2, 6), draw_bar(12, 18)


class Project:
    """A data engine whose log is written by hand."""

    def __init__(self, folder: Path) -> None:
        self.store = EngineStore.create(folder)

    def add_pair(self, name: str, *masks: RleMask, image: str = "5a") -> str:
        """Add a pair with proposed masks; return its key."""
        pair = Pair(image=image, phrase=name, original=name, origin="list")
        self.store.add_images([EngineImage(key=image, path=Path(f"{image}.png"), width=20, height=4)])
        self.store.add_pairs([pair])
        scores = (0.9,) * len(masks)
        proposal = Proposal(pair=pair.key, masks=masks, scores=scores, presence=0.9, made_by="tiny@1; 1.0")
        self.store.add_proposals([proposal], at=0.0)
        return pair.key

    def judge_mask(self, key: str, choice: str, *, by: str = "human:anna", **more: Any) -> None:
        self._append(Judgement(**{"pair": key, "stage": "mv", "mask": 0, "choice": choice, "by": by, **_fill(more)}))

    def judge_coverage(self, key: str, choice: str, *, by: str = "human:anna", **more: Any) -> None:
        self._append(Judgement(**{"pair": key, "stage": "ev", "choice": choice, "by": by, **_fill(more)}))

    def accept_pair(self, key: str, *, masks: int = 1, **more: Any) -> None:
        """Accept all masks of a pair, and that they cover everything."""
        if masks:
            self.judge_mask(key, "accept", **more)
        self.judge_coverage(key, "accept", shown=tuple(range(masks)), **more)

    def correct_pair(self, key: str, *masks: RleMask, by: str = "human:anna", at: float = 1.0, **more: Any) -> None:
        more = {"groups": (False,) * len(masks), "exhaustive": True, **more}
        self._append(Correction(pair=key, masks=masks, by=by, at=at, **more))

    def _append(self, entry: Entry) -> None:
        self.store.append([entry])

    def measure(self, policy: StatePolicy = StatePolicy()) -> QualityReport:  # noqa: B008  # frozen
        return measure_quality(self.store, policy)


def _fill(more: dict[str, Any]) -> dict[str, Any]:
    return {"at": 1.0, "drawn": "random", **more}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "engine")


def find_names(*, in_lottery: bool, image: str = "5a") -> list[str]:
    """Names of phrases whose pairs are, or are not, of the random tenth."""
    names = (f"thing {number}" for number in range(200))
    found = [(name, Pair(image=image, phrase=name, original=name, origin="list").key) for name in names]
    return [name for name, key in found if is_in_lottery(key) == in_lottery]


def fill_five_pairs(project: Project) -> None:
    """Two right positives, a right negative, one mask of nothing, and one thing that was missed."""
    project.accept_pair(project.add_pair("cup", BAR))
    project.accept_pair(project.add_pair("hat", BAR, image="5b"))
    project.accept_pair(project.add_pair("dog"), masks=0)
    wrong, missed = project.add_pair("pen", BAR, image="5b"), project.add_pair("cat", image="5b")
    project.judge_mask(wrong, "reject")
    project.correct_pair(wrong)
    project.judge_coverage(missed, "reject")
    project.correct_pair(missed, OTHER)


def test_labels_are_scored_as_by_hand_and_as_the_metric_scores_them_to_the_bit(project: Project) -> None:
    fill_five_pairs(project)
    proposals, models = project.measure().labels
    assert (proposals.pairs, proposals.images, proposals.missing) == (5, 2, "")
    # TP 2, FN 1, FP 1, TN 1: (2 - 1) / sqrt(3 x 3 x 2 x 2); precision 2 of 2, recall 2 of 3
    assert proposals.values["IL_MCC"] == pytest.approx(1 / 6, abs=1e-4)
    assert proposals.values["pmF1"] == pytest.approx(80, abs=0.02)
    assert proposals.values["cgF1"] == pytest.approx(80 / 6, abs=0.02)
    truth = score_pairs([([BAR], [BAR]), ([BAR], [BAR]), ([], []), ([BAR], []), ([], [OTHER])])
    assert proposals.values == {name: truth[name] for name in ("cgF1", "pmF1", "IL_MCC")}
    assert proposals.intervals["cgF1"].low <= proposals.values["cgF1"] <= proposals.intervals["cgF1"].high
    assert models.missing == "models finish no pair by themselves; set thresholds with: sam3-agent engine fit"
    assert models.values == {}


def test_what_was_drawn_for_its_risk_or_taken_back_or_tests_people_is_in_no_number(project: Project) -> None:
    fill_five_pairs(project)
    before = project.measure().labels[0].values
    names = find_names(in_lottery=False)
    for place, drawn in enumerate(("risk", "second", "gold")):
        project.judge_mask(project.add_pair(names[2 * place], BAR), "reject", drawn=drawn)
        project.judge_coverage(project.add_pair(names[2 * place + 1]), "accept", drawn=drawn)
    project.judge_mask(project.add_pair(names[6], BAR), "reject")
    project.store.append([Withdrawal(position=project.store.last_position, by="human:anna", at=2.0)])
    report = project.measure()
    assert (report.labels[0].pairs, report.unfinished) == (5, 0)
    assert report.labels[0].values == before


def test_a_number_waits_until_people_have_finished_random_pairs_enough(project: Project) -> None:
    names = find_names(in_lottery=True)[:8]
    keys = [project.add_pair(name, BAR) for name in names]
    for key in keys[:3]:
        project.accept_pair(key)
    project.judge_mask(keys[3], "accept")
    report = project.measure()
    assert report.labels[0].missing == "3 of 8 random pairs are finished by people; review 5 more"
    assert report.unfinished == 1
    assert "random pairs that are begun and not finished, and in no number yet: 1" in " ".join(
        value for *_, value in describe_quality(report)
    )
    evidence = read_evidence(project.store, StatePolicy())
    assert score_labels(evidence, "proposals", least=3).missing == (
        "all of them are of one image; review pairs of another one"
    )


def test_an_empty_engine_says_what_is_missing_and_no_number(project: Project) -> None:
    report = project.measure()
    told = [value for *_, value in describe_quality(report)]
    assert told == [
        "0 of 2 random pairs are finished by people; review 2 more",
        "models finish no pair by themselves; set thresholds with: sam3-agent engine fit",
        "no verifier has judged what people have judged; run and review more",
        "nothing is judged by two people yet; have a second person review",
        "nothing is judged by two people yet; have a second person review",
        "no pair is corrected by two people yet",
    ]
    # valid JSON has no NaN
    json.dumps(report.to_json(), allow_nan=False)


def test_a_pair_weighs_as_many_as_it_stands_for(project: Project) -> None:
    keys = [project.add_pair(f"thing {number}", image=f"5{number}") for number in range(8)]
    for key in keys:
        project.judge_coverage(key, "accept", by=VERIFIER, probability=0.95, drawn="auto")
    for key in keys[:2]:  # a fiftieth of what models finish is audited
        project.judge_coverage(key, "accept", drawn="audit")
    for number in range(2):  # what no model finishes comes to people
        project.accept_pair(project.add_pair("cup", BAR, image=f"6{number}"))
    for number in range(3):  # what a model has judged and not finished comes to people with another chance
        key = project.add_pair("hat", BAR, image=f"7{number}")
        project.judge_mask(key, "accept", by=VERIFIER, probability=0.5, drawn="auto")
        if not number:
            project.accept_pair(key)
    evidence = read_evidence(project.store, TRUSTING)
    assert evidence.population == {"models": 8, "unjudged": 2, "judged": 3}
    weights = Counter(pair.weight for pair in select_pairs(evidence, "proposals"))
    assert weights == {4.0: 2, 1.0: 2, 3.0: 1}
    assert [pair.weight for pair in select_pairs(evidence, "models")] == [4.0, 4.0]


def test_weights_count_like_copies_and_equal_weights_change_nothing() -> None:
    right, wrong, nothing = ("a", (BAR,), (BAR,)), ("b", (BAR,), ()), ("c", (), ())
    once = [LabelPair(*right), LabelPair(*wrong), LabelPair(*nothing)]
    weighed = compute_label_scores([LabelPair(*right, 3.0), LabelPair(*wrong, 1.0), LabelPair(*nothing, 2.0)])
    copied = compute_label_scores([once[0]] * 3 + [once[1]] + [once[2]] * 2)
    assert weighed == pytest.approx(copied, abs=0.02)
    thirds = [LabelPair(pair.image, pair.predicted, pair.targets, 10 / 3) for pair in once]
    assert compute_label_scores(thirds) == compute_label_scores(once)
    assert compute_label_intervals(thirds) == compute_label_intervals(once)


@pytest.mark.parametrize("in_lottery", [True, False])
def test_a_correction_alone_is_random_if_its_pair_is_of_the_tenth(project: Project, in_lottery: bool) -> None:
    key = project.add_pair(find_names(in_lottery=in_lottery)[0], BAR)
    project.correct_pair(key, BAR)
    (one,) = read_evidence(project.store, StatePolicy()).pairs
    assert one.is_random is in_lottery


def test_weights_by_risk_are_true_where_flat_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    keys = [f"{number:016x}" for number in range(4000)]
    risks = dict(zip(keys, rng.random(4000) ** 3, strict=True))
    is_wrong = {key: bool(rng.random() < risk) for key, risk in risks.items()}
    # people have come down to a risk of 0.5; of the tenth, they have seen the lots of its upper half
    lots = {key for key in keys if 0.05 <= draw_lot(key) < 0.1}
    seen = lots | {key for key in keys if risks[key] >= 0.5 and not is_in_lottery(key)}
    weights = weigh_by_risk(risks, keys, seen)
    flat = {key: 10.0 if key in lots else 1.0 for key in seen}
    truth = float(np.mean([*is_wrong.values()]))

    def estimate_share(given: dict[str, float]) -> float:
        return sum(given[key] * is_wrong[key] for key in seen) / sum(given.values())

    assert sum(weights.values()) == pytest.approx(4000)
    assert abs(estimate_share(weights) - truth) < 0.02
    assert abs(estimate_share(flat) - truth) > 0.1


def test_an_audit_answers_for_a_label_of_a_model(project: Project) -> None:
    key = project.add_pair("cup", BAR)
    project.judge_mask(key, "accept", by=VERIFIER, probability=0.95, drawn="auto")
    project.judge_coverage(key, "accept", by=VERIFIER, probability=0.95, drawn="auto", shown=(0,))
    assert read_evidence(project.store, TRUSTING).ends == {"model": 1}
    project.judge_coverage(key, "accept", drawn="audit", shown=(0,))
    (one,) = read_evidence(project.store, TRUSTING).pairs
    assert (one.final_masks, one.automatic_masks, one.is_random) == ((BAR,), (BAR,), True)


def test_group_masks_and_incomplete_pairs_are_in_no_number(project: Project) -> None:
    for name, more in (("cup", {"groups": (True,)}), ("hat", {"exhaustive": False})):
        key = project.add_pair(name, BAR)
        project.judge_mask(key, "reject")
        project.correct_pair(key, OTHER, **more)
    evidence = read_evidence(project.store, StatePolicy())
    assert [one.final_masks for one in evidence.pairs] == [None, None]
    assert select_pairs(evidence, "proposals") == []


def test_verifiers_are_held_against_people(project: Project) -> None:
    answers = [(0.9, "accept"), (0.8, "accept"), (0.8, "reject"), (0.2, "reject"), (0.2, "accept"), (0.9, "reject")]
    for number, (probability, choice) in enumerate(answers):
        key = project.add_pair(f"thing {number}", BAR)
        project.judge_mask(key, "accept", by=VERIFIER, probability=probability, drawn="auto")
        project.judge_mask(key, choice, drawn="risk" if number == 5 else "random")
    (score,) = project.measure().verifiers
    assert (score.stage, score.by, score.items) == ("mv", VERIFIER, 5)
    assert score.confusion == {
        ("right", "right"): 2,
        ("right", "wrong"): 1,
        ("wrong", "wrong"): 1,
        ("wrong", "right"): 1,
    }
    assert score.risky == {("right", "wrong"): 1}
    # bins 0.9: |0.9 - 1|; 0.8: 2 x |0.8 - 0.5|; 0.2: 2 x |0.2 - 0.5|
    assert score.calibration_error == pytest.approx((0.1 + 0.6 + 0.6) / 5)
    # the surest is right; of the other four, which are equally sure, two
    assert dict(score.curve)[0.2] == 1.0
    assert dict(score.curve)[0.6] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert dict(score.curve)[1.0] == pytest.approx(3 / 5)


def test_coverage_is_compared_where_the_same_masks_were_shown(project: Project) -> None:
    shown, others = project.add_pair("cup", BAR), project.add_pair("hat", BAR, OTHER)
    for key in (shown, others):
        project.judge_coverage(key, "accept", by=VERIFIER, probability=0.7, drawn="auto", shown=(0,))
    project.accept_pair(shown)
    project.judge_coverage(others, "accept", shown=(0, 1))
    (score,) = project.measure().verifiers
    assert score.confusion == {("right", "right"): 1}


def test_verifier_and_people_are_held_against_the_majority_of_the_others(project: Project) -> None:
    key = project.add_pair("cup", BAR)
    project.judge_mask(key, "reject", by=VERIFIER, probability=0.1, drawn="auto")
    for person, choice in (("anna", "accept"), ("ben", "accept"), ("cleo", "reject")):
        project.judge_mask(key, choice, by=f"human:{person}")
    (score,) = project.measure().verifiers
    # without Anna, or without Ben, the others are tied; without Cleo they accept
    assert (score.others, score.accuracy, score.human_accuracy) == (1, 0.0, 0.0)


def test_people_agree_as_cohen_says_and_the_third_is_left_out(project: Project) -> None:
    answers = [("accept", "accept"), ("accept", "accept"), ("reject", "reject"), ("accept", "reject")]
    for number, (first, second) in enumerate(answers):
        key = project.add_pair(f"thing {number}", BAR)
        project.judge_mask(key, first)
        project.judge_mask(key, second, by="human:ben")
    project.judge_mask(key, "reject", by="human:cleo")
    report = project.measure()
    # both directions: 5 of 8 accept; chance (5/8)² + (3/8)² = 34/64; (48/64 - 34/64) / (30/64)
    assert report.kappas["mv"].items == 4
    assert report.kappas["mv"].observed == 0.75
    assert report.kappas["mv"].kappa == pytest.approx(14 / 30)
    assert len(group_opinions(read_evidence(project.store, StatePolicy()).pairs, "mv")) == 4


def test_two_corrections_are_compared_by_instances(project: Project) -> None:
    same, half = project.add_pair("cup", BAR), project.add_pair("hat", BAR)
    for person in ("anna", "ben"):
        project.correct_pair(same, BAR, by=f"human:{person}")
    for person, mask in (("anna", BAR), ("ben", HALF), ("cleo", BAR)):
        project.correct_pair(half, mask, by=f"human:{person}")
    found = project.measure().corrections
    # IoU of the half is 0.5, which reaches one threshold of ten; Anna and Cleo agree in all
    assert found.pairs == 2
    assert found.f1 == pytest.approx((1 + 0.1 + 1 + 0.1) / 4)
    assert found.random_pair is not None
    assert found.oracle is not None
    assert found.oracle["pmF1"] >= found.random_pair["pmF1"]


def test_drift_is_told_by_week_and_by_weights(project: Project) -> None:
    project.accept_pair(project.add_pair("cup", BAR), at=0.0)
    later = project.add_pair("hat", BAR)
    project.judge_mask(later, "reject", at=WEEK)
    project.correct_pair(later, OTHER, at=WEEK + 60)
    rows = project.measure().drift
    assert [(row.kind, row.name, row.pairs) for row in rows] == [
        ("week", "1970-W01", 1),
        ("week", "1970-W02", 1),
        ("weights", "tiny@1", 2),
    ]
    # each of these pairs has masks, and IL_MCC needs negatives too
    assert [{name: round(value) for name, value in row.values.items()} for row in rows] == [
        {"pmF1": 100},
        {"pmF1": 0},
        {"pmF1": 50},
    ]


@pytest.mark.parametrize(
    ("masks", "told", "names"),
    [
        ((BAR,), "people found masks in all 3 random pairs; cgF1 needs negatives too", ["pmF1"]),
        ((), "people found nothing in all 3 random pairs; review pairs in which something is there", []),
    ],
)
def test_numbers_without_a_meaning_are_not_told(
    project: Project, masks: tuple[RleMask, ...], told: str, names: list[str]
) -> None:
    for number in range(3):
        project.accept_pair(project.add_pair("cup", *masks, image=f"5{number}"), masks=len(masks))
    score = project.measure().labels[0]
    assert (score.missing, [*score.values], [*score.intervals]) == (told, names, names)
