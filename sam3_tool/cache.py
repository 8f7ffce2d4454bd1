"""What was computed, kept while it fits into a number of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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
    """

    def __init__(self, budget: int, *, size: Callable[[Value], int]) -> None:
        self.budget = budget
        self.nbytes = 0
        self._size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value, which thereby is the most recently used; None when it is not there."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        """A value larger than the budget is not kept at all, and nothing is forgotten for it."""
        if key in self._values:
            self.nbytes -= self._size(self._values.pop(key))
        if self._size(value) > self.budget:
            return
        self._values[key] = value
        self.nbytes += self._size(value)
        while self.nbytes > self.budget:
            _, oldest = self._values.popitem(last=False)
            self.nbytes -= self._size(oldest)

    def get_all(self, keys: Iterable[Key], compute: Callable[[list[Key]], Sequence[Value]]) -> dict[Key, Value]:
        """The values of these keys. Those that are not there are computed, all in one call, and kept if they fit."""
        found = {key: self.get(key) for key in keys}
        missing = [key for key, value in found.items() if value is None]
        computed = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        for key, value in computed.items():
            self[key] = value
        return {key: value for key, value in found.items() if value is not None} | computed
