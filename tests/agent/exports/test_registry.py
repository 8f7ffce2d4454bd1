"""Formats by name: ours, those of other packages, and the call that writes an answer in one of them."""

import json
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent import Episode, Task
from agent.cli.main import app
from agent.core.errors import OutputError, UsageError
from agent.exports import EXPORTERS, Exporter, export_episode, select_exporters
from agent.tools.toolsets import Segment
from sam3_tool import Image, plugins
from sam3_tool.plugins import PluginError

FOREIGN = """
from agent.exports import Exporter

IDS = Exporter(".ids.txt", "Mask ids", lambda answer: " ".join(str(mask.id) for mask in answer.candidates).encode())
SAME_FILE = Exporter(".coco.json", "Another COCO", lambda answer: b"")
WRONG = "not an exporter"
"""


def forget_plugins() -> None:
    plugins.forget_plugins()
    invalidate_caches()


@pytest.fixture
def foreign_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package of somebody else, with three exporters."""
    metadata = tmp_path / "site" / "foreign_exports-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-exports\nVersion: 1\n")
    names = {"mine": "IDS", "same": "SAME_FILE", "wrong": "WRONG", "gone": "NOBODY"}
    rows = [f"{name} = foreign_exports:{value}" for name, value in names.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[sam3_agent.exporters]", *rows, ""]))
    (tmp_path / "site" / "foreign_exports.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def episode(picture: Image) -> Episode:
    return Episode(Task(picture, "cups"))


def test_an_answer_is_exported_by_the_name_of_a_format(play, tmp_path: Path) -> None:
    path = export_episode(
        play(Segment(phrases=["red cup"])), "coco", folder=tmp_path / "new" / "folder", name="kitchen.png"
    )
    assert path == tmp_path / "new" / "folder" / "kitchen.coco.json"
    assert len(json.loads(path.read_text())["annotations"]) == 3


def test_an_exporter_of_ones_own_can_be_handed_over(episode: Episode, tmp_path: Path) -> None:
    size = Exporter(".size.txt", "Size", lambda answer: str(answer.image.width).encode())
    assert export_episode(episode, size, folder=tmp_path, name="a.png").read_text() == "320"


def test_an_export_that_cannot_be_made_is_one_line(episode: Episode, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no export format 'tiff'; there are: coco, "):
        export_episode(episode, "tiff", folder=tmp_path, name="a.png")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write into .*file"):
        export_episode(episode, "coco", folder=tmp_path / "file", name="a.png")


@pytest.mark.parametrize("suffix", ["", "coco.json", "./../x", ".a\\b"])
def test_a_suffix_leads_nowhere_else(suffix: str) -> None:
    with pytest.raises(ValueError, match="begins with a dot and holds no slash"):
        Exporter(suffix, "", lambda answer: b"")


@pytest.mark.usefixtures("foreign_package")
def test_a_format_of_another_package_is_used_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image(np.full((48, 64, 3), 200, np.uint8)).to_pil().save("grey.png")
    done = CliRunner().invoke(app, ["segment", "grey.png", "watermelon", "--export", "mine"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith(", grey.ids.txt")
    assert (tmp_path / "out" / "grey" / "grey.ids.txt").is_file()


@pytest.mark.usefixtures("foreign_package")
def test_what_is_wrong_with_a_format_of_another_package_is_one_line() -> None:
    assert {"coco", "mine"} <= set(EXPORTERS)
    with pytest.raises(PluginError, match="'wrong' of an installed package is a str, not an Exporter"):
        select_exporters("wrong")
    with pytest.raises(PluginError, match="'gone' cannot be loaded from foreign_exports:NOBODY"):
        select_exporters("gone")
    with pytest.raises(UsageError, match=r"coco and same both write \*\.coco\.json"):
        select_exporters("coco,same")
