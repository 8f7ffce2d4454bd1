"""A run over a folder of images: everything between the command line and the workers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from agent.core.errors import InterruptedOutputError, OutputError
from annotate.plan import PLAN_FILE, Plan, check_plan, settle_plan
from annotate.progress import ProgressMeter
from annotate.shards import ShardFolder, Summary, read_summary
from annotate.sources.base import Listing
from annotate.workers.dispatch import Crew, Dispatcher
from annotate.workers.processes import STALL, ProcessCrew
from annotate.workers.worker import Advance, Ready, WorkerSetup
from sam3_tool.errors import UserError
from sam3_tool.system.paths import is_there

Place = Literal["processes", "ray"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done, and by how many workers."""

    plan: Plan
    listing: Listing
    out: Path
    setup: WorkerSetup
    devices: Sequence[str] = ("auto",)
    """One for each worker."""
    place: Place = "processes"
    share: tuple[int, int] = (0, 1)
    """Of several machines: this one's number, from 0, and how many there are."""
    stall: float = STALL
    on_note: Callable[[str], Any] = print
    on_progress: Callable[[ProgressMeter], Any] = field(default=lambda meter: None)

    @property
    def folder(self) -> ShardFolder:
        """The folder of the results."""
        return ShardFolder(self.out)

    def prepare_folder(self) -> list[Path]:
        """Make the folder, or check that it is of the same run. Raises AnnotationError or OutputError.

        Returns the folders that were not there, the innermost first.
        """
        check_plan(self.out, self.plan)
        made = [folder for folder in (self.out, *self.out.parents) if not is_there(folder)]
        with raise_output_errors(self.out, OutputError):
            self.folder.make_folders()
        return made

    def reopen_errors(self) -> int:
        """Let every image that could not be answered be asked again; return how many there are."""
        reopened = 0
        with raise_output_errors(self.out, InterruptedOutputError):
            for number in sorted(self.folder.find_done()):
                if (claim := self.folder.try_claim(number)) is not None:
                    reopened += self.folder.reopen_errors(number)
                    self.folder.release_claim(number, claim)
        return reopened

    def list_open_shards(self) -> list[int]:
        """Return the shards of this machine's share that are not done."""
        done = self.folder.find_done()
        return [number for number in range(self.share[0], self.plan.shards, self.share[1]) if number not in done]

    def run(self) -> None:
        """Bring every shard to its end, beginning with those that are not there yet.

        Raises AnnotationError for weights that are not those of the run, WorkerError where workers cannot go on,
        OutputError where nothing can be written, and KeyboardInterrupt after what is in hand was kept.
        """
        if not (left := self.list_open_shards()):
            return
        meter = self.build_meter()
        devices = self.devices[: len(left)]
        dispatcher = Dispatcher(
            self.plan,
            self.listing,
            self.folder,
            self._build_crew(devices),
            on_ready=lambda ready: self._check_worker(ready, meter),
            on_advance=lambda advance: self._count_images(advance, meter),
            on_note=self.on_note,
            on_idle=lambda: self.on_progress(meter),
            share=self.share,
        )
        try:
            with raise_output_errors(self.out, InterruptedOutputError):
                dispatcher.run_shards()
        finally:
            if not (self.out / PLAN_FILE).exists():
                self.folder.remove_empty_folders()

    def build_meter(self) -> ProgressMeter:
        """Count what is done already."""
        gpus = sum(device.startswith("cuda") for device in self.devices)
        meter = ProgressMeter(self.plan.images, 0, gpus=gpus)
        for number in range(self.plan.shards):
            start, stop = self.plan.get_range(number)
            if self.folder.is_done(number):
                summary = read_summary(self.folder.get_shard_path(number))
                meter.add_images(stop - start, summary.errors, summary.cost)
            else:
                meter.add_images(len(self.folder.find_covered(number)), {})
        meter.restart_clock()
        return meter

    def _build_crew(self, devices: Sequence[str]) -> Crew:
        if self.place == "ray":
            from annotate.workers.on_ray import RayCrew

            return RayCrew(self.setup, devices)
        return ProcessCrew(self.setup, devices, stall=self.stall)

    def _check_worker(self, ready: Ready, meter: ProgressMeter) -> None:
        """Let no worker begin whose weights are not those of the run."""
        weights = f"{ready.made_by['sam3']} {ready.made_by['weights'][:16]}".strip()
        settle_plan(self.out, replace(self.plan, weights=weights), self.folder.get_lock_path("plan"))
        meter.restart_clock()

    def _count_images(self, advance: Advance, meter: ProgressMeter) -> None:
        meter.add_images(advance.images, advance.errors, advance.cost)
        self.on_progress(meter)

    def sum_up(self) -> Summary:
        """Add up what is done."""
        return self.folder.sum_up()


@contextmanager
def raise_output_errors(out: Path, kind: type[OutputError]) -> Iterator[None]:
    """Say in one line why the block could not write into the folder."""
    try:
        yield
    except UserError:  # some of them are OSErrors too
        raise
    except OSError as error:
        kept = "; what is done is kept, and the same command goes on" if kind is InterruptedOutputError else ""
        raise kind(f"cannot write into {out}: {error.strerror or error}{kept}") from error
