"""Data sets by name: entry points of the group `sam3_agent.datasets`, ours and those of other packages.

An entry point is a function `load(path, split, **options)`:

- `path` is the folder of the data; a default means that the data set needs none.
- `split` may have a default, which is used where no split is given.
- `options` are its keyword-only parameters. The command line gives them as text (`--with NAME=VALUE`), or as an
  absolute path where the annotation mentions `Path`.

It returns a `Dataset`, or a `Benchmark` that can only be scored, whose `name` is that of the entry point.
`dataset_loader` tells beforehand which splits there are; without it nothing is known of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeGuard, TypeVar

from agent.core.text.sanitizing import make_encodable
from evals.bootstrap import Measure
from evals.errors import DatasetError
from evals.samples import Benchmark, Dataset, DatasetInfo, Prediction, Sample, Scores
from sam3_tool.plugins import load_plugin
from sam3_tool.system.paths import expand_path

P = ParamSpec("P")
B = TypeVar("B", bound=Benchmark)

ONLY_SCORED = (
    "its samples can only be scored, from predictions:"
    " sam3-agent eval score {name} --data FOLDER --split {split} --predictions FILE-OR-FOLDER"
)


class DatasetLoader(Generic[P, B]):
    """A function that loads a data set, with what is known before it is called.

    Example:
        >>> from evals.datasets import reasonseg
        >>> reasonseg.load.needs_data, reasonseg.load.splits
        (True, ('train', 'val', 'test'))
    """

    def __init__(self, function: Callable[P, B], splits: Iterable[str] = ()) -> None:
        """Declare a loader, as the decorator `dataset_loader` does."""
        self.function = function
        self.splits = tuple(splits)
        """Names of the splits; empty where they are not known beforehand, or any text is one."""
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> B:
        """Load the data set, as the function does."""
        return self.function(*args, **kwargs)

    @property
    def needs_data(self) -> bool:
        """True if the data lie in a folder that must be given."""
        return self._path_and_split[0].default is Parameter.empty

    @property
    def default_split(self) -> str | None:
        """The split that is meant where none is given; None where one must be given."""
        default = self._path_and_split[1].default
        return None if default is Parameter.empty else default

    @property
    def options(self) -> dict[str, Parameter]:
        """The keyword-only parameters by name."""
        return {
            name: parameter for name, parameter in self._parameters.items() if parameter.kind == Parameter.KEYWORD_ONLY
        }

    def is_path_option(self, name: str) -> bool:
        """Tell whether an option takes a file or a folder.

        Args:
            name: Name of the option; it may be unknown.

        Returns:
            True if the annotation of that keyword mentions `Path`.
        """
        return name in self.options and "Path" in str(self.options[name].annotation)

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        return signature(self.function).parameters

    @property
    def _path_and_split(self) -> Sequence[Parameter]:
        """The first two parameters. Raises DatasetError where a foreign function has others."""
        positional = [parameter for parameter in self._parameters.values() if parameter.kind != Parameter.KEYWORD_ONLY]
        if len(positional) != 2:
            raise DatasetError(
                f"{self.function.__module__}.{self.function.__qualname__} takes {len(positional)} positional"
                " arguments; the loader of a data set takes two, path and split"
            )
        return positional


def dataset_loader(*, splits: Iterable[str] = ()) -> Callable[[Callable[P, B]], DatasetLoader[P, B]]:
    """Declare a function to be the loader of a data set.

    Args:
        splits: Names of the splits, in the order in which a user should read them; empty = not known beforehand.

    Returns:
        A decorator. What it makes can be called as before, and has `splits`.

    >>> from evals.datasets import reasonseg
    >>> reasonseg.load.splits
    ('train', 'val', 'test')
    """
    return lambda function: DatasetLoader(function, splits)


@dataclass(frozen=True, eq=False)
class LoadedDataset:
    """A data set that knows where it was loaded from, so that a run of it can be opened again.

    Example:
        >>> scenes = load_dataset("scenes", number=2)
        >>> scenes.name, scenes.split, scenes.options
        ('scenes', 'test', {'number': '2'})
    """

    dataset: Dataset
    path: Path | None
    """The folder of the data, absolute; None where there is none."""
    options: Mapping[str, str]
    """Options that it was loaded with; paths are absolute, so that a run finds them from any folder."""

    @property
    def origin(self) -> dict[str, Any]:
        """The fields of a run's manifest that say where its data are."""
        return {"options": dict(self.options), "where": "" if self.path is None else str(self.path)}

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.dataset.name

    @property
    def version(self) -> str:
        """Version of the task."""
        return self.dataset.version

    @property
    def split(self) -> str:
        """Name of the split."""
        return self.dataset.split

    def list_samples(self) -> Sequence[Sample]:
        """List the samples.

        Returns:
            The samples in the data set's own order, which is the same each time.
        """
        return self.dataset.list_samples()

    def collect_info(self) -> DatasetInfo:
        """Describe the files.

        Returns:
            How many samples and images they hold, their hash, licence and source.
        """
        return self.dataset.collect_info()

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """Score predictions in the benchmark's own format, whoever made them.

        Args:
            predictions: A file, or a folder for benchmarks that take one.

        Returns:
            Numbers by name, the headline first.

        Raises:
            ScoringError: The predictions have no official score.
            DatasetError: The data that they are compared with are not as published.
        """
        return self.dataset.score_file(predictions)

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """Write predictions in the benchmark's official format.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            File name -> content.
        """
        return self.dataset.build_submission(predictions)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Compute the official metric.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            All numbers of the benchmark, and which of them is quoted.
        """
        return self.dataset.score(predictions)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """Build the function that scores a bootstrap draw.

        Args:
            predictions: One per sample that was asked, in the data set's order.

        Returns:
            A function from indices into `predictions`, which may repeat, to the headline number over those.
        """
        return self.dataset.build_measure(predictions)


def find_loader(name: str) -> DatasetLoader[..., Benchmark]:
    """Find the loader of a data set by the name of its entry point.

    Raises:
        PluginError: No installed package has a data set of that name, or it cannot be imported.
    """
    loader = load_plugin("datasets", name)
    return loader if isinstance(loader, DatasetLoader) else DatasetLoader(loader, getattr(loader, "splits", ()))


def load_dataset(
    name: str, path: str | Path | None = None, split: str | None = None, **options: str | int | Path
) -> LoadedDataset:
    """Load a benchmark that can be run. Nothing is downloaded, and no image is opened.

    Args:
        name: Name of an entry point in the group `sam3_agent.datasets`, e.g. "reasonseg".
        path: Folder of the data. Only a data set that needs no file, such as "scenes", goes without.
        split: Name of the split; may be left out where the data set has a default.
        options: Options of the data set, e.g. `variant="hf-bool"`.

    Returns:
        The data set. Its samples are in its own order.

    Raises:
        PluginError: There is no data set of that name.
        DatasetError: There is no such split or option; files are missing or not as published; an id is no Unicode
            text, or there twice; or the data set can only be scored.

    >>> scenes = load_dataset("scenes", number=3)
    >>> scenes.split, len(scenes.list_samples())
    ('test', 3)
    """
    loader = find_loader(name)
    benchmark = _load_checked(loader, name, path, split, options)
    if not is_runnable(benchmark):
        raise DatasetError(f"{name} cannot be run: {ONLY_SCORED.format(name=name, split=split or 'SPLIT')}")
    texts = {
        option: str(value.absolute() if isinstance(value, Path) else value)
        for option, value in _expand_paths(loader, options).items()
    }
    return LoadedDataset(benchmark, None if path is None else expand_path(path).absolute(), texts)


def load_benchmark(
    name: str, path: str | Path | None = None, split: str | None = None, **options: str | int | Path
) -> Benchmark:
    """Load a benchmark as `load_dataset` does, also one that can only be scored.

    Args:
        name: Name of an entry point in the group `sam3_agent.datasets`, e.g. "sav".
        path: Folder of the data. Only a data set that needs no file, such as "scenes", goes without.
        split: Name of the split; may be left out where the data set has a default.
        options: Options of the data set.

    Returns:
        The benchmark. Its samples are in its own order.

    Raises:
        PluginError: There is no data set of that name.
        DatasetError: There is no such split or option, files are missing or not as published, or an id is no Unicode
            text.

    >>> len(load_benchmark("scenes", number=3).list_samples())
    3
    """
    return _load_checked(find_loader(name), name, path, split, options)


def is_runnable(benchmark: Benchmark) -> TypeGuard[Dataset]:
    """Return True if a planner can be asked the samples, and its answers can be scored."""
    return all(hasattr(benchmark, method) for method in ("build_submission", "score", "build_measure"))


def _load_checked(
    loader: DatasetLoader[..., Benchmark],
    name: str,
    path: str | Path | None,
    split: str | None,
    options: Mapping[str, Any],
) -> Benchmark:
    if unknown := [option for option in options if option not in loader.options]:
        known = ", ".join(loader.options) or "none"
        raise DatasetError(f"{name} has the options {known}, not {', '.join(unknown)}")
    if loader.needs_data and path is None:
        raise DatasetError(
            f"where are the data of {name}? give --data FOLDER; with an empty one, you are told what belongs there"
        )
    chosen = loader.default_split if split is None else split
    if chosen is None:
        raise DatasetError(f"which split of {name}? give --split, one of {', '.join(loader.splits) or 'its own'}")
    folder = Path() if path is None else expand_path(path)
    return _check_loaded(loader(folder, chosen, **_expand_paths(loader, options)), name)


def _expand_paths(loader: DatasetLoader[..., Benchmark], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the home folder in the place of `~`. Raises PathError."""
    return {name: expand_path(value) if loader.is_path_option(name) else value for name, value in options.items()}


def _check_loaded(loaded: Benchmark, name: str) -> Benchmark:
    if loaded.name != name:  # a run's manifest keeps the name, by which its data set is loaded again
        raise DatasetError(f"the data set {name!r} calls itself {loaded.name!r}; both names must be the same")
    ids = [sample.id for sample in loaded.list_samples()]
    if is_runnable(loaded) and len(set(ids)) < len(ids):  # answers are kept by it
        twice = next(id for id, number in Counter(ids).items() if number > 1)
        raise DatasetError(f"{name} has the id {twice!r} twice; every sample needs one of its own")
    if unwritable := [id for id in ids if make_encodable(id) != id]:
        raise DatasetError(
            f"{name} has the id {unwritable[0]!r}, which is no Unicode text; give that sample another one"
        )
    return loaded
