"""What is in an image that nobody has asked about yet, as queries to tap: SAM 3 is asked for a few known nouns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from demo.page.banner import list_known_nouns
from sam3_tool import Image, Sam3
from sam3_tool.backends.transformers.files.checkpoint import EMBEDDED_NAME
from sam3_tool.cache import ByteCache
from sam3_tool.prompts import ConceptPrompt

EVERYDAY_NOUNS = (
    *("person", "car", "dog", "cat", "bird", "tree", "flower", "chair", "table", "cup", "bottle", "book"),
    *("bicycle", "boat", "house", "window", "sign", "plate", "fruit", "shoe"),
)
"""What photographs often show."""
BATCH, MAX_SECONDS = 8, 3.0
"""Nouns of one request, and seconds after which no further one is made: nobody has asked for it."""
SURE = 0.7
"""The score from which an object counts as there."""
MAX_FOUND = 3
REMEMBERED_BYTES = 2**16


@dataclass(frozen=True)
class ContentFinder:
    """Looks into one image at a time. Safe to share between threads: `_lock` is held while it looks."""

    _found: ByteCache[tuple[str, str], tuple[str, ...]] = field(
        default_factory=lambda: ByteCache(REMEMBERED_BYTES, size=lambda queries: 100 + sum(map(len, queries)))
    )
    _lock: Lock = field(default_factory=Lock)

    def suggest_queries(
        self, sam3: Sam3, name: str, image: Image, is_over: Callable[[], bool]
    ) -> tuple[str, ...] | None:
        """Return queries for what is in an image.

        Args:
            sam3: It is asked for each noun.
            name: Its name.
            image: Where to look.
            is_over: Whether nobody wants to know any more.

        Returns:
            At most `MAX_FOUND`, the surest first; None while another image is looked into.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            known = self._found.get((name, image.key))
            if known is None:
                known = self._found[name, image.key] = tuple(find_contents(sam3, image, list_nouns(name), is_over))
            return known
        finally:
            self._lock.release()


def list_nouns(name: str) -> Sequence[str]:
    """Return the nouns to look for.

    Args:
        name: Of a SAM 3. The embedded one knows few.
    """
    if name != EMBEDDED_NAME:
        return EVERYDAY_NOUNS
    shapes, things = list_known_nouns()
    return [*things, *shapes]


def find_contents(sam3: Sam3, image: Image, nouns: Sequence[str], is_over: Callable[[], bool]) -> list[str]:
    """Return queries for the nouns that SAM 3 is surest of.

    Args:
        sam3: It is asked for each noun.
        image: Where to look.
        nouns: What to look for, in this order, as long as there is time.
        is_over: Whether nobody wants to know any more.
    """
    found, until = list[tuple[float, str]](), monotonic() + MAX_SECONDS
    for start in range(0, len(nouns), BATCH):
        if is_over() or monotonic() > until:
            break
        batch = nouns[start : start + BATCH]
        answers = sam3.segment_batch([(image, ConceptPrompt(noun, threshold=SURE)) for noun in batch])
        for noun, instances in zip(batch, answers, strict=True):
            if count := len(instances):
                found.append((float(instances.scores.max()), f"every {noun}" if count > 1 else f"the {noun}"))
    return [query for _, query in sorted(found, key=lambda scored: -scored[0])[:MAX_FOUND]]
