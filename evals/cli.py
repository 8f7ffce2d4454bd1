"""`sam3-agent eval`: benchmarks from the command line. Thin, as `agent.cli.main` is.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.loading import print_warnings
from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.options.segment_options import Options, parse_price
from agent.cli.terminal.console import FAILURE, Progress, report_user_errors, require_extra, show_progress, to_one_line
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError
from sam3_tool.errors import UserError

if TYPE_CHECKING:
    from evals.datasets.loading import LoadedDataset
    from evals.evaluation import Evaluation
    from evals.reports.preflight import CostEstimate
    from evals.runs.assembly import RunComponents
    from evals.runs.manifest import Selection
    from evals.runs.runner import RunOptions
    from evals.runs.solver import SampleResult
    from evals.samples import Benchmark, Dataset, Prediction, Sample

DATA_PANEL, RUNNING_PANEL = "Data", "Running"
"""Headings in the help."""
PROGRESS_INTERVAL = 60.0
"""Seconds between two lines of progress where stderr is no terminal."""

app = typer.Typer(
    help="Run benchmarks, score what they gave, compare runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DatasetName = Annotated[str, typer.Argument(help="Name of a data set, as `sam3-agent eval list` shows them.")]
DataFolder = Annotated[
    Path | None, path_option(help="Folder of the data. Nothing is downloaded.", rich_help_panel=DATA_PANEL)
]
Split = Annotated[str | None, typer.Option(help="E.g. val or test.", rich_help_panel=DATA_PANEL)]
Variant = Annotated[
    str | None, typer.Option(help="Of the data set, where there are several, e.g. hf-bool.", rich_help_panel=DATA_PANEL)
]
ExtraOptions = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="NAME=VALUE", help="A further option of the data set.", rich_help_panel=DATA_PANEL),
]
Limit = Annotated[
    int | None, typer.Option(help="Only the first so many samples: for testing.", rich_help_panel=DATA_PANEL)
]
Ids = Annotated[str | None, typer.Option(help="Only these samples, with commas.", rich_help_panel=DATA_PANEL)]
RunPath = Annotated[Path, path_argument(help="Folder of a run.")]
Workers = Annotated[int, typer.Option(min=1, help="Samples at a time.", rich_help_panel=RUNNING_PANEL)]
Pages = Annotated[int, typer.Option(min=0, help="Samples that get a page of their own, the worst first.")]
Draws = Annotated[int, typer.Option(min=10, help="Bootstrap draws for each interval.")]


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Which samples of which data, as the command line says it."""

    data: Path | None = None
    split: str | None = None
    variant: str | None = None
    with_: Sequence[str] | None = None
    limit: int | None = None
    ids: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """Options of the data set by name. Raises UsageError."""
        pairs = [pair.partition("=") for pair in self.with_ or ()]
        if wrong := [name for name, equals, _ in pairs if not equals or not name]:
            raise UsageError(f"--with takes NAME=VALUE, got {wrong[0]!r}")
        variant = {} if self.variant is None else {"variant": self.variant}
        return variant | {name: value for name, _, value in pairs}

    def open_dataset(self, name: str) -> "LoadedDataset":
        """Load a data set that can be run."""
        from evals.datasets.loading import load_dataset

        return load_dataset(name, self.data, self.split, **self.options)

    def open_benchmark(self, name: str) -> "Benchmark":
        """Load a data set that can be run, or that can only be scored."""
        from evals.datasets.loading import load_benchmark

        return load_benchmark(name, self.data, self.split, **self.options)

    def build_selection(self) -> "Selection":
        from evals.runs.manifest import Selection

        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}")
        return Selection(self.limit, _parse_ids(self.ids))


_DATASET_OPTIONS = {
    "data": DataFolder,
    "split": Split,
    "variant": Variant,
    "with_": ExtraOptions,
    "limit": Limit,
    "ids": Ids,
}
dataset_options = shared_options.option_group("which", _DATASET_OPTIONS, lambda values: DatasetOptions(**values))


