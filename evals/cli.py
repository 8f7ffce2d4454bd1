"""`sam3-agent eval`: benchmarks from the command line. Thin, as `agent.cli` is.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent import cli_options as given
from agent.options import BadInput, Options, price_of
from agent.terminal import FAILURE, Progress, needs_extra, one_line_errors, progress

if TYPE_CHECKING:
    from evals.check import Rate
    from evals.evaluation import Evaluation
    from evals.manifest import Selection
    from evals.parts import Parts
    from evals.runner import How
    from evals.samples import Benchmark, Dataset, Prediction, Sample
    from evals.solver import Solved

DATA, RUNNING = "Data", "Running"
"""Headings in the help."""
SPLITS = {"own": "all", "scenes": "test", "omnilabel": "val", "countbench": "test"}
"""Of data sets that have but one, or one that is meant where none is said."""
PATHS = ("pictures", "phrases")
"""Options of data sets that name a file or a folder."""
TELL_EVERY = 60.0
"""Seconds between two lines of progress where stderr is no terminal."""

app = typer.Typer(
    help="Run benchmarks, score what they gave, compare runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Name = Annotated[
    str, typer.Argument(help="Of a data set, e.g. reasonseg, omnilabel, saco-gold, grefcoco, own, scenes.")
]
Data = Annotated[Path | None, typer.Option(help="Folder of the data. Nothing is downloaded.", rich_help_panel=DATA)]
Split = Annotated[str | None, typer.Option(help="E.g. val or test.", rich_help_panel=DATA)]
Variant = Annotated[
    str | None, typer.Option(help="Of the data set, where there are several, e.g. hf-bool.", rich_help_panel=DATA)
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="NAME=VALUE", help="A further option of the data set.", rich_help_panel=DATA),
]
Limit = Annotated[int | None, typer.Option(help="Only the first so many samples: for testing.", rich_help_panel=DATA)]
Ids = Annotated[str | None, typer.Option(help="Only these samples, with commas.", rich_help_panel=DATA)]
Run = Annotated[Path, typer.Argument(help="Folder of a run.")]
Workers = Annotated[int, typer.Option(min=1, help="Samples at a time.", rich_help_panel=RUNNING)]
Pages = Annotated[int, typer.Option(min=0, help="Samples that get a page of their own, the worst first.")]
Draws = Annotated[int, typer.Option(min=10, help="Bootstrap draws for each interval.")]


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which samples of which data, as the command line says it."""

    data: Path | None = None
    split: str | None = None
    variant: str | None = None
    with_: Sequence[str] | None = None
    limit: int | None = None
    ids: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """Of the data set; places are absolute, so that a run finds them from any folder. Raises BadInput."""
        pairs = [pair.partition("=") for pair in self.with_ or ()]
        if wrong := [name for name, equals, _ in pairs if not equals or not name]:
            raise BadInput(f"--with takes NAME=VALUE, got {wrong[0]!r}")
        variant = {} if self.variant is None else {"variant": self.variant}
        return variant | {name: str(Path(value).absolute()) if name in PATHS else value for name, _, value in pairs}

    def dataset(self, name: str) -> "Dataset":
        from evals.datasets import load_dataset

        return load_dataset(name, self._folder(name), self._split(name), **self.options)

    def benchmark(self, name: str) -> "Benchmark":
        """As `dataset`, videos too."""
        from evals.datasets import load_benchmark

        return load_benchmark(name, self._folder(name), self._split(name), **self.options)

    def _split(self, name: str) -> str:
        return SPLITS.get(name, "") if self.split is None else self.split

    def _folder(self, name: str) -> Path:
        from evals.datasets import DATASETS, VIDEOS

        if self.data is None and name in {**DATASETS, **VIDEOS} and name != "scenes":
            raise BadInput(
                f"where are the data of {name}? give --data FOLDER; with an empty one, you are told what belongs there"
            )
        return self.data or Path()

    def selection(self) -> "Selection":
        from evals.manifest import Selection

        if self.limit is not None and self.limit < 1:
            raise BadInput(f"--limit must be at least 1, got {self.limit}")
        return Selection(self.limit, _split(self.ids))


