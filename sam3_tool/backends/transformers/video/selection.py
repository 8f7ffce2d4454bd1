"""Which earlier frames an object's memory shows to the network, as the published code chooses them.

Frames with a prompt are conditioning frames. Of the others the published build takes those on which the object was
found with some certainty (`frame_filter` in `sam3/model/sam3_tracker_base.py`); transformers takes the last ones.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

MAX_CONDITIONING = 4
"""Conditioning frames that are attended to (`max_cond_frames_in_attn`)."""
MAX_SPATIAL = 6
"""Other frames whose features are attended to (`num_maskmem` less one)."""
MAX_POINTERS = 16
"""Frames whose object pointers count (`max_obj_ptrs_in_encoder`), if the video has as many."""
MIN_CONFIDENCE = 0.01
"""Confidence above which a frame is one on which the object was found (`mf_threshold`)."""


def choose_conditioning(frames: Collection[int], frame: int, most: int = MAX_CONDITIONING) -> list[int]:
    """Choose conditioning frames: the nearest one before, the nearest one from here on, then the nearest of the rest.

    Args:
        frames: All conditioning frames, in the order in which they were prompted.
        frame: The frame that is tracked now.
        most: How many are chosen.

    Returns:
        The chosen frames; all of them, in their order, where there are no more than that.

    >>> choose_conditioning([0, 8, 20, 90, 95], 50, 4)
    [20, 90, 8, 95]
    """
    if len(frames) <= most:
        return list(frames)
    before = max((other for other in frames if other < frame), default=None)
    after = min((other for other in frames if other >= frame), default=None)
    nearest = [other for other in (before, after) if other is not None]
    rest = sorted((other for other in frames if other not in nearest), key=lambda other: abs(other - frame))
    return nearest + rest[: most - len(nearest)]


def choose_others(found: Sequence[int], frame: int, length: int, *, reverse: bool) -> list[int]:
    """Choose frames without a prompt, the farthest first; the last one is the frame next to this one, in any case.

    Args:
        found: Frames on which the object was tracked and found, ascending.
        frame: The frame that is tracked now.
        length: Number of frames of the video.
        reverse: Whether time runs backwards.

    Returns:
        Up to `MAX_POINTERS` frames. The object need not have been tracked on the last one. Forwards, frame 0 is chosen
        only as that one, as in the published code.

    >>> choose_others([0, 1, 3], 5, 30, reverse=False)
    [1, 3, 4]
    """
    most = min(length, MAX_POINTERS) - 1
    if reverse:
        start = bisect_right(found, frame)
        chosen, neighbour = list(found[start : start + most])[::-1], frame + 1
    else:
        stop = bisect_left(found, frame)
        chosen, neighbour = list(found[max(bisect_right(found, 0), stop - most) : stop]), frame - 1
    if not 0 <= neighbour < length or neighbour in chosen:
        return chosen
    return [*chosen, neighbour]
