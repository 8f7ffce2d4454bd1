"""The entries of one split of an SA-Co file: spooled into two files as they come, and read as often as wanted."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO


class SplitSpool:
    """Pairs and masks of one split, of which one is in memory at a time.

    Args:
        folder: Where the two files lie until they are removed.
        split: Its name.

    >>> import tempfile
    >>> spool = SplitSpool(Path(tempfile.mkdtemp()), "train")
    >>> spool.add_pair({"id": 1, "is_pixel_exhaustive": 1}, [{"id": 1}, {"id": 2}])
    >>> list(spool.read_masks()), spool.pairs, spool.negatives
    ([{'id': 1}, {'id': 2}], 1, 0)
    >>> spool.remove_files()
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.pairs = self.masks = self.negatives = self.partial = 0
        self._paths = [folder / f".{split}-{kind}.jsonl" for kind in ("pairs", "masks")]
        self._files: list[TextIO] = [path.open("w", encoding="utf-8") for path in self._paths]

    def add_pair(self, pair: dict[str, Any], masks: Sequence[dict[str, Any]]) -> None:
        """Add a pair with its masks. Raises OSError."""
        for file, entries in zip(self._files, ([pair], masks), strict=True):
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        self.pairs, self.masks = self.pairs + 1, self.masks + len(masks)
        self.negatives += not masks
        self.partial += not pair["is_pixel_exhaustive"]

    def read_pairs(self) -> Iterator[dict[str, Any]]:
        """Yield the pairs in their order."""
        return self._read_lines(0)

    def read_masks(self) -> Iterator[dict[str, Any]]:
        """Yield the masks in their order."""
        return self._read_lines(1)

    def _read_lines(self, which: int) -> Iterator[dict[str, Any]]:
        self._files[which].flush()
        with self._paths[which].open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def remove_files(self) -> None:
        """Close and remove the files; nothing can be read afterwards."""
        for file, path in zip(self._files, self._paths, strict=True):
            # what a full disk left in memory is of no use any more
            with suppress(OSError):
                file.close()
            path.unlink(missing_ok=True)
