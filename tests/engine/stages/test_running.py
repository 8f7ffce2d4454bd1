"""A run reads images, pairs them with phrases and proposes masks; it goes on wherever it was stopped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

import numpy as np
import PIL.Image
import pytest

from engine.errors import EngineError
from engine.pairs import Correction, Judgement
from engine.project.beginning import Materials, begin_engine
from engine.stages.stage import StageReport
from engine.store.files import list_errors, reopen_errors
from engine.store.store import EngineStore
from sam3_tool import Sam3
from tests.support.engines import SteadyBackend, draw_image, run_engine, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine that was begun with four images and two phrases."""
    photos = write_photos(tmp_path / "photos")
    begin_engine(tmp_path / "engine", Materials(images=photos, phrases=("Cups", "hat")))
    return tmp_path / "engine"


def count_work(reports: list[StageReport]) -> list[int]:
    return [report.done for report in reports if report.stage in ("media", "propose", "masks")]


def test_a_run_does_all_and_the_next_one_nothing(folder: Path) -> None:
    assert count_work(run_engine(folder)[0]) == [4, 8, 8]
    assert count_work(run_engine(folder)[0]) == [0, 0, 0]
    with EngineStore.open(folder) as store:
        images = [*store.images()]
        assert sorted((image.path.name, image.source) for image in images) == [
            *[("0.png", ""), ("1.png", "kitchen"), ("2.png", ""), ("3.png", "kitchen")]
        ]
        cups = [*store.pairs(phrase="cup")]
        assert [pair.original for pair in cups] == ["Cups"] * 4
        proposal = store.read_proposal(cups[0].key)
        assert proposal is not None
        assert (len(proposal.masks), len(proposal.evidence)) == (2, 1)
        assert proposal.scores == pytest.approx((0.9, 0.75))


def test_what_is_added_later_is_done_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    run_engine(folder)
    write_photos(tmp_path / "photos", 6)
    added = begin_engine(folder, Materials(images=tmp_path / "photos", phrases=("dog", "hat")))
    assert (added.is_new, added.images, added.phrases) == (False, 2, 1)
    assert count_work(run_engine(folder)[0]) == [2, 10, 10]


def test_signals_of_mirrored_images_are_added_when_they_are_asked_for_and_kept_when_not(folder: Path) -> None:
    run_engine(folder)
    with EngineStore.open(folder) as store:
        pair = next(pair for pair in store.pairs() if pair.phrase == "cup")
        said = {"pair": pair.key, "choice": "accept", "by": "human:anna", "at": 1.0, "drawn": "random"}
        store.append([Judgement(stage="mv", mask=1, **said)])
    reports, notes = run_engine(folder, options={"mirrored": True})
    assert count_work(reports) == [0, 0, 8]
    assert not [note for note in notes if "have other masks now" in note]
    assert count_work(run_engine(folder)[0]) == [0, 0, 0]
    with EngineStore.open(folder) as store:
        proposal = store.read_proposal(pair.key)
        assert proposal is not None
        assert [{"score", "mirrored_iou"} <= signals.keys() for signals in proposal.mask_signals] == [True, True]
        assert "mirrored_presence" in proposal.pair_signals
        assert store.read_state(pair.key).decision.accepted == (1,)


