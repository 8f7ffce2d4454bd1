"""The order that `np.argsort` to 1.24 gives, equal values included, whatever NumPy and processor are in use."""

from collections.abc import Sequence

SMALL = 15
"""A part whose last place is no further than this from its first is sorted by insertion."""


def sort_like_numpy(values: Sequence[int]) -> list[int]:
    """Sort the places of values, ascending, as NumPy's introsort does.

    It is a quicksort on the median of three, which is not stable. Later versions sort with vector instructions, where
    the processor has them, and leave equal values in another order; of it depends which of two equally large shapes is
    painted on top. Source: numpy 1.24 `numpy/core/src/npysort/quicksort.cpp`, without its heap sort for arrays made to
    slow it down.

    Args:
        values: Whole numbers.

    Returns:
        The places, from that of the least value.

    >>> sort_like_numpy([5, 3, 3, 4])
    [1, 2, 3, 0]
    """
    places = list(range(len(values)))
    parts = [(0, len(values) - 1)]
    while parts:
        low, high = parts.pop()
        if high - low > SMALL:
            middle = _partition_places(places, values, low, high)
            parts += [(low, middle - 1), (middle + 1, high)]
        else:
            places[low : high + 1] = sorted(places[low : high + 1], key=values.__getitem__)
    return places


def _partition_places(places: list[int], values: Sequence[int], low: int, high: int) -> int:
    """Update `places` so that none before the returned place has a greater value, and none behind it a smaller one."""

    def swap(a: int, b: int) -> None:
        places[a], places[b] = places[b], places[a]

    middle = low + (high - low) // 2
    for a, b in ((low, middle), (middle, high), (low, middle)):
        if values[places[b]] < values[places[a]]:
            swap(a, b)
    pivot = values[places[middle]]
    swap(middle, high - 1)
    left, right = low, high - 1
    while True:
        left = next(place for place in range(left + 1, high) if values[places[place]] >= pivot)
        right = next(place for place in range(right - 1, low - 1, -1) if values[places[place]] <= pivot)
        if left >= right:
            break
        swap(left, right)
    swap(left, high - 1)
    return left
