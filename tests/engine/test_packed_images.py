"""Images that lie packed in tars and parquet files: an engine copies them, and they are images as all others."""

import io
import shutil
import tarfile
from pathlib import Path

import PIL.Image
import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from agent.cli.main import app
from engine.errors import EngineError, EngineInterruptedError
from engine.forgetting import forget_image
from engine.project.beginning import Addition, Materials, begin_engine
from engine.store.store import EngineStore
from tests.support.engines import draw_image, run_engine


def encode_photo(number: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(draw_image(number)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_parquet(path: Path, *cells: bytes | None, column: str = "image") -> Path:
    values = [cell if cell is None else {"bytes": cell, "path": None} for cell in cells]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    parquet.write_table(pyarrow.table({column: pyarrow.array(values, kind)}), path)
    return path


def begin(folder: Path, images: Path, **settings: object) -> Addition:
    return begin_engine(folder, Materials(images=images, phrases=("cup",), **settings))  # type: ignore[arg-type]


def list_copies(folder: Path) -> list[str]:
    root = folder / "images"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, ["engine", *map(str, words)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tar as webdataset writes them: two images, one of them in a folder, and what is said of one."""
    return write_tar(
        tmp_path / "part-0.tar", ("0.png", encode_photo(0)), ("0.json", b"{}"), ("kitchen/1.png", encode_photo(1))
    )


def test_images_of_a_tar_are_copied_and_go_through_every_stage(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "alt.csv").write_text("file_name,alt_text\nkitchen/1.png,a red cup\n")
    added = begin(tmp_path / "engine", photos, alt_text=tmp_path / "alt.csv", licence="CC0")
    assert (added.images, added.notes) == (2, ())
    assert list_copies(tmp_path / "engine") == ["part-0.tar/0.png", "part-0.tar/kitchen/1.png"]
    reports, notes = run_engine(tmp_path / "engine")
    done = {report.stage: report.done for report in reports}
    assert ((done["media"], done["masks"]), notes) == ((2, 3), [])  # "red cup" is a phrase, too
    with EngineStore.open(tmp_path / "engine", read_only=True) as store:
        found = [(image.source, image.licence, image.alt_text) for image in store.images()]
        assert found == [("", "CC0", ""), ("kitchen", "CC0", "a red cup")]


def test_the_same_again_adds_nothing_and_another_part_adds_its_own(tmp_path: Path, photos: Path) -> None:
    assert begin(tmp_path / "engine", photos).images == 2
    assert begin(tmp_path / "engine", photos).images == 0
    write_tar(tmp_path / "part-1.tar", ("0.png", encode_photo(2)))
    assert begin(tmp_path / "engine", tmp_path / "part-*.tar").images == 1
    assert len(list_copies(tmp_path / "engine")) == 3


def test_rows_of_a_parquet_file_are_copied_and_an_empty_one_is_told(tmp_path: Path) -> None:
    rows = write_parquet(tmp_path / "train.parquet", encode_photo(0), None, encode_photo(1), column="photo")
    with pytest.raises(Exception, match="has no column 'image'; say with --column which of photo"):
        begin(tmp_path / "engine", rows)
    added = begin(tmp_path / "engine", rows, column="photo")
    assert added.images == 2
    assert "1 packed image cannot be read and left out" in " ".join(added.notes)
    assert list_copies(tmp_path / "engine") == [f"train.parquet/train-{row:08}.png" for row in (0, 2)]


def test_no_name_leads_out_of_the_folder_or_takes_the_place_of_another(tmp_path: Path) -> None:
    names = ("../../out.png", "/etc/over.png", "a.png", "a.png", "a.png/b.png", "..", f"{'x' * 300}.png", "con.png")
    members = [(name, encode_photo(number)) for number, name in enumerate(names)]
    packed = write_tar(tmp_path / "odd.tar", *members)
    added = begin(tmp_path / "engine", packed)
    assert added.images == 7  # ".." is no name of an image
    assert len(list_copies(tmp_path / "engine")) == 7
    outside = {path.name for path in tmp_path.rglob("*") if tmp_path / "engine" not in path.parents}
    assert outside == {"odd.tar", "engine"}
    reports, _ = run_engine(tmp_path / "engine", until="media")
    assert reports[0].done == 7


def test_what_is_forgotten_leaves_no_copy_and_never_comes_back(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "engine"
    begin(folder, photos)
    run_engine(folder)
    forgotten = invoke("forget", folder, folder / "images" / "part-0.tar" / "0.png")
    assert "Its copy in the engine is removed; part-0.tar, where it came from, still holds it" in forgotten.stdout
    assert list_copies(folder) == ["part-0.tar/kitchen/1.png"]
    again = begin(folder, photos)
    assert (again.images, again.notes) == (0, ("1 packed image forgotten before; what is forgotten stays out",))
    assert list_copies(folder) == ["part-0.tar/kitchen/1.png"]
    # the same pixels in another file are known by their own hash, once they are read
    other = io.BytesIO()
    PIL.Image.fromarray(draw_image(0)).save(other, "PNG", compress_level=0)
    begin(folder, write_tar(tmp_path / "other.tar", ("0.png", other.getvalue())))
    _, notes = run_engine(folder)
    assert [note for note in notes if "were forgotten; they stay out" in note]
    assert list_copies(folder) == ["part-0.tar/kitchen/1.png"]


def test_an_image_that_was_never_read_is_forgotten_with_its_copy(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    begin(folder, write_tar(tmp_path / "bad.tar", ("0.png", b"no image"), ("1.png", encode_photo(1))))
    run_engine(folder)
    with EngineStore.open(folder) as store:
        forget_image(store, "0.png")
    assert list_copies(folder) == ["bad.tar/1.png"]


def test_an_engine_can_be_moved_with_its_copies(tmp_path: Path, photos: Path) -> None:
    begin(tmp_path / "engine", photos)
    run_engine(tmp_path / "engine")
    shutil.move(tmp_path / "engine", tmp_path / "moved")
    with EngineStore.open(tmp_path / "moved", read_only=True) as store:
        assert [image.open_pixels().key for image in store.images()] == [image.key for image in store.images()]


def test_more_than_the_limit_is_refused_before_an_engine_is_begun(tmp_path: Path, photos: Path) -> None:
    refused = invoke("init", tmp_path / "engine", "--images", photos, "--max-copied-gb", 1e-6)
    assert (refused.exit_code, (tmp_path / "engine").exists()) == (2, False)
    assert "all 2 packed images take" in refused.stderr
    assert "allow more with --max-copied-gb" in refused.stderr
    odd = invoke("init", tmp_path / "engine", "--images", photos, "--max-copied-gb", "nan")
    assert (odd.exit_code, "takes a number above 0" in odd.stderr) == (2, True)


def test_a_copying_that_stopped_goes_on_with_the_same_command(tmp_path: Path) -> None:
    folder, rows = tmp_path / "engine", write_parquet(tmp_path / "rows.parquet", encode_photo(0), encode_photo(1))
    with pytest.raises(EngineError, match=r"the first 2 of 2 packed images take .* GB, and at most"):
        begin(folder, rows, max_copied_gb=len(encode_photo(0)) / 1e9)
    first = folder / "images" / "rows.parquet" / "rows-00000000.png"
    assert list_copies(folder) == ["rows.parquet/rows-00000000.png"]
    written = first.stat().st_mtime_ns
    assert begin(folder, rows).images == 2
    assert first.stat().st_mtime_ns == written


def test_an_archive_that_goes_away_meanwhile_is_told_in_one_line(tmp_path: Path, photos: Path) -> None:
    def remove_archive(text: str) -> None:
        photos.unlink(missing_ok=True)

    with pytest.raises(EngineInterruptedError, match=r"cannot be read any more .* give the same command again"):
        begin_engine(tmp_path / "engine", Materials(images=photos), on_progress=remove_archive)
    assert list_copies(tmp_path / "engine") == ["part-0.tar/0.png"]
