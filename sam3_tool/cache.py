"""What was computed, kept while it fits into a number of bytes."""

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

    With an `overflow` it forgets nothing that has room there:

    >>> shelf = ByteCache[str, str](3, size=len)
    >>> table = ByteCache[str, str](2, size=len, overflow=Overflow(shelf, leave=str.lower, come_back=str.upper))
    >>> table["a"], table["b"] = "AA", "B"
    >>> ("a" in shelf, shelf.get("a"), table.get("a"), "b" in shelf)
    (True, 'aa', 'AA', True)
    """

    def __init__(
        self, budget: int, *, size: Callable[[Value], int], overflow: "Overflow[Key, Value] | None" = None
    ) -> None:
        self.budget = budget
        self.nbytes = 0
        self._size = size
        self._overflow = overflow
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values or (self._overflow is not None and key in self._overflow.cache)

    def get(self, key: Key) -> Value | None:
        """The value, which thereby is the most recently used; None when it is not there."""
        if key not in self._values:
            return self._back(key)
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        """A value larger than the budget is not kept here, and nothing is forgotten for it."""
        self._drop(key)
        if self._size(value) > self.budget:
            self._leave(key, value)
            return
        self._values[key] = value
        self.nbytes += self._size(value)
        while self.nbytes > self.budget:
            oldest = next(iter(self._values))
            self._leave(oldest, self._pop(oldest))

    def _pop(self, key: Key) -> Value:
        value = self._values.pop(key)
        self.nbytes -= self._size(value)
        return value

    def _drop(self, key: Key) -> None:
        if key in self._values:
            self._pop(key)
        if self._overflow is not None:
            self._overflow.cache._drop(key)

    def _leave(self, key: Key, value: Value) -> None:
        if self._overflow is not None and self._size(value) <= self._overflow.cache.budget:
            self._overflow.cache[key] = self._overflow.leave(value)

    def _back(self, key: Key) -> Value | None:
        """From the overflow, where it then is no more."""
        if self._overflow is None or key not in self._overflow.cache:
            return None
        value = self._overflow.come_back(self._overflow.cache._pop(key))
        self[key] = value
        return value

    def get_all(self, keys: Iterable[Key], compute: Callable[[list[Key]], Sequence[Value]]) -> dict[Key, Value]:
        """The values of these keys. Those that are not there are computed, all in one call, and kept if they fit."""
        found = {key: self.get(key) for key in keys}
        missing = [key for key, value in found.items() if value is None]
        computed = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        for key, value in computed.items():
            self[key] = value
        return {key: value for key, value in found.items() if value is not None} | computed


@dataclass(frozen=True)
class Overflow(Generic[Key, Value]):
    """Another place with a budget of its own, for what a cache has no room for. A value is in one of the two."""

    cache: ByteCache[Key, Value]
    leave: Callable[[Value], Value]
    """Copies a value there; it takes as many bytes as here."""
    come_back: Callable[[Value], Value]
