"""Data sets by name: ours and those of any other package, found by their entry points."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from evals import DatasetError, load_benchmark, load_dataset
from evals.datasets.loading import DatasetLoader, find_loader
from sam3_tool.plugins import PluginError, find_plugins, forget_plugins

MODULE = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals import DatasetInfo, Sample, Scores
from sam3_tool import Image


@dataclass(frozen=True)
class Mine:
    """Is anything found at all?"""

    path: Path
    split: str
    word: str
    name: str = "mine"
    version: str = "1"

    def list_samples(self):
        files = sorted(self.path.glob("*.png"))
        return [Sample(f.stem, self.word, f.name, lambda f=f: Image.open(f), group=f.name) for f in files]

    def collect_info(self):
        number = len(self.list_samples())
        return DatasetInfo(number, number, "0" * 64, None, "mine", "here")

    def build_submission(self, predictions):
        return {"found.txt": "".join(f"{p.id} {len(p.masks)}\\n" for p in predictions).encode()}

    def score_file(self, predictions):
        return {"found": float(len(predictions.read_text().split()))}

    def score(self, predictions):
        alone = {p.id: float(bool(p.masks)) for p in predictions}
        return Scores("found", {"found": float(np.mean(list(alone.values())))}, alone)

    def build_measure(self, predictions):
        found = np.array([bool(p.masks) for p in predictions])
        return lambda drawn: float(found[list(drawn)].mean())


def load(path, split, *, word="red circle", places: Path | None = None):
    return Mine(path, split, word)


load.splits = ("dev",)


def load_misnamed(path, split="all"):
    return Mine(path, split, "x")


class Scored:
    """A benchmark that can only be scored."""

    name, version, split = "scored", "1", "all"

    def list_samples(self):
        return []


def load_scored(path=None, split="all"):
    return Scored()


def load_with_three(path, split, third):
    raise AssertionError("never called")
'''
ENTRY_POINTS = """[sam3_agent.datasets]
mine = my_benchmark:load
misnamed = my_benchmark:load_misnamed
scored = my_benchmark:load_scored
three = my_benchmark:load_with_three
absent = no_such_module:load
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture):
    """The data of a data set that an installed package adds."""
    package = tmp_path / "site-packages"
    info = package / "my_benchmark-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-benchmark\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (package / "my_benchmark.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.chdir(tmp_path)
    forget_plugins()
    (tmp_path / "data").mkdir()
    for name, pixels in (("a", picture.pixels), ("b", np.full_like(picture.pixels, 255))):
        PIL.Image.fromarray(pixels).save(tmp_path / "data" / f"{name}.png")
    yield tmp_path / "data"
    forget_plugins()


def evaluate(*words: object):
    return CliRunner().invoke(app, ["eval", *map(str, words)])


def test_a_data_set_of_another_package_is_run_and_scored_again(data):
    done = evaluate("run", "mine", "--data", data, "--split", "dev", "--out", "a", "--no-cache", "--draws", 10)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("found 0.5 (95 % interval")
    assert Path("a/predictions/found.txt").read_text() == "a 1\nb 0\n"
    manifest = json.loads(Path("a/manifest.json").read_text())
    assert (manifest["dataset"], manifest["where"], manifest["options"]) == ("mine", str(data), {})
    again = evaluate("score", "a", "--draws", 10)
    assert (again.exit_code, again.stdout) == (0, "\n".join(done.stdout.splitlines()[1:]) + "\n")


def test_what_is_installed_is_listed_with_splits_and_options(data):
    listed = evaluate("list")
    assert listed.exit_code == 0
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert rows["mine"].split() == ["mine", "dev", "word,", "places"]
    assert "train, val, test" in rows["reasonseg"]
    assert "cannot be loaded: dataset 'absent'" in rows["absent"]


def test_options_that_are_paths_are_kept_absolute_and_others_as_they_are(data):
    dataset = load_dataset("mine", "data", "dev", word="blue square", places="data")
    assert dataset.options == {"word": "blue square", "places": str(data)}
    assert dataset.origin == {"options": dataset.options, "where": str(data)}
    assert dataset.list_samples()[0].query == "blue square"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("mine", {"split": "dev"}, "where are the data of mine\\? give --data FOLDER"),
        ("mine", {"path": "data"}, "which split of mine\\? give --split, one of dev"),
        ("mine", {"path": "data", "split": "dev", "size": 3}, "mine has the options word, places, not size"),
        ("misnamed", {"path": "data"}, "the data set 'misnamed' calls itself 'mine'; both names must be the same"),
        ("scored", {}, "scored cannot be run"),
        ("three", {"path": "data", "split": "dev"}, "takes 3 positional arguments; the loader of a data set takes two"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(data, name, arguments, said):
    with pytest.raises(DatasetError, match=said):
        load_dataset(name, **arguments)


def test_a_name_that_nobody_registered_and_a_package_that_is_broken_are_one_sentence(data):
    with pytest.raises(PluginError, match=r"there is no dataset 'imagenet'; there are .*mine"):
        load_dataset("imagenet", data)
    with pytest.raises(PluginError, match=r"dataset 'absent' cannot be loaded from no_such_module:load"):
        load_benchmark("absent", data)


def test_every_data_set_here_says_its_splits_before_it_reads_a_file():
    for name in find_plugins("datasets"):
        loader = find_loader(name)
        assert isinstance(loader, DatasetLoader)
        assert loader.splits
        assert loader.default_split in (None, *loader.splits)
