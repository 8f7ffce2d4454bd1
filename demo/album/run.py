"""One question over all images: how far it has come."""

from dataclasses import dataclass, field
from threading import Event
from time import monotonic

PATIENCE = 90.0
"""Seconds for which a run goes on when no page asks how far it is."""


@dataclass(eq=False)
class AskRun:
    """A run over images. One thread moves it on, and others read it."""

    query: str
    total: int
    answered: int = 0
    failed: int = 0
    entry: int | None = None
    """The id of the image that is being asked about."""
    is_ended: bool = False
    stop_event: Event = field(default_factory=Event)
    last_look: float = field(default_factory=monotonic)

    def notice_look(self) -> None:
        """A page has asked how far it is."""
        self.last_look = monotonic()

    @property
    def is_stopped(self) -> bool:
        """Whether the visitor stopped it, or has gone."""
        return self.stop_event.is_set() or monotonic() - self.last_look > PATIENCE

    def describe(self) -> dict[str, object]:
        """Return what the page shows of it."""
        return {
            "query": self.query,
            "total": self.total,
            "answered": self.answered,
            "failed": self.failed,
            "ended": self.is_ended,
            "stopped": self.stop_event.is_set(),
        }