_WHICH = {"data": Data, "split": Split, "variant": Variant, "with_": With, "limit": Limit, "ids": Ids}
which_data = given.gathered("which", _WHICH, lambda values: Which(**values))


@app.command("run", help="Ask every sample, score, report. Run again, it goes on where it stopped.")
@app.command("predict", help="Ask every sample and write the benchmark's own files; no scores.")
@given.planning(without=("record",))
@which_data
def _ask(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    options: Options,
    which: Which,
    direct_threshold: Annotated[
        float, typer.Option(help="Of samples that go to SAM 3 alone, from 0 to below 1.", rich_help_panel=RUNNING)
    ] = 0.5,
    workers: Workers = 1,
    batch: Annotated[
        int,
        typer.Option(
            min=1,
            help="Requests that SAM 3 serves together. Above 1 it is faster on a GPU; last digits may then vary.",
            rich_help_panel=RUNNING,
        ),
    ] = 1,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that remembers replies (default: .cache beside OUT).", rich_help_panel=RUNNING),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Remember nothing.", rich_help_panel=RUNNING)] = False,
    fail_on_error: Annotated[
        float,
        typer.Option(min=0, max=1, help="Stop once more than this share of samples failed.", rich_help_panel=RUNNING),
    ] = 0.05,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what failed before.", rich_help_panel=RUNNING)
    ] = False,
    pages: Pages = 50,
    draws: Draws = 1000,
) -> None:
    """Exit codes: 0 done; 1 too many samples failed; 2 bad usage or bad input; 130 interrupted."""
    with _errors(), progress() as shown:
        shown.now(f"reading {name}")
        if not 0 <= direct_threshold < 1:
            raise BadInput(f"--direct-threshold must be at least 0 and below 1, got {direct_threshold:g}")
        dataset, selection = which.dataset(name), which.selection()
        selection.of(dataset)
        from evals.parts import assemble

        remembered = None if no_cache else cache or out.parent / ".cache"
        parts = assemble(options, cache=remembered, threshold=direct_threshold, batch=batch, now=shown.now)
        where = {"options": which.options, "where": "" if which.data is None else str(which.data.absolute())}
        how: How = {"workers": workers, "fail_on_error": fail_on_error, "retry_failed": retry_failed}
        failed = _asked(out, dataset, selection, parts, where, how, shown)
        if context.command.name == "run":
            _scored(out, dataset, selection, pages, draws, shown)
    if failed > fail_on_error:
        typer.echo(f"error: {failed:.0%} of the samples failed, above --fail-on-error {fail_on_error:g}", err=True)
        raise typer.Exit(FAILURE)


def _asked(
    out: Path,
    dataset: "Dataset",
    selection: "Selection",
    parts: "Parts",
    where: Mapping[str, Any],
    how: "How",
    shown: Progress,
) -> float:
    """Every sample asked and the benchmark's files written; the share of samples that failed."""
    from evals.evaluation import Evaluation
    from evals.manifest import Manifest
    from evals.records import RunFolder

    manifest = Manifest.of(dataset, dataset.facts(), selection, **parts.told, **where)
    with RunFolder.start(out, manifest) as run:
        for difference in run.manifest.lesser_differences(manifest):
            typer.echo(f"note: {difference} (this run began otherwise)", err=True)
        evaluation = Evaluation(run, dataset, selection.of(dataset))
        _banner(evaluation)
        predictions = evaluation.ask(parts.solver, watch=_watching(evaluation, shown), **how)
        evaluation.write_predictions(predictions)
    typer.echo(f"{out}: {_ends(predictions)}; predictions/ {', '.join(_names(out / 'predictions'))}")
    return sum(prediction.status == "failed" for prediction in predictions) / len(predictions)


def _scored(out: Path, dataset: "Dataset", selection: "Selection", pages: int, draws: int, shown: Progress) -> None:
    from evals.evaluation import Evaluation
    from evals.records import RunFolder

    _score_and_report(Evaluation(RunFolder(out), dataset, selection.of(dataset)), pages, draws, shown)


