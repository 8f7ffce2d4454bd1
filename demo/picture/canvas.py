"""What the page's script draws: the image, and outlines, colours and names of its masks; never the masks' pixels."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from agent.conversation.conversation import SCORE_EDIT_PREFIX, Conversation
from agent.conversation.drawing import DRAWN_ORIGIN, find_drawn_mask
from agent.core.episode import Episode
from agent.core.text.sanitizing import make_encodable
from agent.core.tools.calls import ValidCall
from agent.core.workspace import Candidate
from agent.exports.answer import get_category
from agent.planners.chat.views import reduce_image
from agent.report.text import format_css_color, format_share
from agent.tools import WORKSPACE
from agent.tools.refine import REFINE_ORIGIN, Click, Refine
from demo.album.colours import list_class_numbers
from demo.picture.film import describe_film, describe_track, encode_film, find_masklets
from demo.picture.outlines import trace_outline
from demo.sessions import Session
from demo.studio.deltas import compute_revision
from demo.studio.rows import IMAGE_SIDE, choose_mask_ink, encode_data_url
from sam3_tool import Masklet
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.rle import compute_areas

EMPTY_CANVAS: Mapping[str, Any] = {
    "key": "",
    "masks": [],
    "revision": "",
    "points": [],
    "width": 0,
    "height": 0,
    "active": None,
}
_serial = count(1)


def canvas_state(session: Session) -> dict[str, Any]:
    """Return all that the script draws, without the image.

    A serial number makes each value differ from the one before: gradio sends a value only when it has changed.
    """
    conversation, pending = session.shown, session.pending_answer
    if conversation is None:
        return {**EMPTY_CANVAS, "serial": next(_serial)}
    episode = pending.episode if pending and not pending.is_beside else None
    workspace = (episode or conversation).workspace
    selected = episode.current_ids if episode else conversation.displayed_ids
    rows = build_mask_rows(tuple(workspace), selected, episode.reasons if episode else conversation.reasons)
    rows = [{**row, "candidate": episode is not None} for row in rows]
    rows = color_by_class(rows, list_class_numbers(session))
    film = describe_film(conversation)
    if film is not None:
        rows = _add_tracks(rows, find_masklets(conversation, episode))
    return {
        "serial": next(_serial),
        "film": film,
        "progress": pending.progress if pending else "",
        "key": get_subject_key(conversation),
        "name": conversation.name,
        "width": conversation.image.width,
        "height": conversation.image.height,
        "masks": rows,
        "revision": compute_revision(rows),
        "points": _list_points(conversation),
        "active": _find_active_mask(conversation),
        "threshold": _parse_threshold(conversation),
        "canUndo": conversation.can_undo,
        "canRedo": conversation.can_redo,
        "busy": pending is not None,
    }


def _add_tracks(rows: list[dict[str, Any]], masklets: Mapping[int, Masklet]) -> list[dict[str, Any]]:
    """The rows with where each object is in a video; only of the answer are there outlines."""
    return [{**row, **describe_track(masklets[row["id"]], with_outlines=row["selected"])} for row in rows]


def get_subject_key(conversation: Conversation) -> str:
    """Return by what the script knows the image, or the video, that the conversation is about."""
    return ("" if conversation.video is None else "video ") + conversation.image.key


def subject_payload(conversation: Conversation) -> dict[str, str]:
    """Return the image or the video at the size of the page, with the key by which the script knows it."""
    if conversation.video is not None:
        return {"key": get_subject_key(conversation), "film": encode_film(conversation.video)}
    url = encode_data_url(reduce_image(conversation.image, IMAGE_SIDE), quality=88)
    return {"key": get_subject_key(conversation), "url": url}


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
    """The mask that the latest click made or corrected, or that got a class: the next click corrects it further."""
    turn = conversation.last_turn
    if turn is not None and turn.task.by_hand and turn.steps[:1] and turn.steps[0].decision.tool == "relabel":
        return _find_relabelled_mask(conversation, turn.steps[0].decision.arguments)
    if turn is not None and (drawn := find_drawn_mask(turn)) in conversation.selected:
        return drawn
    for step in turn.steps[:1] if turn is not None and turn.task.by_hand else ():
        match WORKSPACE.read_call(step.decision):
            case ValidCall(Refine() as call):
                active = call.id or len(conversation.workspace)
                return active if active in conversation.selected else None
    return None


def _find_relabelled_mask(conversation: Conversation, arguments: str) -> int | None:
    """The only mask that got a class, if it is in the answer. The arguments may come from anybody's file."""
    with suppress(ValueError, RecursionError):
        match json.loads(arguments):
            case {"ids": [int() as id]} if id in conversation.selected:
                return id
    return None


def _parse_threshold(conversation: Conversation) -> float:
    """The position of the slider: the threshold that the latest turn has set, or 0."""
    last = conversation.last_turn
    query = last.task.query if last is not None and last.task.by_hand else ""
    number = re.fullmatch(rf"{SCORE_EDIT_PREFIX} (0\.\d+|\d(?:\.\d+)?e-\d+)", query)
    return float(number[1]) if number else 0.0


def color_by_class(rows: list[dict[str, Any]], numbers: Mapping[str, int] | None) -> list[dict[str, Any]]:
    """Give rows the colours of their classes.

    Args:
        rows: Of masks.
        numbers: The number of each class; None leaves every mask its own colour.
    """
    if numbers is None:
        return rows
    places = [numbers.get(row["category"], len(numbers) + 1) for row in rows]
    return [
        {**row, "color": format_css_color(place), "ink": choose_mask_ink(get_mask_color(place))}
        for row, place in zip(rows, places, strict=True)
    ]


def build_mask_rows(
    candidates: Sequence[Candidate], selected: Sequence[int], reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return what the page shows of each mask that has pixels, larger ones first, so that smaller ones lie on top."""
    rows = [
        _build_mask_row(candidate, candidate.id in selected, reasons.get(candidate.id, "")) for candidate in candidates
    ]
    return sorted((row for row in rows if row["area"]), key=lambda row: -row["area"])


def _name_origin(candidate: Candidate) -> str:
    """What a mask without a class is called."""
    if candidate.origin == DRAWN_ORIGIN:
        return "drawn"
    return "clicked" if candidate.origin.startswith(REFINE_ORIGIN) else "by example"


def _build_mask_row(candidate: Candidate, selected: bool, reason: str) -> dict[str, Any]:
    height, width = candidate.rle.size
    path, x, y = trace_outline(candidate.rle)
    area = int(compute_areas([candidate.rle])[0])
    return {
        "id": candidate.id,
        "color": format_css_color(candidate.id),
        "ink": choose_mask_ink(get_mask_color(candidate.id)),
        "phrase": make_encodable(candidate.category) or _name_origin(candidate),
        "category": make_encodable(get_category(candidate)) if candidate.category else "",
        "score": round(min(1.0, max(0.0, candidate.score)), 4),  # a file may hold NaN, which becomes 0
        "probability": "" if candidate.probability is None else f"{candidate.probability:.2f}",
        "area": area,
        "share": format_share(area, height * width),
        "reason": make_encodable(reason),
        "origin": make_encodable(candidate.origin),
        "selected": selected,
        "path": path,
        "at": [x, y],
    }
