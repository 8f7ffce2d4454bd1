"""A conversation that went several ways: each way is a whole conversation, and ways share their first events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.conversation.conversation import Conversation
from agent.conversation.events import Event
from agent.core.episode import Episode

MAX_BRANCHES = 24
"""Ways of a session; the oldest ones that are not shown are forgotten."""


@dataclass(frozen=True)
class Version:
    """One of several events that stand at the same place."""

    branch: int
    """The place of a branch that goes this way."""
    event: Event


@dataclass(frozen=True)
class BranchTree:
    """All ways of a session's conversation, and which of them is shown. Events are told apart by identity."""

    branches: tuple[Conversation, ...] = ()
    """In the order in which they began; empty before the first image."""
    current: int = 0
    """The place of the one that is shown."""

    @property
    def shown(self) -> Conversation | None:
        """The conversation that is shown."""
        return self.branches[self.current] if self.branches else None

    def advance(self, conversation: Conversation | None) -> "BranchTree":
        """Return the tree after the shown conversation went on to this one.

        What was undone and is not in it any more stays as a branch, if a question was among it.

        Args:
            conversation: What is to be shown; None for nothing.
        """
        shown = self.shown
        if conversation is None or shown is None:
            return BranchTree(() if conversation is None else (conversation,))
        if conversation.events[0] is not shown.events[0]:
            return self._leave_for(conversation)
        if _loses_question(shown, conversation):
            return self.fork(conversation)
        return replace(self, branches=_replace_item(self.branches, self.current, conversation))

    def fork(self, conversation: Conversation) -> "BranchTree":
        """Return the tree that shows this conversation, and keeps the one that was shown.

        Args:
            conversation: Another way, or one that is there already.
        """
        known = [place for place, branch in enumerate(self.branches) if _is_same_way(branch, conversation)]
        if known:
            return BranchTree(_replace_item(self.branches, known[0], conversation), known[0])
        return _limit_branches(BranchTree((*self.branches, conversation), len(self.branches)))

    def add_beside(self, conversation: Conversation) -> "BranchTree":
        """Return the tree with another way, which is not shown.

        Args:
            conversation: The other way.
        """
        return _limit_branches(replace(self, branches=(*self.branches, conversation)))

    def switch(self, branch: int) -> "BranchTree":
        """Return the tree that shows another way.

        Args:
            branch: The place of the way.

        Raises:
            IndexError: There is no such way.
        """
        if not 0 <= branch < len(self.branches):
            raise IndexError(f"there is no way {branch}")
        return replace(self, current=branch)

    def list_versions(self, place: int) -> list[Version]:
        """Return the events that ways with the same beginning have at a place, in the order in which they began.

        Args:
            place: Of an event of the shown conversation.
        """
        shown = self.shown
        if shown is None:
            return []
        versions: list[Version] = []
        for branch in self._list_related(shown.events[:place]):
            event = self.branches[branch].events[place : place + 1]
            if event and all(version.event is not event[0] for version in versions):
                versions.append(Version(branch, event[0]))
        return versions

    def find_branch(self, event: Event) -> int | None:
        """Return the place of a way that holds this event; None where none does any more."""
        holding = (place for place, branch in enumerate(self.branches) if any(held is event for held in branch.events))
        return next(holding, None)

    def list_events(self) -> list[Event]:
        """Return the events of all ways, each once."""
        events = {id(event): event for branch in self.branches for event in branch.events}
        return [*events.values()]

    def _leave_for(self, conversation: Conversation) -> "BranchTree":
        """The tree that shows an unrelated conversation. The one before it stays only where it went several ways."""
        shown = self.branches[self.current]
        ways = [branch for branch in self.branches if branch.events[0] is shown.events[0]]
        kept = tuple(branch for branch in self.branches if len(ways) > 1 or branch is not shown)
        return BranchTree(kept, 0).fork(conversation)

    def _list_related(self, beginning: Sequence[Event]) -> Iterator[int]:
        """The places of the branches that begin so; where one event is in several, the shown one speaks for it."""
        for place, branch in enumerate(self.branches):
            if _starts_with(branch.events, beginning):
                yield place


def _starts_with(events: Sequence[Event], beginning: Sequence[Event]) -> bool:
    return len(events) >= len(beginning) and all(a is b for a, b in zip(events, beginning, strict=False))


def _is_same_way(branch: Conversation, other: Conversation) -> bool:
    """Whether one conversation only goes on from the other."""
    return _starts_with(branch.events, other.events) or _starts_with(other.events, branch.events)


def _loses_question(before: Conversation, after: Conversation) -> bool:
    """Whether a question that was undone is not in what comes after."""
    held = {id(event) for event in after.events}
    return any(
        isinstance(event, Episode) and not event.task.by_hand and id(event) not in held for event in before.events
    )


def _replace_item(items: tuple[Conversation, ...], place: int, item: Conversation) -> tuple[Conversation, ...]:
    return (*items[:place], item, *items[place + 1 :])


def _limit_branches(tree: BranchTree) -> BranchTree:
    """The tree without its oldest ways that are not shown, if there are too many."""
    if len(tree.branches) <= MAX_BRANCHES:
        return tree
    oldest = 0 if tree.current else 1
    kept = (*tree.branches[:oldest], *tree.branches[oldest + 1 :])
    return BranchTree(kept, tree.current - (oldest < tree.current))
