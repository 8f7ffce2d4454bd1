"""Lines and words of text in an image: what they say, where they stand, how certain each is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

Point = tuple[float, float]
"""x, y in pixels."""
Corners = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left, as the text is read: a turned line begins elsewhere."""


@dataclass(frozen=True)
class TextWord:
    """A word, or a character of a script without spaces.

    >>> TextWord("milk", 0.9, ((10.0, 5.0), (40.0, 5.0), (40.0, 15.0), (10.0, 15.0))).box
    (10.0, 5.0, 40.0, 15.0)
    """

    text: str
    score: float
    """In [0, 1]: how certain the reading is."""
    corners: Corners

    def turn_back(self, width: float) -> "TextWord":
        """Return the same word in an upright image that was turned by a quarter, counterclockwise, to be read.

        `width`: of the upright image, in pixels.

        >>> TextWord("up", 0.9, ((5.0, 7.0), (9.0, 7.0), (9.0, 8.0), (5.0, 8.0))).turn_back(20.0).box
        (12.0, 5.0, 13.0, 9.0)
        """
        a, b, c, d = [(width - y, x) for x, y in self.corners]
        return replace(self, corners=(a, b, c, d))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0 y0 x1 y1 in pixels: the smallest upright box around it."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def move_by(self, x: float, y: float) -> "TextWord":
        """Return the same word, in pixels of an image that this one was cut out of at `x`, `y`."""
        a, b, c, d = [(left + x, top + y) for left, top in self.corners]
        return replace(self, corners=(a, b, c, d))


@dataclass(frozen=True)
class TextLine(TextWord):
    """Words on one line."""

    words: tuple[TextWord, ...] = ()
    """In the order in which they are read."""

    def move_by(self, x: float, y: float) -> "TextLine":
        """Return the same line, in pixels of an image that this one was cut out of at `x`, `y`."""
        moved = super().move_by(x, y)
        return replace(self, corners=moved.corners, words=tuple(word.move_by(x, y) for word in self.words))

    def turn_back(self, width: float) -> "TextLine":
        """Return the same line in an upright image that was turned by a quarter to be read."""
        words = tuple(word.turn_back(width) for word in self.words)
        return replace(self, corners=super().turn_back(width).corners, words=words)


def order_lines(lines: Iterable[TextLine]) -> tuple[TextLine, ...]:
    """Put lines into reading order: rows from top to bottom, each from left to right.

    Two lines are on one row where their middles are less than half a line's height apart.

    >>> def line(text, x, y):
    ...     return TextLine(text, 1.0, ((x, y), (x + 9.0, y), (x + 9.0, y + 4.0), (x, y + 4.0)))
    >>> [line.text for line in order_lines([line("c", 0.0, 9.0), line("b", 20.0, 0.0), line("a", 0.0, 1.0)])]
    ['a', 'b', 'c']
    """
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=_find_middle):
        if rows and _find_middle(line) - _find_middle(rows[-1][0]) < 0.5 * (rows[-1][0].box[3] - rows[-1][0].box[1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return tuple(line for row in rows for line in sorted(row, key=lambda line: line.box[0]))


def _find_middle(line: TextLine) -> float:
    """Return the row of its middle, in pixels."""
    return (line.box[1] + line.box[3]) / 2
