"""Masks of objects in videos as MeViS and ReVOS store them: `mask_dict.json`, annotation id -> a mask per frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.datasets.formats.expressions import Expression, FrameMasks
from evals.datasets.formats.files import DataSource, name_file
from evals.errors import ScoringError
from evals.metrics.inputs.entries import get_field, require_list, require_object
from evals.metrics.inputs.segments import to_rle
from sam3_tool.masks.rle import RleMask


@dataclass(frozen=True, eq=False)
class MaskDict:
    """The file, read when the first mask is needed."""

    source: DataSource
    path: Path

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return self.source.parse_json(self.path, lambda content: require_object(content, "the file"))

    def read_truth(self, expression: Expression) -> FrameMasks:
        """For each frame the masks of all annotations that the expression means. Raises DatasetError."""
        with name_file(self.path, self.source.name):
            ids = require_list(get_field(expression.entry, "anno_id", expression.id), f"`anno_id` of {expression.id}")
            tracks = [self._find_track(str(id), len(expression.frames)) for id in ids]
            sizes = {mask.size for track in tracks for mask in track if mask is not None}
            if len(sizes) > 1:
                raise ScoringError(f"the annotations of {expression.id} differ in size: {sorted(sizes)}")
        return [[mask for mask in frame if mask is not None] for frame in zip(*tracks, strict=True)] or [
            [] for _ in expression.frames
        ]

    def _find_track(self, id: str, length: int) -> Sequence[RleMask | None]:
        """One entry per frame. Raises ScoringError."""
        track = require_list(get_field(self._content, id, "the file"), f"annotation {id!r}")
        if len(track) < length:
            raise ScoringError(f"annotation {id!r} has masks for {len(track)} frames, its video has {length}")
        return [self._read_mask(mask, _make_name(id, place)) for place, mask in enumerate(track[:length])]

    @staticmethod
    def _read_mask(segmentation: Any, name: Callable[[], str]) -> RleMask | None:
        return to_rle(segmentation, {}, name) if segmentation else None


def _make_name(id: str, frame: int) -> Callable[[], str]:
    return lambda: f"annotation {id!r}, frame {frame}"