def _score_and_report(
    evaluation: "Evaluation", pages: int, draws: int, shown: Progress, *, afresh: bool = False
) -> None:
    from evals.report import counts

    shown.now("scoring")
    predictions = evaluation.predictions()
    summary = evaluation.score(predictions, draws=draws)
    shown.now("drawing pages")
    evaluation.report(summary, predictions, pages=pages, afresh=afresh)
    row = summary.overall
    typer.echo(f"{summary.headline} {row.value:.4g} (95 % interval {row.low:.4g} to {row.high:.4g}); {counts(summary)}")
    typer.echo(f"{evaluation.run.path}: scores.json, costs.json, report.md, report.html")


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="Folder of a run; with --predictions, the name of a data set.")],
    data: Data = None,
    split: Split = None,
    variant: Variant = None,
    with_: With = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Anybody's, in the benchmark's own format: a file, for DAVIS and SA-V a folder."),
    ] = None,
    pages: Pages = 50,
    draws: Draws = 1000,
) -> None:
    """Score and report a run again, finished or not, or score predictions. No model, no GPU, no network."""
    with _errors(), progress() as shown:
        if predictions is not None:
            shown.now(f"scoring {predictions}")
            asked = Which(data=data, split=split, variant=variant, with_=with_)
            _print_table(_numbers(predictions, asked.benchmark(str(run))))
        elif split is not None or variant is not None:
            raise BadInput("a run knows its split and variant; --split and --variant go with --predictions")
        else:
            evaluation = _opened(run, data, with_)
            _banner(evaluation)
            evaluation.write_predictions(evaluation.predictions())
            _score_and_report(evaluation, pages, draws, shown, afresh=True)


@app.command()
def compare(
    first: Run,
    second: Annotated[Path, typer.Argument(help="Folder of another run of the same data.")],
    data: Data = None,
    with_: With = None,
    draws: Draws = 1000,
) -> None:
    """Say by how much the second run is better than the first, paired by sample, with an interval."""
    with _errors():
        from evals.compare import compare as compared
        from evals.records import RunFolder

        typer.echo(str(compared(_opened(first, data, with_).dataset, RunFolder(first), RunFolder(second), draws=draws)))


@app.command()
def view(
    run: Run,
    ids: Annotated[str | None, typer.Option(help="Samples, with commas (default: the ten worst).")] = None,
    data: Data = None,
    with_: With = None,
) -> None:
    """Draw the pages of samples: episode, overlay, ground truth. Says where they are."""
    with _errors():
        evaluation = _opened(run, data, with_)
        for sample, prediction in _wanted(evaluation, _split(ids)):
            page = evaluation.draw(sample, prediction)
            typer.echo(page or f"{sample.id}: no page, its picture or its episode cannot be read")


@app.command()
@which_data
def check(
    name: Name,
    which: Which,
    planner: given.Planner = "openai:MODEL",
    protocol: given.Protocol = None,
    price: given.Price = None,
    workers: Workers = 1,
    pictures: Annotated[int | None, typer.Option(min=0, help="Open only so many pictures (default: all).")] = None,
    like: Annotated[Path | None, typer.Option(help="Estimate by what this run has cost.")] = None,
) -> None:
    """Say whether the data are complete and as published, and what a run will cost. Asks no model.

    Exit codes: 0 as published; 1 pictures are missing or broken, or the number of samples is another; 2 bad input.
    """
    with _errors(), progress() as shown:
        from evals.check import check_pictures, describe, estimate
        from evals.datasets.videos import ONLY_SCORED, Videos

        dataset = which.benchmark(name)
        samples, facts = which.selection().of(dataset), dataset.facts()
        looked = check_pictures(samples, most=pictures, now=shown.now)
        rate = _rate(planner, protocol or "workspace", like)
        cost = (
            {"scored only": ONLY_SCORED.format(name=name, split=dataset.split)}
            if isinstance(dataset, Videos)
            else estimate(samples, rate, workers=workers, **({} if price is None else {"price": price_of(price)}))
        )
    _print_table({**describe(dataset, facts), "picture files": str(looked), **cost})
    if looked.broken or facts.published not in (None, facts.samples):
        raise typer.Exit(FAILURE)


