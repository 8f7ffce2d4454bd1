"""What every source gives: a listing, which one process holds, and a reader, which every worker gets."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Protocol

from sam3_tool.errors import mask_passwords
from sam3_tool.image import Image


@dataclass(frozen=True)
class Item:
    r"""One image of a listing: enough for a reader to find it.

    >>> Item(3, b"caf\xe9.jpg").name
    'caf\\xe9.jpg'
    """

    index: int
    """Its place in the listing, from 0."""
    raw_name: bytes
    """Its name as the system or the archive has it; a path has "/" between its parts."""
    numbers: tuple[int, ...] = ()
    """What else a reader needs, e.g. where in an archive it begins."""

    @property
    def name(self) -> str:
        """The name as text, to be shown and written: bytes that are no UTF-8 as backslash, x and two digits.

        A URL is without the password in it.
        """
        return mask_passwords(self.raw_name.decode("utf-8", "backslashreplace"))


class ImageReader(Protocol):
    """Reads images of a source. It is small and can be pickled, for each worker has one; threads share it."""

    def open_image(self, item: Item) -> Image:
        """Read an image. Raises ImageError, or OSError where the source itself is gone."""
        ...

    def read_bytes(self, item: Item) -> bytes:
        """Read the image's file as it is. Raises OSError or ImageError."""
        ...

    def is_there(self) -> bool:
        """Whether the source can still be reached, as a disk that was unplugged cannot."""
        ...


Entry = tuple[bytes, tuple[int, ...]]
"""Name and numbers of an item; what tells images apart is in them, such as the size of a file."""


class Listing:
    """Images in a fixed order. A million of them take little more than the letters of their names.

    Args:
        reader: Reads the images.
        entries: Name and numbers of each.
        notes: What was passed over, and what a reader of the results should know: a sentence each.
        limit: Only the first so many.
        salt: What also tells these images from others.

    >>> listing = Listing(None, [(b"a.jpg", (1,)), (b"b.jpg", (2,))])
    >>> len(listing), listing.get_items(1, 2)
    (2, [Item(index=1, raw_name=b'b.jpg', numbers=(2,))])
    """

    def __init__(
        self,
        reader: ImageReader | None,
        entries: Iterable[Entry],
        *,
        notes: Sequence[str] = (),
        limit: int | None = None,
        salt: bytes = b"",
    ) -> None:
        self._reader = reader
        self._names = bytearray()
        self._ends = array("q", [0])
        self._numbers: list[array[int]] = []
        digest = sha256(salt)
        for name, numbers in islice(entries, limit):
            if len(self._ends) == 1:
                self._numbers = [array("q") for _ in numbers]
            digest.update(b"%d,%s,%s;" % (len(name), name, ",".join(map(str, numbers)).encode()))
            self._names += name
            self._ends.append(len(self._names))
            for column, number in zip(self._numbers, numbers, strict=True):
                column.append(number)
        self.digest = digest.hexdigest()
        """SHA-256 over names and numbers, in hexadecimal."""
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def reader(self) -> ImageReader:
        """What reads the images."""
        assert self._reader is not None
        return self._reader

    def get_items(self, start: int, stop: int) -> list[Item]:
        """Return the items from `start` on, up to but without `stop`."""
        return [self._get_item(index) for index in range(start, min(stop, len(self)))]

    def _get_item(self, index: int) -> Item:
        name = bytes(self._names[self._ends[index] : self._ends[index + 1]])
        return Item(index, name, tuple(column[index] for column in self._numbers))

    def select_evenly(self, number: int) -> "Listing":
        """Return a listing of so many of the images, spread evenly over all of them."""
        chosen = (self._get_item(place * len(self) // number) for place in range(number))
        return Listing(self._reader, ((item.raw_name, item.numbers) for item in chosen))
