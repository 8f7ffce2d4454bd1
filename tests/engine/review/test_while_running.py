"""People review while a run proposes: nothing that was said is lost."""

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.pairs import Judgement
from engine.project.beginning import Materials, begin_engine
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewOpinion
from engine.running import build_stages, run_stages
from engine.stages.stage import RunContext
from engine.store.store import EngineStore
from sam3_tool import Sam3
from tests.support.engines import SteadyBackend, run_engine, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine with two images and two phrases, whose masks are proposed."""
    begin_engine(tmp_path / "engine", Materials(images=write_photos(tmp_path / "photos", 2), phrases=("Cups", "hat")))
    run_engine(tmp_path / "engine")
    return tmp_path / "engine"


@pytest.fixture
def desk(folder: Path):
    with EngineStore.open(folder, task="review") as store:
        queue = ReviewQueue(folder / QUEUE_FILE)
        desk = ReviewDesk(store, queue)
        desk.synchronize()
        yield desk
        queue.close()


def run_meanwhile(folder: Path, backend: SteadyBackend | None = None) -> None:
    with EngineStore.open(folder, task="work") as store:
        context = RunContext(store=store, load_sam3=lambda: Sam3(backend or SteadyBackend()))
        for _ in run_stages(context, build_stages(store)):
            pass


def test_what_is_proposed_meanwhile_comes_to_the_people_who_review(folder: Path, desk: ReviewDesk, tmp_path: Path):
    assert desk.queue.count_pairs() == (4, 2)
    write_photos(tmp_path / "photos", 4)
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    run_meanwhile(folder)
    assert desk.follow_store() == 4
    assert desk.queue.count_pairs() == (8, 4)
    assert desk.follow_store() == 0


def test_two_runs_and_two_reviews_are_refused_and_forgetting_needs_the_folder_alone(folder: Path, desk: ReviewDesk):
    with pytest.raises(EngineError, match="another process lets people review"):
        EngineStore.open(folder, task="review")
    with pytest.raises(EngineError, match="another process lets people review"):
        EngineStore.open(folder)
    with EngineStore.open(folder, task="work"), pytest.raises(EngineError, match="another process works on"):
        EngineStore.open(folder, task="work")


def test_an_answer_about_earlier_masks_goes_to_the_same_masks_of_the_new_proposal(folder: Path, desk: ReviewDesk):
    taken = desk.queue.take_items("anna", "mv", count=4)
    again = SteadyBackend(0.75, 0.9, fingerprint="f00d")  # the same two masks, the other way round
    run_meanwhile(folder, again)
    desk.follow_store()
    first = taken[0]
    desk.keep_opinions("anna", [NewOpinion(first.id, "a1", "accept")])
    said = [
        one.entry for one in desk.store.entries(first.pair) if isinstance(one.entry, Judgement) and one.entry.is_human
    ]
    assert [entry.mask for entry in said] == [1 - first.mask]
    assert desk.read_state(first.pair).decision.accepted == (1 - first.mask,)
    desk.undo_opinions("anna", "page")
    assert desk.read_state(first.pair).decision.accepted == ()


def test_what_people_finish_while_other_weights_propose_stays_as_it_is(folder: Path, desk: ReviewDesk):
    [item] = desk.queue.take_items("anna", "ev", count=1)
    before = desk.store.read_proposal(item.pair)

    def answer_first(text: str) -> None:
        if text.startswith("masks: 1 of"):
            desk.keep_opinions("anna", [NewOpinion(item.id, "a1", "accept")])

    with EngineStore.open(folder, task="work") as store:
        context = RunContext(
            store=store,
            load_sam3=lambda: Sam3(SteadyBackend(0.9, fingerprint="f00d")),
            on_progress=answer_first,
        )
        for _ in run_stages(context, build_stages(store)):
            pass
    assert desk.read_state(item.pair).name == "final"
    assert desk.store.read_proposal(item.pair) == before
