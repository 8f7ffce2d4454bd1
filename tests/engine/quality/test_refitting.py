"""A run fits anew once people have labelled enough more, tells it, and keeps the promise of the thresholds."""

import shutil
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from engine.pairs import Judgement, Withdrawal
from engine.quality.fitting import fit_engine, fit_route
from engine.quality.refitting import count_needed_labels
from engine.stages.judging import JudgingStage
from engine.stages.running import run_stages
from engine.stages.stage import RunContext
from engine.states import StatePolicy
from engine.store.settings import read_value, write_value
from engine.store.store import EngineStore
from engine.verifiers.keeping import STAGES, list_routes, load_fit, load_policy, load_route
from tests.engine.test_simulation import fill_store, judge_stage, make_pairs, review_pairs

QUALITY, SLIPS = 0.96, 0.1
PAIRS = make_pairs(1200)
BY_KEY = {pair.pair.key: pair for pair in PAIRS}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 1,200 pairs of which 600, drawn at random, were reviewed; both stages are fitted and have judged."""
    folder = tmp_path_factory.mktemp("fitted") / "engine"
    with fill_store(folder, PAIRS) as store:
        review_pairs(store, PAIRS[:600])
        for stage in STAGES:
            fit_engine(store, stage, quality=QUALITY, slips=SLIPS)
            judge_stage(store, stage, "fitted")
    return folder


@pytest.fixture
def folder(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "engine"))


def run_judging(store: EngineStore, *, until: Any = "ev", deadline: float | None = None, **options: Any) -> list[str]:
    """Judge as `engine run --verifier fitted` does; return the notes."""
    notes: list[str] = []
    context = RunContext(
        store=store,
        load_sam3=lambda: pytest.fail("no SAM 3 is needed"),
        options={"verifier": "fitted", "refit": True, **options},
        on_note=notes.append,
        deadline=deadline,
    )
    assert [*run_stages(context, [JudgingStage("mv"), JudgingStage("ev")], until=until)]
    return notes


def list_fits(store: EngineStore) -> list[Any]:
    return [(load_fit(store, stage).fingerprint, load_route(store, stage)) for stage in STAGES]


def list_ends(store: EngineStore, decider: str, policy: StatePolicy | None = None) -> set[str]:
    policy = load_policy(store) if policy is None else policy
    summaries = store.iterate_summaries(policy)
    return {found.pair.key for found in summaries if found.decision.is_end and found.decision.decided_by == decider}


def test_a_fit_is_made_anew_from_a_fifth_more_labels_on_and_from_fifty_at_least() -> None:
    assert [count_needed_labels(labels) for labels in (50, 250, 251, 1000)] == [100, 300, 302, 1200]


def test_a_few_more_labels_change_nothing(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        before, ends = list_fits(store), list_ends(store, "model")
        review_pairs(store, PAIRS[600:640])
        assert run_judging(store) == []
        assert list_fits(store) == before
        assert ends - list_ends(store, "model") <= {pair.pair.key for pair in PAIRS[600:640]}


def test_enough_more_labels_fit_both_stages_anew_and_what_models_finished_is_judged_again(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        before, people = list_fits(store), list_ends(store, "human", StatePolicy())
        finished = list_ends(store, "model")
        review_pairs(store, PAIRS[600:850])
        people |= list_ends(store, "human", StatePolicy())
        open_by_model = len(list_ends(store, "model"))
        [note] = run_judging(store)
        after = list_fits(store)
        assert all(now != then for now, then in zip(after, before, strict=True))
        assert "\n" not in note
        for stage, (_, old), (_, new) in zip(STAGES, before, after, strict=True):
            labels = load_fit(store, stage).labels
            assert f"{stage}: fitted anew on {labels:,} labels" in note
            assert (new.quality, new.slips) == (QUALITY, SLIPS)
            assert new.sample > old.sample
            assert new.accept is None or new.accept_bound >= QUALITY
        assert f"{open_by_model:,} pairs that a model had finished are judged again" in note
        assert [route for _, route in list_routes(store)] == [route for fits in (before, after) for _, route in fits]
        assert people <= list_ends(store, "human")
        automatic, policy = list_ends(store, "model"), load_policy(store)
        assert len(finished) > 100
        assert len(automatic) > 100
        assert sum(BY_KEY[key].is_right for key in automatic) >= QUALITY * len(automatic)
        assert {policy.mv.by, policy.ev.by} == {route.by for _, route in after}
        assert run_judging(store) == []
        assert list_fits(store) == after


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refit": False}, "it is switched off"),
        ({"until": "mv"}, "coverage would stay open"),
        ({"deadline": 0.0}, "time is over"),
    ],
)
def test_no_fit_changes_where_it_must_not(folder: Path, options: dict[str, Any], words: str) -> None:
    if "deadline" in options:
        options = {"deadline": monotonic() - 1}
    with EngineStore.open(folder) as store:
        review_pairs(store, PAIRS[600:850])
        before = list_fits(store)
        assert run_judging(store, **options) == [], words
        assert list_fits(store) == before


def test_thresholds_of_another_verifier_are_left_alone(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        judge_stage(store, "ev", "signals")
        review_pairs(store, PAIRS[600:850])
        fit_route(store, "ev", "signals")
        before = list_fits(store)
        assert run_judging(store) == []
        assert list_fits(store) == before


def test_a_folder_that_does_not_say_how_often_people_slip_is_read_and_not_fitted_anew(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        for stage in STAGES:
            kept = read_value(store.database, f"route {stage}")
            del kept["slips"]
            write_value(store.database, f"route {stage}", kept)
        with store.database.write() as connection:
            connection.execute("DROP TABLE fit_history")
        assert list_routes(store) == []
        review_pairs(store, PAIRS[600:850])
        before = list_fits(store)
        [note] = run_judging(store)
        assert "fit it once more: sam3-agent engine fit" in note
        assert list_fits(store) == before
        fit_engine(store, "mv", slips=SLIPS)
        assert [route.slips for _, route in list_routes(store)] == [SLIPS]


def test_where_a_new_fit_is_impossible_the_one_before_stays_and_says_why(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        rejections = [
            record.position
            for record in store.entries()
            if isinstance(record.entry, Judgement) and record.entry.is_human and record.entry.choice == "reject"
        ]
        store.append([Withdrawal(position=position, by="human:anna", at=2.0) for position in rejections])
        review_pairs(store, [pair for pair in PAIRS[600:] if pair.is_right])
        before = list_fits(store)
        [note] = run_judging(store)
        assert note.startswith("the verifier stays as it was fitted: stage 'mv' has")
        assert list_fits(store) == before
