"""Masks read from the text of Meta's SAM API, which may come from a server that nobody vouches for.

A pixel costs a third of a microsecond in `one_bit`, and one and a half in `lossless`.
"""

import numpy as np

from sam3_tool.masks.range_coded.base85 import unpack_bytes
from sam3_tool.masks.range_coded.errors import MaskTextError
from sam3_tool.masks.range_coded.range_coder import BitModel, RangeDecoder, renormalize_range
from sam3_tool.masks.range_coded.symbol_model import SymbolModel

LEAST_COVERAGE = 129
"""Of the bytes of a `lossless` mask: from here on a pixel is inside."""
_ABOVE = tuple((rows, step) for rows in (1, 2) for step in range(-2, 3))
"""Row above, and column from a pixel, of those that predict it; the first is bit 2 of its context."""
_INCREMENT, _LIMIT = 14, 4096
_SETTLED = 1 << 24
"""A span of at least this much needs no byte more."""


def decode_mask(text: str, height: int, width: int) -> np.ndarray:
    """Read the payload of an answer.

    Args:
        text: `encode_mask` wrote it, or a server; its first character tells the encoding.
        height: Of the mask in pixels, which the payload does not tell.
        width: The same.

    Returns:
        bool, (height, width).

    Raises:
        MaskTextError: The text is no mask of that size.

    >>> decode_mask("!!!!!'Qq$N(!!", 3, 3).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    if height < 1 or width < 1:
        raise MaskTextError(f"it is said to have {width} x {height} pixels")
    match text[:1]:
        case "!":
            return _decode_one_bit(unpack_bytes(text[1:]), height, width)
        case "~":
            return _decode_lossless(unpack_bytes(text[1:]), height, width)
    raise MaskTextError(f"it begins with {text[:1]!r}, expected ! or ~")


def _decode_one_bit(content: bytes, height: int, width: int) -> np.ndarray:
    # one loop with all its state in local names: calls for each pixel would take four times as long
    if len(content) < 4:
        raise MaskTextError("its bytes end before its first pixel")
    low, span, offset, rest = 0, 0xFFFFFFFF, int.from_bytes(content[:4], "big"), iter(content[4:])
    counts = ([1] * (1 << 12), [1] * (1 << 12))
    zeros, ones = counts
    padded = np.zeros((height + 2, width + 4), np.int32)
    for row in range(height):
        above = sum(
            padded[row + 2 - up, 2 + step : 2 + step + width] << place
            for place, (up, step) in enumerate(_ABOVE, start=2)
        )
        left, bits = 0, []
        for context in np.asarray(above).tolist():
            context |= left
            before = zeros[context]
            total = before + ones[context]
            unit = span // total
            edge = unit * before
            if bit := offset >= edge:
                low, offset, span = (low + edge) & 0xFFFFFFFF, offset - edge, unit * ones[context]
            else:
                span = edge
            if span < _SETTLED or offset >= span:
                low, span, offset = renormalize_range(low, span, _check_offset(offset, span), rest)
            counts[bit][context] += _INCREMENT
            if total + _INCREMENT >= _LIMIT:
                zeros[context], ones[context] = zeros[context] >> 1 or 1, ones[context] >> 1 or 1
            left = (left << 1 | bit) & 3
            bits.append(bit)
        padded[row + 2, 2 : 2 + width] = bits
    if offset or next(rest, None) is not None:
        raise MaskTextError("its bytes do not end with its last pixel")
    return padded[2:, 2 : 2 + width].astype(bool)


def _check_offset(offset: int, span: int) -> int:
    """Return the offset. Raises MaskTextError where no encoder can have had it."""
    if offset >= span:
        raise MaskTextError("its bytes are not those of an encoder")
    return offset


def _decode_lossless(content: bytes, height: int, width: int) -> np.ndarray:
    predictor = content[0] if content else 0
    if predictor > 4:
        raise MaskTextError(f"it names a predictor {predictor}, expected is one of 0 to 4")
    decoder, zeros, others = RangeDecoder(content[1:]), BitModel(16, increment=32, limit=16384), SymbolModel()
    symbols = [[0] * (width + 2)]
    last = 0
    for _ in range(height):
        upper, row = symbols[-1], [0] * (width + 2)
        for column in range(1, width + 1):
            context = (
                (row[column - 1] == 0)
                | (upper[column] == 0) << 1
                | (upper[column - 1] == 0) << 2
                | (upper[column + 1] == 0) << 3
            )
            is_other = zeros.decode(decoder, context)
            last = row[column] = others.decode(decoder, last, upper[column]) if is_other else 0
        symbols.append(row)
    residuals = np.array([row[1:-1] for row in symbols[1:]])
    return _add_predictions(residuals, predictor) >= LEAST_COVERAGE


def _add_predictions(residuals: np.ndarray, predictor: int) -> np.ndarray:
    """Return int, (H, W), the bytes of which `residuals` say how far off the predictions were."""
    differences = np.where(residuals & 1, -((residuals + 1) >> 1), residuals >> 1)
    if predictor in (1, 2):  # what is above, or to the left: sums of all differences until there
        return np.cumsum(differences, axis=predictor - 1) % 256
    predict = {0: _predict_paeth, 3: _predict_mean, 4: _predict_gradient}[predictor]
    height, width = differences.shape
    found = np.zeros((height + 1, width + 1), np.int64)
    for row in range(height):
        upper, left, line = found[row].tolist(), 0, [0]
        for column, difference in enumerate(differences[row].tolist()):
            left = (predict(left, upper[column + 1], upper[column]) + difference) % 256
            line.append(left)
        found[row + 1] = line
    return found[1:, 1:]


def _predict_paeth(left: int, above: int, corner: int) -> int:
    plane = left + above - corner
    return min((left, above, corner), key=lambda byte: abs(plane - byte))


def _predict_mean(left: int, above: int, corner: int) -> int:
    return (left + above) >> 1


def _predict_gradient(left: int, above: int, corner: int) -> int:
    return max(min(left, above), min(max(left, above), left + above - corner))
