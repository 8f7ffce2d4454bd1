"""What the requests of one model share: slots, a pause that the server asked for, and what its refusals have taught."""

from collections.abc import Callable

from agent.models.openai.dialect import Dialect
from sam3_tool.network.retries import RequestSlots


class SharedLimits(RequestSlots):
    """What the requests of all threads to one model share."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._dialect = Dialect()
        self._is_proven = False

    @property
    def dialect(self) -> Dialect:
        """What the server has taught so far."""
        with self._lock:
            return self._dialect

    def update_dialect(self, learn: Callable[[Dialect], Dialect]) -> Dialect:
        """Remember a lesson for every later request, and return all that is known then."""
        with self._lock:
            self._dialect = learn(self._dialect)
            return self._dialect

    @property
    def is_proven(self) -> bool:
        """Whether the server has answered with a chat completion."""
        with self._lock:
            return self._is_proven

    def mark_proven(self) -> None:
        """Remember that the server has answered with a chat completion."""
        with self._lock:
            self._is_proven = True
