"""Images of everyday things, cut once from a colour-emoji font into one sheet that lies beside this file.

`python -m sam3_tool.synthetic.sprites FONT.ttf` makes the sheet again (Debian: package fonts-noto-color-emoji).
The drawings are Google's Noto Color Emoji under the SIL Open Font License 1.1: see `things/README.md`.
"""

import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from sam3_tool.synthetic.nouns import THINGS

SIDE = 96
"""Pixels of one square cell of the sheet."""
COLUMNS = 10
BITMAP_SIZE = 109
"""The one size in pixels at which the font holds its bitmaps (136 x 128)."""


@cache
def load_sprites() -> dict[str, np.ndarray]:
    """Return noun -> uint8 (SIDE, SIDE, 4) RGBA, the drawing centred and as large as the cell allows."""
    with files(__package__).joinpath("things/things.png").open("rb") as file:
        sheet = np.asarray(PIL.Image.open(file).convert("RGBA"))
    return {noun: _cut_cell(sheet, index) for index, noun in enumerate(THINGS)}


def _cut_cell(sheet: np.ndarray, index: int) -> np.ndarray:
    row, column = divmod(index, COLUMNS)
    return sheet[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def draw_sheet(font_path: Path) -> PIL.Image.Image:
    """Draw all things in the order of `THINGS`, COLUMNS to a row."""
    font = ImageFont.truetype(str(font_path), BITMAP_SIZE)
    sheet = PIL.Image.new("RGBA", (COLUMNS * SIDE, -(-len(THINGS) // COLUMNS) * SIDE))
    for index, emoji in enumerate(THINGS.values()):
        row, column = divmod(index, COLUMNS)
        sheet.paste(_draw_thing(emoji, font), (column * SIDE, row * SIDE))
    return sheet


def _draw_thing(emoji: str, font: ImageFont.FreeTypeFont) -> PIL.Image.Image:
    canvas = PIL.Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), emoji, font=font, embedded_color=True)
    drawing = canvas.crop(canvas.getbbox())
    drawing.thumbnail((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    cell = PIL.Image.new("RGBA", (SIDE, SIDE))
    cell.paste(drawing, ((SIDE - drawing.width) // 2, (SIDE - drawing.height) // 2))
    return cell


if __name__ == "__main__":
    target = Path(__file__).parent / "things" / "things.png"
    target.parent.mkdir(exist_ok=True)
    draw_sheet(Path(sys.argv[1])).quantize(256, method=PIL.Image.Quantize.FASTOCTREE).save(target, optimize=True)
