"""Images as assistants send them: data URLs, base64 with line breaks, paths that lead elsewhere."""

import base64
import os
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.core.errors import ToolError, UsageError
from serve.mcp.folder import CAN_WALK, Folder
from serve.mcp.inputs import decode_data, read_image_source
from serve.mcp.offers import OpenImage

CONTENT = bytes(range(256)) * 8
PLAIN = base64.b64encode(CONTENT).decode()
WALKS = [pytest.param(True, marks=pytest.mark.skipif(not CAN_WALK, reason="a system without openat")), False]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        base64.encodebytes(CONTENT).decode(),
        f"\n  {PLAIN}\n",
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(CONTENT).decode(),
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;charset=utf-8;BASE64,{PLAIN}",
        f"data:image/png;base64,{quote(PLAIN)}",
        f"data:application/octet-stream,{quote(CONTENT)}",
    ],
)
def test_base64_is_read_in_every_form_in_which_it_is_sent(text):
    assert decode_data(text, 10_000) == CONTENT


@pytest.mark.parametrize("text", ["@@", "photo.png", "é", "data:image/png;base64,@@", "A"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(ToolError, match="no base64"):
        decode_data(text, 10_000)


@pytest.mark.parametrize("uri", ["file://[", "file://[::1", "file://elsewhere/a.png", "ftp://x/a.png", "cat.png"])
def test_a_uri_that_names_no_file_is_refused(uri):
    with pytest.raises(ToolError, match="file:"):
        read_image_source(OpenImage(uri=uri), None, max_bytes=100)


@pytest.mark.parametrize(
    ("name", "is_quoted"),
    [("rö ot #1%", True), ("rö ot #1%", False), ("what?", True), ("what?", False), ("a&b=c", False), ("100%25", True)],
)
def test_a_file_uri_is_read_as_people_and_models_write_it(tmp_path, name, is_quoted):
    (tmp_path / name).mkdir()
    (tmp_path / name / "cat.png").write_bytes(CONTENT)
    path = f"{tmp_path}/{name}/cat.png"
    uri = f"file://{quote(path) if is_quoted else path}"
    assert read_image_source(OpenImage(uri=uri), Folder.from_path(tmp_path), max_bytes=len(CONTENT)).content == CONTENT


@pytest.mark.parametrize("size", [2049, 10**6])
def test_data_beyond_the_limit_is_refused(size):
    with pytest.raises(ToolError, match="make the image smaller"):
        decode_data(base64.b64encode(b"x" * size).decode(), 2048)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a photo; beside it, a secret, to which links inside of it lead."""
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "photo.png").write_bytes(CONTENT)
    (inside / "deep" / "photo.png").write_bytes(CONTENT)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "inside-too").mkdir()
    (tmp_path / "inside-too" / "secret.txt").write_text("secret")
    (inside / "out.png").symlink_to(tmp_path / "secret.txt")
    (inside / "out").symlink_to(tmp_path)
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "near.png").symlink_to("deep/photo.png")
    os.mkfifo(inside / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(inside / "socket"))
    return inside


@pytest.mark.parametrize("can_walk", WALKS)
@pytest.mark.parametrize("name", ["photo.png", "./deep/../photo.png", "near.png", "deep/photo.png", "ROOT/photo.png"])
def test_a_file_of_the_folder_is_read_by_any_of_its_names(root, can_walk, name):
    folder = Folder(root.resolve(), can_walk)
    assert folder.read_file(name.replace("ROOT", str(root)), max_bytes=len(CONTENT)) == CONTENT


ELSEWHERE = (
    *("../secret.txt", "out.png", "out/secret.txt", "deep/../../secret.txt", "/etc/passwd", "ROOT/../secret.txt"),
    *("ROOT-too/secret.txt", "", ".", "a\0b", "x" * 5000, "loop", "pipe", "socket", "deep", "missing.png", "~/x"),
    *("photo.png/x", "out", "..", "/proc/self/environ", "/dev/zero"),
)


@pytest.mark.parametrize("can_walk", WALKS)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_name_leads_out_of_the_folder(root, can_walk, name):
    folder = Folder(root.resolve(), can_walk)
    with pytest.raises(ToolError) as refused:
        folder.read_file(name.replace("ROOT", str(root)), max_bytes=10**6)
    assert len(str(refused.value)) < 300
    if "ROOT" not in name:
        assert str(root.parent) not in str(refused.value)


@pytest.mark.parametrize("can_walk", WALKS)
def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(root, can_walk):
    """What was resolved is opened step by step: a part that is exchanged for a link is not followed."""
    folder = Folder(root.resolve(), can_walk)
    parts = folder._find_parts("deep/photo.png")
    (root / "deep" / "photo.png").unlink()
    (root / "deep").rmdir()
    (root / "deep").symlink_to(root.parent / "inside-too")
    (root.parent / "inside-too" / "photo.png").write_text("secret")
    with pytest.raises(OSError, match=r"link|changed|directory"), folder._open_parent(parts) as parent:
        folder._open_file(parts, os.O_RDONLY, parent)


@pytest.mark.parametrize("can_walk", WALKS)
def test_a_file_is_saved_inside_the_folder_and_never_over_another(root, can_walk):
    folder = Folder(root.resolve(), can_walk)
    assert folder.write_file("new/deep/cups.json", b"1") == "new/deep/cups.json"
    assert (root / "new" / "deep" / "cups.json").read_bytes() == b"1"
    for taken in ("new/deep/cups.json", "photo.png", "near.png"):
        with pytest.raises(ToolError, match="nothing is overwritten"):
            folder.write_file(taken, b"2")
    for elsewhere in ("../cups.json", "out/cups.json", "/tmp/cups.json", "deep", "photo.png/cups.json", ""):
        with pytest.raises(ToolError):
            folder.write_file(elsewhere, b"2")
    assert not (root.parent / "cups.json").exists()


def test_a_file_above_the_limit_is_not_read(root):
    with pytest.raises(ToolError, match="make the image smaller"):
        Folder(root.resolve()).read_file("photo.png", max_bytes=len(CONTENT) - 1)


@pytest.mark.parametrize("name", ["missing", "inside/photo.png"])
def test_a_root_that_is_no_folder_is_refused(root, name):
    with pytest.raises(UsageError, match="--root"):
        Folder.from_path(root.parent / name)


def test_a_file_uri_names_a_file_of_the_folder(root):
    folder = Folder.from_path(root)
    (root / "two words.png").write_bytes(CONTENT)
    file = read_image_source(OpenImage(uri=(root / "two words.png").resolve().as_uri()), folder, max_bytes=10**5)
    assert (file.content, file.name, file.is_seen) == (CONTENT, "two words.png", False)
    with pytest.raises(ToolError, match="has no host"):
        read_image_source(OpenImage(uri="file://example.org/a.png"), folder, max_bytes=10**5)
    with pytest.raises(ToolError, match="no file inside the folder"):
        read_image_source(OpenImage(uri="file:///etc/passwd"), folder, max_bytes=10**5)
