"""A backend that reads recorded answers back: it needs no checkpoint, no torch and no GPU."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sam3_tool.backends.base import Detections, LowMasks, ObjectMemory
from sam3_tool.backends.recording.calls import (
    ESTIMATOR_QUESTION,
    NAME_QUESTION,
    SAM3_FOLDER,
    build_description_question,
    build_prompt_question,
    build_warning_question,
    concept_from_json,
    from_json,
    get_target,
    translate_errors,
)
from sam3_tool.backends.recording.format import Question, RecordingReader
from sam3_tool.backends.recording.video_calls import (
    CallHistory,
    build_detection_question,
    build_upsampling_question,
    detections_from_json,
    low_masks_from_json,
    mask_from_json,
)
from sam3_tool.backends.recording.video_memory import ReplayingMemory
from sam3_tool.concepts.concept import Concept
from sam3_tool.errors import CheckpointError, RecordError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask
from sam3_tool.probability import ProbabilityEstimator
from sam3_tool.prompts import ConceptPrompt, Prompt, VisualPrompt

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RecordedEmbedding:
    """All that a replay needs of an image: its key. It takes no room."""

    key: str
    nbytes: int = 0


class ReplayingBackend:
    """A backend that answers what was recorded in `folder`, bit for bit. Safe to share between threads.

    Raises CheckpointError, in one sentence, for whatever was not recorded there.
    """

    def __init__(self, folder: str | Path) -> None:
        self._reader = RecordingReader(Path(folder) / SAM3_FOLDER)
        with translate_errors():
            self.name = str(self._reader.read_answer(NAME_QUESTION))
        self.probability_estimator = self._read_estimator()

    def encode(self, images: Sequence[Image]) -> list[RecordedEmbedding]:
        return [RecordedEmbedding(image.key) for image in images]

    def decode(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return [
            self._read_instances(get_target(embedding).key, prompt)
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def refine(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return [
            self._read_instances(embedding.key, prompt) for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def describe_examples(self, embedding: RecordedEmbedding, prompt: ConceptPrompt) -> Concept:
        with translate_errors("SAM 3 was not asked to describe these examples when the recording was made"):
            saved = self._reader.read_answer(build_description_question(embedding.key, prompt))
        try:
            return concept_from_json(saved)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the description of examples is damaged in the recording: {error}") from error

    def detect(self, embeddings: Sequence[RecordedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Detections]:
        questions = [
            build_detection_question(get_target(embedding).key, prompt)
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]
        return [self._read_video_answer(question, detections_from_json) for question in questions]

    def open_memory(self, height: int, width: int, length: int) -> ObjectMemory:
        return ReplayingMemory(self._read_low_masks, CallHistory(height, width, length))

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        questions = [build_upsampling_question(small, height, width) for small in logits]
        return [
            self._read_video_answer(question, lambda counts: mask_from_json(counts, height, width))
            for question in questions
        ]

    def vocabulary_warning(self, phrase: str) -> str:
        with translate_errors(f"nobody asked for the vocabulary warning on {phrase!r} when the recording was made"):
            return str(self._reader.read_answer(build_warning_question(phrase)))

    def _read_low_masks(self, question: Question) -> LowMasks:
        return self._read_video_answer(question, low_masks_from_json)

    def _read_video_answer(self, question: Question, read: Callable[[Any], Answer]) -> Answer:
        with translate_errors("a video was not followed in this way when the recording was made"):
            saved = self._reader.read_answer(question)
        try:
            return read(saved)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"what was found in a video is damaged in the recording: {error}") from error

    def _read_estimator(self) -> ProbabilityEstimator | None:
        """Read how likely masks are right; None in a recording of what is not calibrated."""
        try:
            return ProbabilityEstimator.from_dict(self._reader.read_answer(ESTIMATOR_QUESTION))
        except RecordError:
            return None
        except ValueError as error:
            raise CheckpointError(f"the recording holds no mask probabilities: {error}") from error

    def _read_answer(self, key: str, prompt: Prompt) -> Any:
        """Read the answer. Raises RecordError if there is none.

        A recording from before there was a choice of candidates holds three where one is asked for now.
        """
        try:
            return self._reader.read_answer(build_prompt_question(key, prompt))
        except RecordError:
            if isinstance(prompt, VisualPrompt) and (prompt.fill_holes or not prompt.multimask or prompt.mask_side):
                with suppress(RecordError):
                    plain = replace(prompt, multimask=True, fill_holes=False, mask_side=None)
                    return self._reader.read_answer(build_prompt_question(key, plain))
            raise

    def _read_instances(self, key: str, prompt: Prompt) -> Instances:
        asked = prompt.phrase or "examples" if isinstance(prompt, ConceptPrompt) else "an object by clicks"
        with translate_errors(f"SAM 3 was not asked for {asked!r} in this way when the recording was made"):
            saved = self._read_answer(key, prompt)
        try:
            return from_json(saved)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"what SAM 3 found for {asked!r} is damaged in the recording: {error}") from error
