"""A range coder with 32 bits and no carries (Subbotin, 1999), which the masks of Meta's SAM API are written with."""

_WORD = 0xFFFFFFFF
_TOP = 1 << 24
"""While low and low + range differ only below this, their first byte is settled."""
_BOTTOM = 1 << 16
"""A range below this is cut, so that no carry can reach a byte that is written already."""


class RangeEncoder:
    """Writes symbols in as many bits as their frequencies say.

    >>> encoder = RangeEncoder()
    >>> for _ in range(100):
    ...     encoder.encode(0, 99, 100)
    >>> len(encoder.finish())
    4
    """

    def __init__(self) -> None:
        self._low, self._range = 0, _WORD
        self._written = bytearray()

    def encode(self, start: int, frequency: int, total: int) -> None:
        """Write the symbol that owns `start` to `start + frequency` of `total`, which is below 2^16."""
        unit = self._range // total
        low, span = (self._low + unit * start) & _WORD, unit * frequency
        while True:
            if low ^ ((low + span) & _WORD) >= _TOP:
                if span >= _BOTTOM:
                    break
                span = -low & (_BOTTOM - 1)
            self._written.append(low >> 24)
            low = low << 8 & _WORD
            span = span << 8 & _WORD
        self._low, self._range = low, span

    def finish(self) -> bytes:
        """Return everything written, with the bytes that a decoder needs to read the last symbol."""
        return bytes(self._written) + self._low.to_bytes(4, "big")


class BitModel:
    """Counts of zeros and ones in each of some contexts, from which the next bit is predicted."""

    def __init__(self, contexts: int, *, increment: int, limit: int) -> None:
        self._counts = [[1, 1] for _ in range(contexts)]
        self._increment, self._limit = increment, limit

    def encode(self, encoder: RangeEncoder, context: int, bit: int) -> None:
        """Write one bit, and learn from it. Counts are halved when their sum reaches the limit."""
        counts = self._counts[context]
        zeros, ones = counts
        if bit:
            encoder.encode(zeros, ones, zeros + ones)
        else:
            encoder.encode(0, zeros, zeros + ones)
        counts[bit] += self._increment
        if zeros + ones + self._increment >= self._limit:
            counts[:] = [count >> 1 or 1 for count in counts]
