"""Networks that many tests share, because reading the weights takes longer than most tests."""

import shutil
from pathlib import Path

import pytest

from sam3_tool import Sam3
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE, locate_checkpoint


@pytest.fixture(scope="session")
def network() -> TransformersBackend:
    """The real network on the CPU. `Sam3(network)` has an empty cache of its own."""
    return TransformersBackend.load(locate_checkpoint("tiny"), name="tiny", device="cpu")


@pytest.fixture(scope="session")
def rounded() -> Sam3:
    """The real network in bfloat16."""
    return Sam3.load("tiny", device="cpu", dtype="bfloat16")


@pytest.fixture(scope="session")
def coarse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint without what refines its masks in videos, as published ones are."""
    folder = tmp_path_factory.mktemp("coarse")
    shutil.copytree(locate_checkpoint("tiny"), folder, dirs_exist_ok=True)
    (folder / REFINER_FILE).unlink()
    return folder
