"""Where embeddings wait to be asked about: on the network's device, and in the host's memory when that is full."""

from typing import Any, Protocol

from sam3_tool.backends import Embedding
from sam3_tool.cache import ByteCache, Overflow


class Movable(Embedding, Protocol):
    """An embedding that can leave its device and come back without losing a bit."""

    def on_host(self) -> "Movable": ...

    def on_device(self) -> "Movable": ...


def embedding_cache(cache_bytes: int, host_bytes: int) -> ByteCache[str, Any]:
    """By the keys of pictures. `host_bytes`: for what `cache_bytes` have no room for; unless it is 0, the embeddings
    are `Movable`."""
    overflow = Overflow[str, Movable](
        ByteCache(host_bytes, size=lambda one: one.nbytes),
        leave=lambda one: one.on_host(),
        come_back=lambda one: one.on_device(),
    )
    return ByteCache(cache_bytes, size=lambda one: one.nbytes, overflow=overflow if host_bytes else None)
