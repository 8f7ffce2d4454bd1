"""The ways of a conversation that a browser kept, each of which is checked as a saved conversation is."""

import json
import zlib
from typing import Annotated, Any

from pydantic import Field, ValidationError

from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown
from agent.conversation.storage import SavedConversation
from agent.records.base import first_validation_error
from demo.requests import PageEvent, Place
from demo.talk.branches import MAX_BRANCHES
from demo.talk.ways import PackedTree, PackedWay, TurnInfo
from demo.uploads import Limits
from sam3_tool.errors import RecordError

Name = Annotated[str, Field(max_length=500)]


class KeptWay(PageEvent):
    """A way as `PackedWay` has it, in JSON; without text it is the one that is shown."""

    text: str
    base: Place
    shared: Place


class KeptInfo(PageEvent):
    """Who answered a turn, as `TurnInfo` has it."""

    way: Place
    event: Place
    planner: Name
    sam3: Name
    retries: Place
    cost: Annotated[str, Field(max_length=40)]


class KeptTree(PageEvent):
    """All ways."""

    ways: Annotated[list[KeptWay], Field(max_length=MAX_BRANCHES)]
    current: Place
    infos: Annotated[list[KeptInfo], Field(max_length=2000)]


def describe_tree(tree: PackedTree) -> dict[str, Any]:
    """Return the ways as JSON holds them; `parse_tree` reads it.

    Args:
        tree: The packed ways.
    """
    return KeptTree(
        ways=[KeptWay(text=_decode_way(way.packed), base=way.base, shared=way.shared) for way in tree.ways],
        current=tree.current,
        infos=[
            KeptInfo(way=way, event=event, planner=info.planner, sam3=info.sam3, retries=info.retries, cost=info.cost)
            for way, event, info in tree.infos
        ],
    ).model_dump()


def _decode_way(packed: bytes) -> str:
    return zlib.decompress(packed).decode("utf-8", "replace") if packed else ""


def parse_tree(held: Any, shown: Conversation, limits: Limits) -> PackedTree:
    """Check the ways that a browser kept.

    Args:
        held: What `take_ways` returned.
        shown: The conversation that is shown.
        limits: What a conversation may have.

    Returns:
        The ways, each of which can be opened with the images of the conversation.

    Raises:
        RecordError: They are damaged, or beyond a limit.
    """
    if held is None:
        return PackedTree()
    try:
        kept = KeptTree.model_validate(held)
        _check_places(kept)
        ways = tuple(PackedWay(_check_way(way.text, shown, limits), way.base, way.shared) for way in kept.ways)
    except ValidationError as error:
        raise RecordError(f"its versions are damaged: {first_validation_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"its versions are damaged: {error}") from error
    infos = (
        (info.way, info.event, TurnInfo(info.planner, info.sam3, info.retries, info.cost, is_recalled=True))
        for info in kept.infos
    )
    return PackedTree(ways, kept.current, tuple(infos))


def _check_places(kept: KeptTree) -> None:
    count = len(kept.ways)
    if not count and not kept.infos and not kept.current:
        return
    if kept.current >= count or any(info.way >= count for info in kept.infos):
        raise ValueError(f"there are {count} versions, and another one is named")
    if any(way.base >= max(1, place) for place, way in enumerate(kept.ways)):
        raise ValueError("a version begins as a later one does")
    if any(bool(way.text) == (place == kept.current) for place, way in enumerate(kept.ways)):
        raise ValueError("expected the text of every version but the one that is shown")


def _check_way(text: str, shown: Conversation, limits: Limits) -> bytes:
    """The way as `Conversation.unpack` reads it."""
    if not text:
        return b""
    saved = SavedConversation.model_validate(json.loads(text))
    saved.check_limits("a version", max_pixels=None, max_masks=limits.max_masks, max_steps=limits.max_steps)
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"), level=1)
    images = {event.image.key: event.image for event in shown.events if isinstance(event, ImageShown)}
    way = Conversation.unpack(packed, [*images.values()])
    first, other = way.events[0], shown.events[0]
    if not (isinstance(first, ImageShown) and isinstance(other, ImageShown) and first.image.key == other.image.key):
        raise ValueError("a version is about another image")
    return packed
