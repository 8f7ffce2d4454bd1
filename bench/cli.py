"""`sam3-agent bench`: what everything costs, beside what a user would run otherwise. Thin, as `agent.cli` is.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.options import BadInput
from agent.terminal import FAILURE, needs_extra, one_line_errors

if TYPE_CHECKING:
    from bench.tables import Table

app = typer.Typer(
    help="Measure what everything costs on this machine, ratios first.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RIVALS = ("published", "transformers", "float32")
"""The last is transformers as it loads a network by itself; the others are given the format that ours has."""
TABLES = ("parts", "calls", "first-mask", "phrases", "pictures", "episode", "memory")
Out = Annotated[Path | None, typer.Option(help="Also write each table into this folder: JSON, Markdown, a plot.")]
Size = Annotated[str, typer.Option(help="tiny, full (random weights), or what else --sam3 takes.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")]
Threads = Annotated[int, typer.Option(min=1, help="Of the processor. One is measured in processor time.")]
Rounds = Annotated[int, typer.Option(min=1, help="That count; one more comes first.")]
Against = Annotated[str, typer.Option(help=f"Compare with these too, with commas: {', '.join(RIVALS)}.")]
Numbers = Annotated[str, typer.Option(help="With commas.")]


@app.command()
def sam3(
    size: Size = "tiny",
    device: Device = "cpu",
    against: Against = "published,transformers",
    phrases: Numbers = "1,2,4,8,16",
    pictures: Numbers = "1,4,16",
    tables: Annotated[str, typer.Option(help="Only these, with commas.")] = ",".join(TABLES),
    threads: Threads = 1,
    rounds: Rounds = 5,
    compile: Annotated[
        str | None, typer.Option(help="Ours compiled: default, reduce-overhead (CUDA graphs) or max-autotune.")
    ] = None,
    out: Out = None,
) -> None:
    """SAM 3 part by part; k phrases and n pictures beside the published way and transformers as documented."""
    with _errors():
        counts = _numbers(phrases), _numbers(pictures)
        chosen = _names(against, RIVALS, "--against"), _names(tables, TABLES, "--tables")
        from bench.sam3 import measure
        from bench.setting import Setting
        from sam3_tool.backends.compiling import MODES

        if compile is not None and compile not in MODES:
            raise BadInput(f"--compile takes one of {', '.join(MODES)}, got {compile!r}")
        _tell(measure(Setting(size, device, threads, rounds, *counts, *chosen, compile)), out)


@app.command()
def masks(numbers: Numbers = "10,30,100", rounds: Rounds = 3, out: Out = None) -> None:
    """Overlaps, drawing and upsampling beside the published way; the memory of many masks."""
    with _errors():
        counts = _numbers(numbers)
        from bench.masks import measure

        _tell(measure(counts, rounds=rounds), out)


@app.command()
def start(rounds: Rounds = 5, out: Out = None) -> None:
    """From a cold process to help, to an import, to an answer."""
    from bench.start import measure

    _tell(measure(rounds=rounds), out)


@app.command()
def growth(out: Out = None) -> None:
    """Time and memory against masks, megapixels, phrases, concurrent episodes and samples; how fast each grows."""
    with _errors():
        from bench.growth import measure

        _tell(measure(), out)


@app.command()
def soak(
    seconds: Annotated[float, typer.Option(min=1, help="How long; an hour is 3600.")] = 30.0, out: Out = None
) -> None:
    """Concurrent conversations without end: does memory stay flat? Exit code 1 if not, or if one fails."""
    with _errors():
        from bench.soak import measure

        soaked = measure(seconds=seconds)
        _tell([soaked.table], out)
        if soaked.complaint:
            typer.echo(f"error: {soaked.complaint}", err=True)
            raise typer.Exit(FAILURE)


@app.command()
def agent() -> None:
    """The agent's own cost per step, and what each protocol sends to a language model."""
    _run("overhead", "protocols")


@app.command("eval")
def evaluation() -> None:
    """The evaluation's own cost per sample, throughput with many workers, scoring speed."""
    _run("evaluation")


@app.command()
def demo() -> None:
    """From the command to the first page, from a click to its mask; with Chromium."""
    _check_demo()
    _run("demo")


@app.command("all")
def everything(out: Out = None) -> None:
    """All of these with their defaults, each in a process of its own, so that none heats up the next."""
    _check_demo()
    written = [] if out is None else ["--out", str(out)]
    for command in ("sam3", "masks", "start", "growth", "soak"):
        _start("from agent.cli import main; main()", "bench", command, *written)
    for program in (agent, evaluation, demo):
        program()


def _check_demo() -> None:
    needed = ("playwright", "gradio")
    with one_line_errors(), needs_extra("dev", *needed):
        for name in needed:
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)


def _tell(tables: "Iterable[Table]", out: Path | None) -> None:
    for table in tables:
        typer.echo(f"{table.markdown()}\n")
        if out is not None:
            from bench.plots import plot

            table.write(out)
            plot(table, out)


def _numbers(text: str) -> list[int]:
    """
    >>> _numbers("1,2, 16")
    [1, 2, 16]
    """
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise BadInput(f"expected whole numbers above 0 with commas, e.g. 1,2,4, got {text!r}")
    return numbers


def _names(text: str, known: Sequence[str], option: str) -> list[str]:
    """
    >>> _names("published", RIVALS, "--against")
    ['published']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not set(names) <= set(known):
        raise BadInput(f"{option} takes {', '.join(known)}, with commas, got {text!r}")
    return names


@contextmanager
def _errors() -> Iterator[None]:
    with one_line_errors(), needs_extra("bench", "matplotlib", "skimage"):
        yield


def _run(*modules: str) -> None:
    """These benchmarks, one after the other; the first that fails ends it with its exit code."""
    for module in modules:
        _start(f"from bench.{module} import main; main()")


def _start(program: str, *words: str) -> None:
    code = subprocess.run([sys.executable, "-c", program, *words], check=False).returncode
    if code:
        raise typer.Exit(code)
