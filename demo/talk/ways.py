"""Every way of a conversation in few bytes, for an image that is left: its ways are there again once it is shown."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import Event
from agent.core.episode import Episode
from demo.talk.branches import BranchTree


@dataclass(frozen=True)
class TurnInfo:
    """What a turn does not tell itself: who answered, and what that took beside its steps."""

    planner: str
    sam3: str
    retries: int = 0
    """Requests to the language model that were sent again."""
    cost: str = ""
    """In the currency of the prices that the operator gave; empty where none was given."""
    is_recalled: bool = False
    """The turn was packed meanwhile, and what its language model saw is not known any more."""


@dataclass(frozen=True)
class PackedWay:
    """A way that is not shown."""

    packed: bytes
    """Its conversation."""
    base: int = 0
    """The place of an earlier way that begins as this one does."""
    shared: int = 0
    """How many events both have at the beginning."""


@dataclass(frozen=True)
class PackedTree:
    """All ways but the one that is shown, whose conversation is kept apart."""

    ways: tuple[PackedWay, ...] = ()
    """In the order in which they began; `packed` is empty for the one that is shown."""
    current: int = 0
    """The place of the one that is shown."""
    infos: tuple[tuple[int, int, TurnInfo], ...] = ()
    """The place of a way, of an event in it, and who answered there."""

    @property
    def packed_bytes(self) -> int:
        """Bytes that the ways take in memory."""
        return sum(len(way.packed) for way in self.ways)


NO_WAYS = PackedTree()


def pack_tree(tree: BranchTree, infos: Mapping[Episode, TurnInfo]) -> PackedTree:
    """Pack the ways of the subject that is shown.

    Args:
        tree: All ways.
        infos: Who answered which turn.

    Example:
        >>> pack_tree(BranchTree(), {})
        PackedTree(ways=(), current=0, infos=())
    """
    shown = tree.shown
    if shown is None:
        return PackedTree()
    related = [branch for branch in tree.branches if branch.events[0] is shown.events[0]]
    current = next(place for place, branch in enumerate(related) if branch is shown)
    ways = []
    for place, branch in enumerate(related):
        base, shared = _find_base(branch, related[:place])
        ways.append(PackedWay(b"" if place == current else branch.pack(), base, shared))
    return PackedTree(tuple(ways), current, tuple(_list_infos(related, infos)))


def _find_base(way: Conversation, earlier: Sequence[Conversation]) -> tuple[int, int]:
    """The place of the way that shares most events with this one, and how many."""
    counts = [sum(1 for _ in takewhile(_is_same, zip(way.events, other.events, strict=False))) for other in earlier]
    return (counts.index(max(counts)), max(counts)) if counts else (0, 0)


def _is_same(pair: tuple[Event, Event]) -> bool:
    return pair[0] is pair[1]


def _list_infos(ways: Sequence[Conversation], infos: Mapping[Episode, TurnInfo]) -> list[tuple[int, int, TurnInfo]]:
    found, seen = [], set[int]()
    for place, way in enumerate(ways):
        for at, event in enumerate(way.events):
            info = infos.get(event) if isinstance(event, Episode) else None
            if info is not None and id(event) not in seen:
                seen.add(id(event))
                found.append((place, at, replace(info, is_recalled=True)))
    return found


def add_info(tree: PackedTree, place: int, info: TurnInfo) -> PackedTree:
    """Return the ways with who answered a turn of the one that is shown.

    Args:
        tree: The packed ways.
        place: Of the turn among the events.
        info: Who answered.
    """
    ways = tree.ways or (PackedWay(b""),)
    return replace(tree, ways=ways, infos=(*tree.infos, (tree.current, place, replace(info, is_recalled=True))))


def unpack_tree(
    packed: PackedTree, shown: Conversation, open_way: Callable[[bytes], Conversation]
) -> tuple[BranchTree, dict[Episode, TurnInfo]]:
    """Rebuild the ways around the conversation that is shown.

    Args:
        packed: What `pack_tree` returned.
        shown: The conversation that is shown, which may have gone on since.
        open_way: Rebuilds a packed conversation with its images.

    Returns:
        The ways, which share the events that they had in common, and who answered which turn.

    Raises:
        ValueError: A way does not fit the images.
    """
    if not packed.ways:
        return BranchTree().advance(shown), {}
    opened: list[Conversation] = []
    for place, way in enumerate(packed.ways):
        branch = shown if place == packed.current else open_way(way.packed)
        opened.append(_share_events(branch, opened[way.base], way.shared) if opened else branch)
    tree = BranchTree(tuple(opened), packed.current)
    infos = {}
    for place, at, info in packed.infos:
        event = opened[place].events[at] if at < len(opened[place].events) else None
        if isinstance(event, Episode):
            infos[event] = info
    return tree, infos


def _share_events(way: Conversation, base: Conversation, shared: int) -> Conversation:
    """The way with the events of another one at its beginning, as far as both still say the same there."""
    said = [_read_events(branch) for branch in (way, base)]
    equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*said, strict=False)))
    count = min(shared, equal)
    return replace(way, events=(*base.events[:count], *way.events[count:]))


def _read_events(conversation: Conversation) -> list[Any]:
    events: list[Any] = json.loads(zlib.decompress(conversation.pack()))["events"]
    return events
