"""What a chat model lets a listener know while its caller waits: a reply as it comes, and requests sent again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class PartialReply:
    """A reply that is still coming. Nothing in it is final.

    Example:
        >>> PartialReply(reasoning="There are two cups").text
        ''
    """

    reasoning: str = ""
    """The reasoning channel or <think> text so far."""
    text: str = ""
    """What is said so far, without a call that is written into the text."""
    tool: str = ""
    """The name of the tool that is being called, as soon as it is known."""


@dataclass(frozen=True)
class RetryNotice:
    """A request has failed in a way that may pass, and is sent again.

    Example:
        >>> RetryNotice(number=2, limit=6, delay=1.0).limit
        6
    """

    number: int
    """Of the try that comes, from 2."""
    limit: int
    """Most tries."""
    delay: float
    """Seconds before it."""


ModelNews = PartialReply | RetryNotice
Listener = Callable[[ModelNews], object]
"""It is called from any thread, several times a second at most, and must not wait."""
_LISTENER: ContextVar[Listener | None] = ContextVar("model_listener", default=None)


@contextmanager
def listen_to_models(listener: Listener) -> Iterator[None]:
    """Hear what chat models let know while they are asked in this context.

    A model that can stream its replies does so where somebody listens, unless its user forbids it. The final reply is
    the same.

    Args:
        listener: It is given each piece of news.

    Yields:
        Nothing.

    Example:
        >>> heard = []
        >>> with listen_to_models(heard.append):
        ...     get_listener()(RetryNotice(2, 6, 1.0))
        >>> heard[0].number, get_listener()
        (2, None)
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def get_listener() -> Listener | None:
    """Return who listens in this context, if anybody does."""
    return _LISTENER.get()
