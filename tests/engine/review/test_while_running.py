"""People review while a run proposes: whoever of the two is killed, and wherever, nothing that was said is lost."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.pairs import Judgement, LogRecord, Pair, Proposal
from engine.project.beginning import Materials, begin_engine
from engine.quality.auditing import draw_audit_sample
from engine.review.desk import FOLLOWED_PAIRS, QUEUE_FILE, ReviewDesk
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewOpinion
from engine.stages.running import build_stages, run_stages
from engine.stages.stage import RunContext
from engine.states import PairSummary, StatePolicy, Thresholds
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


def test_a_pair_that_cannot_be_taken_over_is_tried_again_and_holds_no_other_up(folder: Path, tmp_path: Path):
    begun, troubles = list[str](), [EngineError("the disk is full"), EngineError("the disk is full")]

    def learn(summary: PairSummary, records: Iterable[LogRecord]) -> None:
        begun.append(summary.pair.key)
        if troubles:
            raise troubles.pop()

    with EngineStore.open(folder, task="review") as store:
        queue = ReviewQueue(folder / QUEUE_FILE)
        desk = ReviewDesk(store, queue, learn=learn)
        desk.synchronize()
        write_photos(tmp_path / "photos", 4)
        begin_engine(folder, Materials(images=tmp_path / "photos"))
        run_meanwhile(folder)
        for _ in range(2):
            with pytest.raises(EngineError, match="the disk is full"):
                desk.follow_store()
        assert desk.follow_store() == 4
        assert (len(begun), len({*begun}), len({*begun[:2]})) == (6, 4, 2)
        assert queue.count_pairs() == (8, 4)
        queue.close()


def test_labels_that_an_audit_draws_meanwhile_come_to_the_people_who_review(folder: Path):
    policy = StatePolicy(mv=Thresholds(accept=0.5), ev=Thresholds(accept=0.5))
    judge_all(folder)
    with EngineStore.open(folder, task="review") as store:
        queue = ReviewQueue(folder / QUEUE_FILE)
        desk = ReviewDesk(store, queue, policy=policy)
        desk.synchronize()
        assert queue.count_pairs() == (0, 0)
        with EngineStore.open(folder, task="work") as working:
            drawn = draw_audit_sample(working, policy, 2, seed=0)
        assert desk.follow_store() == 2
        assert {item.pair for item in queue.take_items("anna", "ev", count=9)} == {*drawn}
        queue.close()


def test_pairs_that_a_list_withdraws_meanwhile_are_asked_about_no_more_until_they_are_back(
    folder: Path, desk: ReviewDesk, tmp_path: Path
):
    for text, asked in (("cup; not ours", (2, 0)), ("elephant; too large", (4, 2))):
        (tmp_path / "list.txt").write_text(text)
        begin_engine(folder, Materials(blocked=tmp_path / "list.txt"))
        assert desk.follow_store() == 2
        assert desk.queue.count_pairs() == asked


def judge_all(folder: Path) -> None:
    """A model accepts all masks, and that nothing is missing."""
    with EngineStore.open(folder) as store:
        for summary in [*store.iterate_summaries()]:
            said = {"pair": summary.pair.key, "choice": "accept", "by": "model:signals@12", "at": 1.0, "drawn": "auto"}
            masks = [Judgement(**said, stage="mv", mask=at, probability=0.9) for at in range(summary.mask_count)]
            shown = tuple(range(summary.mask_count))
            store.append([*masks, Judgement(**said, stage="ev", shown=shown, probability=0.9)])


def test_many_pairs_are_taken_over_some_at_a_time(folder: Path, desk: ReviewDesk):
    with EngineStore.open(folder, task="work") as working:
        image = next(working.images()).key
        names = [f"thing {number}" for number in range(FOLLOWED_PAIRS + 2)]
        pairs = [Pair(image=image, phrase=name, original=name, origin="list") for name in names]
        working.add_pairs(pairs)
        found = [Proposal(pair=pair.key, masks=(), scores=(), presence=0.5, made_by="tiny") for pair in pairs]
        working.add_proposals(found, at=1.0)
    assert [desk.follow_store() for _ in range(3)] == [FOLLOWED_PAIRS, 2, 0]
    assert desk.queue.count_pairs() == (4 + len(pairs), 2)


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
    before, notes = desk.store.read_proposal(item.pair), list[str]()

    def answer_first(text: str) -> None:
        if text.startswith("masks: 1 of"):
            desk.keep_opinions("anna", [NewOpinion(item.id, "a1", "accept")])

    with EngineStore.open(folder, task="work") as store:
        context = RunContext(
            store=store,
            load_sam3=lambda: Sam3(SteadyBackend(0.9, fingerprint="f00d")),
            on_progress=answer_first,
            on_note=notes.append,
        )
        reports = {report.stage: report for report in run_stages(context, build_stages(store))}
    assert (reports["masks"].done, reports["masks"].left) == (3, 0)
    assert "1 pairs that people finished meanwhile stay as they are" in notes
    assert desk.read_state(item.pair).name == "final"
    assert desk.store.read_proposal(item.pair) == before


KILLS = """
import faulthandler, os, shutil, sys, time
from pathlib import Path
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewOpinion
from engine.stages.running import build_stages, run_stages
from engine.stages.stage import RunContext
from engine.store.store import EngineStore
from sam3_tool import Sam3
from tests.support.engines import SteadyBackend


