"""Exemplars from another picture: both side by side as one, for SAM 3 knows exemplars of the same picture only."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from sam3_tool.instances import Instances
from sam3_tool.picture import Picture
from sam3_tool.prompt import Box

SEAM = 8
"""Pixels of grey between the two."""


@dataclass(frozen=True, eq=False)
class SideBySide:
    """A picture in the upper left, and another one beside or below it, whichever makes the whole less oblong."""

    whole: Picture
    height: int
    """Of the first picture, in pixels; so is `width`. It keeps its size."""
    width: int
    scale: float
    """Of the other picture: its side along the seam becomes as long as the first one's."""
    corner: tuple[int, int]
    """x and y of the other picture's upper left corner."""

    @classmethod
    def of(cls, picture: Picture, other: Picture) -> "SideBySide":
        below = picture.width > picture.height
        scale = picture.width / other.width if below else picture.height / other.height
        size = max(1, round(other.width * scale)), max(1, round(other.height * scale))
        corner = (0, picture.height + SEAM) if below else (picture.width + SEAM, 0)
        whole = Image.new("RGB", (corner[0] + size[0], corner[1] + size[1]), (128, 128, 128))
        whole.paste(picture.to_pil(), (0, 0))
        whole.paste(other.to_pil().resize(size, Image.Resampling.BILINEAR), corner)
        return cls(Picture(np.asarray(whole)), picture.height, picture.width, scale, corner)

    def from_other(self, box: Box) -> Box:
        """A box of the other picture, as it lies in the whole."""
        x, y = self.corner
        return (
            x + box[0] * self.scale,
            y + box[1] * self.scale,
            x + box[2] * self.scale,
            y + box[3] * self.scale,
        )

    def in_first(self, found: Instances) -> Instances:
        """What of it lies mostly in the first picture, in that picture's pixels."""
        masks = found.masks[:, : self.height, : self.width]
        first = replace(found, masks=masks)
        return first[2 * first.areas > found.areas]
