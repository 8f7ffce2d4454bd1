from pathlib import Path

import numpy as np
import pytest

from sam3_tool import Image, Sam3
from tests.support.open_models import write_grounding_dino, write_owlv2, write_sam2


@pytest.fixture(scope="session")
def sam2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sam2(tmp_path_factory.mktemp("open") / "sam2")


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grounding_dino(tmp_path_factory.mktemp("open") / "dino")


@pytest.fixture(scope="session")
def owl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_owlv2(tmp_path_factory.mktemp("open") / "owlv2")


@pytest.fixture(scope="session")
def with_dino(dino_folder: Path, sam2_folder: Path) -> Sam3:
    return Sam3.load(f"open:{dino_folder},{sam2_folder}", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def with_owl(owl_folder: Path, sam2_folder: Path) -> Sam3:
    return Sam3.load(f"open:{owl_folder},{sam2_folder}", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def photo() -> Image:
    """132 x 90 pixels of noise over a gradient: resizing it badly would show."""
    noise = np.random.default_rng(3).integers(0, 120, (90, 132, 3))
    return Image((noise + np.linspace(0, 135, 132)[None, :, None]).astype(np.uint8))
