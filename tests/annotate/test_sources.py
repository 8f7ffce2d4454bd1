"""Sources as strangers have them: any names, links that loop, lists from any editor, archives that are cut off."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from pyarrow import parquet

from agent.core.errors import UsageError
from annotate.errors import SourceError
from annotate.questions import read_phrases
from annotate.sources.base import Listing
from annotate.sources.opening import SourceOptions, open_source
from sam3_tool.errors import ImageError, UserError
from tests.support.annotating import SIZE, write_images


def open_listing(source: Path, **options: object) -> Listing:
    return open_source(source, SourceOptions(**options), out=source.parent / "out")  # type: ignore[arg-type]


def read_names(listing: Listing) -> list[bytes]:
    return [item.raw_name for item in listing.get_items(0, len(listing))]


def read_colours(listing: Listing) -> list[int]:
    """The red of the first pixel of each image, as a worker reads it, in another process."""
    reader = pickle.loads(pickle.dumps(listing.reader))
    return [int(reader.open_image(item).pixels[0, 0, 0]) for item in listing.get_items(0, len(listing))]


def encode_png(red: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.full((*SIZE, 3), red, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_folder_of_any_names_is_listed_once_and_in_order(tmp_path: Path) -> None:
    root = tmp_path / "in"
    names = [b"two\nlines.png", b"caf\xe9.PNG", b"a b.png", b"z/deep/0.jpeg", b"z/1.webp", b"B.png"]
    for name in [*names, b"notes.txt", b".hidden.png", b"._B.png", b".thumbs/x.png"]:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (root / "z" / "loop").symlink_to(root, target_is_directory=True)
    (root / "again").symlink_to("z", target_is_directory=True)
    (root / "gone.png").symlink_to("nowhere.png")
    for name in ("itself", "itself.png"):
        (root / name).symlink_to(name)
    listing = open_listing(root)
    top = [b"B.png", b"a b.png", b"caf\xe9.PNG", b"gone.png", b"itself.png", b"two\nlines.png"]
    assert read_names(listing) == [*top, b"again/1.webp", b"again/deep/0.jpeg"]
    assert listing.notes == ("4 of the files there are not named like images, and are passed over",)
    assert open_listing(root).digest == listing.digest
    assert read_names(open_listing(root, limit=2)) == top[:2]
    (root / "a b.png").write_bytes(b"xy")
    assert open_listing(root).digest != listing.digest


def test_results_inside_the_source_are_no_source(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 2)
    write_images(tmp_path / "in" / "out" / "yolo-seg", 2)
    listing = open_source(tmp_path / "in", SourceOptions(), out=tmp_path / "in" / "out")
    assert read_names(listing) == [b"0000.png", b"0001.png"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbf0000.png\r\n\r\n  0001.png  \r\n# a remark\r\n", [0, 1]),
        ("0001.png\n0000.png".encode("utf-16"), [1, 0]),
        (b"0000.png\0sub/two\nlines.png\0", [0, 7]),
        (b"0000.png\nsub/caf\xe9.png\n", [0, 9]),
        (b"0000.png\n0000.png\n", [0, 0]),
    ],
    ids=["mark and CRLF", "UTF-16", "NUL", "bytes", "twice"],
)
def test_a_list_is_read_as_editors_and_find_write_it(tmp_path: Path, content: bytes, expected: list[int]) -> None:
    write_images(tmp_path, 2)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two\nlines.png").write_bytes(encode_png(7))
    (tmp_path / os.fsdecode(b"sub/caf\xe9.png")).write_bytes(encode_png(9))
    (tmp_path / "list.txt").write_bytes(content)
    assert read_colours(open_listing(tmp_path / "list.txt")) == expected


def test_urls_are_fetched_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(5))
    (tmp_path / "list.txt").write_text(f"{(tmp_path / 'a.png').as_uri()}\nfile:///nowhere/b.png\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"holds URLs, e\.g\. file://.*; add --allow-urls"):
        open_listing(tmp_path / "list.txt")
    listing = open_listing(tmp_path / "list.txt", allow_urls=True)
    first, second = listing.get_items(0, 2)
    assert listing.reader.open_image(first).pixels[0, 0, 0] == 5
    with pytest.raises(ImageError, match=r"file:///nowhere/b\.png: cannot be fetched \(FileNotFoundError"):
        listing.reader.open_image(second)
    (tmp_path / "list.txt").write_text("nonsense://a/b.png\n", encoding="utf-8")
    with pytest.raises(SourceError, match="fsspec knows no such kind"):
        open_listing(tmp_path / "list.txt", allow_urls=True)


def write_tar(path: Path, reds: list[int], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for red in reds:
            for suffix, content in ((".png", encode_png(red)), (".json", b"{}")):
                member = tarfile.TarInfo(f"{red:04d}{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_images_of_tar_archives_are_read_where_they_lie(tmp_path: Path) -> None:
    write_tar(tmp_path / "data-0.tar", [3, 1])
    write_tar(tmp_path / "data-1.tar", [2])
    for source in (tmp_path, tmp_path / "data-*.tar"):
        listing = open_listing(source)
        assert read_names(listing) == [b"data-0.tar/0003.png", b"data-0.tar/0001.png", b"data-1.tar/0002.png"]
        assert read_colours(listing) == [3, 1, 2]


def test_an_archive_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [3, 1])
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 512 * 5 + 40])  # in the second image
    listing = open_listing(tmp_path / "a.tar")
    first, second = listing.get_items(0, 2)
    assert listing.reader.open_image(first).pixels[0, 0, 0] == 3
    with pytest.raises(ImageError, match="the archive ends after 40 of its"):
        listing.reader.open_image(second)


@pytest.mark.parametrize("kind", ["bytes", "struct", "path"])
def test_a_column_of_parquet_files_holds_images_in_each_of_three_ways(tmp_path: Path, kind: str) -> None:
    reds = [*range(40)]
    cells: list[object] = [encode_png(red) for red in reds]
    if kind == "struct":
        cells = [{"bytes": cell, "path": "a.png"} for cell in cells]
    elif kind == "path":
        for red, cell in zip(reds, cells, strict=True):
            (tmp_path / f"{red}.png").write_bytes(cell)  # type: ignore[arg-type]
        cells = [f"{red}.png" for red in reds]
    parquet.write_table(pa.table({"image": [*cells, None]}), tmp_path / "a.parquet", row_group_size=30)
    listing = open_listing(tmp_path / "a.parquet")
    items = listing.get_items(0, 41)
    assert items[35].raw_name == b"a.parquet#35"
    reader = pickle.loads(pickle.dumps(listing.reader))
    order = [*range(40), 3, 38, 0]  # forwards as a worker reads, and back as a retry does
    assert [int(reader.open_image(items[place]).pixels[0, 0, 0]) for place in order] == order
    with pytest.raises(ImageError, match=r"a\.parquet#40: the column 'image' is empty there"):
        reader.open_image(items[40])


def test_what_is_no_source_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "a.tar").write_bytes(b"x" * 600)
    (tmp_path / "a.parquet").write_bytes(b"x")
    for name in ("a.docx", "a.zip"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_bytes(b"\r\n\r\n")
    write_tar(tmp_path / "b.tar", [1], "w:gz")
    parquet.write_table(pa.table({"picture": [b"x"], "id": [1]}), tmp_path / "b.parquet")
    told = {
        "empty": "there is no image in",
        "texts": "1 of the files there are not named like images",
        "a.tar": "cannot be read as a tar archive",
        "b.tar": "a compressed one must be unpacked first",
        "a.parquet": "cannot be read as a parquet file",
        "b.parquet": "has no column 'image'; say with --column which of picture, id holds the images",
        "a.docx": "is no source of images",
        "a.zip": "is a compressed archive; unpack it first",
        "list.txt": "there is no image in",
        "nowhere": "there is no file or folder",
        "data-*.tar": "there is no file or folder",
    }
    for name, message in told.items():
        with pytest.raises(UserError) as refused:
            open_listing(tmp_path / name)
        assert message in str(refused.value), name
        assert "\n" not in str(refused.value), name


def test_phrases_are_read_from_words_and_from_files_of_any_editor(tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_bytes("red cup\r\n\r\n  caf\u00e9   table \r\nred cup\r\n".encode(encoding))
        assert read_phrases(str(file)) == ("red cup", "caf\u00e9 table")
    file.write_text("\n".join(f"thing {number}" for number in range(10_000)), encoding="utf-8")
    assert len(read_phrases(str(file))) == 10_000
    assert read_phrases(", ".join(f"a rather long phrase {number}" for number in range(900)))[899].endswith("899")


@pytest.mark.parametrize("content", [b"", b"\r\n \n", b"caf\xe9\n", b"x" * 3000])
def test_a_file_without_a_usable_phrase_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "phrases.txt").write_bytes(content)
    with pytest.raises(UsageError, match="phrase"):
        read_phrases(str(tmp_path / "phrases.txt"))


@pytest.mark.parametrize("text", ["", " , ", "nowhere.txt", "."])
def test_words_that_are_no_phrases_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="phrase"):
        read_phrases(text)


def test_an_image_of_the_web_needs_no_package_and_leads_to_no_private_network(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://127.0.0.1/cat.png?sig=x\n", encoding="utf-8")
    listing = open_listing(tmp_path / "urls.txt", allow_urls=True)
    [item] = listing.get_items(0, 1)
    assert item.name == "https://127.0.0.1/cat.png?sig=***"
    with pytest.raises(ImageError, match=r"https://127\.0\.0\.1/cat\.png\?sig=\*\*\*: "):
        listing.reader.open_image(item)
