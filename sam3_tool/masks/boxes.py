"""Box formats: the only module that converts between them. All arrays are float, (..., 4)."""

import numpy as np


def xyxy_to_cxcywh(boxes: np.ndarray) -> np.ndarray:
    """Convert x0 y0 x1 y1 to centre x, centre y, width, height.

    >>> xyxy_to_cxcywh(np.array([10.0, 20.0, 30.0, 60.0])).tolist()
    [20.0, 40.0, 20.0, 40.0]
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def cxcywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Convert centre x, centre y, width, height to x0 y0 x1 y1."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert x0 y0 x1 y1 to x0, y0, width, height, which COCO files use.

    >>> xyxy_to_xywh(np.array([10.0, 20.0, 30.0, 60.0])).tolist()
    [10.0, 20.0, 20.0, 40.0]
    """
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Convert x0, y0, width, height to x0 y0 x1 y1."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def to_fractions(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Convert pixels to fractions of the image's size, for any format.

    x and w go with the width, y and h with the height.
    """
    return boxes / np.array([width, height, width, height], dtype=np.float64)


def to_pixels(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Convert fractions of the image's size to pixels. They are not clipped to the image."""
    return boxes * np.array([width, height, width, height], dtype=np.float64)


def masks_to_boxes(masks: np.ndarray) -> np.ndarray:
    """Compute tight x0 y0 x1 y1 boxes in pixels, float32 (N, 4), of masks, bool (N, H, W); zeros for an empty mask.

    >>> mask = np.zeros((1, 8, 9), bool)
    >>> mask[0, 2:4, 5:9] = True
    >>> masks_to_boxes(mask).tolist()
    [[5.0, 2.0, 9.0, 4.0]]
    """
    x0, x1 = _find_extents(np.asarray(masks.any(axis=1)))
    y0, y1 = _find_extents(np.asarray(masks.any(axis=2)))
    return np.stack([x0, y0, x1, y1], axis=-1).astype(np.float32)


def mask_to_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Compute x0 y0 x1 y1 in whole pixels around one mask, bool (H, W); all 0 for an empty one.

    It is quicker than `masks_to_boxes`.

    >>> mask = np.zeros((8, 9), bool)
    >>> mask[2:4, 5:9] = True
    >>> mask_to_box(mask)
    (5, 2, 9, 4)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return 0, 0, 0, 0
    # columns are looked for within these rows only, which is most of what is saved
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _find_extents(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first true index and one past the last, each int (N,), of bool (N, L); 0, 0 where none is true."""
    first = occupied.argmax(axis=1)
    past = occupied.shape[1] - occupied[:, ::-1].argmax(axis=1)
    return first, np.where(occupied.any(axis=1), past, 0)
