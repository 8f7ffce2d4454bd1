import os
import signal

# the tests run beside each other, a process a core; set before torch is imported, and for programs they start
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw

from sam3_tool import Image, Sam3

# nohup, or a shell that starts the tests in its background, has them ignore these, and so would each program they start
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


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
