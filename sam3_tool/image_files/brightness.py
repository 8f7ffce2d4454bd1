"""Samples of more than 8 bits as 8 bits: which value is black, which is white, and a note where a file leaves it open.

A file of wide samples seldom says what white is. Sensors store 12 bits in 16, scanners of bodies count below zero, maps
hold metres. A range that the samples fill is taken as it is; any other is stretched, and a note says how.
"""

from dataclasses import dataclass

import numpy as np

_MIN_FILL = 1 / 4
"""Of a range, how far up the brightest sample must lie for its end to count as white. 12 bits in 16 fill 1/16."""
_MIN_SPREAD = 1 / 16
"""Of a range, what the samples must span: less would leave under 16 of 256 levels."""
_MAX_UNDERSHOOT = 1 / 32
"""Of a range, how far below zero resampling may have pushed black."""
_PERCENTILES = (0.5, 99.5)
"""The ends of the range where few samples lie far away from all others."""
_BLACK_SPREAD = 1 / 64
"""Of a range that samples do fill, under what part nearly all lie where a few of them, e.g. hot pixels, are bright."""
_SAMPLED = 1_000_000
"""Samples that percentiles are taken of."""
_BLOCK_ROWS = 256
"""Rows that are converted at a time, for float64 takes eight times the memory."""

_NO_DATA = (-9999.0, -99999.0, -32768.0, -32767.0, -999.0)
"""What maps hold where nothing was measured, also without a tag that says so: GDAL's and netCDF's habits."""
_MIN_MARKED_SPREAD = 16
"""Different values below a type's largest one, before that counts as a mark: a drawing of few greys has no marks."""
_HUGE = 1e30
"""Floats beyond it are no measurements: -3.4e38, 1e36 and such mark missing data."""


@dataclass(frozen=True, kw_only=True)
class SampleMeaning:
    """What a file says about its samples."""

    is_inverted: bool = False
    """Whether the lowest value is white, as on film (TIFF's WhiteIsZero)."""
    no_data: float | None = None
    """The value of pixels that hold nothing."""
    declared: tuple[float, float] | None = None
    """The values that the file itself calls its lowest and its highest."""


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    needs_note: bool = True


