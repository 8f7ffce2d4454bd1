"""The one loop of every benchmark: samples in, predictions out, resumable at any point."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from typing import TypedDict

from evals.errors import TooManyFailuresError
from evals.runs.run_folder import RunFolder
from evals.runs.solver import SampleResult
from evals.samples import Prediction, Sample

SolveFn = Callable[[Sample], SampleResult]
ProgressCallback = Callable[[Sample, SampleResult], None]


class RunOptions(TypedDict, total=False):
    """Options of `predict_samples`."""

    workers: int
    fail_on_error: float
    retry_failed: bool


def predict_samples(
    samples: Sequence[Sample],
    solve: SolveFn,
    run: RunFolder,
    *,
    workers: int = 1,
    fail_on_error: float = 1.0,
    retry_failed: bool = False,
    on_result: ProgressCallback = lambda sample, solved: None,
) -> list[Prediction]:
    """One prediction per sample, in their order. Those that `run` holds already are not asked again.

    Every prediction is written the moment it is there. `on_result` is told of it first, in one thread.
    `fail_on_error`: the share of failed samples above which the run stops, once twenty are done; it can be resumed.
    Raises TooManyFailuresError then. `retry_failed`: samples that failed before are asked once more.
    """
    wanted = {sample.id for sample in samples}
    done = {id: prediction for id, prediction in run.load_predictions().items() if id in wanted}
    if retry_failed:
        done = {id: prediction for id, prediction in done.items() if prediction.status != "failed"}
    failed = sum(prediction.status == "failed" for prediction in done.values())
    with closing(_solve_concurrently((s for s in samples if s.id not in done), solve, workers)) as finished:
        for sample, result in finished:
            on_result(sample, result)
            run.append(result.prediction)
            done[sample.id] = result.prediction
            failed += result.prediction.status == "failed"
            if len(done) >= MIN_SAMPLES_BEFORE_STOP and failed > fail_on_error * len(done):
                raise TooManyFailuresError(
                    f"stopped: {failed} of {len(done)} samples failed, the last one with {result.prediction.error!r};"
                    " mend that and run the same command again with --retry-failed, which goes on from here"
                )
    return [done[sample.id] for sample in samples]


MIN_SAMPLES_BEFORE_STOP = 20
"""Samples that must be done before a share of failures means something."""


def _solve_concurrently(
    samples: Iterable[Sample], solve: SolveFn, workers: int
) -> Generator[tuple[Sample, SampleResult]]:
    """Solve samples and give them as they finish."""
    # no more than twice `workers` are in flight, so that a stop leaves little undone
    waiting = iter(samples)
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[SampleResult], Sample] = {}
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
