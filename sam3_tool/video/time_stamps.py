"""Times within a clip as people read them."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median


def format_time(seconds: float, *, digits: int = 1) -> str:
    """Write a time as minutes and seconds, with `digits` (1 or more) after the point.

    >>> format_time(1.24), format_time(59.97), format_time(83.456, digits=2)
    ('0:01.2', '1:00.0', '1:23.46')
    """
    unit = 10**digits
    whole, fraction = divmod(round(seconds * unit), unit)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}.{fraction:0{digits}d}"


def format_times(seconds: Sequence[float]) -> list[str]:
    """Write times with as many digits, from 1 to 3, as tell them apart.

    >>> format_times([0, 0.5]), format_times([0, 0.04, 0.08])
    (['0:00.0', '0:00.5'], ['0:00.00', '0:00.04', '0:00.08'])
    """
    texts: list[str] = []
    for digits in (1, 2, 3):
        texts = [format_time(time, digits=digits) for time in seconds]
        if len(set(texts)) == len(set(seconds)):
            break
    return texts


def measure_durations(seconds: Sequence[float]) -> list[float]:
    """Return for how long each frame is shown; the last as long as is usual among them, a single one for a second.

    >>> measure_durations([0, 0.5, 1, 3]), measure_durations([0])
    ([0.5, 0.5, 2, 0.5], [1.0])
    """
    durations = [later - earlier for earlier, later in pairwise(seconds)]
    return [*durations, median(durations) if durations else 1.0]
