"""The review fits the verifier anew as people answer, judges by it, and shows what is unsure by the new fit."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.quality.fitting import fit_engine
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.fitting_anew import VerifierFitter
from engine.review.opening import open_desk, open_queue, open_services
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewOpinion
from engine.review.team.people import People
from engine.store.store import EngineStore
from engine.verifiers.keeping import STAGES, load_fit, load_policy
from tests.engine.test_simulation import fill_store, judge_stage, make_pairs, review_pairs

PAIRS = make_pairs(900)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 900 pairs, 560 of which were reviewed: both stages are fitted, and have judged."""
    folder = tmp_path_factory.mktemp("fitted") / "engine"
    with fill_store(folder, PAIRS) as store:
        review_pairs(store, PAIRS[:560])
        for stage in STAGES:
            fit_engine(store, stage, quality=0.9, slips=0.1)
            judge_stage(store, stage, "fitted")
    return folder


@pytest.fixture
def folder(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "engine"))


@contextmanager
def open_review(folder: Path) -> Iterator[tuple[ReviewDesk, VerifierFitter]]:
    """A desk as in a review, whose verifier is fitted when the test says so."""
    with EngineStore.open(folder, task="review") as store, closing(open_queue(folder / QUEUE_FILE)) as queue:
        desk = open_desk(store, queue)
        yield desk, VerifierFitter(desk)


def answer_masks(desk: ReviewDesk, number: int) -> None:
    """A person accepts so many masks."""
    for item in desk.queue.take_items("bert", "mv", count=number):
        assert desk.keep_opinions("bert", [NewOpinion(item.id, f"b{item.id}", "accept")]).popitem()[1] == "kept"


def follow_all(desk: ReviewDesk) -> None:
    while desk.follow_store():
        pass


def list_asked(queue: ReviewQueue) -> list[str]:
    """All that people are asked about."""
    columns = "stage, pair, mask, version"
    return sorted(map(str, queue._file.read(f"select {columns} from item where is_open = 1")))


def list_asked_at_a_start(desk: ReviewDesk, place: Path) -> list[str]:
    """All that people would be asked about if the review began now."""
    with closing(open_queue(place / "other.sqlite")) as queue:
        open_desk(desk.store, queue)
        return list_asked(queue)


def test_enough_labels_fit_anew_and_the_open_review_is_as_if_it_began_then(folder: Path, tmp_path: Path) -> None:
    with EngineStore.open(folder) as store:
        review_pairs(store, PAIRS[560:720])
        fits = [load_fit(store, stage).fingerprint for stage in STAGES]
    with open_review(folder) as (desk, fitter):
        before = desk.policy
        assert fitter.fit_when_due()
        assert "mv: fitted anew on" in fitter.told
        assert all(load_fit(desk.store, stage).fingerprint not in fits for stage in STAGES)
        follow_all(desk)
        assert desk.policy == load_policy(desk.store) != before
        assert list_asked(desk.queue) == list_asked_at_a_start(desk, tmp_path)
        assert not fitter.fit_when_due()


def test_nobody_reads_the_log_again_before_people_have_answered_fifty_times(folder: Path) -> None:
    with open_review(folder) as (desk, fitter):
        assert not fitter.fit_when_due()
        assert fitter.told.endswith("too few labels are new for another fit")
        fitter.told = "nobody looked"
        answer_masks(desk, 24)
        assert not fitter.fit_when_due()
        assert fitter.told == "nobody looked"
        answer_masks(desk, 26)
        fitter.fit_when_due()
        assert fitter.told != "nobody looked"


def test_a_fit_waits_for_the_command_that_works_in_the_folder(folder: Path) -> None:
    with open_review(folder) as (_, fitter), EngineStore.open(folder, task="work"):
        assert not fitter.fit_when_due()
        assert "waits until the command has ended" in fitter.told


def test_what_was_fitted_and_not_judged_is_open_at_once_and_judged_at_the_next_start(
    folder: Path, tmp_path: Path
) -> None:
    with open_review(folder) as (desk, fitter):
        asked = list_asked(desk.queue)
        with EngineStore.open(folder, task="work") as store:
            review_pairs(store, PAIRS[560:720])
            for stage in STAGES:
                fit_engine(store, stage, quality=0.9, slips=0.1)  # and then the machine was switched off
        follow_all(desk)
        opened = list_asked(desk.queue)
        assert len(opened) > len(asked)
        assert opened == list_asked_at_a_start(desk, tmp_path)
        assert not fitter.fit_when_due()
        follow_all(desk)
        assert len(list_asked(desk.queue)) < len(opened)


def test_a_project_without_a_fit_is_left_alone(tmp_path: Path) -> None:
    with fill_store(tmp_path / "engine", PAIRS[:8]) as store:
        review_pairs(store, PAIRS[:8])
    with open_review(tmp_path / "engine") as (_, fitter):
        assert not fitter.fit_when_due()
        assert "`engine fit` makes the first one" in fitter.told
    with open_services(tmp_path / "engine", People.build_alone(), refit=False) as services:
        assert services.describe_fits() == "it stays as it is in this review (--no-refit)"
