"""Masks written as Meta's SAM API writes them: `one_bit` or `lossless`.

The format is that of https://github.com/meta-models/meta-sam/blob/main/protocol/sam3.md; `decoding` and the package
`meta-sam-parser` read it. One pixel costs about a microsecond, so that a mask of 300 x 300 pixels takes a tenth of a
second.
"""

from typing import Literal

import numpy as np

from sam3_tool.masks.range_coded.base85 import pack_bytes
from sam3_tool.masks.range_coded.range_coder import BitModel, RangeEncoder
from sam3_tool.masks.range_coded.symbol_model import SymbolModel

MaskEncoding = Literal["lossless", "one_bit"]

_ONE_BIT_PLACES = tuple((0, -step) for step in (1, 2)) + tuple(
    (-rows, step) for rows in (1, 2) for step in range(-2, 3)
)
"""Row and column, from a pixel, of the twelve before it that predict it; the first is the lowest bit."""


def encode_mask(mask: np.ndarray, encoding: MaskEncoding = "lossless") -> str:
    """Write a mask as the payload of an answer.

    Args:
        mask: bool, (height, width), with at least one pixel.
        encoding: "one_bit" or "lossless", the API's default. Both keep every pixel; "one_bit" has one spelling only.

    Returns:
        Text, of which the first character tells the encoding.

    >>> encode_mask(np.eye(3, dtype=bool), "one_bit")
    "!!!!!'Qq$N(!!"
    """
    return _encode_one_bit(mask) if encoding == "one_bit" else _encode_lossless(mask)


def _encode_one_bit(mask: np.ndarray) -> str:
    encoder, model = RangeEncoder(), BitModel(1 << len(_ONE_BIT_PLACES), increment=14, limit=4096)
    contexts = _gather_contexts(mask, _ONE_BIT_PLACES, outside=False)
    for context, bit in zip(contexts.ravel().tolist(), mask.ravel().tolist(), strict=True):
        model.encode(encoder, context, bit)
    return "!" + pack_bytes(encoder.finish())


def _encode_lossless(mask: np.ndarray) -> str:
    """Write coverage bytes, of which a mask has 0 and 255 only, as what a predictor gets wrong."""
    coverage = np.where(mask, 255, 0)
    residuals = {mode: _compute_residuals(coverage, predicted) for mode, predicted in _predict_bytes(coverage).items()}
    mode = min(residuals, key=lambda mode: np.count_nonzero(residuals[mode]))
    symbols = residuals[mode]
    contexts = _gather_contexts(symbols == 0, ((0, -1), (-1, 0), (-1, -1), (-1, 1)), outside=True)
    above = np.vstack([np.zeros_like(symbols[:1]), symbols[:-1]])
    encoder, zeros, others = RangeEncoder(), BitModel(16, increment=32, limit=16384), SymbolModel()
    last = 0
    for context, symbol, upper in zip(
        contexts.ravel().tolist(), symbols.ravel().tolist(), above.ravel().tolist(), strict=True
    ):
        zeros.encode(encoder, context, int(symbol != 0))
        if symbol:
            others.encode(encoder, symbol, last, upper)
        last = symbol
    return "~" + pack_bytes(bytes([mode]) + encoder.finish())


def _gather_contexts(bits: np.ndarray, places: tuple[tuple[int, int], ...], *, outside: bool) -> np.ndarray:
    """Return int, (H, W): the bits at these places from each pixel as one number; the first is the lowest."""
    height, width = bits.shape
    padded = np.pad(bits, ((2, 0), (2, 2)), constant_values=outside).astype(np.int32)
    contexts = np.zeros(bits.shape, np.int32)
    for index, (row, column) in enumerate(places):
        contexts |= padded[2 + row : 2 + row + height, 2 + column : 2 + column + width] << index
    return contexts


def _predict_bytes(coverage: np.ndarray) -> dict[int, np.ndarray]:
    """Return predictions from the bytes before each by their number in the format: Paeth, above, left, gradient."""
    padded = np.pad(coverage, ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    plane = left + above - corner
    from_left, from_above, from_corner = (abs(plane - byte) for byte in (left, above, corner))
    paeth = np.where(
        (from_left <= from_above) & (from_left <= from_corner), left, np.where(from_above <= from_corner, above, corner)
    )
    gradient = np.clip(plane, np.minimum(left, above), np.maximum(left, above))
    return {0: paeth, 1: above, 2: left, 4: gradient}


def _compute_residuals(coverage: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return what is to be added, modulo 256, with the signs folded in: 0, -1, 1, -2 are 0, 1, 2, 3."""
    difference = (coverage - predicted + 128) % 256 - 128
    return np.where(difference < 0, -2 * difference - 1, 2 * difference)
