"""Saved files are read in the encodings in which an editor may save them again."""

import json

import pytest

from agent.records.base import read_versioned_json
from sam3_tool.errors import RecordError
from sam3_tool.system.files import decode_json, decode_text

HELD = {"format": "x", "version": 1, "text": "Tässchen"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_saved_file_is_read_in_any_encoding_of_unicode(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(json.dumps(HELD, ensure_ascii=False).encode(encoding))
    assert read_versioned_json(tmp_path / "a.json", kind="x", format="x", versions=[1]) == HELD


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe\x00", b"{\x00\x00", b"\x00" * 7, b"[" * 99_999]
)
def test_what_is_no_text_is_no_saved_file(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RecordError, match="is not a saved x"):
        read_versioned_json(tmp_path / "a.json", kind="x", format="x", versions=[1])


def test_one_mark_is_taken_off_and_letters_are_kept():
    assert decode_text("\ufeffa\u2028b".encode("utf-16-be")) == "a\u2028b"
    assert decode_json('"\ud800"'.encode("utf-8", "surrogatepass")) == "\ud800"
    with pytest.raises(UnicodeDecodeError):
        decode_text(b"caf\xe9")
