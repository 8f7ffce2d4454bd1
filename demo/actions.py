"""What the page does when something is clicked, said or sent: one conversation in, one out, and what to show of it."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from shutil import rmtree
from threading import Thread
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.budget import end_early
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from agent.exports import EXPORTERS, ExportAnswer
from agent.report.html import to_html
from demo.engine import Engine
from demo.requests import InvalidEventError
from demo.sessions import PendingAnswer, Session, SessionStore, count_image_bytes
from demo.uploads import Limits, open_conversation, open_image
from sam3_tool import Image, ImageError
from sam3_tool.errors import UserError

log = logging.getLogger(__name__)

WAIT_MESSAGE = "Wait for the answer, or stop it first."
INTERRUPTED_MESSAGE = "Reloading the page stopped the answer. The question is in the box below; ask it again."
NO_IMAGE_MESSAGE = "Choose a picture first."
IMAGES_FULL_MESSAGE = (
    "With this picture the conversation would hold {:.1f} MiB of pictures, and {:.1f} are allowed. Open this page in"
    " another tab to begin another one; this one stays here, to be downloaded or gone on with."
)
DEFECT_MESSAGE = (
    "Something went wrong here, which is a defect of the program: {}. Your picture and your masks are as they were."
)
CONVERSATION, TRACE = "conversation", "trace"
"""Downloads that are not masks."""


@dataclass(frozen=True)
class ModelSelection:
    """By the visitor."""

    planner: str
    sam3: str


@dataclass(frozen=True)
class Actions:
    """Everything a visitor can do. Every method takes the secret of a visit, and returns it as it then is."""

    engine: Engine
    sessions: SessionStore
    limits: Limits
    examples: Path

    def arrive(self, session_id: str) -> Session:
        """The page was loaded, perhaps again, which ends an answer that it was waiting for."""
        session = self.stop(session_id)
        asked = (
            session.pending_answer.query if session.pending_answer else "" if session.note else session.unanswered_query
        )
        return (
            self.sessions.update(session_id, pending_answer=None, note=INTERRUPTED_MESSAGE, unanswered_query=asked)
            if asked
            else session
        )

    def open_file(self, session_id: str, path: str) -> Session:
        """An uploaded picture, or a conversation that was saved."""
        return self._apply_edit(
            session_id, lambda conversation: self._open_upload(conversation, Path(path)), starts_new=True
        )

    def open_example(self, session_id: str, name: str) -> Session:
        known = {file.stem: file for file in self.examples.iterdir()}

        def show_example(conversation: Conversation | None) -> Conversation:
            if name not in known:
                raise InvalidEventError(f"there is no example {name!r}")
            return self._show_image(conversation, Image.open(known[name]), known[name].name)

        return self._apply_edit(session_id, show_example, starts_new=True)

    def edit(self, session_id: str, change: Callable[[Conversation], Conversation]) -> Session:
        """A turn made by hand, or undone."""
        return self._apply_edit(session_id, change)

    def click(self, session_id: str, sam3: str, x: float, y: float, *, positive: bool, id: int | None) -> Session:
        return self._apply_edit(
            session_id,
            lambda conversation: conversation.click(x, y, self.engine.get_sam3(sam3), positive=positive, id=id),
        )

    def add_box(self, session_id: str, sam3: str, box: tuple[float, float, float, float]) -> Session:
        return self._apply_edit(session_id, lambda conversation: conversation.box(*box, self.engine.get_sam3(sam3)))

    def stop(self, session_id: str) -> Session:
        session = self.sessions[session_id]
        if session.pending_answer is not None:
            session.pending_answer.stop_event.set()
        return session

    def ask(self, session_id: str, query: str, models: ModelSelection) -> Iterator[Session]:
        """The visit after each step of the answer; the last one has the whole turn.

        It goes on from the edits that are under way. Until its end edits and other questions are refused, with a note.
        """
        pending = PendingAnswer(query.strip())
        session = self._begin_answer(session_id, pending)
        try:
            yield session
            if session.pending_answer is pending and session.conversation is not None:
                yield from self._run_answer(session_id, session.conversation, pending, models)
        except UserError as error:
            yield from self._end_answer(session_id, pending, str(error))
        except Exception as error:  # a page that says so and goes on is worth more than one that is dead
            log.exception("a question was not answered")
            yield from self._end_answer(session_id, pending, DEFECT_MESSAGE.format(f"{type(error).__name__}: {error}"))
        finally:
            pending.stop_event.set()
            if session_id in self.sessions:
                self.sessions.update_answer(session_id, pending, pending_answer=None)

    def _begin_answer(self, session_id: str, pending: PendingAnswer) -> Session:
        """The visit with this question under way; as it was, and a note, where it cannot be answered now."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.conversation is None or session.pending_answer is not None or not pending.query:
                why = "" if not pending.query else NO_IMAGE_MESSAGE if session.conversation is None else WAIT_MESSAGE
                return self.sessions.update(session_id, note=why, unanswered_query=pending.query)
            return self.sessions.update(session_id, pending_answer=pending, note="", unanswered_query=pending.query)

    def _run_answer(
        self, session_id: str, conversation: Conversation, pending: PendingAnswer, models: ModelSelection
    ) -> Iterator[Session]:
        done = conversation.apply_command(pending.query)
        episode = None
        if done is None:
            for episode in _iterate_until_stopped(
                pending, lambda: self._watch_episodes(conversation, pending.query, models)
            ):
                step = replace(pending, episode=episode)
                yield from self.sessions.update_answer(session_id, pending, pending_answer=step)
            done = _append_turn(conversation, episode)
        if done is None:
            yield from self._end_answer(
                session_id, pending, "Stopped before the first step; ask again whenever you like."
            )
        else:
            yield from self.sessions.update_answer(
                session_id, pending, conversation=done, pending_answer=None, note="", unanswered_query=""
            )

    def _end_answer(self, session_id: str, pending: PendingAnswer, note: str) -> list[Session]:
        """The visit without an answer and with this note, unless the visitor waits for it no longer."""
        return self.sessions.update_answer(
            session_id, pending, pending_answer=None, note=format_sentence(note), unanswered_query=pending.query
        )

    def _watch_episodes(self, conversation: Conversation, query: str, models: ModelSelection) -> Iterator[Episode]:
        planner, sam3 = self.engine.get_planner(models.planner), self.engine.get_sam3(models.sam3)
        provenance = self.engine.get_provenance(models.planner, models.sam3)
        return conversation.watch(query, planner, sam3, budget=provenance.budget)

    def download(self, session_id: str, kind: str, models: ModelSelection) -> Path:
        """A file in a folder of its own. Raises ConversationError where there is nothing to write yet."""
        conversation = self.sessions[session_id].conversation
        if conversation is None:
            raise ConversationError(NO_IMAGE_MESSAGE)
        name = conversation.name or "picture.png"
        stem = ExportAnswer.build_stem(name)
        with _make_temporary_folder() as folder:
            if kind == CONVERSATION:
                path = folder / f"{stem}.conversation.json"
                conversation.save(path)
                return path
            if kind == TRACE:
                return self._write_trace(conversation, folder / f"{stem}.trace.html", models)
            candidates = conversation.workspace.pick(conversation.selected)
            if not candidates:
                raise ConversationError("There are no masks in the answer yet.")
            return EXPORTERS[kind].write(conversation.image, candidates, name, folder, conversation.reasons)

    def _write_trace(self, conversation: Conversation, path: Path, models: ModelSelection) -> Path:
        if not conversation.turns:
            raise ConversationError("Nothing was asked yet.")
        provenance = self.engine.get_provenance(models.planner, models.sam3)
        asked = [turn for turn in conversation.turns if not turn.task.by_hand] or conversation.turns
        path.write_text(to_html(asked[-1], provenance, source=conversation.name), encoding="utf-8")
        return path

    def _open_upload(self, conversation: Conversation | None, file: Path) -> Conversation:
        if file.suffix.lower() == ".json":
            return open_conversation(file, self.limits)
        return self._show_image(conversation, open_image(file, self.limits), file.name)

    def _show_image(self, conversation: Conversation | None, image: Image, name: str) -> Conversation:
        """The conversation about this picture. Raises PictureError where there are too many in it already."""
        if conversation is None:
            return Conversation.start(image, name)
        shown = conversation.show(image, name)
        if (found := count_image_bytes(shown)) > self.limits.max_session_bytes:
            raise ImageError(IMAGES_FULL_MESSAGE.format(found / 2**20, self.limits.max_session_bytes / 2**20))
        return shown

    def _apply_edit(
        self, session_id: str, change: Callable[[Any], Conversation], *, starts_new: bool = False
    ) -> Session:
        """With what `change` makes of the conversation; as it was, and a note, where it cannot. `starts_new`: needs none."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.pending_answer is not None or (session.conversation is None and not starts_new):
                return self.sessions.update(
                    session_id, note=WAIT_MESSAGE if session.pending_answer else NO_IMAGE_MESSAGE
                )
            try:
                return self.sessions.update(
                    session_id, conversation=change(session.conversation), note="", unanswered_query=""
                )
            except UserError as error:
                return self.sessions.update(session_id, note=format_sentence(str(error)), unanswered_query="")
            except Exception as error:  # see `ask`
                log.exception("an edit failed")
                note = DEFECT_MESSAGE.format(f"{type(error).__name__}: {error}")
                return self.sessions.update(session_id, note=note, unanswered_query="")


@contextmanager
def _make_temporary_folder() -> Iterator[Path]:
    """A temporary one, removed again where what it is for fails."""
    folder = Path(tempfile.mkdtemp(prefix="sam3-agent-"))
    try:
        yield folder
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise


def _append_turn(conversation: Conversation, episode: Episode | None) -> Conversation | None:
    """With the turn, ended where it stands if the visitor stopped it; None where it never took a step."""
    if episode is None or not episode.steps:
        return None
    return conversation.append(episode if episode.outcome else end_early(episode, "budget", "by you"))


def _iterate_until_stopped(pending: PendingAnswer, episodes: Callable[[], Iterator[Episode]]) -> Iterator[Episode]:
    """Each episode as soon as it is there, until the last one or until it is stopped.

    They are made in a thread of their own: a step of a slow model cannot be interrupted, but need not be waited for.
    """
    queue: Queue[Episode | BaseException | None] = Queue()
    Thread(target=_produce_episodes, args=(pending, episodes, queue), daemon=True).start()
    while not pending.stop_event.is_set():
        try:
            item = queue.get(timeout=0.1)
        except Empty:
            continue
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def _produce_episodes(
    pending: PendingAnswer, episodes: Callable[[], Iterator[Episode]], queue: "Queue[Episode | BaseException | None]"
) -> None:
    try:
        for episode in episodes():
            queue.put(episode)
            if pending.stop_event.is_set():
                return
        queue.put(None)
    except BaseException as error:  # raised again where it is waited for
        queue.put(error)


def format_sentence(text: str) -> str:
    """What went wrong, as a person would write it.

    >>> format_sentence("there is nothing to undo")
    'There is nothing to undo.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?" else ".")
