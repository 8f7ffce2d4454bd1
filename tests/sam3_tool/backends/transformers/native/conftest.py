"""The embedded network, saved as Meta's own code saves SAM 3."""

from pathlib import Path

import pytest
import torch

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from tests.support.native_files import Weights, build_native_weights, copy_companions


@pytest.fixture(scope="session")
def native_weights() -> Weights:
    """What `sam3.pt` would hold if the embedded network were the published one."""
    return build_native_weights(locate_checkpoint("tiny"))


@pytest.fixture(scope="session")
def native_folder(tmp_path_factory: pytest.TempPathFactory, native_weights: Weights) -> Path:
    """A folder with `sam3.pt`, the tokenizer, and what shapes do not tell of so small a network."""
    folder = tmp_path_factory.mktemp("native")
    copy_companions(folder)
    torch.save(native_weights, folder / "sam3.pt")
    return folder
