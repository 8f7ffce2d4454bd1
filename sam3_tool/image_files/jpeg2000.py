"""Colours of more than 8 bits in JPEG 2000 files, whose white Pillow rounds up past 255, to 0."""

import struct

import numpy as np

_CODESTREAM = b"\xff\x4f\xff\x51"
"""How the image itself begins, with its sizes next (ISO/IEC 15444-1, A.5.1)."""
_BANDS = 40
"""Where the number of bands stands after that, as two bytes; then come three bytes for each of them."""
_SIGNED = 0x80


def read_wide_bands(content: bytes) -> np.ndarray | None:
    """Decode colours of more than 8 bits; the caller has checked the size of the image.

    Args:
        content: A JPEG 2000 file.

    Returns:
        uint16, (H, W, bands), from 0 to 65535 whatever bits the file has; None where no band has more than 8.

    Raises:
        ValueError: The file is damaged; so does RuntimeError say.
    """
    start = content.find(_CODESTREAM)
    if start < 0 or len(content) < start + _BANDS + 5:
        raise ValueError("it holds no image")
    (count,) = struct.unpack_from(">H", content, start + _BANDS)
    depths = content[start + _BANDS + 2 : start + _BANDS + 2 + 3 * count : 3]
    bits = [(depth & ~_SIGNED) + 1 for depth in depths]
    if max(bits, default=0) <= 8:
        return None
    from imagecodecs import jpeg2k_decode  # only few files need it

    bands = np.atleast_3d(jpeg2k_decode(content)).astype(np.float64)
    if bands.shape[2] != count:
        raise ValueError(f"it has {bands.shape[2]} bands, and says {count}")
    least = np.array([-(2.0 ** (bit - 1)) if depth & _SIGNED else 0 for bit, depth in zip(bits, depths, strict=True)])
    spans = np.array([2.0**bit - 1 for bit in bits])
    return np.asarray(np.rint((bands - least) * (65535 / spans)).clip(0, 65535), dtype=np.uint16)
