"""The page is told what has changed since it last asked: entries of the talk, masks, and the thought that is under way.

Nothing is remembered of a page but the masks that it was sent last; it says itself what else it shows.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread
from time import monotonic
from typing import Any

from demo.actions import Actions, ModelSelection
from demo.picture.canvas import canvas_state
from demo.requests import ChosenBranch, InvalidEventError, Look, Question, parse_data
from demo.sessions import Session
from demo.studio.deltas import describe_change
from demo.talk.contents import ContentFinder
from demo.talk.messages import build_talk
from demo.talk.pending import Attention, describe_pending

LONGEST_WAIT = 15.0
"""Seconds until a page that waits for a change is told that there is none."""
LOOK_INTERVAL = 0.05
"""Seconds between two looks at a session that a page waits for."""
MAX_REMEMBERED = 100
"""Pages whose masks are remembered."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowMemory:
    """The masks that pages were sent last. Safe to share between threads: `_lock` guards `_states`."""

    _states: OrderedDict[tuple[str, str], Mapping[str, Any]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def remember(self, session_id: str, state: Mapping[str, Any]) -> None:
        """Remember what a page was sent.

        Args:
            session_id: Of the page.
            state: As `canvas_state` returns it.
        """
        kept = {name: state[name] for name in ("key", "masks", "revision")}
        with self._lock:
            self._states[session_id, state["revision"]] = kept
            self._states.move_to_end((session_id, state["revision"]))
            while len(self._states) > MAX_REMEMBERED:
                self._states.popitem(last=False)

    def recall(self, look: Look) -> Mapping[str, Any]:
        """Return what a page shows.

        Args:
            look: What the page says of it.
        """
        with self._lock:
            known = self._states.get((look.session, look.revision))
        return known if known is not None else {"key": look.canvas, "masks": [], "revision": ""}


@dataclass(frozen=True)
class Follower:
    """Answers the page's script: questions are begun, and whoever asks is told what has changed."""

    actions: Actions
    memory: RowMemory = field(default_factory=RowMemory)
    contents: ContentFinder = field(default_factory=ContentFinder)
    attention: dict[str, Attention] = field(default_factory=dict)
    """Of the answers that are under way, by session."""

    def ask(self, data: Any) -> dict[str, Any]:
        """Begin to answer a question.

        Args:
            data: What the script sent, a `Question`.

        Returns:
            Nothing, or an `error`: a sentence.
        """
        try:
            asked = parse_data(Question, data)
            models = ModelSelection(asked.planner, asked.sam3)
            self.actions.engine.require_offered(models.planner, models.sam3)
            version = self.actions.sessions[asked.session].version
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        attention = Attention(monotonic())
        self.attention[asked.session] = attention
        answering = self.actions.ask(
            asked.session,
            asked.query,
            models,
            place=asked.place,
            is_beside=asked.beside,
            attention=attention,
        )
        try:
            next(answering)  # the question is in the talk before this returns
        except (LookupError, StopIteration) as error:
            return {"error": str(error)}
        Thread(target=self._answer, args=(asked.session, answering), daemon=True).start()
        return {"version": version}

    def _answer(self, session_id: str, answering: Any) -> None:
        try:
            for _ in answering:
                pass
        except Exception:  # nobody else would say so: the page only sees that the answer is over
            log.exception("an answer ended")
        finally:
            self.attention.pop(session_id, None)

    def stop(self, data: Any) -> dict[str, Any]:
        """Stop the answer that is under way.

        Args:
            data: What the script sent, a `Look`.

        Returns:
            Nothing, or an `error`: a sentence.
        """
        try:
            self.actions.stop(parse_data(Look, data).session)
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        return {}

    def switch(self, data: Any) -> dict[str, Any]:
        """Show another way that the conversation went.

        Args:
            data: What the script sent, a `ChosenBranch`.

        Returns:
            Nothing, or an `error`: a sentence.
        """
        try:
            chosen = parse_data(ChosenBranch, data)
            self.actions.switch_branch(chosen.session, chosen.branch)
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        return {}

    def suggest(self, data: Any) -> dict[str, Any]:
        """Say what may be asked of an image of which nothing was asked yet.

        Args:
            data: What the script sent, a `Look`.

        Returns:
            `queries`, or None where it is not known yet; or an `error`: a sentence.
        """
        try:
            look = parse_data(Look, data)
            session = self.actions.sessions[look.session]
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        conversation, name = session.conversation, self.actions.engine.sam3_name
        if conversation is None or conversation.turns or conversation.timeline is not None:
            return {"queries": []}
        sam3 = self.actions.engine.get_loaded_sam3(name)
        if sam3 is None:
            return {"queries": None}

        def is_over() -> bool:
            latest = self.actions.sessions[look.session]
            return latest.pending_answer is not None or latest.conversation is not conversation

        return {"queries": self.contents.suggest_queries(sam3, name, conversation.image, is_over)}

    async def follow(self, data: Any) -> dict[str, Any]:
        """Tell a page what has changed since it last asked, as soon as something has if it waits for that.

        Args:
            data: What the script sent, a `Look`.

        Returns:
            What `describe_news` says, or an `error`: a sentence.
        """
        try:
            look = parse_data(Look, data)
            session = self.actions.sessions[look.session]
            until = monotonic() + LONGEST_WAIT
            while look.wait and session.version == look.version and monotonic() < until:
                self._renew_attention(look.session)
                await asyncio.sleep(LOOK_INTERVAL)
                session = self.actions.sessions[look.session]
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        self._renew_attention(look.session)
        return await asyncio.to_thread(self.describe_news, look, session)

    def _renew_attention(self, session_id: str) -> None:
        attention = self.attention.get(session_id)
        if attention is not None:
            attention.renew()

    def describe_news(self, look: Look, session: Session) -> dict[str, Any]:
        """Return what a page needs to show a session.

        Args:
            look: What it shows.
            session: What it is to show.

        Returns:
            `version`; `keep`, how many of its first entries stay, and `tail`, the others, of which those that it has
            are their `key` alone; `pending`, `suggestions` and `placeholder` as in `build_talk`; and `canvas`, what
            `describe_change` says, or None for a page that does not ask.
        """
        talk = build_talk(session)
        keep, tail = split_entries(look.keys, talk["entries"])
        pending = session.pending_answer
        return {
            "version": session.version,
            "keep": keep,
            "tail": tail,
            "pending": None if pending is None else describe_pending(pending, look.heard),
            "suggestions": talk["suggestions"],
            "placeholder": talk["placeholder"],
            "canvas": self._describe_canvas(look, session),
        }

    def _describe_canvas(self, look: Look, session: Session) -> dict[str, Any] | None:
        """What has changed on the canvas; None for a page that does not ask."""
        if not look.canvas:
            return None
        state = canvas_state(session)
        before = self.memory.recall(look)
        self.memory.remember(look.session, state)
        return describe_change({**before, "key": look.canvas}, state, look.revision)


def split_entries(keys: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many of a page's first entries stay, and the others; of those that it has, the key alone.

    Args:
        keys: Of the entries that the page shows.
        entries: What it is to show.

    Example:
        >>> split_entries(["a", "b"], [{"key": "a", "text": "1"}, {"key": "c", "text": "2"}, {"key": "b", "text": "3"}])
        (1, [{'key': 'c', 'text': '2'}, {'key': 'b'}])
    """
    pairs = zip(keys, entries, strict=False)
    keep = next(
        (place for place, (key, entry) in enumerate(pairs) if key != entry["key"]), min(len(keys), len(entries))
    )
    known = set(keys)
    return keep, [{"key": entry["key"]} if entry["key"] in known else entry for entry in entries[keep:]]
