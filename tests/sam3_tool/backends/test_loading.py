"""Backends by name: ours, and one that another installed package adds."""

import gc
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import CheckpointError, Image, Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.plugins import PluginError, find_plugins, forget_plugins

MODULE = """
from sam3_tool import ScriptedBackend


class MineBackend(ScriptedBackend):
    runs_on = "abacus"

    def __init__(self, weights, options):
        super().__init__({})
        self.name = f"mine:{weights}"
        self.options = options
        if weights != "unsigned":
            self.fingerprint = f"sha of {weights}"


def load(weights, **options):
    return MineBackend(weights, options)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with two backends, installed beside ours; the module of one is missing."""
    (tmp_path / "mine_sam3.py").write_text(MODULE)
    metadata = tmp_path / "mine_sam3-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-sam3\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[sam3_agent.backends]\nmine = mine_sam3:load\nbroken = no_such_module:load\ntransformers = mine_sam3:load\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def image() -> Image:
    return Image(np.zeros((4, 6, 3), np.uint8))


@pytest.mark.usefixtures("plugin")
def test_a_backend_of_another_package_is_loaded_by_its_name(image):
    sam3 = Sam3.load("mine:big:v2", device="cpu")
    assert (sam3.name, sam3.runs_on, sam3.fingerprint) == ("mine:big:v2", "abacus", "sha of big:v2")
    assert sam3._backend.options == {"device": "cpu", "dtype": "auto", "compile": None}
    assert len(sam3.segment(image, "cup")) == 0


@pytest.mark.usefixtures("plugin")
def test_its_answers_are_recorded_and_cached_like_ours(image, tmp_path):
    sam3 = Sam3.load("mine:small", record=tmp_path / "recording", cache=tmp_path / "cache")
    sam3.segment(image, "cup")
    assert (sam3.runs_on, sam3.fingerprint) == ("abacus", "sha of small")
    assert Sam3.replay(tmp_path / "recording").name == "mine:small"
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1


@pytest.mark.usefixtures("plugin")
def test_a_backend_that_does_not_tell_its_weights_apart_is_not_cached(tmp_path):
    with pytest.raises(CheckpointError, match="no `fingerprint` of its weights"):
        Sam3.load("mine:unsigned", cache=tmp_path)


@pytest.mark.usefixtures("plugin")
def test_a_backend_that_cannot_be_imported_is_refused_in_one_line():
    with pytest.raises(PluginError, match="backend 'broken' cannot be loaded from no_such_module:load"):
        Sam3.load("broken:weights")


@pytest.mark.usefixtures("plugin")
def test_ours_is_registered_in_the_same_way_and_keeps_its_name():
    assert {"transformers", "mine", "broken"} <= set(find_plugins("backends"))
    assert Sam3.load("transformers:tiny").name == "tiny"


def test_a_network_in_use_is_shared_until_its_files_change_or_nobody_has_it(tmp_path: Path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(locate_checkpoint("tiny"), folder)
    first, second = (Sam3.load(folder, device="cpu") for _ in range(2))
    assert first._backend is second._backend
    assert Sam3.load(folder, device="cpu", dtype="bfloat16").runs_on == "cpu bfloat16"
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    other = Sam3.load(folder, device="cpu")
    assert other._backend is not first._backend
    held = weakref.ref(other._backend)
    del other
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("name", ["nobody:weights", "C:\\weights", "sam4"])
def test_an_unknown_name_is_a_folder_that_is_not_there(name):
    with pytest.raises(CheckpointError, match="no such folder or file; expected a name"):
        Sam3.load(name)
