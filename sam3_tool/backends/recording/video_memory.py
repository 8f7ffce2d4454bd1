"""The memory of a video that writes its answers down, and one that reads them back."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sam3_tool.backends.base import LowMasks, ObjectMemory
from sam3_tool.backends.recording.calls import translate_errors
from sam3_tool.backends.recording.format import Question, Recorder
from sam3_tool.backends.recording.video_calls import (
    CallHistory,
    build_begin_call,
    build_forgetting_call,
    build_memory_call,
    build_object_call,
    build_propagation_call,
    low_masks_to_json,
)
from sam3_tool.errors import CheckpointError
from sam3_tool.prompts import VisualPrompt


class RecordingMemory:
    """An `ObjectMemory` that asks another one and writes down what it answers, and after which calls.

    Its embeddings are `RecordingEmbedding`s.
    """

    def __init__(self, memory: ObjectMemory, recorder: Recorder, history: CallHistory) -> None:
        self._memory = memory
        self._recorder = recorder
        self._history = history

    @property
    def ids(self) -> tuple[int, ...]:
        return self._memory.ids

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    def prompt(self, embedding: Any, frame: int, object_id: int, prompt: VisualPrompt) -> LowMasks:
        low = self._memory.prompt(embedding.inner, frame, object_id, prompt)
        return self._record_answer(build_object_call(embedding.key, frame, object_id, prompt), low)

    def begin(self, embedding: Any, frame: int, ids: Sequence[int], logits: np.ndarray) -> np.ndarray:
        taken = self._memory.begin(embedding.inner, frame, ids, logits)
        call = self._history.add_call(build_begin_call(embedding.key, frame, ids, logits))
        if not np.array_equal(taken, logits):
            ones = np.ones(len(ids), np.float32)
            with translate_errors():
                self._recorder.add_answer(call, low_masks_to_json(LowMasks(tuple(ids), taken, ones, ones)))
        return taken

    def propagate(self, embedding: Any, frame: int, *, reverse: bool = False, remember: bool = True) -> LowMasks:
        low = self._memory.propagate(embedding.inner, frame, reverse=reverse, remember=remember)
        call = build_propagation_call(embedding.key, frame, reverse=reverse, remember=remember)
        return self._record_answer(call, low)

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
        self._memory.remember(embedding.inner, frame, ids, logits, groups=groups, conditioning=conditioning)
        self._history.add_call(
            build_memory_call(embedding.key, frame, ids, logits, groups=groups, conditioning=conditioning)
        )

    def forget(self, ids: Sequence[int]) -> None:
        self._memory.forget(ids)
        self._history.add_call(build_forgetting_call(ids))

    def _record_answer(self, call: Question, low: LowMasks) -> LowMasks:
        with translate_errors():
            self._recorder.add_answer(self._history.add_call(call), low_masks_to_json(low))
        return low


class ReplayingMemory:
    """An `ObjectMemory` that answers what was recorded after the very same calls."""

    nbytes = 0

    def __init__(self, read_answer: Callable[[Question], LowMasks], history: CallHistory) -> None:
        """`read_answer`: raises CheckpointError for what was not recorded."""
        self._read_answer = read_answer
        self._history = history
        self._ids: dict[int, None] = {}

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._ids)

    def prompt(self, embedding: Any, frame: int, object_id: int, prompt: VisualPrompt) -> LowMasks:
        call = self._history.add_call(build_object_call(embedding.key, frame, object_id, prompt))
        low = self._read_answer(call)
        self._ids[object_id] = None
        return low

    def begin(self, embedding: Any, frame: int, ids: Sequence[int], logits: np.ndarray) -> np.ndarray:
        call = self._history.add_call(build_begin_call(embedding.key, frame, ids, logits))
        self._ids |= dict.fromkeys(ids)
        try:
            return self._read_answer(call).logits
        except CheckpointError:  # nothing was recorded, for they were taken as they were
            return logits

    def propagate(self, embedding: Any, frame: int, *, reverse: bool = False, remember: bool = True) -> LowMasks:
        call = build_propagation_call(embedding.key, frame, reverse=reverse, remember=remember)
        return self._read_answer(self._history.add_call(call))

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
        self._history.add_call(
            build_memory_call(embedding.key, frame, ids, logits, groups=groups, conditioning=conditioning)
        )

    def forget(self, ids: Sequence[int]) -> None:
        self._history.add_call(build_forgetting_call(ids))
        for object_id in ids:
            self._ids.pop(object_id, None)
