"""Fitting the verifier anew while people review: in one thread, which judges by the new fit."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import localtime, strftime

from engine.errors import EngineError
from engine.quality.refitting import LEAST_NEW_LABELS, load_earlier_fits, refit_engine
from engine.review.desk import ReviewDesk
from engine.stages.judging import JudgingStage
from engine.stages.stage import RunContext
from engine.store.store import EngineStore
from engine.verifiers.keeping import STAGES, load_policy
from sam3_tool import Sam3

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
"""Until answers are counted again."""
REST_SECONDS = 0.05
"""After each page of pairs that is judged: people who wait for their next item come first."""


class _EndedError(Exception):
    """The review ends while pairs are judged; those that are done are kept."""


class VerifierFitter:
    """Fits the verifier of an engine anew once people have answered enough more, and lets it judge.

    The review itself learns of both as of any other process's work: thresholds, and then pair after pair.

    Args:
        desk: Of the review.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._end = Event()
        self._answers: int | None = None
        self.told = "labels are counted in a moment"
        """What was done last, or is waited for, in words."""

    def fit_when_due(self) -> bool:
        """Fit anew and judge if enough people's answers are new; return whether a new fit was made.

        Raises:
            EngineError: The engine cannot be read or written.
        """
        answers = sum(self._desk.queue.count_answers().values())
        if self._answers is not None and answers - self._answers < LEAST_NEW_LABELS:
            return False
        folder = self._desk.store.folder
        if not load_earlier_fits(self._desk.store):
            self.told = "there is no fit to be made anew; `engine fit` makes the first one, with its thresholds"
            return False
        try:
            store = EngineStore.open(folder, task="work")
        except EngineError:  # a run, most often: the next look may find the folder free
            self.told = "a new fit waits until the command has ended that works in this folder now"
            return False
        with self._desk.wait_for_work(), store:
            is_first, self._answers = self._answers is None, answers
            before = load_policy(store)
            told = refit_engine(store)
            is_new = load_policy(store) != before
            if is_new or is_first:  # an earlier review may have ended before all was judged
                judge_open_pairs(store, self._rest)
        if is_new or told:
            logger.info("%s", told)
        self.told = f"{strftime('%H:%M', localtime())}: {told or 'too few labels are new for another fit'}"
        return is_new

    def _rest(self, text: str) -> None:
        """Let others work between two pages of pairs. Raises _EndedError once the review ends."""
        if self._end.wait(REST_SECONDS):
            raise _EndedError

    @contextmanager
    def keep_fitting(self) -> Iterator[None]:
        """Look again and again, in a thread, until the block ends."""
        thread = Thread(target=self._look_again, name="fit-anew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _look_again(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            try:
                self.fit_when_due()
            except _EndedError:
                return
            except (EngineError, sqlite3.Error, OSError) as error:
                self.told = f"the verifier stays as it is: {error}"
                logger.warning("the verifier could not be fitted anew: %s", error)


def judge_open_pairs(store: EngineStore, rest: Callable[[str], object]) -> None:
    """Judge by the fits that count what nobody has finished.

    Args:
        store: Open for work.
        rest: Is called after each page of pairs; what it raises ends the judging, and what is done is kept.

    Raises:
        EngineError: A stage has no fit, or nothing can be written.
    """
    context = RunContext(store=store, load_sam3=_refuse_sam3, options={"verifier": "fitted"}, on_progress=rest)
    for stage in STAGES:
        JudgingStage(stage).run(context)


def _refuse_sam3() -> Sam3:
    raise AssertionError("a fit judges by signals that are there")
