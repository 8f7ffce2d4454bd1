"""What the start screen shows of each example: the image, the outlines over it, and the question that made them."""

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.planners.chat.views import reduce_image
from demo.studio.rows import build_data_url
from sam3_tool import Image

ANSWERS = Path(str(files("demo") / "start" / "answers"))
"""The folder of the outlines, which `python -m demo.start.drawing` draws."""
SIDE, QUALITY = 240, 68
"""Pixels of the long side of an example's image, and its quality as WebP has it from 0 to 100."""
SAFE = " '()/:;=,.-"
"""Letters that need no escape inside of an address; the others of an SVG are few."""


@dataclass(frozen=True)
class StartExample:
    """An image to begin with."""

    about: str
    """What is in it."""
    question: str
    """What a tap asks."""


EXAMPLES = {
    "fruit": StartExample(
        "Watermelons, cherries and a banana", "the watermelons above the banana except the largest one"
    ),
    "shapes": StartExample("Hearts and stars in four colours", "all the hearts"),
    "cactus": StartExample("Cacti, hats and a bell", "the two largest hats"),
    "horses": StartExample("Horses and mushrooms", "all the horses"),
}


def load_examples(folder: Path) -> list[dict[str, Any]]:
    """Return what the script shows of each example. `folder`: where the example images are."""
    return [
        {
            "name": name,
            "about": example.about,
            "question": example.question,
            "before": _encode_image(Image.open(folder / f"{name}.webp")),
            "after": "data:image/svg+xml," + quote((ANSWERS / f"{name}.svg").read_text("utf-8"), safe=SAFE),
        }
        for name, example in EXAMPLES.items()
    ]


def _encode_image(image: Image) -> str:
    """The reduced image as a data URL; it is sent with every first page, so it is encoded as small as it can be."""
    file = BytesIO()
    reduce_image(image, SIDE).to_pil().save(file, "WEBP", quality=QUALITY, method=6)
    return build_data_url(file.getvalue())
