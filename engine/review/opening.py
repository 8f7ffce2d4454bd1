"""Opening a project for review: one process that writes, with its queue filled."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread

from engine.errors import EngineError
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.fitting_anew import VerifierFitter
from engine.review.queue.opinions import DOUBLE_SHARE
from engine.review.queue.review_queue import ReviewQueue
from engine.review.ranking import build_ranking
from engine.review.services import ReviewServices
from engine.review.team.people import People
from engine.store.store import EngineStore
from engine.verifiers.keeping import load_policy
from sam3_tool import Sam3
from serve.http.services import BackgroundModel
from serve.http.settings import ServeSettings

logger = logging.getLogger(__name__)
FOLLOW_SECONDS = 2.0
"""Until what a run has proposed is shown."""
MAX_GUIDELINES = 200_000
"""Letters that are shown of them."""


@contextmanager
def open_services(
    folder: Path,
    people: People,
    *,
    hosts: tuple[str, ...] = (),
    sam3: str = "tiny",
    device: str = "auto",
    wage: float | None = None,
    refit: bool = True,
) -> Iterator[ReviewServices]:
    """Open a project for review.

    Args:
        folder: Of the data engine.
        people: Who may review.
        hosts: Names that requests may ask for where there are no tokens.
        sam3: For clicks; it is loaded in the background.
        device: Where it runs.
        wage: Money for an hour, for the estimate.
        refit: Whether the verifier, once it was fitted, is fitted anew as people answer.

    Raises:
        EngineError: There is no project, it is damaged, or another process works on it.
    """
    with EngineStore.open(folder, task="review") as store:
        queue = open_queue(folder / QUEUE_FILE)
        try:
            desk = open_desk(store, queue, is_alone=len(people.persons) == 1)
            services = ReviewServices(
                ServeSettings(tokens=people.tokens, hosts=hosts, drain_seconds=0, grace_seconds=5),
                people,
                desk,
                BackgroundModel(lambda: Sam3.load(sam3, device=device)),
                wage,
                read_guidelines(folder, store),
                fitter=VerifierFitter(desk) if refit else None,
            )
            with follow_runs(desk), nullcontext() if services.fitter is None else services.fitter.keep_fitting():
                yield services
        finally:
            queue.close()


def open_desk(store: EngineStore, queue: ReviewQueue, *, is_alone: bool = False) -> ReviewDesk:
    """Open the desk of a project, with its queue filled and in order.

    Args:
        store: The project, open for writing.
        queue: Its queue.
        is_alone: One person reviews, so that no item waits for a second one.

    Raises:
        EngineError: The project is damaged.
    """
    policy = load_policy(store)
    ranking = build_ranking(store, policy)
    desk = ReviewDesk(
        store,
        queue,
        policy=policy,
        rank=ranking,
        double_share=0.0 if is_alone else DOUBLE_SHARE,
        learn=ranking.learn_judgements,
        read_policy=lambda: load_policy(store),
    )
    desk.synchronize()
    return desk


@contextmanager
def follow_runs(desk: ReviewDesk) -> Iterator[None]:
    """Bring what a run proposes meanwhile to the people who review, in a thread, until the block ends."""
    end = Event()

    def follow() -> None:
        while not end.wait(FOLLOW_SECONDS):
            try:
                while desk.follow_store() and not end.is_set():
                    pass
            except (EngineError, sqlite3.Error, OSError) as error:
                # the next time may go better; answers are kept all the same
                logger.warning("what a run has proposed is not shown yet: %s", error)

    thread = Thread(target=follow, name="follow-runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def open_queue(path: Path) -> ReviewQueue:
    """Open the file of a queue.

    Raises:
        EngineError: It is damaged, or something else.
    """
    try:
        return ReviewQueue(path)
    except sqlite3.DatabaseError as error:
        raise EngineError(
            f"{path} cannot be used ({error}); put a copy of it back, or move it away: answers that are in the log"
            " stay, and the review begins a new one"
        ) from error


def read_guidelines(folder: Path, store: EngineStore) -> str:
    """Return the text that reviewers see; '' without any."""
    name = store.read_settings().guidelines
    if not name:
        return ""
    try:
        return (folder / name).read_text(encoding="utf-8", errors="replace")[:MAX_GUIDELINES]
    except OSError as error:
        raise EngineError(f"{folder / name} cannot be read ({error.strerror}); put the guidelines back") from error