def to_8_bits(
    samples: np.ndarray, meaning: SampleMeaning = SampleMeaning(), *, name: str = "grey"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale samples to 8 bits.

    Args:
        samples: Integers or floats, (H, W) or (H, W, bands). Bands share one range, so that colours keep their hue.
        meaning: What the file says about them.
        name: What they are, for notes: "grey" or "colour".

    Returns:
        uint8 of the same shape, and a sentence for each thing that had to be decided. What holds no data is black.

    >>> to_8_bits(np.array([[0, 65535]], np.uint16))
    (array([[  0, 255]], dtype=uint8), ())
    >>> to_8_bits(np.array([[0, 4095]], np.uint16))[1]
    ('The grey values lie between 0 and 4095: 0 is shown as black, and 4095 as white.',)
    """
    if samples.dtype == np.uint8:
        return (255 - samples if meaning.is_inverted else samples), ()
    valid = _find_data(samples, meaning)
    held = samples if valid is None else samples[valid]
    if held.size == 0:
        return np.zeros(samples.shape, np.uint8), ("No pixel holds data, so the image is black.",)
    found = _choose_range(held, meaning)
    pixels = _scale_samples(samples, found, is_inverted=meaning.is_inverted)
    notes = [_describe_range(held, found, meaning, name)] if found.needs_note else []
    if valid is not None:
        pixels[~valid] = 0
        notes += _describe_missing(valid, samples.dtype)
    return pixels, tuple(notes)


def _find_data(samples: np.ndarray, meaning: SampleMeaning) -> np.ndarray | None:
    """Return bool of the shape of `samples`: which hold data; None where all do."""
    missing = np.zeros(samples.shape, bool)
    is_float = samples.dtype.kind == "f"
    with np.errstate(invalid="ignore"):  # a signalling NaN is compared
        if is_float:
            missing |= ~np.isfinite(samples)
            if samples.dtype.itemsize > 2:
                missing |= np.abs(samples) >= _HUGE
        if meaning.no_data is not None:
            missing |= _equals(samples, meaning.no_data)
        elif samples.dtype.kind == "u":
            missing |= _find_marked_maximum(samples)
        else:
            missing |= _find_marked_minimum(samples, missing)
    return ~missing if missing.any() else None


def _equals(samples: np.ndarray, value: float) -> np.ndarray:
    """Whether samples are a number that was written in decimal: of a float, to its precision."""
    if samples.dtype.kind == "f":
        info = np.finfo(samples.dtype)
        closest = samples.dtype.type(min(max(value, float(info.min)), float(info.max)))
        return np.asarray(np.isclose(samples, closest, rtol=4 * float(info.eps), atol=0.0))
    return np.asarray(samples == value) if float(value).is_integer() else np.zeros(samples.shape, bool)


def _find_marked_minimum(samples: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Find a habitual mark of missing data: the lowest value of all, and further from the others than they spread."""
    held = samples[~missing]
    lowest = float(held.min()) if held.size else 0.0
    if lowest not in _NO_DATA:
        return np.zeros(samples.shape, bool)
    rest = held[held != lowest]
    if rest.size == 0 or float(rest.min()) - lowest <= (float(rest.max()) - float(rest.min())) / 4:
        return np.zeros(samples.shape, bool)
    return np.asarray(samples == lowest)


def _find_marked_maximum(samples: np.ndarray) -> np.ndarray:
    """Find the type's largest value where it stands alone, far above a real range of others."""
    most = int(np.iinfo(samples.dtype).max)
    marked = np.asarray(samples == most)
    rest = samples[~marked] if marked.any() else samples[:0]
    if rest.size == 0 or int(rest.max()) > most // 8 or int(rest.max()) - int(rest.min()) < _MIN_MARKED_SPREAD:
        return np.zeros(samples.shape, bool)
    return marked if np.unique(rest.ravel()[:_SAMPLED]).size >= _MIN_MARKED_SPREAD else np.zeros(samples.shape, bool)


def _choose_range(held: np.ndarray, meaning: SampleMeaning) -> _Range:
    low, high = float(held.min()), float(held.max())
    if meaning.declared is not None and _fits_range(low, high, *meaning.declared):
        return _Range(*meaning.declared, needs_note=meaning.declared != (0.0, _list_whites(held.dtype)[-1]))
    for white in _list_whites(held.dtype):
        if high <= white:
            if _fits_range(low, high, 0.0, white) or (low == high and low in (0.0, white)):
                return _narrow_range(held, _Range(0.0, white, needs_note=False), _BLACK_SPREAD)
            if low == high and high >= 0:
                return _Range(0.0, white)
            break
    if low == high:
        return _Range(min(low, 0.0), max(high, 0.0))
    return _narrow_range(held, _count_bits(low, high, held.dtype) or _Range(low, high), _MIN_SPREAD)


def _fits_range(low: float, high: float, black: float, white: float) -> bool:
    """Whether samples between `low` and `high` fill a range well enough to be seen in it."""
    width = white - black
    return (
        width > 0
        and low >= black - _MAX_UNDERSHOOT * width
        and white >= high >= black + _MIN_FILL * width
        and high - low >= _MIN_SPREAD * width
    )


def _list_whites(dtype: np.dtype) -> tuple[float, ...]:
    """Return what may be white in samples of this type, ascending."""
    if dtype.kind == "f":
        return (1.0, 255.0, 65535.0)
    most = float(np.iinfo(dtype).max)
    return (most,) if dtype.kind == "u" and dtype.itemsize <= 2 else tuple(sorted({255.0, 65535.0, most} - {0.0}))


def _count_bits(low: float, high: float, dtype: np.dtype) -> _Range | None:
    """Return the range of a sensor with fewer bits than its file has; None where samples would not fill it."""
    if dtype.kind == "f" or low < 0:
        return None
    white = float(2 ** max(8, int(high).bit_length()) - 1)
    return _Range(0.0, white) if high - low >= white * _MIN_FILL else None


def _narrow_range(held: np.ndarray, found: _Range, least: float) -> _Range:
    """Leave out what lies far from nearly all samples, e.g. a hot pixel, if these would span less than `least`."""
    every = max(1, held.size // _SAMPLED)
    low, high = (float(value) for value in np.percentile(held.ravel()[::every].astype(np.float64), _PERCENTILES))
    is_narrow = 0 < high - low < least * (found.high - found.low)
    return _Range(low, high) if is_narrow else found


def _scale_samples(samples: np.ndarray, found: _Range, *, is_inverted: bool) -> np.ndarray:
    if samples.dtype == np.uint16:
        every = np.arange(65536, dtype=np.uint16)  # each value once: faster than each pixel
        return np.asarray(_scale_block(every, found, is_inverted=is_inverted)[samples])
    pixels = np.empty(samples.shape, np.uint8)
    for start in range(0, len(samples), _BLOCK_ROWS):
        block = samples[start : start + _BLOCK_ROWS]
        pixels[start : start + _BLOCK_ROWS] = _scale_block(block, found, is_inverted=is_inverted)
    return pixels


def _scale_block(samples: np.ndarray, found: _Range, *, is_inverted: bool) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # a signalling NaN is converted
        values = np.nan_to_num(samples.astype(np.float64), posinf=found.low, neginf=found.low, nan=found.low)
    levels = np.rint((values.clip(found.low, found.high) - found.low) * (255.0 / (found.high - found.low)))
    return np.asarray(255 - levels if is_inverted else levels, dtype=np.uint8)


def _describe_range(held: np.ndarray, found: _Range, meaning: SampleMeaning, name: str) -> str:
    low, high = float(held.min()), float(held.max())
    dark, bright = ("white", "black") if meaning.is_inverted else ("black", "white")
    span = f"lie between {low:.6g} and {high:.6g}" if low != high else f"are all {low:.6g}"
    if found.high < high:
        span += ", nearly all of them in a small part of that"
    return f"The {name} values {span}: {found.low:.6g} is shown as {dark}, and {found.high:.6g} as {bright}."


def _describe_missing(valid: np.ndarray, dtype: np.dtype) -> list[str]:
    """Say how many samples hold no data. NaN alone was always black without a word."""
    missing = valid.size - int(np.count_nonzero(valid))
    return [f"{missing:,} of {valid.size:,} values hold no data; they are shown as black and count for nothing."]
