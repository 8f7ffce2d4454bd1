"""A forgotten image leaves nothing but a hash: no row, no mask, no answer, and it never comes back."""

import json
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.forgetting import forget_image
from engine.pairs import Correction
from engine.project.beginning import Materials, begin_engine
from engine.store.store import EngineStore
from sam3_tool.masks.rle import encode_mask
from tests.support.engines import run_engine, write_photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine with four images and masks for two phrases in each."""
    photos = write_photos(tmp_path / "photos")
    begin_engine(tmp_path / "engine", Materials(images=photos, phrases=("cup", "hat")))
    run_engine(tmp_path / "engine")
    return tmp_path / "engine"


def search_files(folder: Path, text: str) -> list[str]:
    """Names of files in which a text stands."""
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_nothing_is_left_but_a_hash_and_the_image_never_comes_back(folder: Path, tmp_path: Path) -> None:
    with EngineStore.open(folder) as store:
        image = next(store.images())
        pairs = [*store.pairs(image=image.key)]
        others = {pair.key: store.read_proposal(pair.key) for pair in store.pairs() if pair.image != image.key}
        mask = encode_mask(~store.find_image(image.key).open_pixels().pixels[:, :, 0].astype(bool))  # type: ignore[union-attr]
        correction = Correction(
            pair=pairs[0].key, masks=(mask,), groups=(False,), exhaustive=True, by="human:anna", at=1.0
        )
        store.append([correction])
        keys = {pair.key for pair in pairs}
        kept = [record.position for record in store.entries() if record.entry.pair not in keys]  # type: ignore[union-attr]
        last = store.last_position
        (folder / "phrases.jsonl").write_text(
            "".join(json.dumps({"image": key, "phrase": "it"}) + "\n" for key in (image.key, "other"))
        )
        removal = forget_image(store, str(image.path))
        assert (removal.image, removal.pairs, removal.proposals, removal.entries) == (image.key, 2, 2, last - len(kept))
        assert [record.position for record in store.entries()] == kept
        assert store.last_position == last
        assert {pair.key: store.read_proposal(pair.key) for pair in store.pairs()} == others
        assert len([*store.iterate_states()]) == 6
    for traced in (pairs[0].key, mask.counts, image.path.name):
        assert search_files(folder, traced) == []
    assert (folder / "phrases.jsonl").read_text().count("\n") == 1
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    reports, notes = run_engine(folder)
    assert [report.done for report in reports if report.stage in ("media", "propose", "masks")] == [0, 0, 0]
    assert [note for note in notes if "were forgotten; they stay out" in note]


def test_a_damaged_file_can_be_forgotten_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    run_engine(folder)
    with EngineStore.open(folder) as store:
        assert forget_image(store, "broken.png").image == ""
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    assert run_engine(folder)[0][0].errors == 0


def test_another_image_stands_for_the_near_duplicates_of_a_forgotten_one(tmp_path: Path) -> None:
    import PIL.Image

    photos = write_photos(tmp_path / "photos", 1)
    PIL.Image.open(photos / "0.png").save(photos / "1.jpg", quality=95)
    begin_engine(tmp_path / "engine", Materials(images=photos, phrases=("cup",)))
    run_engine(tmp_path / "engine")
    with EngineStore.open(tmp_path / "engine") as store:
        first, second = store.images()
        assert (first.is_kept, second.is_kept) == (True, False)
        assert forget_image(store, first.key[:8]).alike == (second.key,)
        assert [image.is_kept for image in store.images()] == [True]
    assert run_engine(tmp_path / "engine")[0][1].done == 1


@pytest.mark.parametrize(
    ("named", "said"), [("nowhere.png", "no image"), ("0123", "no image"), ("", "no image"), ("twice.png", "2 images")]
)
def test_an_image_that_cannot_be_told_is_refused_in_one_line(
    folder: Path, tmp_path: Path, named: str, said: str
) -> None:
    for place, number in (("", 0), ("kitchen", 1)):
        content = (tmp_path / "photos" / place / f"{number}.png").read_bytes()
        (tmp_path / "photos" / place / "twice.png").write_bytes(content)
    begin_engine(folder, Materials(images=tmp_path / "photos"))
    run_engine(folder)
    with EngineStore.open(folder) as store:
        with pytest.raises(EngineError, match=said) as raised:
            forget_image(store, named)
        assert "\n" not in str(raised.value)
        assert len([*store.images()]) == 4


def test_masks_that_a_kill_left_in_a_file_are_removed_when_the_engine_is_opened_again(folder: Path) -> None:
    with EngineStore.open(folder) as store:
        pair = next(store.pairs())
        [shard] = (path.name for path in (folder / "masks").iterdir())
        with store.database.write() as connection:  # as if it was killed after the rows were gone
            connection.execute("DELETE FROM proposals WHERE pair = ?", (pair.key,))
            connection.execute("INSERT INTO unclean VALUES (?)", (shard,))
    assert search_files(folder / "masks", pair.key) == [shard]
    with EngineStore.open(folder) as store:
        assert len([state for state in store.iterate_states() if state.name != "proposed"]) == 7
    assert search_files(folder / "masks", pair.key) == []
