"""The random tenth: pairs that people look at whatever anybody thinks of them, always the same ones."""

from hashlib import blake2b

LOTTERY_SHARE = 0.1
"""Of all pairs."""


def draw_lot(key: str) -> float:
    """Draw the lot of a pair by its key alone, so that it says nothing of what the pair is.

    Args:
        key: Of the pair.

    Returns:
        In [0, 1), always the same.

    >>> round(draw_lot("c4"), 3)
    0.66
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"rank").digest(), "big") / 2**64


def is_in_lottery(key: str) -> bool:
    """Return whether a pair belongs to the random tenth.

    >>> sum(is_in_lottery(f"{number:016x}") for number in range(5000))
    490
    """
    return draw_lot(key) < LOTTERY_SHARE
