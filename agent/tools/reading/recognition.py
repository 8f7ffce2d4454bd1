"""The text lines of an image, by RapidOCR, whose models lie in its package: nothing is fetched."""

import os
from collections import OrderedDict
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np

from agent.tools.reading.lines import Corners, TextLine, TextWord, order_lines
from sam3_tool import Image
from sam3_tool.errors import MissingPackageError

MISSING = (
    "to read text in an image, the packages rapidocr and onnxruntime are needed, which are not installed;"
    " run `pip install 'sam3-agent[ocr]'`"
)
MAX_SIDE = 1600
"""Pixels: a larger image is reduced to it, so that the text detector needs at most 2 GB."""
GOOD_SIDE = 736
"""Pixels: the detector was trained on images whose short side is about this long, so smaller ones are enlarged."""
LEAST_SIDE = 64
"""Pixels: a narrower image gets a border, since the detector works on tiles of 32."""
MAX_LINES = 500
"""Of an image; further ones are not read."""
LEAST_SCORE = 0.5
"""A line that is less certain is left out."""
MAX_IMAGES = 256
"""Images whose lines are kept, by their content."""
MAX_THREADS = 4


def check_reading_is_installed() -> None:
    """Check that text can be read, without loading what reads it.

    Raises:
        MissingPackageError: The extra 'ocr' is not installed.
    """
    if find_spec("rapidocr") is None or find_spec("onnxruntime") is None:
        raise MissingPackageError(MISSING)


def read_text_lines(image: Image, *, side: int = GOOD_SIDE) -> tuple[TextLine, ...]:
    """Find the lines of text in an image.

    The models are loaded with the first call, and shared by all threads. An image that was read before is not read
    again.

    Args:
        image: Any image; one with a side above `MAX_SIDE` pixels is reduced before it is read.
        side: Pixels that a shorter short side is enlarged to; less is faster.

    Returns:
        The lines in reading order, top to bottom, in pixels of the image.

    Raises:
        MissingPackageError: The extra 'ocr' is not installed.
    """
    return load_text_reader().read_text_lines(image, side)


@cache
def load_text_reader() -> "TextReader":
    """Load the one reader of this process. Raises MissingPackageError without the extra 'ocr'."""
    check_reading_is_installed()
    return TextReader(_load_engine())


class TextReader:
    """Reads one image at a time, and remembers what images of the same content say."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, int], tuple[TextLine, ...]] = OrderedDict()

    def read_text_lines(self, image: Image, side: int = GOOD_SIDE) -> tuple[TextLine, ...]:
        """Find the lines of text in an image whose short side is enlarged to `side` pixels, in its own pixels."""
        key = image.key, side
        with self._lock:
            if key not in self._known:
                self._known[key] = self._recognize_lines(image.pixels, side)
            self._known.move_to_end(key)
            while len(self._known) > MAX_IMAGES:
                self._known.popitem(last=False)
            return self._known[key]

    def _recognize_lines(self, pixels: np.ndarray, side: int) -> tuple[TextLine, ...]:
        fitted, scale = fit_pixels(pixels, side)
        found = self._engine(fitted)
        if found.boxes is None or found.txts is None:
            return ()
        rows = zip(found.txts, found.scores, found.boxes, found.word_results, strict=True)
        return order_lines(
            TextLine(text, float(score), _scale_corners(corners, scale), _list_words(words, scale))
            for text, score, corners, words in rows
        )


def fit_pixels(pixels: np.ndarray, side: int = GOOD_SIDE) -> tuple[np.ndarray, tuple[float, float]]:
    """Bring an image to a size that can be read.

    Args:
        pixels: uint8, (H, W, 3), RGB.
        side: Pixels that a shorter short side is enlarged to.

    Returns:
        uint8, (h, w, 3), BGR, each side from `LEAST_SIDE` to `MAX_SIDE`; and how many pixels of the image one of its
        pixels is, across and down.

    >>> fitted, scale = fit_pixels(np.zeros((10, 100_000, 3), np.uint8))
    >>> fitted.shape, scale
    ((64, 1600, 3), (62.5, 10.0))
    """
    import cv2

    height, width = pixels.shape[:2]
    factor = measure_zoom(height, width, side)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    below, beside = max(0, LEAST_SIDE - size[1]), max(0, LEAST_SIDE - size[0])
    padded = cv2.copyMakeBorder(resized, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(padded[..., ::-1]), (width / size[0], height / size[1])


def measure_zoom(height: int, width: int, side: int = GOOD_SIDE) -> float:
    """Return how many times larger an image of this size becomes before it is read.

    >>> measure_zoom(368, 500), measure_zoom(1600, 3200)
    (2.0, 0.5)
    """
    return min(MAX_SIDE / max(height, width), max(1.0, side / min(height, width)))


def _scale_corners(corners: Any, scale: tuple[float, float]) -> Corners:
    a, b, c, d = [(float(x) * scale[0], float(y) * scale[1]) for x, y in corners]
    return a, b, c, d


def _list_words(found: Any, scale: tuple[float, float]) -> tuple[TextWord, ...]:
    return tuple(TextWord(text, float(score), _scale_corners(corners, scale)) for text, score, corners in found)


def _load_engine() -> Any:
    from rapidocr import RapidOCR

    threads = max(1, min(MAX_THREADS, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)))
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_preprocess_img": False,  # `fit_pixels` does it
            "Global.return_word_box": True,
            "Global.text_score": LEAST_SCORE,
            "Det.limit_type": "max",
            "Det.limit_side_len": MAX_SIDE,
            "Det.max_candidates": MAX_LINES,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
