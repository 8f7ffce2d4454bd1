"""A range coder with 32 bits and no carries (Subbotin, 1999), which the masks of Meta's SAM API are written with."""

from collections.abc import Iterator

from sam3_tool.masks.range_coded.errors import MaskTextError

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

    def decode(self, decoder: "RangeDecoder", context: int) -> int:
        """Read one bit, and learn from it.

        Raises MaskTextError as the decoder does.
        """
        counts = self._counts[context]
        zeros, ones = counts
        bit = int(decoder.find_place(zeros + ones) >= zeros)
        decoder.take_symbol(zeros if bit else 0, counts[bit])
        counts[bit] += self._increment
        if zeros + ones + self._increment >= self._limit:
            counts[:] = [count >> 1 or 1 for count in counts]
        return bit


class RangeDecoder:
    """Reads the symbols that a `RangeEncoder` wrote, and nothing that no encoder can have written.

    Raises:
        MaskTextError: There are less than four bytes; or, in the methods, no encoder wrote them, or they end too early.

    >>> encoder = RangeEncoder()
    >>> encoder.encode(1, 2, 3)
    >>> decoder = RangeDecoder(encoder.finish())
    >>> decoder.find_place(3)
    1
    """

    def __init__(self, content: bytes) -> None:
        if len(content) < 4:
            raise MaskTextError("its bytes end before its first pixel")
        self._bytes = iter(content[4:])
        self._low, self._range, self._unit = 0, _WORD, 0
        self._offset = int.from_bytes(content[:4], "big")
        """What was read, less what its symbols account for: always below the range."""

    def find_place(self, total: int) -> int:
        """Return a number below `total`: the next symbol is the one that owns it."""
        self._unit = self._range // total
        place = self._offset // self._unit
        if place >= total:
            raise MaskTextError("its bytes are not those of an encoder")
        return place

    def take_symbol(self, start: int, frequency: int) -> None:
        """Go on behind the symbol that owns `start` to `start + frequency` of the last `total`."""
        self._offset -= self._unit * start
        self._low, self._range, self._offset = renormalize_range(
            (self._low + self._unit * start) & _WORD, self._unit * frequency, self._offset, self._bytes
        )


def renormalize_range(low: int, span: int, offset: int, rest: Iterator[int]) -> tuple[int, int, int]:
    """Shift settled bytes out of a decoder, and as many of `rest` in.

    Returns:
        `low`, `span` and `offset`, which is below `span`, as the encoder had them.

    Raises:
        MaskTextError: The bytes end, or no encoder wrote them.
    """
    while low ^ ((low + span) & _WORD) < _TOP or span < _BOTTOM:
        if low ^ ((low + span) & _WORD) >= _TOP:
            span = -low & (_BOTTOM - 1)
        if offset >= span:
            raise MaskTextError("its bytes are not those of an encoder")
        byte = next(rest, None)
        if byte is None:
            raise MaskTextError("its bytes end before its last pixel")
        low, span, offset = low << 8 & _WORD, span << 8 & _WORD, offset << 8 | byte
    return low, span, offset
