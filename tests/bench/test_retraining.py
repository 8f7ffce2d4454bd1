"""The study of fine-tuning on labels: what the simulated engine makes of proposals, and how gains are compared."""

import json

import numpy as np
import pytest

from bench.suites.retraining.comparing import compare_arm
from bench.suites.retraining.labelling import label_scenes
from bench.suites.retraining.measuring import load_outcomes, save_outcomes, score_outcomes
from bench.suites.retraining.proposals import ProposedPair, propose_pairs, read_proposals, to_masks, write_proposals
from bench.suites.retraining.reviewing import SAMPLE, label_by_engine
from bench.suites.retraining.study import STYLES, LoopPlan, LoopRun
from engine.pairs import Proposal
from evals.metrics.cgf1 import PairOutcome
from sam3_tool.masks.rle import encode_mask


def draw_mask(first, last):
    mask = np.zeros((240, 320), bool)
    mask[40:200, first:last] = True
    return encode_mask(mask)


RIGHT, HALF = draw_mask(50, 150), draw_mask(50, 100)


def make_pair(number, kind):
    """Make a pair whose proposal is right, half of the object, missed, or rightly nothing; signals tell most of it."""
    rng = np.random.default_rng(number)
    sure = {"right": 0.95, "half": 0.6, "missed": 0.2, "nothing": 0.02}[kind] + rng.normal(0, 0.02)
    masks = {"right": (RIGHT,), "half": (HALF,)}.get(kind, ())
    truth = () if kind == "nothing" else (RIGHT.counts,)
    score = float(np.clip(sure, 0, 1))
    proposal = Proposal(
        **{"pair": f"{number:016x}", "masks": masks, "scores": (score,) * len(masks), "presence": score},
        **{"mask_signals": ({"score": score},) * len(masks), "made_by": "tiny"},
    )
    return ProposedPair("cup", truth, proposal)


@pytest.fixture(scope="module")
def scenes():
    kinds = ["right", "half", "missed", "nothing"]
    chosen = np.random.default_rng(0).choice(kinds, 2 * SAMPLE, p=[0.4, 0.1, 0.1, 0.4])
    return [[make_pair(number, str(kind))] for number, kind in enumerate(chosen)]


def test_people_see_the_share_that_was_asked_for_and_mostly_what_is_wrong(scenes):
    labels = label_by_engine(scenes, reviewed=0.7)
    assert labels.by_person.sum() == round(0.7 * len(scenes))
    unseen = ~labels.by_person
    assert labels.is_wrong[unseen].mean() < 0.25 * labels.is_wrong.mean()


def test_what_a_person_mended_is_the_truth(scenes):
    labels = label_by_engine(scenes, reviewed=0.7)
    pairs = [scene[0] for scene in scenes]
    seen = [index for index in np.flatnonzero(labels.by_person) if labels.is_wrong[index]]
    mended = [labels.labels[index].masks == to_masks(pairs[index].truth) for index in seen]
    assert np.mean(mended) > 0.8  # a person lets one wrong answer in twelve pass


def test_nothing_is_final_without_a_person_or_a_sure_verifier(scenes):
    labels = label_by_engine(scenes, reviewed=0.5, quality=0.9)
    alone = ~labels.by_person & labels.is_final
    assert labels.is_final[labels.by_person].all()
    assert alone.any()
    assert labels.is_wrong[alone].mean() < 0.1
    impossible = label_by_engine(scenes, reviewed=0.5, quality=0.9999)
    assert impossible.limits == (2.0, 2.0)
    assert not (impossible.is_final & ~impossible.by_person).any()


def test_pseudo_labels_call_what_was_missed_absent(scenes):
    missed = next(scene[0] for scene in scenes if scene[0].truth and not scene[0].proposal.masks)
    [pseudo], [true] = (label_scenes([[missed]], arm, reviewed=0.0) for arm in ("pseudo", "truth"))
    assert (pseudo.pairs[0].masks, pseudo.pairs[0].is_exhaustive) == ((), True)
    assert true.pairs[0].masks == (RIGHT,)


def test_proposals_go_on_where_they_were_cut_off(tiny, tmp_path):
    path = tmp_path / "proposals.jsonl"
    write_proposals(tiny, path, scenes=1)
    whole = path.read_text()
    path.write_text(whole + whole[:100])
    assert len(list(read_proposals(path))) == 1
    write_proposals(tiny, path, scenes=1)
    assert path.read_text() == whole
    [pairs] = read_proposals(path)
    assert pairs == propose_pairs(tiny, 0)
    assert all("presence" in pair.proposal.pair_signals for pair in pairs)
    assert json.loads(whole)


def make_outcomes(hits):
    """Make scenes of a pair with two objects, of which so many are found, and of a pair that is rightly empty."""
    return [[PairOutcome(2, 2, np.full(10, count)), PairOutcome(0, 0, np.zeros(10, int))] for count in hits]


def test_shares_of_a_gain_are_what_they_say():
    before, truth, half = make_outcomes([0] * 8), make_outcomes([2] * 8), make_outcomes([1] * 8)
    assert compare_arm(before, [truth], [truth]).share == pytest.approx(1)
    assert compare_arm(before, [truth], [before]).share == pytest.approx(0)
    result = compare_arm(before, [truth], [half])
    assert result.share == pytest.approx(0.5, abs=0.01)
    assert result.gain == pytest.approx(50, abs=0.1)
    assert result.share_interval.low <= result.share <= result.share_interval.high


def test_gains_are_averages_over_the_seeds_of_training():
    before, truth, half = make_outcomes([0] * 8), make_outcomes([2] * 8), make_outcomes([1] * 8)
    assert compare_arm(before, [truth, truth], [half, truth]).share == pytest.approx(0.75, abs=0.01)
    assert compare_arm(before, [truth, half], [half, half]).gain == pytest.approx(50, abs=0.1)


def make_measured(run, name, counts):
    """Say that a checkpoint was measured before, in both styles."""
    for style in STYLES:
        save_outcomes(run.folder / "outcomes" / f"{name}-{style}.json", make_outcomes(counts))


def test_what_was_measured_before_is_neither_trained_nor_measured_again(tmp_path, scenes):
    run = LoopRun(LoopPlan(tmp_path, 30, seeds=2), scenes, tmp_path / "run")
    (run.folder / "outcomes").mkdir(parents=True)
    make_measured(run, "engine-1", [1, 2])
    made = []
    assert [len(scene) for scene in run.measure_arm("engine", 1)["plain"]] == [2, 2]
    run.measure_checkpoint("engine-1", lambda: made.append(1))
    assert not made
    with pytest.raises(ZeroDivisionError):  # an arm that nobody has measured is made
        run.measure_checkpoint("engine-0", lambda: 1 / 0)


def test_another_plan_in_the_same_folder_takes_none_of_its_checkpoints(tmp_path):
    plans = [
        LoopPlan(tmp_path),
        LoopPlan(tmp_path, 30),
        LoopPlan(tmp_path, bfloat16=True),
        LoopPlan(tmp_path, reviewed=0.2),
    ]
    assert len({plan.describe_training() for plan in plans}) == 4
    assert LoopPlan(tmp_path, seeds=3).describe_training() == LoopPlan(tmp_path).describe_training()


def test_outcomes_are_kept_as_they_are(tmp_path):
    outcomes = make_outcomes([0, 1, 2])
    save_outcomes(tmp_path / "outcomes.json", outcomes)
    assert score_outcomes(load_outcomes(tmp_path / "outcomes.json")) == score_outcomes(outcomes)
