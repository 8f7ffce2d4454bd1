"""Numbers in English: of masks, of seconds."""

from collections.abc import Iterable, Sequence


def format_ids(ids: Iterable[int], conjunction: str = "and") -> str:
    """Write mask ids in the order given; three or more that follow each other become a run.

    `conjunction` is the word before the last one.

    >>> format_ids([1, 2, 3, 7])
    '1 to 3 and 7'
    >>> format_ids([4, 2, 9], conjunction="or")
    '4, 2 or 9'
    """
    *rest, end = [piece for run in _split_runs(list(ids)) for piece in _format_run(run)] or ["none"]
    return f"{', '.join(rest)} {conjunction} {end}" if rest else end


def pluralize(number: float, noun: str) -> str:
    """Format a number with its noun, in the singular only for exactly 1.

    >>> pluralize(1, "step"), pluralize(2.5, "second")
    ('1 step', '2.5 seconds')
    """
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def format_count(count: int, noun: str) -> str:
    """Format how many there are of something that is counted.

    >>> format_count(1, "pair"), format_count(12000, "pair")
    ('1 pair', '12,000 pairs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_mask_count(count: int) -> str:
    """Say how many masks there are.

    >>> format_mask_count(3)
    '3 masks'
    """
    return pluralize(count, "mask")


def format_duration(seconds: float) -> str:
    """Format seconds in the two units that a reader needs.

    >>> format_duration(48.2), format_duration(260), format_duration(9000), format_duration(200_000)
    ('48 s', '4 min 20 s', '2 h 30 min', '2 d 7 h')
    """
    whole = round(seconds)
    for size, unit, smaller, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {small}"
    return f"{whole} s"


def format_scores(values: Sequence[float]) -> str:
    """`values`: in [0, 1], best first, at least one.

    >>> format_scores([0.912, 0.85, 0.7249])
    'scores 0.91 to 0.72'
    """
    return f"score {values[0]:.2f}" if len(values) == 1 else f"scores {values[0]:.2f} to {values[-1]:.2f}"


def _split_runs(ids: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for id in ids:
        if runs and id == runs[-1][-1] + 1:
            runs[-1].append(id)
        else:
            runs.append([id])
    return runs


def _format_run(run: Sequence[int]) -> list[str]:
    return [f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(id) for id in run]
