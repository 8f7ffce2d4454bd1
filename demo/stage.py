"""The picture and its masks as the page's script draws them: outlines, colours, names; no pixels but the picture's."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from itertools import count
from typing import Any

import cv2
import numpy as np

from agent.conversation import ABOVE, Conversation
from agent.episode import Candidate, Episode
from agent.page import css_color, share
from agent.text import encodable
from agent.tools import ToolError, parse_call
from agent.tools.refine import Click, Refine
from agent.views import reduced
from demo.visits import Visit
from sam3_tool import Picture
from sam3_tool.draw import Color, color_of
from sam3_tool.rle import Rle, areas, decode_columns

SIDE = 1600
"""Pixels of the long side of the picture on the page; a larger one is reduced."""
FINEST = 1200
"""Pixels: along an axis with more, outlines are that coarse."""
EVEN = 0.19
"""The luminance on which dark and light letters have the same contrast."""
NOTHING: Mapping[str, Any] = {"key": "", "masks": [], "points": [], "width": 0, "height": 0, "active": None}
_serial = count(1)


def stage(visit: Visit) -> dict[str, Any]:
    """All that the script draws but the photograph. Never equal to what it was sent before, so that it looks."""
    conversation, running = visit.conversation, visit.answering
    if conversation is None:
        return {**NOTHING, "serial": next(_serial)}
    episode = running.episode if running else None
    workspace = (episode or conversation).workspace
    selected = episode.shown if episode else conversation.visible
    return {
        "serial": next(_serial),
        "key": conversation.picture.key,
        "name": conversation.name,
        "width": conversation.picture.width,
        "height": conversation.picture.height,
        "masks": mask_rows(tuple(workspace), selected, episode.reasons if episode else conversation.reasons),
        "points": _points(conversation),
        "active": _active(conversation),
        "threshold": _threshold(conversation),
        "canUndo": conversation.can_undo,
        "canRedo": conversation.can_redo,
        "busy": running is not None,
    }


def photograph(picture: Picture) -> dict[str, str]:
    """The picture at the size of the page, with the key by which the script knows it."""
    return {"key": picture.key, "url": data_url(reduced(picture, SIDE), quality=88)}


@lru_cache(maxsize=8)
def data_url(picture: Picture, *, quality: int) -> str:
    """WebP inside the URL: no file that somebody else could ask for."""
    file = BytesIO()
    picture.to_pil().save(file, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _points(conversation: Conversation) -> list[tuple[float, float, bool]]:
    """x, y in pixels, and whether it was positive: of the latest turn, where that was a click."""
    return [(click.x, click.y, click.positive) for click in _clicks(conversation.last)]


def _clicks(turn: Episode | None) -> Iterator[Click]:
    """Of a turn made by hand, which may come from anybody's file: what is no click there is none here."""
    for step in turn.steps if turn is not None and turn.task.by_hand else ():
        with suppress(ToolError):
            call = parse_call(step.decision, [Refine])
            yield from call.points if isinstance(call, Refine) else ()


def _active(conversation: Conversation) -> int | None:
    """The mask that the latest click made, which is the newest: the next click corrects it further."""
    return max(conversation.selected, default=None) if _points(conversation) else None


def _threshold(conversation: Conversation) -> float:
    """Where the slider stands: at the latest turn's threshold, where it set one."""
    last = conversation.last
    said = last.task.query if last is not None and last.task.by_hand else ""
    number = re.fullmatch(rf"{ABOVE} (0\.\d+|\d(?:\.\d+)?e-\d+)", said)
    return float(number[1]) if number else 0.0


def mask_rows(
    candidates: Sequence[Candidate], selected: Sequence[int], reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    """What the page shows of each mask that has pixels, larger ones first, so that smaller ones lie on top."""
    rows = [_row(one, one.id in selected, reasons.get(one.id, "")) for one in candidates]
    return sorted((row for row in rows if row["area"]), key=lambda row: -row["area"])


def _row(candidate: Candidate, selected: bool, reason: str) -> dict[str, Any]:
    height, width = candidate.rle.size
    path, x, y = _outline(candidate.rle)
    area = int(areas([candidate.rle])[0])
    return {
        "id": candidate.id,
        "color": css_color(candidate.id),
        "ink": _ink(color_of(candidate.id)),
        "phrase": encodable(candidate.phrase) or "by example",
        "score": round(min(1.0, max(0.0, candidate.score)), 4),  # 0 for what is no number, from a file
        "area": area,
        "share": share(area, height * width),
        "reason": encodable(reason),
        "origin": encodable(candidate.origin),
        "selected": selected,
        "path": path,
        "at": [x, y],
    }


def _ink(color: Color) -> str:
    """Dark or light, whichever has more contrast with this colour, as CSS writes it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (channel / 255 for channel in color)]
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#101010" if luminance > EVEN else "#ffffff"


@lru_cache(maxsize=2048)
def _outline(rle: Rle) -> tuple[str, float, float]:
    """An SVG path around the mask in the picture's pixels, and x, y of a point well inside it."""
    left, columns = decode_columns(rle)
    if len(columns) == 0:
        return "", 0.0, 0.0
    mask = np.ascontiguousarray(columns.T).view(np.uint8)
    step = max(1, -(-max(mask.shape) // FINEST))
    size = -(-mask.shape[1] // step), -(-mask.shape[0] // step)
    shares = cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA)
    coarse = (shares >= min(128, int(shares.max()))).astype(np.uint8)  # a mask with a pixel keeps one
    return _path(coarse, left, step), *_deepest(coarse, left, step)


def _path(mask: np.ndarray, left: int, step: int) -> str:
    """`mask`: uint8, (H, W), at 1 / `step` of the size, beginning `left` pixels from the picture's edge."""
    double = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)  # so that outlines follow pixel edges
    contours, _ = cv2.findContours(np.pad(double, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = [cv2.approxPolyDP(contour, 0.9, closed=True)[:, 0] for contour in contours if len(contour) > 3]
    scaled = [(line - 0.5) * (step / 2) + np.array([left, 0]) for line in lines]
    return "".join("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in line) + "Z" for line in scaled)


def _deepest(mask: np.ndarray, left: int, step: int) -> tuple[float, float]:
    distances = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_3)
    _, _, _, (x, y) = cv2.minMaxLoc(distances)
    return left + (x - 0.5) * step, (y - 0.5) * step