def kill_after(store, statements):
    left = [statements]
    def count_statement(text):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), 9)
    store.database._connection.set_trace_callback(count_statement)

def run_once(folder, kill_at):
    with EngineStore.open(folder, task="work") as store:
        kill_after(store, kill_at)
        context = RunContext(store=store, load_sam3=lambda: Sam3(SteadyBackend()))
        for report in run_stages(context, build_stages(store)):
            pass

def review(folder, kill_at, acknowledged, is_done):
    with EngineStore.open(folder, task="review") as store:
        queue = ReviewQueue(folder / QUEUE_FILE, clock=lambda: 1e9 + 1000 * os.getpid())
        desk = ReviewDesk(store, queue)
        desk.synchronize()
        kill_after(store, kill_at)
        while True:
            ended = is_done()
            desk.follow_store()
            worked = False
            for person in ("anna", "ben"):
                for stage in ("mv", "ev"):
                    taken = queue.take_items(person, stage, count=6, page=str(os.getpid()))
                    said = [NewOpinion(item.id, f"{person}-{item.id}", "accept") for item in taken]
                    statuses = desk.keep_opinions(person, said) if said else {}
                    assert {*statuses.values()} <= {"kept", "repeated", "answered"}, statuses
                    lines = [f"{item.pair} {item.mask} human:{person}\\n" for item in taken]
                    with acknowledged.open("a") as file:
                        file.writelines(lines)
                    worked = worked or bool(taken)
            if ended and not worked:
                break
            if not worked:
                time.sleep(0.02)  # the run goes on in another process, which needs the processor
        queue.close()

def start(work, *arguments):
    # what has threads is used in children alone: a lock that one holds during a fork is never released
    if (child := os.fork()):
        return child
    faulthandler.dump_traceback_later(120, exit=True)  # says where it hangs, if it does
    try:
        work(*arguments)
    except BaseException as error:
        print("failed:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)

def finish(child):
    return os.waitpid(child, 0)[1]

def check(folder, acknowledged):
    with EngineStore.open(folder) as store:
        said = {
            (record.entry.pair, str(record.entry.mask), record.entry.by)
            for record in store.entries() if getattr(record.entry, "by", "").startswith("human:")
        }
        twice = sum(getattr(record.entry, "by", "").startswith("human:") for record in store.entries()) - len(said)
        states = [state.name for state in store.iterate_states()]
        pairs = len(states)
    told = {tuple(line.split()) for line in acknowledged.read_text().splitlines()}
    assert told <= said, told - said
    assert (twice, pairs, set(states)) == (0, 8, {"final"}), (twice, pairs, states)

origin, scratch = Path(sys.argv[1]), Path(sys.argv[2])
kills = [0, 0]
for step in map(int, sys.argv[3].split(",")):
    for who in (0, 1):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(origin, scratch)
        acknowledged = scratch / "acknowledged.txt"
        acknowledged.touch()
        marker = scratch / "run-is-done"
        statements = [0, 0]
        statements[who] = step
        reviewer = start(review, scratch, statements[1], acknowledged, marker.exists)
        runner = start(run_once, scratch, statements[0])
        status = finish(runner)
        kills[0] += status == 9
        if status:
            assert status == 9, status
            assert finish(start(run_once, scratch, 0)) == 0
        marker.touch()
        status = finish(reviewer)
        kills[1] += status == 9
        if status:
            assert status == 9, status
            assert finish(start(review, scratch, 0, acknowledged, marker.exists)) == 0
        assert finish(start(check, scratch, acknowledged)) == 0
print(*kills)
"""


def test_a_kill_of_the_run_or_of_the_review_at_any_statement_loses_nothing(folder: Path, tmp_path: Path):
    write_photos(tmp_path / "photos", 4)
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(folder), str(tmp_path / "scratch"), "40"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run_kills, review_kills = map(int, done.stdout.split())
    assert run_kills >= 1
    assert review_kills >= 1
