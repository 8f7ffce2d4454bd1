"""A run is exactly once per image, whatever ends it: errors are rows, and killers are found."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from annotate.errors import AnnotationError, WorkerError
from annotate.job import Job
from annotate.progress import ProgressMeter
from annotate.shards import read_footer
from annotate.sources.base import Item
from annotate.workers.worker import ShardWorker, Unit
from sam3_tool.masks.rle import RleMask, decode_mask
from tests.support.annotating import COSTLY, DEADLY, SIZE, build_job, read_rows, run_here, write_images


def test_each_image_has_one_row_for_each_phrase_and_exact_masks(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 11)
    job = build_job(tmp_path / "in", tmp_path / "out")
    run_here(job)
    images = read_rows(job)
    assert [[(row.index, row.image, row.phrase, len(row.counts)) for row in rows] for rows in images] == [
        [(n, f"{n:04d}.png", "cup", 1), (n, f"{n:04d}.png", "hat", 0)] for n in range(11)
    ]
    cup = images[3][0]
    assert (cup.presence, cup.scores, cup.boxes) == (pytest.approx(0.9), [0.75], [[3, 2, 9, 6]])
    mask = decode_mask(RleMask((cup.height, cup.width), cup.counts[0]))
    assert mask.shape == SIZE
    assert mask.sum() == 24
    assert mask[2:6, 3:9].all()
    footer = read_footer(job.folder.get_shard_path(0))
    assert footer["made_by"]["weights"] == "5c" * 32
    assert footer["made_by"]["plan"] == job.plan.hash
    # anybody reads the folder as one table
    assert parquet.read_table(tmp_path / "out" / "shards").num_rows == 22


def test_an_image_that_cannot_be_answered_is_one_row_and_spoils_no_neighbour(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 9, i0005=COSTLY)
    (tmp_path / "in" / "0002.png").write_bytes(b"")
    (tmp_path / "in" / "0007.png").write_text("no image", encoding="utf-8")
    (tmp_path / "in" / "0008.png").unlink()
    (tmp_path / "in" / "0008.png").symlink_to("nowhere.png")
    job = build_job(tmp_path / "in", tmp_path / "out")
    run_here(job)
    images = read_rows(job)
    kinds = {rows[0].index: rows[0].error_kind for rows in images if len(rows) == 1}
    assert kinds == {2: "ImageError", 5: "DeviceError", 7: "ImageError", 8: "ImageError"}
    assert [len(rows) for rows in images if rows[0].index not in kinds] == [2] * 5
    assert "not an image but a text file" in images[7][0].error
    assert job.sum_up().errors == {"ImageError": 3, "DeviceError": 1}


def test_errors_that_are_asked_again_are_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 16)
    broken = tmp_path / "in" / "0003.png"
    content = broken.read_bytes()
    broken.write_bytes(content[:20].ljust(len(content), b"x"))
    job = build_job(tmp_path / "in", tmp_path / "out")
    run_here(job)
    untouched = job.folder.get_shard_path(1).stat().st_mtime_ns
    broken.write_bytes(content)
    assert job.reopen_errors() == 1
    assert job.list_open_shards() == [0]
    assert job.build_meter().done == 15
    missing = {*range(8)} - job.folder.find_covered(0)
    assert missing == {3}
    ShardWorker(job.setup).run_unit(Unit(0, tuple(job.listing.get_items(3, 4)), 8))
    job.folder.join_parts(0, 0, 8)
    assert [rows[0].index for rows in read_rows(job)] == [*range(16)]
    assert (job.sum_up().errors, job.sum_up().rows) == ({}, 32)
    assert job.folder.get_shard_path(1).stat().st_mtime_ns == untouched
    assert list((tmp_path / "out" / "parts").iterdir()) == []


def test_a_unit_that_is_stopped_keeps_what_it_has(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 8)
    job = build_job(tmp_path / "in", tmp_path / "out")
    worker = ShardWorker(job.setup)
    worker.is_stopping.set()
    done = worker.run_unit(Unit(0, tuple(job.listing.get_items(0, 8)), 8))
    assert 0 < len(done.indexes) < 8
    assert not job.folder.is_done(0)
    assert job.folder.find_covered(0) == {*done.indexes}


def test_parts_that_two_runs_left_behind_count_once(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 8)
    job = build_job(tmp_path / "in", tmp_path / "out")
    worker = ShardWorker(job.setup)
    for start, stop in ((0, 5), (3, 8), (0, 2)):
        worker.run_unit(Unit(0, tuple(job.listing.get_items(start, stop)), 8))
    job.folder.join_parts(0, 0, 8)
    assert [rows[0].index for rows in read_rows(job)] == [*range(8)]
    assert job.sum_up().rows == 16


def test_when_every_image_fails_alike_the_run_ends_and_says_why(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 40, **{f"i{n:04d}": COSTLY for n in range(40)})
    job = build_job(tmp_path / "in", tmp_path / "out", shard=40)
    with pytest.raises(WorkerError, match=r"32 images in a row failed.*memory of the device is full"):
        run_here(job)
    assert job.folder.find_done() == set()


@pytest.mark.parametrize("change", ["another image", "another size", "another question", "another shard size"])
def test_a_folder_of_other_results_is_refused_in_one_sentence(tmp_path: Path, change: str) -> None:
    write_images(tmp_path / "in", 4)
    job = build_job(tmp_path / "in", tmp_path / "out")
    job.plan.save(tmp_path / "out")
    if change == "another image":
        write_images(tmp_path / "in", 5)
    elif change == "another size":
        (tmp_path / "in" / "0002.png").write_bytes(b"")
    question = {"phrases": ["cup"], "threshold": 0.5}
    changed = build_job_unchecked(job, tmp_path)
    if change == "another question":
        changed = replace(changed, plan=replace(changed.plan, question=question))
    elif change == "another shard size":
        changed = replace(changed, plan=replace(changed.plan, shard=2))
    with pytest.raises(AnnotationError, match=r"holds results .*; choose another --out") as told:
        changed.prepare_folder()
    assert "\n" not in str(told.value)


def build_job_unchecked(job: Job, tmp_path: Path) -> Job:
    """The same run, with the images that are there now."""
    fresh = build_job(tmp_path / "in", tmp_path / "elsewhere")
    return replace(fresh, out=job.out)


def test_a_killer_is_found_by_halves_and_the_rest_is_answered_once(tmp_path: Path) -> None:
    """Two processes. One of 8 images in shards of 4 ends whatever process reads it."""
    write_images(tmp_path / "in", 8, i0005=DEADLY)
    notes: list[str] = []
    job = build_job(tmp_path / "in", tmp_path / "out", shard=4, workers=2, on_note=notes.append)
    job.run()
    images = read_rows(job)
    assert [rows[0].index for rows in images] == [*range(8)]
    assert {rows[0].index: rows[0].error_kind for rows in images if len(rows) == 1} == {5: "WorkerDeath"}
    assert "ended by SIGKILL" in images[5][0].error
    assert sum("looking for the image" in note for note in notes) == 2  # log2 of 4
    assert list((tmp_path / "out" / "parts").iterdir()) == []
    assert [path.name for path in (tmp_path / "out" / "claims").iterdir()] == ["plan.lock"]


def test_an_interrupted_run_keeps_what_is_done_and_goes_on_there(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 60)
    job = build_job(tmp_path / "in", tmp_path / "out", shard=30, pause=0.02)
    timer = threading.Thread(target=interrupt_once, args=(job,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        job.run()
    timer.join()
    kept = job.build_meter().done
    assert 0 < kept < 60
    replace(job, setup=build_job(tmp_path / "in", tmp_path / "out", shard=30).setup).run()
    assert [rows[0].index for rows in read_rows(job)] == [*range(60)]


def interrupt_once(job: Job) -> None:
    """Press Ctrl-C once some images were answered."""
    begun = job.out / "plan.json"
    while not begun.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_name_of_any_bytes_is_told_as_text() -> None:
    assert Item(0, b"a b\nc\xff.jpg").name == "a b\nc\\xff.jpg"


def test_progress_tells_what_was_spent_as_well() -> None:
    times = iter([0.0, 1800.0, 3600.0, 3600.0])
    meter = ProgressMeter(total=100, done=0, gpus=2, clock=lambda: next(times))
    meter.add_images(36, {"ImageError": 1}, 0.25)
    assert meter.format_line() == (
        "36 of 100 images (36 %), 0.01 a second, 1 h 46 min left, 2 GPU hours, a cost of 0.25, 1 error (1 ImageError)"
    )
