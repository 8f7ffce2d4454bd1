"""Conversations by tenant and secret id: each changed by one request at a time, and forgotten when nobody uses it."""

import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown
from agent.core.errors import UsageError
from agent.report.result import Mask, Track, VideoInfo
from sam3_tool import Image
from sam3_tool.errors import RecordError
from sam3_tool.system.files import write_atomically
from serve.http.errors import ApiError
from serve.http.images import give_owner
from serve.http.middleware.auth import Tenant
from serve.talk.jobs import lock_file
from serve.talk.schemas import ConversationState, ShownImage, ShownVideo, TurnSummary
from serve.talk.settings import TalkSettings

log = logging.getLogger(__name__)

INDEX = "conversations.json"
INDEX_KEYS = frozenset({"id", "tenant", "version", "until"})
MIN_BYTES = 2**16
"""That a conversation counts at least."""
ETAG = re.compile(r'"([0-9]+)\.([0-9]+)"|"([0-9]+)"|([0-9]+)')
"""What `If-Match` may list: a state's own tag, or a cursor alone."""


@dataclass(eq=False)
class KeptConversation:
    """A conversation, and which state of it this is."""

    id: str
    conversation: Conversation
    until: float
    version: int = 1
    """Grows with every change: a cursor alone comes back after an undo."""
    warnings: Sequence[str] = ()
    """What one must know of the latest turn."""
    is_busy: bool = False
    """Whether a request is changing it."""

    @property
    def etag(self) -> str:
        """The tag of this state, as the header `ETag` gives it."""
        return f'"{self.conversation.cursor}.{self.version}"'

    @property
    def nbytes(self) -> int:
        """Bytes that it counts."""
        return max(MIN_BYTES, self.conversation.image_bytes)

    def matches(self, if_match: str) -> bool:
        """Tell whether a header `If-Match` allows to change this state.

        Raises:
            ApiError: The header is no list of tags.
        """
        if if_match.strip() == "*":
            return True
        parts = [part.strip() for part in if_match.split(",")]
        found = [ETAG.fullmatch(part.removeprefix("W/")) for part in parts]
        if not all(found):
            raise ApiError(422, "invalid", "If-Match: expected the `etag` of a state, its cursor, or *")
        return any(
            self._is_state(match) for part, match in zip(parts, found, strict=True) if match and part[:2] != "W/"
        )

    def _is_state(self, match: re.Match[str]) -> bool:
        cursor, version, quoted, alone = match.groups()
        own = str(self.conversation.cursor)
        return own in (quoted, alone) or (cursor, version) == (own, str(self.version))


