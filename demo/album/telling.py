"""What a page is told of the film strip: only what differs from what it was told before."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from agent.report.text import format_css_color
from demo.album.entries import AlbumEntry
from demo.sessions import Session
from demo.studio.deltas import compute_revision
from demo.studio.rows import choose_mask_ink
from sam3_tool.drawing.outlines import get_mask_color

MAX_REMEMBERED = 200
"""Strips that were told, of all pages together."""
Told = Mapping[str, str]
"""The revision of each part of a strip, and of each entry by its id."""


@dataclass(frozen=True)
class StripMemory:
    """What pages were told last. Safe to share between threads: `_lock` guards `_told`."""

    _told: OrderedDict[tuple[str, str], Told] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def describe_change(self, session: Session, session_id: str, token: str) -> dict[str, Any]:
        """Return what a page needs to show the strip.

        Args:
            session: Whose strip it is.
            session_id: Its secret.
            token: Of what the page was told last; '' or one that is forgotten for everything.

        Returns:
            `token`, of what the page shows with this. Of `order`, the ids; `classes`, with colours; `current`, `run`,
            `by_class` and `tolerance`, those that changed. `entries`: those that changed, a thumbnail only where it
            did.
        """
        parts, entries = _describe_parts(session), _describe_entries(session)
        told = {name: compute_revision([{name: value}]) for name, value in parts.items()}
        told |= {str(row["id"]): compute_revision([row]) for row in entries}
        now = compute_revision([told])
        before = self._recall(session_id, token)
        self._remember(session_id, now, told)
        changed = {name: value for name, value in parts.items() if told[name] != before.get(name)}
        rows = [row for row in entries if told[str(row["id"])] != before.get(str(row["id"]))]
        return {"token": now, "entries": [_leave_out_thumbnail(row, before) for row in rows], **changed}

    def _recall(self, session_id: str, token: str) -> Told:
        with self._lock:
            return self._told.get((session_id, token), {})

    def _remember(self, session_id: str, token: str, told: Told) -> None:
        with self._lock:
            self._told[session_id, token] = told
            self._told.move_to_end((session_id, token))
            while len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)


def _describe_parts(session: Session) -> dict[str, Any]:
    album, conversation = session.album, session.conversation
    if album.run is not None:
        album.run.notice_look()
    live = () if conversation is None else conversation.workspace.pick(conversation.selected)
    return {
        "order": [entry.id for entry in album.entries],
        "classes": [_describe_class(name, place) for place, name in enumerate(album.list_classes(live), start=1)],
        "current": album.current,
        "run": None if album.run is None else album.run.describe(),
        "by_class": album.colours_by_class,
        "tolerance": album.tolerance,
    }


def _describe_class(name: str, place: int) -> dict[str, str]:
    return {"name": name, "color": format_css_color(place), "ink": choose_mask_ink(get_mask_color(place))}


def _describe_entries(session: Session) -> list[dict[str, Any]]:
    album = session.album
    asked = album.run.entry if album.run is not None else None
    return [_describe_entry(entry, session, asked) for entry in album.entries]


def _describe_entry(entry: AlbumEntry, session: Session, asked: int | None) -> dict[str, Any]:
    """A row of the strip."""
    is_shown, conversation = entry.id == session.album.current, session.conversation
    masks, turns = len(entry.answer), entry.turns
    if is_shown and conversation is not None:
        masks, turns = len(conversation.selected), len(conversation.turns)
    return {
        "id": entry.id,
        "name": entry.name,
        "state": "done" if entry.done else "work" if turns or masks else "new",
        "masks": masks,
        "note": entry.note,
        "video": entry.is_video,
        "asked": entry.id == asked,
        "thumbnail": entry.thumbnail,
    }


def _leave_out_thumbnail(row: dict[str, Any], before: Told) -> dict[str, Any]:
    """The row without its image where the page has that already: the image of an entry never changes."""
    return row if str(row["id"]) not in before else {name: value for name, value in row.items() if name != "thumbnail"}
