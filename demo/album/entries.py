"""The images of a visitor as values: what is known of each while another one is shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from agent.core.workspace import Candidate
from agent.exports.answer import get_category
from demo.album.folder import VisitorFolder
from demo.album.run import AskRun
from demo.remarks import Remark
from demo.talk.ways import NO_WAYS, PackedTree

EntryState = Literal["new", "work", "done"]


@dataclass(frozen=True, eq=False)
class AlbumEntry:
    """An image or a video. Of one that is shown, the session has the latest conversation."""

    id: int
    """Given once in an album."""
    name: str
    """Its file's name, perhaps with folders before it; no other entry has it."""
    key: str
    """The content key of the image or the video."""
    files: tuple[Path, ...]
    """The files of all images of its conversation; the file of a video."""
    is_video: bool
    width: int
    height: int
    thumbnail: str
    """A small image, as a data URL."""
    packed: bytes
    """Its conversation."""
    tree: PackedTree = NO_WAYS
    """The other ways that its conversation went, and who answered."""
    answer: tuple[Candidate, ...] = ()
    """The masks of its answer."""
    reasons: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """Why a mask belongs to the answer, by its number."""
    turns: int = 0
    """How many turns were taken about it."""
    remarks: tuple[Remark, ...] = ()
    done: bool = False
    """The visitor says that it is finished."""
    note: str = ""
    """Why the latest question over all images has no answer here."""

    @property
    def state(self) -> EntryState:
        """Whether it is untouched, in work or done."""
        if self.done:
            return "done"
        return "work" if self.turns or self.answer else "new"


@dataclass(frozen=True, eq=False)
class Album:
    """The images of a visitor, and the classes of their masks."""

    entries: tuple[AlbumEntry, ...] = ()
    current: int | None = None
    """The id of the one that is shown."""
    next_id: int = 1
    classes: tuple[str, ...] = ()
    """The classes that the visitor named, in the order of their number keys."""
    colours_by_class: bool = False
    tolerance: float = 0.0
    """Pixels by which exported polygons may miss a mask's edge."""
    folder: VisitorFolder | None = None
    """Where the files lie; None before the first one."""
    run: AskRun | None = None
    """The latest question over all images."""

    def get_entry(self, entry_id: int | None) -> AlbumEntry | None:
        """Return the entry of this id; None where there is none."""
        return next((entry for entry in self.entries if entry.id == entry_id), None)

    def with_entry(self, changed: AlbumEntry | None) -> "Album":
        """Put an entry in the place of the one with its id; without one, nothing changes."""
        if changed is None:
            return self
        entries = tuple(changed if entry.id == changed.id else entry for entry in self.entries)
        return replace(self, entries=entries)

    def with_new_entry(self, entry: AlbumEntry) -> "Album":
        """Add an entry under the next id."""
        return replace(self, entries=(*self.entries, replace(entry, id=self.next_id)), next_id=self.next_id + 1)

    def find_neighbour(self, step: int) -> int | None:
        """Return the id of the entry so many places further on; None beyond the ends."""
        ids = [entry.id for entry in self.entries]
        place = ids.index(self.current) + step if self.current in ids else 0
        return ids[place] if 0 <= place < len(ids) else None

    def list_classes(self, candidates: Iterable[Candidate] = ()) -> list[str]:
        """Return the classes: those that were named, then those of masks in the order of the images.

        `candidates`: masks of the image that is shown, which come first.
        """
        found = [get_category(candidate) for candidate in candidates if candidate.category]
        for entry in self.entries:
            found += [get_category(candidate) for candidate in entry.answer if candidate.category]
        return list(dict.fromkeys([*self.classes, *found]))

    @property
    def packed_bytes(self) -> int:
        """Bytes that the images which are not shown take in memory."""
        return sum(
            len(entry.packed)
            + entry.tree.packed_bytes
            + len(entry.thumbnail)
            + sum(len(candidate.rle.counts) for candidate in entry.answer)
            for entry in self.entries
        )


EMPTY_ALBUM = Album()
