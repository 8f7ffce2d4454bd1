"""A part of an image that SAM 3 looks at by itself."""

from dataclasses import dataclass

import numpy as np

from agent.core.errors import ToolError
from sam3_tool import Image, Instances
from sam3_tool.masks import rle

MIN_SIDE = 8
"""Pixels on a side: below that there is nothing to see, and the numbers were hardly meant as pixels."""


@dataclass(frozen=True)
class Region:
    """Columns x0 to x1 and rows y0 to y1 of an image; x1 and y1 are not part of it."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def from_box(cls, image: Image, box: list[float] | None) -> "Region":
        """The whole pixels that `box` touches inside the image. Raises ToolError where they are too few."""
        if box is None:
            return cls(0, 0, image.width, image.height)
        size = (image.width, image.height)
        x0, y0 = np.clip(np.floor(box[:2]), 0, size).astype(int)
        x1, y1 = np.clip(np.ceil(box[2:]), 0, size).astype(int)
        if min(x1 - x0, y1 - y0) < MIN_SIDE:
            raise ToolError(
                f"The region {box} is too small in a picture {image.width} wide and {image.height} high;"
                f" give x0, y0, x1, y1 in pixels, at least {MIN_SIDE} apart."
            )
        return cls(int(x0), int(y0), int(x1), int(y1))

    def crop_image(self, image: Image) -> Image:
        return image if self._is_whole_image(image) else image.crop(self.x0, self.y0, self.x1, self.y1)

    def to_view_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
        """The part of a box of the image that is seen, in the view's own pixels; None when nothing is."""
        x0, y0 = max(box[0], self.x0) - self.x0, max(box[1], self.y0) - self.y0
        x1, y1 = min(box[2], self.x1) - self.x0, min(box[3], self.y1) - self.y0
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def to_image_pixels(self, found: Instances, image: Image) -> Instances:
        """Convert what was found in the view to pixels of the image."""
        if self._is_whole_image(image):
            return found
        size = (image.height, image.width)
        return Instances.from_rles(
            [rle.encode_mask_at(mask, self.x0, self.y0, *size) for mask in found.masks],
            size,
            boxes=found.boxes + np.array([self.x0, self.y0, self.x0, self.y0], np.float32),
            scores=found.scores,
            presence=found.presence,
            phrase=found.phrase,
        )

    def _is_whole_image(self, image: Image) -> bool:
        return (self.x1 - self.x0, self.y1 - self.y0) == (image.width, image.height)