@app.command("run", help="Ask every sample, score, report. Run again, it goes on where it stopped.")
@app.command("predict", help="Ask every sample and write the benchmark's own files; no scores.")
@shared_options.planning_options(without=("record",))
@dataset_options
def run_benchmark(
    context: typer.Context,
    name: DatasetName,
    out: Annotated[Path, path_option(help="Folder of the run.")],
    options: Options,
    which: DatasetOptions,
    direct_threshold: Annotated[
        float, typer.Option(help="Of samples that go to SAM 3 alone, from 0 to below 1.", rich_help_panel=RUNNING_PANEL)
    ] = 0.5,
    workers: Workers = 1,
    batch: Annotated[
        int,
        typer.Option(
            min=1,
            help="Requests that SAM 3 serves together. Above 1 it is faster on a GPU; last digits may then vary.",
            rich_help_panel=RUNNING_PANEL,
        ),
    ] = 1,
    cache: Annotated[
        Path | None,
        path_option(help="Folder that remembers replies (default: .cache beside OUT).", rich_help_panel=RUNNING_PANEL),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Remember nothing.", rich_help_panel=RUNNING_PANEL)
    ] = False,
    fail_on_error: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Stop once more than this share of samples failed.", rich_help_panel=RUNNING_PANEL
        ),
    ] = 0.05,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what failed before.", rich_help_panel=RUNNING_PANEL)
    ] = False,
    pages: Pages = 50,
    draws: Draws = 1000,
) -> None:
    """Exit codes: 0 done; 1 too many samples failed; 2 bad usage or bad input; 130 interrupted."""
    with _report_errors(), show_progress() as display:
        display.show_status(f"reading {name}")
        if not 0 <= direct_threshold < 1:
            raise UsageError(f"--direct-threshold must be at least 0 and below 1, got {direct_threshold:g}")
        dataset, selection = which.open_dataset(name), which.build_selection()
        samples, is_scored = selection.select_samples(dataset), context.command.name == "run"
        if is_scored:
            from evals.reports.preflight import rehearse_scoring

            display.show_status(f"reading the ground truth of {name}")
            rehearse_scoring(dataset, samples)
        from evals.runs.assembly import assemble_components

        cache_folder = None if no_cache else cache or out.parent / ".cache"
        is_video = any(sample.open_video is not None for sample in samples)
        components = assemble_components(
            options.for_subject(is_video=is_video),
            cache=cache_folder,
            threshold=direct_threshold,
            batch=batch,
            on_progress=display.show_status,
        )
        print_warnings(components.made_by)
        run_options: RunOptions = {"workers": workers, "fail_on_error": fail_on_error, "retry_failed": retry_failed}
        failed = _predict_all(out, dataset, selection, components, run_options, display)
        if is_scored:
            _score_finished_run(out, dataset, selection, pages, draws, display)
    if failed > fail_on_error:
        print_remark(f"error: {failed:.0%} of the samples failed, above --fail-on-error {fail_on_error:g}")
        raise typer.Exit(FAILURE)


def _predict_all(
    out: Path,
    dataset: "LoadedDataset",
    selection: "Selection",
    components: "RunComponents",
    run_options: "RunOptions",
    display: Progress,
) -> float:
    """Every sample asked and the benchmark's files written; the share of samples that failed."""
    from evals.evaluation import Evaluation
    from evals.runs.manifest import Manifest
    from evals.runs.run_folder import RunFolder

    manifest = Manifest.from_dataset(
        dataset, dataset.collect_info(), selection, **components.manifest_fields, **dataset.origin
    )
    with RunFolder.start(out, manifest) as run:
        for difference in run.manifest.find_harmless_differences(manifest):
            print_remark(f"note: {difference} (this run began otherwise)")
        evaluation = Evaluation(run, dataset, selection.select_samples(dataset))
        _print_banner(evaluation)
        predictions = evaluation.ask_samples(
            components.solver, on_result=_build_progress_callback(evaluation, display), **run_options
        )
        evaluation.write_predictions(predictions)
    print_line(
        f"{out}: {_format_statuses(predictions)}; predictions/ {', '.join(_list_file_names(out / 'predictions'))}"
    )
    return sum(prediction.status == "failed" for prediction in predictions) / len(predictions)


def _score_finished_run(
    out: Path, dataset: "Dataset", selection: "Selection", pages: int, draws: int, display: Progress
) -> None:
    from evals.evaluation import Evaluation
    from evals.runs.run_folder import RunFolder

    _score_and_report(Evaluation(RunFolder(out), dataset, selection.select_samples(dataset)), pages, draws, display)


def _score_and_report(
    evaluation: "Evaluation", pages: int, draws: int, display: Progress, *, redraw: bool = False
) -> None:
    from evals.reports.report import format_counts

    display.show_status("scoring")
    predictions = evaluation.load_predictions()
    summary = evaluation.score(predictions, draws=draws)
    display.show_status("drawing pages")
    evaluation.write_report(summary, predictions, pages=pages, redraw=redraw)
    row = summary.overall
    print_line(
        f"{summary.headline} {row.value:.4g} (95 % interval {row.low:.4g} to {row.high:.4g}); {format_counts(summary)}"
    )
    print_line(f"{evaluation.run.path}: scores.json, costs.json, report.md, report.html")


