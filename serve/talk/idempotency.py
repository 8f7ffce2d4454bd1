"""Requests that are sent again: under one `Idempotency-Key` the work is done once, and its answer is given again."""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic

from pydantic import BaseModel

from serve.http.errors import ApiError

DAY = 86_400.0
"""Seconds."""
MAX_ENTRIES = 1000
"""Of a tenant."""
MAX_BYTES = 2**26
"""Of all answers that are kept for a tenant."""
RETRY_SECONDS = 1
KEY = re.compile(r"[\x21-\x7e]{1,255}")


def hash_request(place: str, body: BaseModel) -> str:
    """Return what tells a request from all others.

    Args:
        place: The route, and whatever else changes what is done.
        body: As it was understood: blanks and the order of fields do not count.
    """
    return sha256(f"{place}\n{body.model_dump_json()}".encode("utf-8", "surrogatepass")).hexdigest()


def check_key(key: str) -> str:
    """Return an `Idempotency-Key` as it is. Raises ApiError for what is none."""
    if not KEY.fullmatch(key):
        raise ApiError(422, "invalid", "Idempotency-Key: expected 1 to 255 letters, digits or marks of ASCII")
    return key


def build_mismatch_error() -> ApiError:
    """Return the error of a key that comes with another request than before."""
    message = "this Idempotency-Key came with another request before; choose a new key for each request"
    return ApiError(422, "idempotency_mismatch", message)


@dataclass(frozen=True)
class StoredAnswer:
    """A finished answer, to be given again byte by byte."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Entry:
    request_hash: str
    expires: float
    answer: StoredAnswer | None = None
    """None while the first request is being answered."""


class Claim:
    """The right to answer a request first; every other request of this key waits for what comes of it.

    Leaving its `with` block without `finish` gives the right back: an answer that failed is not kept.
    """

    def __init__(self, forget: Callable[[], None], keep: Callable[[StoredAnswer], None]) -> None:
        """Hold what ends the claim in either way."""
        self._forget, self._keep = forget, keep
        self._is_finished = False

    def finish(self, answer: StoredAnswer) -> None:
        """Keep the answer for requests with the same key."""
        self._is_finished = True
        self._keep(answer)

    def release(self) -> None:
        """Give the right back, unless the answer is kept."""
        if not self._is_finished:
            self._is_finished = True
            self._forget()

    @contextmanager
    def release_on_error(self) -> Iterator[None]:
        """Give the right back if what is done here fails."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class IdempotencyStore:
    """Finished answers, and requests that are being answered, by tenant and key. For the event loop's thread alone.

    Example:
        >>> store = IdempotencyStore()
        >>> with store.begin("anna", "k1", "hash of the request") as claim:
        ...     claim.finish(StoredAnswer(200, b"{}", "application/json"))
        >>> store.begin("anna", "k1", "hash of the request").body
        b'{}'
    """

    def __init__(
        self,
        *,
        seconds: float = DAY,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Create an empty store.

        Args:
            seconds: How long an answer is kept.
            max_entries: Of a tenant; beyond, the oldest finished answers go.
            max_bytes: Of a tenant's answers; beyond, the oldest go, and an answer that is larger alone is not kept.
            now: A clock in seconds.
        """
        self._seconds, self._max_entries, self._max_bytes, self._now = seconds, max_entries, max_bytes, now
        self._by_tenant: dict[str, OrderedDict[str, _Entry]] = {}

    def begin(self, tenant: str, key: str | None, request_hash: str) -> StoredAnswer | Claim:
        """Begin to answer a request.

        Args:
            tenant: Whose keys they are.
            key: The header `Idempotency-Key`; None without one.
            request_hash: What `hash_request` returned.

        Returns:
            The answer that was given before; or the claim to give the first one.

        Raises:
            ApiError: The key is none (422), it came with another request (422), or its first request is still being
                answered (409).
        """
        if key is None:
            return Claim(lambda: None, lambda answer: None)
        entries = self._drop_expired(tenant)
        entry = entries.get(check_key(key))
        if entry is None:
            return self._claim(tenant, key, request_hash)
        if entry.request_hash != request_hash:
            raise build_mismatch_error()
        if entry.answer is None:
            message = "a request with this Idempotency-Key is still being answered; send it again in a moment"
            raise ApiError(409, "still_running", message, {"retry-after": str(RETRY_SECONDS)})
        return entry.answer

    def is_claimed(self, tenant: str, key: str) -> bool:
        """Whether a request with this key is being answered."""
        entry = self._by_tenant.get(tenant, OrderedDict()).get(key)
        return entry is not None and entry.answer is None

    def _claim(self, tenant: str, key: str, request_hash: str) -> Claim:
        entries = self._by_tenant.setdefault(tenant, OrderedDict())
        entry = entries[key] = _Entry(request_hash, self._now() + self._seconds)
        self._shrink(entries)

        def forget() -> None:
            entries.pop(key, None)

        def keep(answer: StoredAnswer) -> None:
            if len(answer.body) > self._max_bytes:
                forget()
                return
            entry.answer, entry.expires = answer, self._now() + self._seconds
            entries.move_to_end(key)
            self._shrink(entries)

        return Claim(forget, keep)

    def _drop_expired(self, tenant: str) -> OrderedDict[str, _Entry]:
        """The entries of a tenant without those whose time is over, which are the oldest; unfinished ones stay."""
        entries = self._by_tenant.setdefault(tenant, OrderedDict())
        for key, entry in list(entries.items()):
            if entry.answer is not None and entry.expires <= self._now():
                del entries[key]
            elif entry.answer is not None:
                break
        return entries

    def _shrink(self, entries: OrderedDict[str, _Entry]) -> None:
        size = sum(len(entry.answer.body) for entry in entries.values() if entry.answer is not None)
        for key, entry in list(entries.items()):
            if len(entries) <= self._max_entries and size <= self._max_bytes:
                return
            if entry.answer is not None:
                size -= len(entry.answer.body)
                del entries[key]
