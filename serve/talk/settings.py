"""What an operator allows of everything that takes several steps."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.core.budget import Budget
from serve.slots import Slot, make_id
from serve.talk.idempotency import DAY

HOUR = 3600.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class TalkSettings:
    """Limits of episodes, conversations and jobs."""

    budget: Budget = field(default_factory=lambda: Budget(max_seconds=300.0))
    """Of an episode. A request may ask for less, never for more."""
    episodes: int = 16
    """Episodes and turns that are under way at the same time."""
    waiting_episodes: int = 48
    """Episodes that may wait for that; more are refused."""
    keep_alive_seconds: float = 15.0
    """A stream never says nothing for longer."""
    conversation_seconds: float = HOUR
    """A conversation is forgotten so long after it was last used."""
    conversation_bytes: int = 2**30
    """Room for the images of all conversations of a tenant; the least recently used conversations go first."""
    max_conversations: int = 200
    """Of a tenant; likewise."""
    max_events: int = 500
    """Images shown and turns taken in one conversation."""
    conversation_folder: Path | None = None
    """Where conversations are kept over a restart; None = they are lost."""
    job_path: Path | None = None
    """The file in which jobs are kept over a restart; None = they are lost."""
    job_workers: int = 2
    """Jobs that are worked at at the same time."""
    max_jobs: int = 1000
    """Jobs of a tenant that are not finished."""
    max_job_images: int = 200_000
    """Of all jobs of a tenant that are kept, finished ones included."""
    job_seconds: float = DAY
    """A finished job, and what it found, is forgotten after so long."""
    new_id: Callable[[], str] = make_id
    """Makes the ids of jobs and conversations."""

    def choose_own(self, slot: Slot) -> "TalkSettings":
        """Return the settings of one of several processes: its ids lead back to it, and its files are its own."""
        path, folder = self.job_path, self.conversation_folder
        return replace(
            self,
            new_id=slot.make_id,
            job_path=None if path is None else name_own_file(path, slot.number, slot.count),
            conversation_folder=None if folder is None else name_own_folder(folder, slot.number, slot.count),
        )


def name_own_file(path: Path, number: int, count: int) -> Path:
    """Return the file of one of several processes; of a single one, the file itself.

    >>> name_own_file(Path("jobs.db"), 0, 4).name, name_own_file(Path("jobs.db"), 0, 1).name
    ('jobs-0-of-4.db', 'jobs.db')
    """
    return path if count == 1 else path.with_name(f"{path.stem}-{number}-of-{count}{path.suffix}")


def name_own_folder(folder: Path, number: int, count: int) -> Path:
    """Return the folder of one of several processes; of a single one, the folder itself."""
    return folder if count == 1 else folder / f"{number}-of-{count}"
