"""The one loop of every benchmark: samples in, predictions out, resumable at any point."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from typing import TypedDict

from evals.manifest import RunError
from evals.records import RunFolder
from evals.samples import Prediction, Sample
from evals.solver import Solved


class TooManyFailures(RunError):
    """A run that was stopped, because too many of its samples failed."""


Solve = Callable[[Sample], Solved]
Watch = Callable[[Sample, Solved], None]


class How(TypedDict, total=False):
    """Options of `predict`."""

    workers: int
    fail_on_error: float
    retry_failed: bool


def predict(
    samples: Sequence[Sample],
    solve: Solve,
    run: RunFolder,
    *,
    workers: int = 1,
    fail_on_error: float = 1.0,
    retry_failed: bool = False,
    watch: Watch = lambda sample, solved: None,
) -> list[Prediction]:
    """One prediction per sample, in their order. Those that `run` holds already are not asked again.

    Every prediction is written the moment it is there. `watch` is told of it first, in one thread. `fail_on_error`: the
    share of failed samples above which the run stops, once twenty are done; it can be resumed. Raises TooManyFailures
    then. `retry_failed`: samples that failed before are asked once more.
    """
    wanted = {sample.id for sample in samples}
    done = {id: prediction for id, prediction in run.predictions().items() if id in wanted}
    if retry_failed:
        done = {id: prediction for id, prediction in done.items() if prediction.status != "failed"}
    failed = sum(prediction.status == "failed" for prediction in done.values())
    with closing(_finished((s for s in samples if s.id not in done), solve, workers)) as finished:
        for sample, solved in finished:
            watch(sample, solved)
            run.append(solved.prediction)
            done[sample.id] = solved.prediction
            failed += solved.prediction.status == "failed"
            if len(done) >= FEWEST and failed > fail_on_error * len(done):
                raise TooManyFailures(
                    f"stopped: {failed} of {len(done)} samples failed, the last one with {solved.prediction.error!r};"
                    " mend that and run the same command again with --retry-failed, which goes on from here"
                )
    return [done[sample.id] for sample in samples]


FEWEST = 20
"""Samples that must be done before a share of failures means something."""


def _finished(samples: Iterable[Sample], solve: Solve, workers: int) -> Generator[tuple[Sample, Solved]]:
    """As they finish. No more than twice `workers` are in flight, so that a stop leaves little undone."""
    waiting = iter(samples)
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[Solved], Sample] = {}
        try:
            while True:
                fresh = islice(waiting, 2 * workers - len(running))
                running |= {pool.submit(solve, sample): sample for sample in fresh}
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                yield from ((running.pop(future), future.result()) for future in finished)
        finally:
            pool.shutdown(cancel_futures=True)
