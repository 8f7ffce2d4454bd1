"""Shards are handed out once each, whoever dies, whoever else is at work, and in whatever shares."""

import threading
from pathlib import Path

import pytest

from annotate.errors import WorkerError
from annotate.job import Job
from annotate.workers.dispatch import MAX_BURIED, MAX_STILLBORN, Dispatcher
from annotate.workers.worker import Unit
from tests.support.annotating import InlineCrew, build_job, read_rows, run_here, write_images


def dispatch(job: Job, crew: InlineCrew, *, share: tuple[int, int] = (0, 1)) -> list[str]:
    """Run to the end; return the notes."""
    notes: list[str] = []
    ignore = lambda *event: None  # noqa: E731
    Dispatcher(
        job.plan,
        job.listing,
        job.folder,
        crew,
        on_ready=ignore,
        on_advance=ignore,
        on_note=notes.append,
        on_idle=ignore,
        share=share,
    ).run_shards()
    return notes


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """32 images in shards of 8."""
    write_images(tmp_path / "in", 32)
    return build_job(tmp_path / "in", tmp_path / "out")


def test_shares_of_several_machines_are_all_there_is(job: Job) -> None:
    crews = [InlineCrew(job.setup, 2) for _ in range(3)]
    for number, crew in enumerate(crews):
        dispatch(job, crew, share=(number, 3))
    assert [[unit.shard for unit in crew.units] for crew in crews] == [[0, 3], [1], [2]]
    assert [rows[0].index for rows in read_rows(job)] == [*range(32)]


def test_a_shard_that_another_run_holds_is_left_to_it(job: Job) -> None:
    other = job.folder.try_claim(0)
    assert other is not None
    assert job.folder.try_claim(0) is None

    def finish_elsewhere() -> None:
        while len(job.folder.find_done()) < 3:
            threading.Event().wait(0.01)
        run_here(job, range(1))
        job.folder.release_claim(0, other)

    elsewhere = threading.Thread(target=finish_elsewhere)
    elsewhere.start()
    crew = InlineCrew(job.setup)
    dispatch(job, crew)
    elsewhere.join()
    assert [unit.shard for unit in crew.units] == [1, 2, 3]
    assert [rows[0].index for rows in read_rows(job)] == [*range(32)]


def test_a_shard_whose_owner_died_is_taken_over(job: Job) -> None:
    other = job.folder.try_claim(0)
    assert other is not None
    threading.Timer(0.1, other.release).start()
    crew = InlineCrew(job.setup)
    dispatch(job, crew)
    assert sorted(unit.shard for unit in crew.units) == [0, 1, 2, 3]


def test_a_worker_that_is_ended_by_chance_costs_no_image(job: Job) -> None:
    """An image is given up only when it ends its worker twice while it is alone."""
    once: set[tuple[int, ...]] = set()

    def dies_once(unit: Unit) -> bool:
        indexes = tuple(item.index for item in unit.items)
        is_first = indexes not in once
        once.add(indexes)
        return is_first and 13 in indexes

    crew = InlineCrew(job.setup, dies=dies_once)
    dispatch(job, crew)
    assert crew.starts == 1 + 4  # in 8, 4, 2 and 1
    assert job.folder.sum_up().errors == {}
    assert [rows[0].index for rows in read_rows(job)] == [*range(32)]


def test_where_every_image_ends_its_worker_the_run_ends(job: Job) -> None:
    with pytest.raises(WorkerError, match=f"{MAX_BURIED} images one after the other ended their worker"):
        dispatch(job, InlineCrew(job.setup, dies=lambda unit: True))
    assert len(job.folder.find_done()) == 1  # its images were given up before that


def test_where_no_worker_can_begin_the_run_ends(job: Job) -> None:
    crew = InlineCrew(job.setup, 2, loads=False)
    with pytest.raises(WorkerError, match="before it could begin; is there memory for --workers 2"):
        dispatch(job, crew)
    assert crew.starts <= 2 * MAX_STILLBORN
    assert job.folder.find_done() == set()