@app.command("make-scenes")
def make_scenes(
    out: Annotated[Path, typer.Option(help="Folder for them.")],
    number: Annotated[int, typer.Option(min=1, help="Of queries.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other scenes.")] = 0,
) -> None:
    """Write the generated world in the official formats of the benchmarks, so that every loader has files to read."""
    with _errors():
        from evals.datasets.make_scenes import make_scenes as made

        try:
            folders = made(out, number=number, seed=seed)
        except OSError as error:
            raise BadInput(f"cannot write into {out}: {error.strerror or error}") from error
    for name, folder in folders.items():
        typer.echo(f"{name}: {folder}")


@contextmanager
def _errors() -> Iterator[None]:
    """One line each; a run that was stopped by failures has an exit code of its own."""
    from agent.transcript import TranscriptError
    from evals.manifest import RunError
    from evals.metrics.entries import ScoringError
    from evals.runner import TooManyFailures
    from evals.samples import DataError

    told = "run the same command again to go on"
    known = (DataError, RunError, ScoringError, TranscriptError)
    with one_line_errors(*known, interrupted=told), needs_extra("train", "skimage"):
        try:
            yield
        except TooManyFailures as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(FAILURE) from error


def _numbers(predictions: Path, benchmark: "Benchmark") -> dict[str, str]:
    """What predictions score, in full precision."""
    if not predictions.exists():
        raise BadInput(f"there is no file or folder {predictions}")
    return {name: repr(value) for name, value in benchmark.score_file(predictions).items()}


def _split(ids: str | None) -> tuple[str, ...]:
    return tuple(id for id in (ids or "").split(",") if id)


def _opened(run: Path, data: Path | None, given: Sequence[str] | None) -> "Evaluation":
    from evals.evaluation import Evaluation

    return Evaluation.open(run, data, options=Which(data=data, with_=given).options)


def _banner(evaluation: "Evaluation") -> None:
    from evals.report import TESTING_ONLY

    if evaluation.run.manifest.testing_only:
        typer.echo(TESTING_ONLY, err=True)


def _watching(evaluation: "Evaluation", shown: Progress) -> "Callable[[Sample, Solved], None]":
    """Tells how the run is getting on: all the time at a terminal, else once a minute."""
    from evals.progress import Meter

    meter = Meter(evaluation.dataset, evaluation.samples, dict(evaluation.run.predictions()))
    told = monotonic()

    def watch(sample: "Sample", solved: "Solved") -> None:
        nonlocal told
        meter.add(solved.prediction)
        if shown.seen:
            shown.now(meter.line())
        elif monotonic() - told > TELL_EVERY:
            told = monotonic()
            typer.echo(meter.line(), err=True)

    return watch


def _wanted(evaluation: "Evaluation", ids: Sequence[str]) -> "list[tuple[Sample, Prediction]]":
    """The samples to draw. Raises BadInput for one that the run does not have."""
    from evals.evaluation import worst_first

    predictions = evaluation.predictions()
    if not ids:
        return worst_first(evaluation.samples, predictions, evaluation.dataset.score(predictions).per_sample)[:10]
    pairs = {s.id: (s, p) for s, p in zip(evaluation.samples, predictions, strict=True)}
    if unknown := [id for id in ids if id not in pairs]:
        raise BadInput(f"{evaluation.run.path} has no sample {unknown[0]!r}; an id is, e.g., {next(iter(pairs))}")
    return [pairs[id] for id in ids]


def _rate(planner: str, protocol: str, like: Path | None) -> "Rate":
    from evals.check import measured, rule_of_thumb
    from evals.evaluation import costs_of

    return rule_of_thumb(planner, protocol) if like is None else measured(costs_of(like), str(like))


def _ends(predictions: "Sequence[Prediction]") -> str:
    """How many samples ended how, in words."""
    statuses = [prediction.status for prediction in predictions]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _print_table(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")
