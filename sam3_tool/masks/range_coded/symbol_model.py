"""What the `lossless` masks of Meta's SAM API expect of a byte that its predictor got wrong."""

from bisect import bisect_right
from itertools import accumulate

from sam3_tool.masks.range_coded.range_coder import RangeDecoder, RangeEncoder

_SYMBOLS = 256
_STEPS = {"pair": 616, "last": 56, "any": 32}
"""What one more occurrence adds to a count."""
_LIMITS = {"pair": 50176, "last": 8192, "any": 4096}
"""Sums at which counts are halved."""


class SymbolModel:
    """Counts of the symbols 1 to 255: after a pair of neighbours, after the last symbol, and anywhere, all added up."""

    def __init__(self) -> None:
        self._by_pair: dict[tuple[int, int], list[int]] = {}
        self._by_last: dict[int, list[int]] = {}
        self._anywhere = [2] * _SYMBOLS

    def encode(self, encoder: RangeEncoder, symbol: int, last: int, above: int) -> None:
        """Write one symbol that is not 0, given the symbols before and above it, and learn from it."""
        models = self._select_models(last, above)
        start = sum(sum(counts[1:symbol]) for counts in models.values())
        frequency = sum(counts[symbol] for counts in models.values())
        encoder.encode(start, frequency, sum(sum(counts[1:]) for counts in models.values()))
        _learn_symbol(models, symbol)

    def decode(self, decoder: RangeDecoder, last: int, above: int) -> int:
        """Read one symbol that is not 0, and learn from it.

        Raises MaskTextError as the decoder does.
        """
        models = self._select_models(last, above)
        frequencies = [sum(counts) for counts in zip(*models.values(), strict=True)]
        frequencies[0] = 0
        ends = list(accumulate(frequencies))
        symbol = bisect_right(ends, decoder.find_place(ends[-1]))
        decoder.take_symbol(ends[symbol - 1], frequencies[symbol])
        _learn_symbol(models, symbol)
        return symbol

    def _select_models(self, last: int, above: int) -> dict[str, list[int]]:
        pair = self._by_pair.setdefault((last, above), [0] * _SYMBOLS)
        after = self._by_last.setdefault(last, [1] * _SYMBOLS)
        return {"pair": pair, "last": after, "any": self._anywhere}


def _learn_symbol(models: dict[str, list[int]], symbol: int) -> None:
    for name, counts in models.items():
        counts[symbol] += _STEPS[name]
        if sum(counts) >= _LIMITS[name]:
            # counts after a pair may vanish, those after one symbol may not, as the format has it
            least = 1 if name == "last" else 0
            counts[:] = [max(count >> 1, least) for count in counts]
