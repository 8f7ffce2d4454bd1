"""The options of `sam3-agent annotate`, in groups: what is read of a source, and how a run goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from agent.cli.options.shared_options import MaxPixelsOption, option_group, require_finite_number
from agent.core.errors import UsageError

IMAGES_PANEL, RUNNING_PANEL = "Images", "Running"
"""Headings in the help."""
FormatsOption = Annotated[
    str,
    typer.Option(
        "--to", help="Formats, with commas: parquet (always there), coco, yolo-seg, webdataset, or any of --export."
    ),
]
OneFileOption = Annotated[bool, typer.Option("--one-file", help="COCO as one file, however many masks there are.")]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which images of a source are asked, and how they are read."""

    column: str
    allow_urls: bool
    limit: int | None
    sample: float | None
    """A share, above 0 and up to 1, that is asked to say what all will cost; None for all."""
    max_pixels: int | None

    def to_json(self) -> dict[str, Any]:
        """What is saved with a run, so that its images can be read again."""
        return {
            "column": self.column,
            "allow_urls": self.allow_urls,
            "limit": self.limit,
            "max_pixels": self.max_pixels,
        }


_READING_OPTIONS = {
    "column": Annotated[
        str, typer.Option(help="Of a parquet file: the one with the images.", rich_help_panel=IMAGES_PANEL)
    ],
    "allow_urls": Annotated[
        bool, typer.Option("--allow-urls", help="Fetch the URLs of a list.", rich_help_panel=IMAGES_PANEL)
    ],
    "limit": Annotated[
        int | None, typer.Option(min=1, help="Only the first so many images.", rich_help_panel=IMAGES_PANEL)
    ],
    "sample": Annotated[
        float | None,
        typer.Option(
            help="Ask this share of the images, e.g. 0.01, say what all will cost, and keep nothing.",
            rich_help_panel=IMAGES_PANEL,
        ),
    ],
    "max_pixels": MaxPixelsOption,
}
reading_options = option_group(
    "reading", _READING_OPTIONS, lambda values: Reading(**values), {"column": "image", "allow_urls": False}
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a run's workers are, and how much each does at a time."""

    workers: int | None
    gpus: str | None
    on: Literal["processes", "ray"]
    shard: int | None
    share: str | None
    batch: int
    episodes: int
    stall: float
    resume: bool
    """It goes on anyway."""
    retry_errors: bool

    def choose_devices(self, device: str) -> list[str]:
        """Return where each worker's networks run. Raises UsageError."""
        return choose_devices(parse_gpus(self.gpus), self.workers, device)

    @property
    def part(self) -> tuple[int, int]:
        """The part of this machine, from 0, and the number of parts. Raises UsageError."""
        return parse_share(self.share)


_RUNNING_OPTIONS = {
    "workers": Annotated[
        int | None,
        typer.Option(min=1, help="Processes (default: one, or one for each GPU).", rich_help_panel=RUNNING_PANEL),
    ],
    "gpus": Annotated[str | None, typer.Option(help="Their numbers, with commas: 0,1.", rich_help_panel=RUNNING_PANEL)],
    "on": Annotated[
        Literal["processes", "ray"],
        typer.Option(help="Where workers run: here, or on a Ray cluster.", rich_help_panel=RUNNING_PANEL),
    ],
    "shard": Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_536,
            help="Images of a file of results (default: by their number, 256 at most).",
            rich_help_panel=RUNNING_PANEL,
        ),
    ],
    "share": Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Do part K of N, for N machines with one results folder.", rich_help_panel=RUNNING_PANEL
        ),
    ],
    "batch": Annotated[
        int, typer.Option(min=1, max=256, help="Requests that SAM 3 serves together.", rich_help_panel=RUNNING_PANEL)
    ],
    "episodes": Annotated[
        int,
        typer.Option(
            min=1, max=256, help="Of a query: images at a time in each worker.", rich_help_panel=RUNNING_PANEL
        ),
    ],
    "stall": Annotated[
        float,
        typer.Option(
            min=1,
            help="Seconds after which a silent worker is ended.",
            rich_help_panel=RUNNING_PANEL,
            callback=require_finite_number,
        ),
    ],
    "resume": Annotated[
        bool,
        typer.Option("--resume", help="Go on where it stopped: it does so anyway.", rich_help_panel=RUNNING_PANEL),
    ],
    "retry_errors": Annotated[
        bool,
        typer.Option("--retry-errors", help="Ask again what could not be answered.", rich_help_panel=RUNNING_PANEL),
    ],
}
_RUNNING_DEFAULTS = {
    "on": "processes",
    "batch": 8,
    "episodes": 4,
    "stall": 1800.0,
    "resume": False,
    "retry_errors": False,
}
running_options = option_group("running", _RUNNING_OPTIONS, lambda values: Running(**values), _RUNNING_DEFAULTS)


def choose_devices(gpus: Sequence[str], workers: int | None, device: str) -> list[str]:
    """Choose where each worker's networks run: GPUs in turn, or all on the one device.

    >>> choose_devices(["cuda:0", "cuda:1"], 3, "auto"), choose_devices([], None, "auto")
    (['cuda:0', 'cuda:1', 'cuda:0'], ['auto'])
    """
    chosen = gpus or [device]
    return [chosen[worker % len(chosen)] for worker in range(workers or len(chosen))]


def parse_gpus(text: str | None) -> list[str]:
    """Read `--gpus`. Raises UsageError.

    >>> parse_gpus("0, 2")
    ['cuda:0', 'cuda:2']
    """
    numbers = [number.strip() for number in (text or "").split(",") if number.strip()]
    if text is not None and (not numbers or not all(number.isdecimal() for number in numbers)):
        raise UsageError(f"--gpus takes their numbers with commas, e.g. 0,1, got {text!r}")
    return [f"cuda:{int(number)}" for number in dict.fromkeys(numbers)]


def parse_share(text: str | None) -> tuple[int, int]:
    """Read `--share`, which counts from 1. Raises UsageError.

    >>> parse_share("2/8")
    (1, 8)
    """
    part, slash, whole = (text or "1/1").partition("/")
    if not (slash and part.isdecimal() and whole.isdecimal() and 1 <= int(part) <= int(whole)):
        raise UsageError(f"--share takes K/N with K from 1 to N, e.g. 1/4, got {text!r}")
    return int(part) - 1, int(whole)
