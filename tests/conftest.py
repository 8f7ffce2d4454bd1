import os
import signal

# the tests run beside each other, a process a core; set before torch is imported, and for programs they start
os.environ.setdefault("OMP_NUM_THREADS", "1")
# no test may reach a network; read where huggingface_hub is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw

from sam3_tool import Image, Sam3

# nohup, or a shell that starts the tests in its background, has them ignore these, and so would each program they start
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

LONG_FILES = (
    *("demo/test_page.py", "test_package.py", "sam3_tool/backends/transformers/test_tracker.py", "mllm/test_served.py"),
    *("sam3_tool/training/test_clicks.py", "sam3_tool/backends/transformers/test_backend.py", "evals/test_cli.py"),
    *("bench/test_suites.py", "docs/test_pages.py", "cases/test_ends.py", "agent/models/openai/test_deviations.py"),
    *("agent/models/test_fuzz.py", "demo/test_story.py", "bench/test_growth.py"),
)
"""What takes longest to run, first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that no process of tests is left with one when the others have ended."""
    places = {f"tests/{name}": place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(scope="session")
def tiny() -> Sam3:
    """The real network, with the embedded checkpoint's weights."""
    return Sam3.load("tiny")


@pytest.fixture(scope="session")
def picture() -> Image:
    """320 x 240 pixels of light grey; a big red circle on the left, a blue square on the right."""
    image = PIL.Image.new("RGB", (320, 240), (208, 208, 208))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 60, 150, 180), fill=(214, 38, 40))
    draw.rectangle((205, 85, 285, 165), fill=(44, 84, 214))
    return Image(np.asarray(image))
