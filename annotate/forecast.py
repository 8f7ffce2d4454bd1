"""What a run will take, told from a sample of its images."""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.core.text.english import format_duration
from annotate.errors import AnnotationError
from annotate.job import Job
from annotate.progress import ProgressMeter, format_bytes, format_errors
from annotate.shards import Summary

LEAST = 16
"""Images of a sample, where there are as many."""


@dataclass(frozen=True)
class Forecast:
    """A sample, and what follows from it."""

    images: int
    """Of the whole run."""
    workers: int
    sample: Summary
    seconds: float
    """That the sample took, once everything was loaded."""

    def format_lines(self) -> str:
        """Say what all images will take, for people."""
        factor = self.images / max(1, self.sample.images)
        seconds, cost = self.seconds * factor, self.sample.cost * factor
        errors = f"; {', '.join(format_errors(self.sample.errors))}" if self.sample.errors else ""
        asked = f"{self.sample.images:,} images in {format_duration(self.seconds)}, {self.sample.masks:,} masks"
        effort = f"with {self.workers} at a time, {seconds * self.workers / 3600:.3g} hours of workers"
        size = f"{format_bytes(self.sample.bytes * factor)} on disk, {round(self.sample.masks * factor):,} masks"
        price = f", a cost of {cost:.4g}" if cost else ""
        return (
            f"sample: {asked}{errors}\n"
            f"all {self.images:,} images: about {format_duration(seconds)} ({effort}), {size}{price}"
        )


def forecast_run(job: Job, share: float) -> Forecast:
    """Ask a share of the images, spread evenly, and keep nothing of it.

    Args:
        job: The run of which a sample is taken.
        share: Above 0, up to 1. At least `LEAST` images are asked.

    Returns:
        What the sample took, by the time from the first worker that was ready to the last image.
    """
    number = min(len(job.listing), max(LEAST, ceil(share * len(job.listing))))
    listing = job.listing.select_evenly(number)
    shard = max(1, min(job.plan.shard, number // (2 * len(job.devices))))
    plan = replace(job.plan, listing=listing.digest, images=number, shard=shard)
    clock: list[float] = []

    def note_progress(meter: ProgressMeter) -> None:
        if meter.done:
            clock[:] = [meter.done / rate if (rate := meter.rate) else 0.0]
        job.on_progress(meter)

    with TemporaryDirectory() as folder:
        out = Path(folder)
        setup = replace(job.setup, out=out)
        sample = replace(job, plan=plan, listing=listing, out=out, setup=setup, on_progress=note_progress, share=(0, 1))
        sample.prepare_folder()
        sample.run()
        summary = sample.sum_up()
    if not summary.images:
        raise AnnotationError("no image of the sample was asked")
    return Forecast(len(job.listing), len(sample.devices), summary, clock[0] if clock else 0.0)
