"""The memory of a video behind a backend whose embeddings are not those of the network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sam3_tool.backends.base import LowMasks, ObjectMemory
from sam3_tool.prompts import VisualPrompt


class TranslatingMemory:
    """An `ObjectMemory` that gives another one the embeddings that it knows."""

    def __init__(self, memory: ObjectMemory, translate: Callable[[Any], Any]) -> None:
        self._memory = memory
        self._translate = translate

    @property
    def ids(self) -> tuple[int, ...]:
        return self._memory.ids

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    def prompt(self, embedding: Any, frame: int, object_id: int, prompt: VisualPrompt) -> LowMasks:
        return self._memory.prompt(self._translate(embedding), frame, object_id, prompt)

    def begin(self, embedding: Any, frame: int, ids: Sequence[int], logits: np.ndarray) -> np.ndarray:
        return self._memory.begin(self._translate(embedding), frame, ids, logits)

    def propagate(self, embedding: Any, frame: int, *, reverse: bool = False, remember: bool = True) -> LowMasks:
        return self._memory.propagate(self._translate(embedding), frame, reverse=reverse, remember=remember)

    def remember(
        self,
        embedding: Any,
        frame: int,
        ids: Sequence[int],
        logits: np.ndarray,
        *,
        groups: Sequence[int] | None = None,
        conditioning: Sequence[int] = (),
    ) -> None:
        self._memory.remember(self._translate(embedding), frame, ids, logits, groups=groups, conditioning=conditioning)

    def forget(self, ids: Sequence[int]) -> None:
        self._memory.forget(ids)
