import numpy as np
import pytest

from sam3_tool import Image


@pytest.fixture
def square() -> Image:
    """64 x 48 pixels, each of another colour."""
    return Image(np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3))