@app.command("score")
def rescore_run(
    run: Annotated[Path, path_argument(help="Folder of a run; with --predictions, the name of a data set.")],
    data: DataFolder = None,
    split: Split = None,
    variant: Variant = None,
    with_: ExtraOptions = None,
    predictions: Annotated[
        Path | None,
        path_option(help="Anybody's, in the benchmark's own format: a file, or a folder of masks."),
    ] = None,
    pages: Pages = 50,
    draws: Draws = 1000,
) -> None:
    """Score and report a run again, finished or not, or score predictions. No model, no GPU, no network."""
    with _report_errors(), show_progress() as display:
        if predictions is not None:
            display.show_status(f"scoring {predictions}")
            chosen = DatasetOptions(data=data, split=split, variant=variant, with_=with_)
            _print_table(_format_scores(predictions, chosen.open_benchmark(str(run))))
        elif split is not None or variant is not None:
            raise UsageError("a run knows its split and variant; --split and --variant go with --predictions")
        else:
            evaluation = _open_evaluation(run, data, with_)
            _print_banner(evaluation)
            evaluation.write_predictions(evaluation.load_predictions())
            _score_and_report(evaluation, pages, draws, display, redraw=True)


@app.command("compare")
def compare_two_runs(
    first: RunPath,
    second: Annotated[Path, path_argument(help="Folder of another run of the same data.")],
    data: DataFolder = None,
    with_: ExtraOptions = None,
    draws: Draws = 1000,
) -> None:
    """Say by how much the second run is better than the first, paired by sample, with an interval."""
    with _report_errors():
        from evals.evaluation import compare_runs

        options = DatasetOptions(with_=with_).options
        print_line(str(compare_runs(first, second, data=data, options=options, draws=draws)))


@app.command("view")
def draw_sample_pages(
    run: RunPath,
    ids: Annotated[str | None, typer.Option(help="Samples, with commas (default: the ten worst).")] = None,
    data: DataFolder = None,
    with_: ExtraOptions = None,
) -> None:
    """Draw the pages of samples: episode, overlay, ground truth. Says where they are."""
    with _report_errors():
        evaluation = _open_evaluation(run, data, with_)
        for sample, prediction in _select_samples(evaluation, _parse_ids(ids)):
            page = evaluation.draw_page(sample, prediction)
            print_line(str(page) if page else f"{sample.id}: no page, its image or its episode cannot be read")


@app.command("check")
@dataset_options
def check_dataset(
    name: DatasetName,
    which: DatasetOptions,
    planner: shared_options.PlannerOption = "openai:MODEL",
    toolset: shared_options.ToolsetOption = None,
    price: shared_options.PriceOption = None,
    workers: Workers = 1,
    images: Annotated[
        int | None, typer.Option("--pictures", min=0, help="Open only so many images (default: all).")
    ] = None,
    like: Annotated[Path | None, path_option(help="Estimate by what this run has cost.")] = None,
) -> None:
    """Say whether the data are complete and as published, and what a run will cost. Asks no model.

    Exit codes: 0 as published; 1 images or ground truth are broken, or the number of samples is another; 2 bad input.
    """
    with _report_errors(), show_progress() as display:
        from evals.datasets.loading import ONLY_SCORED, is_runnable
        from evals.reports.preflight import check_images, describe_dataset, describe_truth, estimate_run

        dataset = which.open_benchmark(name)
        samples, info = which.build_selection().select_samples(dataset), dataset.collect_info()
        image_check = check_images(samples, max_images=images, on_progress=display.show_status)
        display.show_status("reading the ground truth")
        truth, is_usable = describe_truth(dataset, samples)
        sample_cost = _estimate_cost(planner, toolset or "workspace", like)
        cost = (
            estimate_run(
                samples, sample_cost, workers=workers, **({} if price is None else {"price": parse_price(price)})
            )
            if is_runnable(dataset)
            else {"scored only": ONLY_SCORED.format(name=name, split=dataset.split)}
        )
    found = {"image files": str(image_check), **({"ground truth": truth} if truth else {})}
    _print_table(list({**describe_dataset(dataset, info), **found, **cost}.items()))
    if image_check.broken or not is_usable or info.published not in (None, info.samples):
        raise typer.Exit(FAILURE)


@app.command("list")
def list_datasets() -> None:
    """List the data sets that are installed, with their splits and options. Reads no data."""
    with _report_errors():
        from sam3_tool.plugins import find_plugins

        rows = [(name, *_describe_loader(name)) for name in find_plugins("datasets")]
    _print_table(rows, ("data set", "splits", "options, for --with"))


def _describe_loader(name: str) -> tuple[str, str]:
    """The splits and the options of a data set; or why it cannot be loaded."""
    from evals.datasets.loading import find_loader

    try:
        loader = find_loader(name)
    except (UserError, ImportError) as error:
        return to_one_line(f"cannot be loaded: {error}"), ""
    return ", ".join(loader.splits) or "any", ", ".join(loader.options)


