"""Several files as one: a ZIP that has the same bytes whenever it is made of the same files."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
"""The first time that ZIP can write; the real one would make each archive another."""


def build_archive(files: Mapping[str, bytes]) -> bytes:
    """`files`: contents by path."""
    whole = BytesIO()
    write_archive(whole, files.items())
    return whole.getvalue()


def write_archive(target: Path | BytesIO, files: Iterable[tuple[str, bytes]]) -> None:
    """`files`: path and content of each, which is forgotten once it is written."""
    with ZipFile(target, "w") as zipped:
        for path, content in files:
            entry = ZipInfo(path, _EARLIEST_TIME)
            entry.external_attr = 0o644 << 16
            # images are compressed already
            zipped.writestr(entry, content, ZIP_STORED if path.endswith(".png") else ZIP_DEFLATED)