def test_a_damaged_image_is_kept_with_its_reason_and_read_again_when_somebody_asks(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "photos" / "2.png"
    content = path.read_bytes()
    path.write_bytes(content[:50])
    reports, notes = run_engine(folder)
    assert (count_work(reports), reports[0].errors) == ([3, 6, 6], 1)
    assert [note for note in notes if str(path) in note]
    path.write_bytes(content)
    assert count_work(run_engine(folder)[0]) == [0, 0, 0]
    with EngineStore.open(folder) as store:
        assert [found for found, _ in list_errors(store.database)] == [str(path)]
        assert reopen_errors(store.database) == 1
    assert count_work(run_engine(folder)[0]) == [1, 2, 2]


@pytest.mark.parametrize("change", ["gone", "other pixels"])
def test_an_image_that_is_gone_or_changed_is_told_and_the_others_are_done(
    folder: Path, tmp_path: Path, change: str
) -> None:
    run_engine(folder, deadline=monotonic() - 1)
    path = tmp_path / "photos" / "2.png"
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        PIL.Image.fromarray(draw_image(99)).save(path)
    reports, _ = run_engine(folder)
    masks = next(report for report in reports if report.stage == "masks")
    assert (masks.done, masks.errors, masks.left) == (6, 2, 0)
    with EngineStore.open(folder, read_only=True) as store:
        [(found, reason)] = list_errors(store.database)
        assert found == str(path)
        assert "2.png" in reason
    path.write_bytes(content)
    assert count_work(run_engine(folder)[0]) == [0, 0, 2]
    with EngineStore.open(folder, read_only=True) as store:
        assert [*list_errors(store.database)] == []


def test_a_folder_that_was_unplugged_ends_the_run_before_all_images_count_as_damaged(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="cannot be reached any more"):
        run_engine(folder)
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    assert count_work(run_engine(folder)[0]) == [4, 8, 8]


def test_when_time_is_over_nothing_more_begins(folder: Path) -> None:
    reports, _ = run_engine(folder, deadline=monotonic() - 1)
    masks = next(report for report in reports if report.stage == "masks")
    assert (masks.done, masks.left) == (0, 8)


def test_other_weights_propose_again_what_people_have_not_finished(folder: Path) -> None:
    run_engine(folder)
    with EngineStore.open(folder) as store:
        first, second = [*store.pairs(phrase="cup")][:2]
        finished = Correction(pair=first.key, masks=(), groups=(), exhaustive=True, by="human:anna", at=1.0)
        judged = Judgement(pair=second.key, stage="mv", mask=0, choice="accept", by="human:anna", at=1.0, drawn="risk")
        store.append([finished, judged])
        before = store.read_proposal(first.key)
    reports, notes = run_engine(folder, Sam3(SteadyBackend(0.9, 0.25, fingerprint="f00d")))
    assert count_work(reports) == [0, 0, 7]
    assert sorted(note.partition(" ")[0] for note in notes if "pairs" in note) == ["1", "3", "7"]
    with EngineStore.open(folder, read_only=True) as store:
        assert store.read_proposal(first.key) == before
        state = store.read_state(second.key)
        assert state is not None
        assert (state.decision.accepted, state.needs) == ((0,), "ev")
    assert count_work(run_engine(folder, Sam3(SteadyBackend(0.9, 0.25, fingerprint="f00d")))[0]) == [0, 0, 0]


def test_ctrl_c_keeps_what_was_found(folder: Path) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("masks: 2 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_engine(folder, on_progress=interrupt)
    assert count_work(run_engine(folder)[0]) == [0, 0, 4]


def test_equal_files_are_one_image_and_near_duplicates_are_labelled_once(tmp_path: Path, tiny: Sam3) -> None:
    from sam3_tool.synthetic.scenes import draw_scene

    photos = tmp_path / "photos"
    photos.mkdir()
    scene = PIL.Image.fromarray(draw_scene(6).pixels)
    scene.save(photos / "a.png")
    scene.save(photos / "b.bmp")
    scene.save(photos / "c.jpg", quality=90)
    PIL.Image.fromarray(draw_scene(7).pixels).save(photos / "d.png")
    begin_engine(tmp_path / "engine", Materials(images=photos, phrases=("object",)))
    reports, notes = run_engine(tmp_path / "engine", tiny)
    assert count_work(reports) == [4, 2, 2]
    assert not [note for note in notes if "hashes alone" in note]
    with EngineStore.open(tmp_path / "engine", read_only=True) as store:
        images = {image.path.name: image for image in store.images()}
        assert sorted(images) == ["a.png", "c.jpg", "d.png"]
        assert images["c.jpg"].group == images["a.png"].key
        assert images["c.jpg"].split == images["a.png"].split
        assert images["d.png"].is_kept


def test_without_embeddings_hashes_alone_tell_near_duplicates_and_that_is_said(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    brighter = np.clip(draw_image(0).astype(int) + 3, 0, 255).astype(np.uint8)
    PIL.Image.fromarray(brighter).save(photos / "z.png")
    begin_engine(tmp_path / "engine", Materials(images=photos, phrases=("cup",)))
    reports, notes = run_engine(tmp_path / "engine")
    assert count_work(reports) == [3, 2, 2]
    assert [note for note in notes if "hashes alone" in note]


KILLS = """
import os, shutil, sys
from pathlib import Path
from engine.store.store import EngineStore
from engine.stages.running import build_stages, run_stages
from engine.stages.stage import RunContext
from sam3_tool import Sam3
from tests.support.engines import SteadyBackend

def run_once(folder, kill_at):
    if (child := os.fork()):
        return os.waitpid(child, 0)[1]
    with EngineStore.open(folder) as store:
        left = [kill_at]
        def count_statement(text):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), 9)
        store.database._connection.set_trace_callback(count_statement)
        context = RunContext(store=store, load_sam3=lambda: Sam3(SteadyBackend()))
        for report in run_stages(context, build_stages(store)):
            pass
    os._exit(0)

def describe(folder):
    with EngineStore.open(folder, read_only=True) as store:
        with store.database.read() as connection:
            rows = connection.execute("SELECT pair, count(*) FROM proposals GROUP BY pair").fetchall()
        known = len({path.name for path in (folder / "masks").iterdir()})
        states = [(state.pair, state.masks, state.name) for state in store.iterate_states()]
        found = [store.read_proposal(pair.key) for pair in store.pairs()]
        return sorted(map(repr, states)), sorted(map(repr, found)), sorted(rows), known

start, scratch = Path(sys.argv[1]), Path(sys.argv[2])
shutil.copytree(start, scratch)
assert run_once(scratch, 0) == 0
wanted = describe(scratch)
kill_at, kills, status = 1, 0, 9
while status == 9:
    shutil.rmtree(scratch)
    shutil.copytree(start, scratch)
    status = run_once(scratch, kill_at)
    kills += status == 9
    assert run_once(scratch, 0) == 0
    found = describe(scratch)
    assert found == wanted, (kill_at, found, wanted)
    kill_at += 37
print(kills)
"""


def test_a_run_that_is_killed_at_any_statement_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    begin_engine(folder, Materials(images=write_photos(tmp_path / "photos", 2), phrases=("Cups", "hat")))
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(folder), str(tmp_path / "scratch")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2


def test_an_engine_may_be_moved_with_its_folder(folder: Path, tmp_path: Path) -> None:
    run_engine(folder)
    shutil.move(folder, tmp_path / "moved")
    assert count_work(run_engine(tmp_path / "moved")[0]) == [0, 0, 0]
