"""Colours of masks by their class."""

from agent.exports.answer import get_category
from demo.sessions import Session


def list_class_numbers(session: Session) -> dict[str, int] | None:
    """Return the number of each class where masks are coloured by class; else None."""
    album, conversation = session.album, session.conversation
    if not album.colours_by_class or conversation is None:
        return None
    live = conversation.workspace.pick(conversation.selected)
    names = album.list_classes(live)
    others = [get_category(candidate) for candidate in conversation.workspace if candidate.category]
    return {name: place for place, name in enumerate(dict.fromkeys([*names, *others]), start=1)}
