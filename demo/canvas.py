"""What the page's script draws: the image, and outlines, colours and names of its masks; never the masks' pixels."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import count
from typing import Any

import cv2
import numpy as np

from agent.conversation.conversation import SCORE_EDIT_PREFIX, Conversation
from agent.core.calls import ValidCall
from agent.core.episode import Episode
from agent.core.text import make_encodable
from agent.core.workspace import Candidate
from agent.planners.chat.views import reduce_image
from agent.report.text import format_css_color, format_share
from agent.tools import WORKSPACE
from agent.tools.refine import Click, Refine
from demo.sessions import Session
from sam3_tool import Image
from sam3_tool.drawing.outlines import Color, get_mask_color
from sam3_tool.masks.rle import RleMask, compute_areas, decode_columns

IMAGE_SIDE = 1600
"""Pixels of the long side of the image on the page; a larger one is reduced."""
OUTLINE_SIDE = 1200
"""Pixels along an axis; outlines of a larger mask are traced at this reduced size."""
EQUAL_CONTRAST_LUMINANCE = 0.19
"""The relative luminance (WCAG 2.2) on which dark and light letters have the same contrast."""
EMPTY_CANVAS: Mapping[str, Any] = {"key": "", "masks": [], "points": [], "width": 0, "height": 0, "active": None}
_serial = count(1)


def canvas_state(session: Session) -> dict[str, Any]:
    """Return all that the script draws, without the image.

    A serial number makes each value differ from the one before: gradio sends a value only when it has changed.
    """
    conversation, pending = session.conversation, session.pending_answer
    if conversation is None:
        return {**EMPTY_CANVAS, "serial": next(_serial)}
    episode = pending.episode if pending else None
    workspace = (episode or conversation).workspace
    selected = episode.current_ids if episode else conversation.displayed_ids
    return {
        "serial": next(_serial),
        "key": conversation.image.key,
        "name": conversation.name,
        "width": conversation.image.width,
        "height": conversation.image.height,
        "masks": build_mask_rows(tuple(workspace), selected, episode.reasons if episode else conversation.reasons),
        "points": _list_points(conversation),
        "active": _find_active_mask(conversation),
        "threshold": _parse_threshold(conversation),
        "canUndo": conversation.can_undo,
        "canRedo": conversation.can_redo,
        "busy": pending is not None,
    }


def image_payload(image: Image) -> dict[str, str]:
    """Return the image at the size of the page, with the key by which the script knows it."""
    return {"key": image.key, "url": encode_data_url(reduce_image(image, IMAGE_SIDE), quality=88)}


@lru_cache(maxsize=8)
def encode_data_url(image: Image, *, quality: int) -> str:
    """Return the image as WebP inside a URL, so that there is no file that somebody else could ask for."""
    file = BytesIO()
    image.to_pil().save(file, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _list_points(conversation: Conversation) -> list[tuple[float, float, bool]]:
    """x, y in pixels and the sign of each point of the latest turn, if that was a click."""
    return [(click.x, click.y, click.positive) for click in _parse_clicks(conversation.last_turn)]


def _parse_clicks(turn: Episode | None) -> Iterator[Click]:
    """The clicks of a turn made by hand. It may come from anybody's file, so what does not parse is left out."""
    for step in turn.steps if turn is not None and turn.task.by_hand else ():
        match WORKSPACE.read_call(step.decision):
            case ValidCall(Refine() as call):
                yield from call.points


def _find_active_mask(conversation: Conversation) -> int | None:
    """The mask that the latest click made, which is the newest: the next click corrects it further."""
    return max(conversation.selected, default=None) if _list_points(conversation) else None


def _parse_threshold(conversation: Conversation) -> float:
    """The position of the slider: the threshold that the latest turn has set, or 0."""
    last = conversation.last_turn
    query = last.task.query if last is not None and last.task.by_hand else ""
    number = re.fullmatch(rf"{SCORE_EDIT_PREFIX} (0\.\d+|\d(?:\.\d+)?e-\d+)", query)
    return float(number[1]) if number else 0.0


def build_mask_rows(
    candidates: Sequence[Candidate], selected: Sequence[int], reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return what the page shows of each mask that has pixels, larger ones first, so that smaller ones lie on top."""
    rows = [
        _build_mask_row(candidate, candidate.id in selected, reasons.get(candidate.id, "")) for candidate in candidates
    ]
    return sorted((row for row in rows if row["area"]), key=lambda row: -row["area"])


def _build_mask_row(candidate: Candidate, selected: bool, reason: str) -> dict[str, Any]:
    height, width = candidate.rle.size
    path, x, y = _trace_outline(candidate.rle)
    area = int(compute_areas([candidate.rle])[0])
    return {
        "id": candidate.id,
        "color": format_css_color(candidate.id),
        "ink": _choose_ink(get_mask_color(candidate.id)),
        "phrase": make_encodable(candidate.phrase) or "by example",
        "score": round(min(1.0, max(0.0, candidate.score)), 4),  # a file may hold NaN, which becomes 0
        "area": area,
        "share": format_share(area, height * width),
        "reason": make_encodable(reason),
        "origin": make_encodable(candidate.origin),
        "selected": selected,
        "path": path,
        "at": [x, y],
    }


def _choose_ink(color: Color) -> str:
    """The CSS colour, dark or light, that has more contrast with this one."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (channel / 255 for channel in color)]
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#101010" if luminance > EQUAL_CONTRAST_LUMINANCE else "#ffffff"


@lru_cache(maxsize=2048)
def _trace_outline(rle: RleMask) -> tuple[str, float, float]:
    """An SVG path around the mask in the image's pixels, and x, y of a point well inside it."""
    left, columns = decode_columns(rle)
    if len(columns) == 0:
        return "", 0.0, 0.0
    mask = np.ascontiguousarray(columns.T).view(np.uint8)
    step = max(1, -(-max(mask.shape) // OUTLINE_SIDE))
    size = -(-mask.shape[1] // step), -(-mask.shape[0] // step)
    shares = cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA)
    coarse = (shares >= min(128, int(shares.max()))).astype(np.uint8)  # a mask with a pixel keeps one
    return _format_svg_path(coarse, left, step), *_find_deepest_point(coarse, left, step)


def _format_svg_path(mask: np.ndarray, left: int, step: int) -> str:
    """Trace a mask, uint8 (H, W), at 1 / `step` of its size, that begins `left` pixels from the image's edge."""
    # OpenCV's contours run through pixel centres; at twice the size they follow the pixels' edges
    double = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(np.pad(double, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = [cv2.approxPolyDP(contour, 0.9, closed=True)[:, 0] for contour in contours if len(contour) > 3]
    scaled = [(line - 0.5) * (step / 2) + np.array([left, 0]) for line in lines]
    return "".join("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in line) + "Z" for line in scaled)


def _find_deepest_point(mask: np.ndarray, left: int, step: int) -> tuple[float, float]:
    distances = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_3)
    _, _, _, (x, y) = cv2.minMaxLoc(distances)
    return left + (x - 0.5) * step, (y - 0.5) * step
