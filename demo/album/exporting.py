"""One data set of all images, and what a tolerance costs before it is downloaded."""

import tempfile
from functools import partial
from pathlib import Path
from shutil import rmtree

from agent.core.errors import ConversationError
from agent.exports.sets.base import ImageSet, SetImage
from agent.exports.sets.registry import SET_EXPORTERS
from demo.actions import Actions
from demo.album.entries import AlbumEntry
from sam3_tool import Image
from sam3_tool.masks.polygons import measure_polygons
from sam3_tool.masks.rle import decode_mask

MAX_MEASURED = 60
"""Masks that are measured for a tolerance; of more, evenly chosen ones."""


def build_image_set(actions: Actions, session_id: str, *, only_done: bool, validation_share: float) -> ImageSet:
    """Return the images that were worked on, or only those that are done. Untouched ones and videos are left out.

    An untouched image would teach whoever trains on the set that nothing is there.

    Raises ConversationError where none is left.
    """
    album = actions.sessions[session_id].album
    entries = actions.album.collect_entries(session_id)
    chosen = [
        entry
        for entry in entries
        if not entry.is_video and entry.state in (("done",) if only_done else ("work", "done"))
    ]
    if not chosen:
        raise ConversationError(
            "No image is done yet." if only_done else "No image has been worked on yet; ask or click first."
        )
    return ImageSet(
        [_build_set_image(actions, entry) for entry in chosen], album.tolerance, validation_share, album.classes
    )


def _build_set_image(actions: Actions, entry: AlbumEntry) -> SetImage:
    path = entry.files[-1]
    return SetImage(
        entry.name,
        entry.width,
        entry.height,
        entry.answer,
        entry.reasons,
        path,
        partial(Image.open, path, max_pixels=actions.limits.max_pixels),
    )


def write_data_set(actions: Actions, session_id: str, kind: str, *, only_done: bool, validation_share: float) -> Path:
    """Write a data set into a temporary folder of its own, which the caller removes. Raises UserError."""
    exporter = SET_EXPORTERS.get(kind)
    if exporter is None:
        raise ConversationError(f"there is no data set of the kind {kind[:40]!r}; there are {', '.join(SET_EXPORTERS)}")
    images = build_image_set(actions, session_id, only_done=only_done, validation_share=validation_share)
    folder = Path(tempfile.mkdtemp(prefix="sam3-agent-"))
    try:
        path = folder / f"data-set{exporter.suffix}"
        exporter.write(images, path)
        return path
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise


def measure_tolerance(actions: Actions, session_id: str, tolerance: float) -> dict[str, float]:
    """Return points and IoU of the polygons of all answers, with the tolerance and without a loss.

    Returns:
        `masks` that were measured; `points` and `all_points` of a mask on average, with and without the tolerance;
        `iou` on average and `lowest`.
    """
    candidates = [candidate for entry in actions.album.collect_entries(session_id) for candidate in entry.answer]
    step = max(1, -(-len(candidates) // MAX_MEASURED))
    masks = [decode_mask(candidate.rle) for candidate in candidates[::step]]
    coarse = [measure_polygons(mask, tolerance=tolerance) for mask in masks]
    exact = [measure_polygons(mask)[0] for mask in masks]
    count = max(1, len(masks))
    return {
        "masks": len(masks),
        "points": round(sum(points for points, _ in coarse) / count, 1),
        "all_points": round(sum(exact) / count, 1),
        "iou": round(sum(iou for _, iou in coarse) / count, 4) if masks else 1.0,
        "lowest": round(min((iou for _, iou in coarse), default=1.0), 4),
    }
