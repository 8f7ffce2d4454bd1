"""What the `lossless` masks of Meta's SAM API expect of a byte that its predictor got wrong."""

from serve.responses.range_coder import RangeEncoder

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
        pair = self._by_pair.setdefault((last, above), [0] * _SYMBOLS)
        after = self._by_last.setdefault(last, [1] * _SYMBOLS)
        models = {"pair": pair, "last": after, "any": self._anywhere}
        start = sum(sum(counts[1:symbol]) for counts in models.values())
        frequency = sum(counts[symbol] for counts in models.values())
        encoder.encode(start, frequency, sum(sum(counts[1:]) for counts in models.values()))
        for name, counts in models.items():
            counts[symbol] += _STEPS[name]
            if sum(counts) >= _LIMITS[name]:
                # counts after a pair may vanish, those after one symbol may not, as the format has it
                least = 1 if name == "last" else 0
                counts[:] = [max(count >> 1, least) for count in counts]
