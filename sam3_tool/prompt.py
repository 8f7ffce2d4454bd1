"""What SAM 3 can be asked for: a concept (noun phrase, exemplar boxes), everywhere in a picture."""

from dataclasses import dataclass
from math import inf

Box = tuple[float, float, float, float]
"""x0 y0 x1 y1 in pixels of the upright picture."""


@dataclass(frozen=True)
class ConceptPrompt:
    """A noun phrase, exemplar boxes, or both."""

    phrase: str | None = None
    """A short noun phrase, e.g. 'striped cup'."""
    boxes: tuple[Box, ...] = ()
    """Exemplars: objects of the concept (label 1) or objects that are not (label 0)."""
    box_labels: tuple[int, ...] = ()
    """1 = positive, 0 = negative, one per box; left out, every box is positive."""
    threshold: float = 0.5
    """In [0, 1): instances with a score strictly above it are kept."""

    def __post_init__(self) -> None:
        if not (self.phrase or "").strip() and not self.boxes:
            raise ValueError("a concept prompt needs a noun phrase, an exemplar box, or both")
        if not self.box_labels:
            object.__setattr__(self, "box_labels", (1,) * len(self.boxes))
        if len(self.box_labels) != len(self.boxes) or not set(self.box_labels) <= {0, 1}:
            raise ValueError(f"{len(self.boxes)} boxes need as many labels out of 0 and 1, got {self.box_labels}")
        if not 0.0 <= self.threshold < 1.0:
            raise ValueError(f"`threshold` must lie in [0, 1), got {self.threshold}")
        for x0, y0, x1, y1 in self.boxes:
            if not (-inf < x0 < x1 < inf and -inf < y0 < y1 < inf):
                raise ValueError(f"a box is finite x0 y0 x1 y1 with x0 < x1 and y0 < y1, got {(x0, y0, x1, y1)}")
