"""A backend that writes down every answer of another one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sam3_tool.backends.base import (
    Backend,
    CrossImageEmbedding,
    Detections,
    ObjectMemory,
    require_concepts,
    require_video,
)
from sam3_tool.backends.recording.calls import (
    ESTIMATOR_QUESTION,
    NAME_QUESTION,
    SAM3_FOLDER,
    build_description_question,
    build_prompt_question,
    build_warning_question,
    concept_to_json,
    get_target,
    split_embedding,
    to_json,
    translate_errors,
)
from sam3_tool.backends.recording.format import Recorder
from sam3_tool.backends.recording.video_calls import (
    CallHistory,
    build_detection_question,
    build_upsampling_question,
    detections_to_json,
)
from sam3_tool.backends.recording.video_memory import RecordingMemory
from sam3_tool.concepts.concept import Concept
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask
from sam3_tool.probability import ProbabilityEstimator
from sam3_tool.prompts import ConceptPrompt, Prompt, VisualPrompt


@dataclass(frozen=True, eq=False)
class RecordingEmbedding:
    """An embedding, and which image it is of."""

    key: str
    inner: Any

    @property
    def nbytes(self) -> int:
        return int(self.inner.nbytes)

    def copy_to_host(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.copy_to_host())

    def copy_to_device(self) -> "RecordingEmbedding":
        return replace(self, inner=self.inner.copy_to_device())


class RecordingBackend:
    """A backend that asks another one and writes its answers into `folder`. As safe between threads as that one.

    Raises CheckpointError, in one sentence, if the folder cannot be written.
    """

    def __init__(self, backend: Backend, folder: str | Path) -> None:
        self._backend = backend
        with translate_errors():
            self._recorder = Recorder(Path(folder) / SAM3_FOLDER)
            self._recorder.add_answer(NAME_QUESTION, backend.name)
            if self.probability_estimator is not None:
                self._recorder.add_answer(ESTIMATOR_QUESTION, self.probability_estimator.to_dict())

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def runs_on(self) -> str:
        """Device and number format of the other backend; empty where there is no network."""
        return str(getattr(self._backend, "runs_on", ""))

    @property
    def device_name(self) -> str:
        """What the other backend's device is called; empty where it does not say."""
        return str(getattr(self._backend, "device_name", ""))

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the other backend's weights; empty where it has none."""
        return str(getattr(self._backend, "fingerprint", ""))

    @property
    def probability_estimator(self) -> ProbabilityEstimator | None:
        """Estimator of the other backend; None where it is not calibrated."""
        return getattr(self._backend, "probability_estimator", None)

    @property
    def calibration_fault(self) -> str:
        """Why the other backend's calibration is not used; empty where none is amiss."""
        return str(getattr(self._backend, "calibration_fault", ""))

    def encode(self, images: Sequence[Image]) -> list[RecordingEmbedding]:
        embeddings = self._backend.encode(images)
        return [RecordingEmbedding(image.key, embedding) for image, embedding in zip(images, embeddings, strict=True)]

    def decode(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        found = self._backend.decode([_unwrap_embedding(embedding) for embedding in embeddings], prompts)
        return self._record_answers(embeddings, prompts, found)

    def refine(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        found = self._backend.refine([embedding.inner for embedding in embeddings], prompts)
        return self._record_answers(embeddings, prompts, found)

    def describe_examples(self, embedding: RecordingEmbedding, prompt: ConceptPrompt) -> Concept:
        concept = require_concepts(self._backend).describe_examples(embedding.inner, prompt)
        with translate_errors():
            self._recorder.add_answer(build_description_question(embedding.key, prompt), concept_to_json(concept))
        return concept

    def detect(self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Detections]:
        found = require_video(self._backend).detect(list(map(_unwrap_embedding, embeddings)), prompts)
        with translate_errors():
            for embedding, prompt, detections in zip(embeddings, prompts, found, strict=True):
                question = build_detection_question(get_target(embedding).key, prompt)
                self._recorder.add_answer(question, detections_to_json(detections))
        return found

    def open_memory(self, height: int, width: int, length: int) -> ObjectMemory:
        memory = require_video(self._backend).open_memory(height, width, length)
        return RecordingMemory(memory, self._recorder, CallHistory(height, width, length))

    def upsample_masks(self, logits: np.ndarray, height: int, width: int) -> list[RleMask]:
        masks = require_video(self._backend).upsample_masks(logits, height, width)
        with translate_errors():
            for small, mask in zip(logits, masks, strict=True):
                self._recorder.add_answer(build_upsampling_question(small, height, width), mask.counts)
        return masks

    def _record_answers(
        self, embeddings: Sequence[RecordingEmbedding], prompts: Sequence[Prompt], found: list[Instances]
    ) -> list[Instances]:
        with translate_errors():
            for embedding, prompt, instances in zip(embeddings, prompts, found, strict=True):
                self._recorder.add_answer(build_prompt_question(get_target(embedding).key, prompt), to_json(instances))
        return found

    def vocabulary_warning(self, phrase: str) -> str:
        warning = self._backend.vocabulary_warning(phrase)
        with translate_errors():
            self._recorder.add_answer(build_warning_question(phrase), warning)
        return warning


def _unwrap_embedding(embedding: Any) -> Any:
    """Return the other backend's embedding."""
    parts = [part.inner for part in split_embedding(embedding)]
    return CrossImageEmbedding(*parts) if len(parts) > 1 else parts[0]
