"""Near-duplicates: images whose difference hashes nearly agree, and whose pooled embeddings do too."""

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image

from sam3_tool.image import Image

MAX_BITS = 6
"""Of 64 that may differ between the hashes of near-duplicates."""
MIN_COSINE = 0.96
"""Between their pooled embeddings, above which they are near-duplicates."""


def compute_dhash(image: Image) -> str:
    """Compute the difference hash of an image: whether each of 8 x 8 places is brighter than the one to its right.

    Returns:
        16 hexadecimal digits.

    >>> compute_dhash(Image(np.zeros((48, 64, 3), np.uint8)))
    '0000000000000000'
    """
    small = image.to_pil().convert("L").resize((9, 8), PIL.Image.Resampling.BOX)
    grey = np.asarray(small).astype(np.int16)
    bits = np.packbits((grey[:, :-1] > grey[:, 1:]).ravel())
    return bits.tobytes().hex()


def count_different_bits(dhash: str, others: np.ndarray) -> np.ndarray:
    """Count in how many bits a hash differs from others.

    Args:
        dhash: 16 hexadecimal digits.
        others: uint64, (N,).

    Returns:
        int64, (N,), from 0 to 64.

    >>> count_different_bits("0f", np.array([0, 1, 15], np.uint64)).tolist()
    [4, 3, 0]
    """
    different = (others ^ np.uint64(int(dhash, 16))).view(np.uint8).reshape(-1, 8)
    return np.asarray(_BITS[different].sum(axis=1), dtype=np.int64)


_BITS = np.array([number.bit_count() for number in range(256)], np.uint8)
"""uint8, (256,): bits that are set in each byte."""


def compute_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine between two vectors, float32 (C,) each; 0 where one of them is zero.

    >>> compute_cosine(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    1.0
    """
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else 0.0


class GroupFinder:
    """Finds the group that each image belongs to, in the order in which they come: the first of a group stands for it.

    Args:
        compare: Tells whether two images, by their keys, whose hashes nearly agree, are near-duplicates.

    >>> groups = GroupFinder(lambda first, second: True)
    >>> groups.find_group("a", "00"), groups.find_group("b", "0f"), groups.find_group("c", "ff")
    ('a', 'a', 'c')
    """

    def __init__(self, compare: Callable[[str, str], bool]) -> None:
        self._compare = compare
        self._keys: list[str] = []
        self._hashes = np.zeros(1024, np.uint64)

    def add_leaders(self, leaders: Sequence[tuple[str, str]]) -> None:
        """Take over images that stand for groups already: key and hash of each."""
        for key, dhash in leaders:
            self._add_leader(key, dhash)

    def find_group(self, key: str, dhash: str) -> str:
        """Find the group of an image.

        Args:
            key: The image's.
            dhash: Its hash.

        Returns:
            The key of the nearest image that stands for a group; its own where it is near none.
        """
        bits = count_different_bits(dhash, self._hashes[: len(self._keys)])
        for place in map(int, np.argsort(bits, kind="stable")):
            if bits[place] > MAX_BITS:
                break
            if self._compare(self._keys[place], key):
                return self._keys[place]
        self._add_leader(key, dhash)
        return key

    def _add_leader(self, key: str, dhash: str) -> None:
        if len(self._keys) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._keys)] = int(dhash, 16)
        self._keys.append(key)
