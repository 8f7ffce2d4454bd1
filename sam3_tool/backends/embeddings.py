"""Where embeddings wait to be asked about: on the network's device, and in the host's memory when that is full."""

from typing import Any, Protocol

from sam3_tool.backends.base import Embedding
from sam3_tool.cache import ByteCache, SpillOver


class MovableEmbedding(Embedding, Protocol):
    """An embedding that can leave its device and come back without losing a bit."""

    def copy_to_host(self) -> "MovableEmbedding": ...

    def copy_to_device(self) -> "MovableEmbedding": ...


def build_embedding_cache(cache_bytes: int, host_bytes: int) -> ByteCache[str, Any]:
    """Make a cache of embeddings, indexed by the keys of their images.

    `host_bytes` of the host's memory take what `cache_bytes` have no room for; unless they are 0, the embeddings are
    `MovableEmbedding`.
    """
    spill_over = SpillOver[str, MovableEmbedding](
        ByteCache(host_bytes, size=lambda embedding: embedding.nbytes),
        evict=lambda embedding: embedding.copy_to_host(),
        restore=lambda embedding: embedding.copy_to_device(),
    )
    return ByteCache(
        cache_bytes, size=lambda embedding: embedding.nbytes, spill_over=spill_over if host_bytes else None
    )
