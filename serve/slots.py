"""The places of several processes that serve together, and which of them a key belongs to."""

import secrets
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True)
class Slot:
    """The place of one process among several.

    >>> slot = Slot(1, 4)
    >>> slot.owns(slot.make_id())
    True
    """

    number: int
    """Counts from 0."""
    count: int
    """Processes there are."""

    def owns(self, key: str) -> bool:
        """Whether requests about this key come to this process as long as it runs."""
        return rank_slots(key, self.count)[0] == self.number

    def make_id(self) -> str:
        """Return a random id that this process owns, so that requests about it come back here."""
        while not self.owns(made := make_id()):
            pass
        return made


def make_id() -> str:
    """Return a random id that nobody can guess."""
    return secrets.token_urlsafe(16)


def rank_slots(key: str, count: int) -> list[int]:
    """Return the numbers of all processes, that which a key belongs to first, by rendezvous hashing.

    If a process is gone, the keys of all others stay where they are (Thaler and Ravishankar, 1998).

    >>> sorted(rank_slots("a key", 3))
    [0, 1, 2]
    """
    return sorted(range(count), key=lambda number: blake2b(f"{number} {key}".encode(), digest_size=8).digest())
