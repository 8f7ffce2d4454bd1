"""A cache of computed values with a budget in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class ByteCache(Generic[Key, Value]):
    """A mapping that forgets what was used least recently once its values exceed `budget` bytes. Not thread-safe.

    >>> cache = ByteCache[str, bytes](10, size=len)
    >>> cache["a"], cache["b"] = b"1234", b"5678"
    >>> cache.get("a")
    b'1234'
    >>> cache["c"] = b"90"; cache["d"] = b"!"
    >>> [key in cache for key in "abcd"]
    [True, False, True, True]

    With a `spill_over` it forgets nothing that has room there:

    >>> shelf = ByteCache[str, str](3, size=len)
    >>> table = ByteCache[str, str](2, size=len, spill_over=SpillOver(shelf, evict=str.lower, restore=str.upper))
    >>> table["a"], table["b"] = "AA", "B"
    >>> ("a" in shelf, shelf.get("a"), table.get("a"), "b" in shelf)
    (True, 'aa', 'AA', True)
    """

    def __init__(
        self, budget: int, *, size: Callable[[Value], int], spill_over: "SpillOver[Key, Value] | None" = None
    ) -> None:
        self.budget = budget
        self.nbytes = 0
        self._size = size
        self._spill_over = spill_over
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values or (self._spill_over is not None and key in self._spill_over.cache)

    def get(self, key: Key) -> Value | None:
        """Return the value, which thereby is the most recently used; None when it is not there."""
        if key not in self._values:
            return self._restore_value(key)
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        """Keep a value. One that is larger than the budget is not kept here, and nothing is forgotten for it."""
        self.drop_value(key)
        if self._size(value) > self.budget:
            self._evict_value(key, value)
            return
        self._values[key] = value
        self.nbytes += self._size(value)
        while self.nbytes > self.budget:
            oldest = next(iter(self._values))
            self._evict_value(oldest, self._pop_value(oldest))

    def _pop_value(self, key: Key) -> Value:
        value = self._values.pop(key)
        self.nbytes -= self._size(value)
        return value

    def drop_value(self, key: Key) -> None:
        """Forget a value, if it is there."""
        if key in self._values:
            self._pop_value(key)
        if self._spill_over is not None:
            self._spill_over.cache.drop_value(key)

    def _evict_value(self, key: Key, value: Value) -> None:
        if self._spill_over is not None and self._size(value) <= self._spill_over.cache.budget:
            self._spill_over.cache[key] = self._spill_over.evict(value)

    def _restore_value(self, key: Key) -> Value | None:
        """Move a value back from the overflow; None when it is not there."""
        if self._spill_over is None or key not in self._spill_over.cache:
            return None
        value = self._spill_over.restore(self._spill_over.cache._pop_value(key))
        self[key] = value
        return value

    def get_or_compute(self, keys: Iterable[Key], compute: Callable[[list[Key]], Sequence[Value]]) -> dict[Key, Value]:
        """Return the values of these keys.

        Those that are not there are computed, all in one call, and kept if they fit.
        """
        found = {key: self.get(key) for key in keys}
        missing = [key for key, value in found.items() if value is None]
        computed = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        for key, value in computed.items():
            self[key] = value
        return {key: value for key, value in found.items() if value is not None} | computed


@dataclass(frozen=True)
class SpillOver(Generic[Key, Value]):
    """Another place with a budget of its own, for what a cache has no room for. A value is in one of the two."""

    cache: ByteCache[Key, Value]
    evict: Callable[[Value], Value]
    """Copies a value there; it takes as many bytes as here."""
    restore: Callable[[Value], Value]
