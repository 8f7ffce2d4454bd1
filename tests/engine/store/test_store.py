"""The store of a data engine keeps what it was given, and tells what it cannot use in one line."""

import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Correction, Judgement, Pair, Proposal, Withdrawal
from engine.states import StatePolicy
from engine.store.folder import check_disk
from engine.store.shards import close_shards
from engine.store.store import EngineStore
from sam3_tool import RleMask
from sam3_tool.masks.rle import encode_mask

FULL, LEFT = RleMask((2, 3), "06"), RleMask((2, 3), "024")
IMAGE = EngineImage(key="5d", path=Path("a.png"), width=3, height=2, source="kitchen", licence="CC0")
CUP, HAT = (Pair(image="5d", phrase=phrase, original=f"{phrase}s", origin="list") for phrase in ("cup", "hat"))


def propose(pair: Pair, *masks: RleMask, made_by: str = "tiny") -> Proposal:
    return Proposal(pair=pair.key, masks=masks, scores=(0.75,) * len(masks), presence=0.5, made_by=made_by)


def judge(pair: Pair, mask: int, choice: str = "accept") -> Judgement:
    return Judgement.model_validate(
        {
            "pair": pair.key,
            "stage": "mv",
            "mask": mask,
            "choice": choice,
            "by": "human:anna",
            "at": 1.0,
            "drawn": "risk",
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine with one image, two pairs, and a proposal for one of them."""
    with EngineStore.create(tmp_path / "engine") as store:
        store.add_images([IMAGE])
        store.add_pairs([CUP, HAT])
        store.add_proposals([propose(CUP, FULL, LEFT)], at=1.0)
    return tmp_path / "engine"


def test_what_was_added_is_there_when_it_is_opened_again(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        assert ([*store.images()], [*store.pairs()]) == ([IMAGE], [CUP, HAT])
        assert store.read_proposal(CUP.key) == propose(CUP, FULL, LEFT)
        assert (store.read_proposal(HAT.key), store.find_pair("none"), store.find_image("5d")) == (None, None, IMAGE)
        assert [*store.pairs(phrase="hat")] == [*store.pairs(image="5d", phrase="hat")] == [HAT]


def test_what_was_read_lately_is_not_read_again_and_a_new_proposal_is(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        first = store.read_proposal(CUP.key)
        store.add_proposals([propose(CUP, LEFT, made_by="other")], at=2.0)
        second = store.read_proposal(CUP.key)
        assert second == propose(CUP, LEFT, made_by="other")
        for path in (folder / "masks").iterdir():
            path.unlink()
        close_shards()
        assert [*store.read_numbered_proposals([1, 2]).values()] == [first, second]


def test_adding_the_same_twice_adds_nothing(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        assert (store.add_images([IMAGE]), store.add_pairs([CUP, HAT])) == (0, 0)


def test_the_log_keeps_every_entry_in_order_and_the_states_follow(folder: Path) -> None:
    correction = Correction(pair=HAT.key, masks=(FULL,), groups=(True,), exhaustive=True, by="human:ben", at=2.0)
    with EngineStore.open(folder) as store:
        entries = [judge(CUP, 0), judge(CUP, 1, "reject"), correction, Withdrawal(position=2, by="human:anna", at=3.0)]
        assert store.append(entries) == [1, 2, 3, 4]
        assert [record.entry for record in store.entries()] == entries
        assert [record.position for record in store.entries(CUP.key, after=1)] == [2, 4]
        states = {state.pair: state for state in store.iterate_states()}
        assert (states[CUP].name, states[CUP].masks) == ("mv", (FULL,))
        assert (states[HAT].name, states[HAT].masks, states[HAT].groups) == ("final", (FULL,), (True,))
        assert store.read_state(CUP.key) == states[CUP]
        assert [(each.pair, each.decision, each.mask_count, each.source) for each in store.iterate_summaries()] == [
            (CUP, states[CUP].decision, 2, "kitchen"),
            (HAT, states[HAT].decision, 0, "kitchen"),
        ]
        assert store.last_position == 4


def test_an_entry_of_what_is_not_there_is_refused_with_all_that_came_with_it(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        stranger = Pair(image="77", phrase="cup", original="cup", origin="list")
        for wrong in (judge(stranger, 0), Withdrawal(position=9, by="human:anna", at=0.0)):
            with pytest.raises(EngineError):
                store.append([judge(CUP, 0), wrong])
        assert [*store.entries()] == []
        with pytest.raises(EngineError, match="no image '77'"):
            store.add_pairs([stranger])


def test_a_new_proposal_moves_what_was_said_of_the_same_masks(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        store.append([judge(CUP, 1)])
        store.add_proposals([propose(CUP, LEFT, made_by="other weights")], at=2.0)
        state = store.read_state(CUP.key)
        assert state is not None
        assert (state.masks, state.needs) == ((LEFT,), "ev")


def test_a_flag_rejects_the_phrase_in_every_image(folder: Path) -> None:
    other = EngineImage(key="6e", path=Path("b.png"), width=3, height=2)
    with EngineStore.open(folder) as store:
        store.add_images([other])
        store.add_pairs([Pair(image="6e", phrase="cup", original="cup", origin="list")])
        [position] = store.append([judge(CUP, 0, "flag")])
        assert [state.name for state in store.iterate_states()] == ["rejected", "proposed", "rejected"]
        store.append([Withdrawal(position=position, by="human:anna", at=2.0)])
        assert store.find_blocked_phrases() == frozenset()


def test_one_process_writes_while_others_read(folder: Path) -> None:
    with EngineStore.open(folder) as store, EngineStore.open(folder, read_only=True) as reader:
        store.append([judge(CUP, 0)])
        assert reader.last_position == 1
        with pytest.raises(EngineError, match="another process works on"):
            EngineStore.open(folder)
        with pytest.raises(EngineError, match="cannot be written"):
            reader.append([judge(CUP, 0)])


def test_a_file_of_masks_that_no_row_knows_is_cleared_away(folder: Path) -> None:
    """The program was killed between the two steps: the masks are proposed again."""
    stray = folder / "masks" / "proposals-0123456789abcdef.parquet"
    stray.write_bytes(b"half of it")
    with EngineStore.open(folder) as store:
        assert not stray.exists()
        assert store.read_proposal(CUP.key) is not None


def cut_database(folder: Path) -> None:
    path = folder / "engine.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_database(folder: Path) -> None:
    (folder / "engine.sqlite").write_bytes(b"")


def use_other_database(folder: Path) -> None:
    (folder / "engine.sqlite").unlink()
    sqlite3.connect(folder / "engine.sqlite").execute("CREATE TABLE photos (id)").connection.close()


def raise_version(folder: Path) -> None:
    sqlite3.connect(folder / "engine.sqlite").execute("PRAGMA user_version = 99").connection.close()


def remove_database(folder: Path) -> None:
    (folder / "engine.sqlite").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_database, "is cut off"),
        (empty_database, "is no database of a data engine"),
        (use_other_database, "is the database of another program"),
        (raise_version, "a newer version of this program"),
        (remove_database, "holds no data engine"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_one_line(
    folder: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.sqlite")}
    with pytest.raises(EngineError, match=said) as raised:
        EngineStore.open(folder)
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in folder.rglob("*.sqlite")} == before


def test_masks_that_are_gone_or_changed_are_told_in_one_line(folder: Path) -> None:
    [shard] = (folder / "masks").iterdir()
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(content)
    with EngineStore.open(folder, read_only=True) as store, pytest.raises(EngineError, match="cannot be read"):
        store.read_proposal(CUP.key)
    shard.unlink()
    with EngineStore.open(folder, read_only=True) as store, pytest.raises(EngineError, match="cannot be read"):
        [*store.iterate_states()]


def test_an_engine_is_made_only_where_nothing_else_lies(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="holds a data engine already"):
        EngineStore.create(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(EngineError, match=r"holds other files \('notes.txt'"):
        EngineStore.create(tmp_path / "other")
    for nowhere in (tmp_path / "other" / "notes.txt" / "engine", Path("/proc/nowhere")):
        with pytest.raises(EngineError, match="cannot be written"):
            EngineStore.create(nowhere)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and "engine" not in path.parts) == [
        "notes.txt"
    ]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_drive_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = ["21 1 8:1 / / rw - ext4 /dev/sda1 rw", rf"22 21 0:9 / {tmp_path} rw - {kind} host:/ rw"]
    check_disk(tmp_path, mounts[:1])
    with pytest.raises(EngineError, match="network drive"):
        check_disk(tmp_path / "new", mounts)


KILLED = """
import os, sys
from pathlib import Path
from engine.store.store import EngineStore
from tests.engine.store.test_store import CUP, FULL, HAT, judge, propose
store = EngineStore.open(Path(sys.argv[1]))
store.append([judge(CUP, 0)])
with store.database.write() as connection:
    store.append([judge(CUP, 1)])
    store.add_proposals([propose(HAT, FULL)], at=2.0)
    os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_outlives_a_kill_and_what_was_half_written_is_gone(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    with EngineStore.open(folder) as store:
        assert [record.entry for record in store.entries()] == [judge(CUP, 0)]
        assert store.read_proposal(HAT.key) is None
        assert len([*(folder / "masks").glob("*.parquet")]) == 1
        assert [state.name for state in store.iterate_states(StatePolicy())] == ["mv", "proposed"]


def measure_peak(folder: Path) -> int:
    """Return the most memory that Python's objects take while all states are read, in bytes."""
    with EngineStore.open(folder, read_only=True) as store:
        tracemalloc.start()
        try:
            assert all(state.name == "masked" for state in store.iterate_states())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_states_are_read_in_memory_that_does_not_grow_with_the_number_of_masks(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    peaks = []
    with EngineStore.create(tmp_path / "engine") as store:
        store.add_images([IMAGE])
        for part in range(4):
            pairs = [Pair(image="5d", phrase=f"{part} {n}", original="", origin="list") for n in range(600)]
            store.add_pairs(pairs)
            masks = [encode_mask(noise.random((32, 32)) > 0.5) for _ in pairs]
            store.add_proposals([propose(pair, mask) for pair, mask in zip(pairs, masks, strict=True)], at=1.0)
            if part in (1, 3):
                peaks.append(measure_peak(tmp_path / "engine"))
    assert peaks[1] < 1.2 * peaks[0]