class ConversationStore:
    """The conversations of all tenants. For the event loop's thread alone."""

    def __init__(self, settings: TalkSettings, *, now: Callable[[], float] = time.monotonic) -> None:
        """Create an empty store.

        Args:
            settings: The limits of each tenant.
            now: A clock in seconds.
        """
        self._settings, self._now = settings, now
        self._by_tenant: dict[str, OrderedDict[str, KeptConversation]] = {}

    def start(self, tenant: Tenant, conversation: Conversation) -> KeptConversation:
        """Keep a new conversation under a secret id. The tenant's least recently used ones make room.

        Raises:
            ApiError: All others are being changed, and there is no room.
        """
        kept = KeptConversation(self._settings.new_id(), conversation, self._renew())
        shelf = self._by_tenant.setdefault(tenant.name, OrderedDict())
        shelf[kept.id] = kept
        self._make_room(shelf, kept)
        return kept

    def get(self, tenant: Tenant, id: str) -> KeptConversation:
        """Return a conversation, which thereby is the most recently used.

        Raises:
            ApiError: This tenant has no such conversation, or no more.
        """
        shelf = self._by_tenant.get(tenant.name, OrderedDict())
        kept = shelf.get(id)
        if kept is None or (kept.until <= self._now() and not kept.is_busy):
            raise ApiError(404, "conversation_gone", "there is no such conversation here, or no more; begin a new one")
        shelf.move_to_end(id)
        kept.until = self._renew()
        return kept

    @contextmanager
    def hold(self, tenant: Tenant, id: str, if_match: str | None) -> Iterator[KeptConversation]:
        """Hold a conversation so that nobody else changes it meanwhile. `change` changes it.

        Args:
            tenant: Whose it is.
            id: Its id.
            if_match: The header; None = whatever state it is in.

        Raises:
            ApiError: It is gone (404), being changed (409), or not in that state any more (409).
        """
        kept = self.get(tenant, id)
        if if_match is not None and not kept.matches(if_match):
            message = "somebody else was faster: the conversation has moved on; get its state, and try again"
            raise ApiError(409, "conversation_moved", message, {"etag": kept.etag})
        if kept.is_busy:
            message = "another request is changing this conversation; try again when it has ended"
            raise ApiError(409, "conversation_busy", message, {"retry-after": "1", "etag": kept.etag})
        kept.is_busy = True
        try:
            yield kept
        finally:
            kept.is_busy = False
            kept.until = self._renew()

    def change(
        self, tenant: Tenant, kept: KeptConversation, conversation: Conversation, warnings: Sequence[str] = ()
    ) -> None:
        """Keep the next state of a conversation that is held.

        Args:
            tenant: Whose it is.
            kept: The conversation.
            conversation: Its next state.
            warnings: What one must know of the turn.

        Raises:
            ApiError: It has grown too long, or too large.
        """
        if len(conversation.events) > self._settings.max_events:
            message = f"a conversation has {self._settings.max_events} turns at most; begin a new one"
            raise ApiError(422, "conversation_full", message)
        before = kept.conversation
        kept.conversation = conversation
        try:
            self._make_room(self._by_tenant.get(tenant.name, OrderedDict()), kept)
        except ApiError:
            kept.conversation = before
            raise
        kept.version += 1
        kept.warnings = warnings

    def drop(self, tenant: Tenant, id: str) -> None:
        """Forget a conversation, if it is there. A request that is changing it ends as if it were."""
        self._by_tenant.get(tenant.name, OrderedDict()).pop(id, None)

    def drop_expired(self) -> None:
        """Forget the conversations that nobody has used for too long."""
        for shelf in self._by_tenant.values():
            for id in [id for id, kept in shelf.items() if kept.until <= self._now() and not kept.is_busy]:
                del shelf[id]

    def __len__(self) -> int:
        return sum(map(len, self._by_tenant.values()))

    def describe(self, kept: KeptConversation) -> ConversationState:
        """Return what a conversation has come to."""
        conversation = kept.conversation
        image, last = conversation.image, conversation.last_turn
        reasons, workspace = conversation.reasons, conversation.workspace
        tracks = _build_tracks(conversation)
        masks = [
            Mask.from_candidate(candidate, reasons.get(candidate.id, ""), tracks.get(candidate.id))
            for candidate in workspace.pick(conversation.selected)
        ]
        return ConversationState(
            conversation=kept.id,
            cursor=conversation.cursor,
            etag=kept.etag,
            can_undo=conversation.can_undo,
            can_redo=conversation.can_redo,
            image=ShownImage(image=image.key, width=image.width, height=image.height, name=conversation.name),
            video=_describe_video(conversation),
            outcome=conversation.outcome,
            message=conversation.message,
            warnings=[*kept.warnings],
            options=[*conversation.options],
            masks=masks,
            count=len(masks),
            shown=[*conversation.displayed_ids],
            turns=[
                TurnSummary(
                    query=turn.task.query,
                    by_hand=turn.task.by_hand,
                    outcome=turn.outcome or "failed",
                    message=turn.message,
                )
                for turn in conversation.turns
            ],
            usage=None if last is None else last.usage,
            expires=round(max(0.0, kept.until - self._now()), 3),
        )

    def save_all(self, folder: Path) -> int:
        """Write every conversation into a folder, for `load_all`, and return how many.

        A conversation that cannot be written is left out, and the log says so.
        """
        index: list[dict[str, Any]] = []
        for tenant, shelf in self._by_tenant.items():
            for kept in shelf.values():
                seconds = kept.until - self._now()
                if seconds <= 0:
                    continue
                try:
                    _swap_images(kept.conversation, _to_plain_image).save(folder / f"{kept.id}.json")
                except OSError as error:
                    log.error("the conversation %s cannot be saved: %s", kept.id, error.strerror)
                    continue
                entry = {"id": kept.id, "tenant": tenant, "version": kept.version, "until": time.time() + seconds}
                index.append(entry)
        try:
            write_atomically(folder / INDEX, json.dumps(index).encode())
        except OSError as error:
            log.error("the conversations in %s have no index, and will not be taken up: %s", folder, error.strerror)
            return 0
        return len(index)

    def load_all(self, folder: Path) -> int:
        """Take up what `save_all` has written, and return how many. The files are removed: they are taken up once.

        A file that cannot be read is left as it is, and the log says so. Raises UsageError for an index of that kind.
        """
        taken = 0
        for entry in read_index(folder):
            path = folder / f"{entry['id']}.json"
            seconds = entry["until"] - time.time()
            if seconds > 0:
                try:
                    conversation = Conversation.open(path)
                except RecordError as error:
                    log.error("a saved conversation cannot be taken up: %s", error)
                    continue
                tenant = Tenant(entry["tenant"])
                conversation = _swap_images(conversation, partial(give_owner, tenant=tenant))
                kept = KeptConversation(entry["id"], conversation, self._now() + seconds, entry["version"])
                self._by_tenant.setdefault(tenant.name, OrderedDict())[kept.id] = kept
                taken += 1
            path.unlink(missing_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        return taken

    def _renew(self) -> float:
        return self._now() + self._settings.conversation_seconds

    def _make_room(self, shelf: OrderedDict[str, KeptConversation], new: KeptConversation) -> None:
        settings = self._settings
        nbytes = sum(kept.nbytes for kept in shelf.values())
        for id, kept in list(shelf.items()):
            if len(shelf) <= settings.max_conversations and nbytes <= settings.conversation_bytes:
                return
            if kept is not new and not kept.is_busy:
                nbytes -= kept.nbytes
                del shelf[id]
        if len(shelf) > settings.max_conversations or nbytes > settings.conversation_bytes:
            if not new.is_busy:
                del shelf[new.id]
            raise ApiError(429, "no_room", "there is no room for more conversations; end some, or wait until turns end")


def lock_folder(folder: Path) -> FileLock:
    """Hold a folder of conversations, which is made where there is none, so that no other server uses it.

    Raises:
        UsageError: Another server uses it, nothing can be written there, or its index cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; name another folder of conversations") from error
    lock = lock_file(folder / INDEX, "folder of conversations")
    try:
        read_index(folder)
    except UsageError:
        lock.release()
        raise
    return lock


def read_index(folder: Path) -> list[dict[str, Any]]:
    """Return the id, tenant, version and end of each saved conversation. Raises UsageError for what is no index."""
    try:
        entries: list[dict[str, Any]] = json.loads((folder / INDEX).read_bytes())
        if not all(entry.keys() >= INDEX_KEYS for entry in entries):
            raise ValueError("an entry is not complete")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder / INDEX}: cannot be read ({error}); move the folder away") from error
    return entries


def _describe_video(conversation: Conversation) -> ShownVideo | None:
    shown = conversation.latest_image
    if shown.timeline is None:
        return None
    key = shown.video_key if shown.video is None else shown.video.key
    return ShownVideo(**dict(VideoInfo.from_timeline(shown.timeline)), video=key, is_here=shown.video is not None)


def _build_tracks(conversation: Conversation) -> dict[int, Track]:
    """The tracks of the answer to a query about a video, by mask id; none of an image."""
    timeline, masklets = conversation.timeline, conversation.masklets
    chosen = () if timeline is None else conversation.workspace.pick(conversation.selected)
    return {
        candidate.id: Track.from_masklet(masklets[candidate.id], candidate.key_frame, timeline)
        for candidate in chosen
        if timeline is not None and candidate.id in masklets
    }


def _swap_images(conversation: Conversation, make: Callable[[Image], Image]) -> Conversation:
    """The same conversation whose images are made anew; turns name none."""
    images: dict[int, Image] = {}
    events = tuple(
        replace(event, image=images.setdefault(id(event.image), make(event.image)))
        if isinstance(event, ImageShown)
        else event
        for event in conversation.events
    )
    return Conversation(events, conversation.cursor)


def _to_plain_image(image: Image) -> Image:
    return Image(image.pixels, image.notes)
