"""What the start screen shows of each example: the image, its masks, and the question that made them."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.planners.chat.views import reduce_image
from demo.studio.rows import build_data_url, encode_data_url
from sam3_tool import Image

ANSWERS = Path(str(files("demo") / "start" / "answers"))
"""The folder of the images with masks, which `python -m demo.start.drawing` draws."""
SIDE = 240
"""Pixels of the long side of both images of an example."""
QUALITY = 72
"""Of both, as WebP has it from 0 to 100."""


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
            "before": encode_data_url(reduce_image(Image.open(folder / f"{name}.webp"), SIDE), quality=QUALITY),
            "after": build_data_url((ANSWERS / f"{name}.webp").read_bytes()),
        }
        for name, example in EXAMPLES.items()
    ]
