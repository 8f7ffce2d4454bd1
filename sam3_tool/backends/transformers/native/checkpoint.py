"""One native checkpoint as the parts of a network: configurations, weights, tokenizer and image processor."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Sam3Config,
    Sam3ImageProcessor,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3Model,
    Sam3TrackerConfig,
    Sam3TrackerVideoConfig,
)

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.native.configuration import (
    describe_detector,
    describe_memory,
    describe_tracker,
    select_student,
)
from sam3_tool.backends.transformers.native.conversion import convert_weights
from sam3_tool.backends.transformers.native.files import NativeFile
from sam3_tool.backends.transformers.native.lite_text import describe_lite_text
from sam3_tool.backends.transformers.native.names import STUDENT, STUDENT_TRUNK
from sam3_tool.backends.transformers.native.tokenizer import find_tokenizer
from sam3_tool.backends.transformers.students.layout import describe_student
from sam3_tool.backends.transformers.students.names import map_student_names
from sam3_tool.backends.transformers.students.trunk import StudentTrunk, WeightFaults
from sam3_tool.errors import CheckpointError
from sam3_tool.system.files import decode_json

_DETECTOR = "detector_model."
_LAST_LEVEL = "vision_encoder.neck.fpn_layers.3."
"""Of the detector's pyramid, which SAM 3.1 is without. SAM 3 has it and never reads it."""
_TRUNK = "vision_encoder.backbone."
_COUNTER = ".num_batches_tracked"
"""Of a batch norm; nothing reads it after a training."""


class NativeCheckpoint:
    """A `.pt` file, or safetensors with the same names."""

    def __init__(self, path: Path) -> None:
        """Look into a file; its weights are not read yet. Raises `CheckpointError` if it is not SAM 3."""
        self._file = NativeFile(path)
        self._known = _read_known_configuration(path.parent / "config.json")

    @property
    def is_multiplex(self) -> bool:
        """Whether it is SAM 3.1."""
        return self._file.is_multiplex

    def build_detector(self, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
        """Return a `Sam3Model` or `Sam3LiteTextModel` on the CPU, and transformers' report of what is not right."""
        kind = Sam3LiteTextModel if self._file.is_lite_text else Sam3Model
        with self._explain_shapes():
            config = (Sam3LiteTextConfig if self._file.is_lite_text else Sam3Config)(**self._describe_detector())
        converted = convert_weights(self._file, lambda name: name.startswith(_DETECTOR), lambda _: dtype)
        weights = {name.removeprefix(_DETECTOR): value for name, value in converted.items()}
        model, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        unneeded = (_LAST_LEVEL,) * self.is_multiplex
        if self._file.is_student:
            unneeded += (_TRUNK,)
            faults = self._place_student(model, dtype)
            report["missing_keys"] = {*report["missing_keys"], *faults.missing}
            report["mismatched_keys"] = {*report["mismatched_keys"], *faults.mismatched}
        report["missing_keys"] = {
            name for name in report["missing_keys"] if not name.startswith(unneeded) and not name.endswith(_COUNTER)
        }
        return model, report

    def _place_student(self, model: Any, dtype: torch.dtype) -> WeightFaults:
        """Give a detector EfficientSAM3's trunk, and say what is not right with that."""
        shapes = select_student(self._file.shapes)
        layout = describe_student(shapes)
        names = map_student_names(layout.family, shapes)
        converted = convert_weights(self._file, lambda name: name.startswith(STUDENT), lambda _: torch.float32)
        weights = {names[bare]: value for name, value in converted.items() if (bare := name[len(STUDENT) :]) in names}
        trunk = StudentTrunk(layout, grid=model.config.vision_config.backbone_feature_sizes[-1][0])
        faults = trunk.load_weights(weights)
        if faults.unknown:
            stored = next(bare for bare, own in names.items() if own == faults.unknown[0])
            raise CheckpointError(
                f"{self._file.path} is not EfficientSAM3 as it was published: its vision encoder has "
                f"{len(faults.unknown)} more weights, e.g. {STUDENT_TRUNK}{stored}. {WORKS_NOW}"
            )
        if not any(faults):  # norms of half a network are those of random numbers
            model.vision_encoder.backbone = trunk.fold_norms().to(dtype)
        return faults

    def read_processors(self) -> tuple[Any, Any]:
        """Return the tokenizer and the image processor. Raises `CheckpointError` if there is no tokenizer."""
        with self._explain_shapes():
            description = self._describe_detector()
        side = description["vision_config"]["backbone_config"]["image_size"]
        tokenizer = find_tokenizer(self._file.path, description["text_config"]["vocab_size"])
        return tokenizer, Sam3ImageProcessor(size={"height": side, "width": side})

    def read_tracker_config(self) -> Sam3TrackerConfig:
        with self._explain_shapes():
            return Sam3TrackerConfig(**describe_tracker(self._file.shapes, self._known.get("tracker_config") or {}))

    def read_memory_config(self) -> Sam3TrackerVideoConfig:
        with self._explain_shapes():
            return Sam3TrackerVideoConfig(**describe_memory(self._file.shapes, self._known.get("tracker_config") or {}))

    def read_weights(
        self, is_wanted: Callable[[str], bool], choose_dtype: Callable[[str], torch.dtype]
    ) -> dict[str, torch.Tensor]:
        """Return weights as a checkpoint of `Sam3VideoModel` has them; see `convert_weights`."""
        return convert_weights(self._file, is_wanted, choose_dtype)

    def _describe_detector(self) -> dict[str, Any]:
        """Return the arguments of the detector's configuration; see `describe_detector`."""
        known, file = self._known.get("detector_config") or {}, self._file
        if not file.is_lite_text:
            return describe_detector(file.shapes, known)
        # its parts have types of their own, but those of SAM 3 say the same
        known = {
            part: {key: value for key, value in (says or {}).items() if key != "model_type"}
            for part, says in known.items()
            if isinstance(says, Mapping)
        }
        return describe_detector(file.shapes, known, text=describe_lite_text(file.shapes, file.text_context))

    @contextmanager
    def _explain_shapes(self) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise CheckpointError(
                f"{self._file.path} is not a whole SAM 3 checkpoint: {error.args[0]} is missing. {WORKS_NOW}"
            ) from error
        except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
            raise CheckpointError(
                f"{self._file.path} has weights of sizes that SAM 3 cannot have ({error}). {WORKS_NOW}"
            ) from error


def _read_known_configuration(file: Path) -> Mapping[str, Any]:
    """Return what `config.json` says, or {} if there is none of SAM 3: the file may lie among others."""
    with suppress(OSError, ValueError):
        content = decode_json(file.read_bytes())
        if isinstance(content, dict) and content.get("model_type") == "sam3_video":
            return content
    return {}