@app.command("make-scenes")
def write_generated_scenes(
    out: Annotated[Path, path_option(help="Folder for them.")],
    number: Annotated[int, typer.Option(min=1, help="Of queries.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other scenes.")] = 0,
) -> None:
    """Write the generated world in the official formats of the benchmarks, so that every loader has files to read."""
    with _report_errors():
        from evals.datasets.synthetic.make_scenes import write_scenes

        try:
            folders = write_scenes(out, number=number, seed=seed)
        except OSError as error:
            raise UsageError(f"cannot write into {out}: {error.strerror or error}") from error
    for name, folder in folders.items():
        print_line(f"{name}: {folder}")


@app.command("make-videos")
def write_generated_videos(
    out: Annotated[Path, path_option(help="Folder for them.")],
    number: Annotated[int, typer.Option(min=1, help="Of clips.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other clips.")] = 0,
) -> None:
    """Write staged clips in the official formats of the video benchmarks, so that every loader has files to read."""
    with _report_errors():
        from evals.datasets.synthetic.make_videos import write_videos

        try:
            folders = write_videos(out, number=number, seed=seed)
        except OSError as error:
            raise UsageError(f"cannot write into {out}: {error.strerror or error}") from error
    for name, folder in folders.items():
        print_line(f"{name}: {folder}")


@contextmanager
def _report_errors() -> Iterator[None]:
    """Report errors as every command does; Ctrl-C leaves a run that can go on."""
    with report_user_errors(interrupted="run the same command again to go on"), require_extra("train", "skimage"):
        yield


def _format_scores(predictions: Path, benchmark: "Benchmark") -> list[tuple[str, str]]:
    """Score predictions; name and value of each number, in full precision."""
    if not predictions.exists():
        raise UsageError(f"there is no file or folder {predictions}")
    from evals.errors import ScoringError

    try:
        scores = benchmark.score_file(predictions)
    except ScoringError as error:
        about_predictions = str(error).startswith(("prediction ", "predictions must "))
        raise ScoringError(f"{predictions}: {error}" if about_predictions else str(error)) from error
    return [(name, repr(value)) for name, value in scores.items()]


def _parse_ids(ids: str | None) -> tuple[str, ...]:
    return tuple(id for id in (ids or "").split(",") if id)


def _open_evaluation(run: Path, data: Path | None, extra_options: Sequence[str] | None) -> "Evaluation":
    from evals.evaluation import Evaluation

    return Evaluation.open(run, data, options=DatasetOptions(with_=extra_options).options)


def _print_banner(evaluation: "Evaluation") -> None:
    from evals.reports.report import TESTING_ONLY

    if evaluation.run.manifest.testing_only:
        print_remark(TESTING_ONLY)


def _build_progress_callback(evaluation: "Evaluation", display: Progress) -> "Callable[[Sample, SampleResult], None]":
    """Tells how the run is getting on: all the time at a terminal, else once a minute."""
    from evals.reports.progress import ProgressMeter

    meter = ProgressMeter(evaluation.dataset, evaluation.samples, dict(evaluation.run.load_predictions()))
    last_report = monotonic()

    def report_progress(sample: "Sample", result: "SampleResult") -> None:
        nonlocal last_report
        meter.add(result.prediction)
        if display.is_visible:
            display.show_status(meter.format_line())
        elif monotonic() - last_report > PROGRESS_INTERVAL:
            last_report = monotonic()
            print_remark(meter.format_line())

    return report_progress


def _select_samples(evaluation: "Evaluation", ids: Sequence[str]) -> "list[tuple[Sample, Prediction]]":
    """The samples to draw. Raises UsageError for one that the run does not have."""
    from evals.evaluation import sort_worst_first

    predictions = evaluation.load_predictions()
    if not ids:
        return sort_worst_first(evaluation.samples, predictions, evaluation.dataset.score(predictions).per_sample)[:10]
    pairs = {s.id: (s, p) for s, p in zip(evaluation.samples, predictions, strict=True)}
    if unknown := [id for id in ids if id not in pairs]:
        raise UsageError(f"{evaluation.run.path} has no sample {unknown[0]!r}; an id is, e.g., {next(iter(pairs))}")
    return [pairs[id] for id in ids]


def _estimate_cost(planner: str, toolset: str, like: Path | None) -> "CostEstimate":
    from evals.evaluation import load_costs
    from evals.reports.preflight import estimate_from_run, estimate_typical_cost

    return estimate_typical_cost(planner, toolset) if like is None else estimate_from_run(load_costs(like), str(like))


def _format_statuses(predictions: "Sequence[Prediction]") -> str:
    """Count the samples by how they ended, in words."""
    statuses = [prediction.status for prediction in predictions]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def _list_file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _print_table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> None:
    from evals.reports.tables import format_columns

    print_line(format_columns(rows, head=head))
