"""What a visitor can do on the page: each action turns a session's conversation into the next one."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from shutil import copy, rmtree
from threading import Thread
from time import monotonic
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.budget import FREE, end_early
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from agent.doubt.policy import apply_doubt
from agent.exports import EXPORTERS, ExportAnswer, VideoExportAnswer, check_formats
from agent.models.progress import ModelNews, PartialReply, listen_to_models
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.text import format_money
from agent.tools.video.progress import listen_to_progress, report_progress
from demo.album.actions import WAIT_MESSAGE, AlbumActions, UploadedFile
from demo.album.folder import DiskBudget
from demo.concepts import MAX_CONCEPTS, EquippedSam3, add_everything_like, equip_sam3, read_concept_file
from demo.engine import Engine
from demo.line import AnswerLine, describe_place
from demo.picture.film import list_tracks
from demo.remarks import NoteKind
from demo.requests import InvalidEventError, ShownImage, ShownStep
from demo.sessions import Session, SessionStore
from demo.talk.messages import draw_step, find_episode
from demo.talk.pending import Attention, PendingAnswer
from demo.talk.sight import describe_sight, draw_sight
from demo.talk.small_talk import answer_small_talk
from demo.talk.ways import TurnInfo
from demo.talk.wording import describe_error, format_sentence
from demo.uploads import Limits
from sam3_tool import Concept
from sam3_tool.phrases import normalize_phrase

INTERRUPTED_MESSAGE = "Reloading the page stopped the answer. The query is in the box below; ask it again."
NO_IMAGE_MESSAGE = "Choose an image first."
NO_BRANCH_MESSAGE = "That version is not kept any more."
LINE_INTERVAL = 0.1
"""Seconds between two looks at the line."""
PROGRESS_INTERVAL, THOUGHT_INTERVAL = 0.5, 0.3
"""Seconds between two lines on the progress of a step, and between two parts of what a language model writes."""
CONVERSATION, TRACE = "conversation", "trace"
"""Downloads that are not masks."""


News = Episode | str | ModelNews
"""The episode after a step, a line on the progress of a step, or what a language model lets know."""


@dataclass(frozen=True)
class ModelSelection:
    """The names of the models that a visitor has chosen."""

    planner: str
    sam3: str


@dataclass(frozen=True)
class Actions:
    """All user actions. Each method takes a session id and returns the updated session.

    A mistake of the visitor becomes the session's note. A session id that is not known raises `SessionExpiredError`.
    """

    engine: Engine
    sessions: SessionStore
    limits: Limits
    examples: Path
    """The folder of the example images."""
    line: AnswerLine = field(default_factory=AnswerLine)
    disk: DiskBudget = field(default_factory=DiskBudget)

    @property
    def album(self) -> AlbumActions:
        """Actions on many images."""
        return AlbumActions(self.sessions, self.limits, self.disk)

    def arrive(self, session_id: str) -> Session:
        """Load the page, perhaps again. That ends an answer that the page was waiting for."""
        session = self.stop(session_id)
        if session.pending_answer is not None:
            query = session.pending_answer.query
        else:
            query = "" if session.note else session.unanswered_query
        if not query:
            return session
        return self.sessions.update(session_id, pending_answer=None, note=INTERRUPTED_MESSAGE, unanswered_query=query)

    def open_file(self, session_id: str, path: str) -> Session:
        """Add an uploaded image, video or saved conversation to the strip, show it, and remove the file."""
        return self.album.open_file(session_id, UploadedFile(Path(path), Path(path).name))

    def open_example(self, session_id: str, name: str) -> Session:
        """Show the example image of this name."""
        known = {file.stem: file for file in self.examples.iterdir()}
        if name not in known:
            note = describe_error(InvalidEventError(f"there is no example {name!r}"))
            return self.sessions.update(session_id, note=note, note_kind="error")
        entries = self.sessions[session_id].album.entries
        if there := [entry.id for entry in entries if entry.name == known[name].name]:
            return self.album.show_entry(session_id, there[0])
        with _make_temporary_folder() as folder:
            copied = Path(copy(known[name], folder))
            session = self.album.open_file(session_id, UploadedFile(copied, copied.name))
            rmtree(folder)
        return session

    def take_concept(self, session_id: str, file: UploadedFile, sam3_name: str) -> str:
        """Take the examples in a file, and add everything like them to the image that is shown.

        Args:
            session_id: Whose work it is.
            file: The file of a concept, which is removed.
            sam3_name: Who looks for it.

        Returns:
            A sentence on what could not be done, or ''.

        Raises:
            RecordError: The file is no concept.
        """
        try:
            phrase, concept = read_concept_file(file.path, file.name)
        finally:
            file.path.unlink(missing_ok=True)
        self.sessions.change(session_id, lambda session: {"concepts": _add_concept(session.concepts, phrase, concept)})
        if self.sessions[session_id].conversation is None:
            return f"The examples of {phrase} are ready: open an image, and ask for {phrase}."
        equipped = self.equip_sam3(session_id, sam3_name)
        if phrase in equipped.notes:
            return equipped.notes[phrase]
        return self.edit(session_id, lambda shown: add_everything_like(shown, phrase, equipped.sam3)).note

    def edit(self, session_id: str, change: Callable[[Conversation], Conversation]) -> Session:
        """Make a turn by hand, or undo one."""
        return self._edit_conversation(session_id, change)

    def stop(self, session_id: str) -> Session:
        """Stop the answer that is under way, if there is one."""
        session = self.sessions[session_id]
        if session.pending_answer is not None:
            session.pending_answer.stop_event.set()
        return session

    def ask(
        self,
        session_id: str,
        query: str,
        models: ModelSelection,
        *,
        place: int | None = None,
        is_beside: bool = False,
        attention: Attention | None = None,
    ) -> Iterator[Session]:
        """Answer a query, and yield the session after each step; the last one has the whole turn.

        The answer goes on from the edits that are under way. Until it ends, edits and other queries are refused with a
        note.

        Args:
            session_id: Whose conversation it is.
            query: What the visitor says.
            models: Who answers.
            place: The place of an earlier question that is asked otherwise: the answer begins another way there.
            is_beside: Put the answer beside the one that is shown, to compare them.
            attention: Ends the answer once it is lost.

        Yields:
            The session whenever it has changed.
        """
        pending = PendingAnswer(
            query.strip(), is_beside=is_beside, planner=models.planner, attention=attention or Attention()
        )
        session, is_begun = self._begin_answer(session_id, pending, place)
        pending = session.pending_answer if is_begun and session.pending_answer is not None else pending
        base = pending.base or session.conversation
        try:
            yield session
            if is_begun and base is not None:
                with self.line.join() as ticket:
                    yield from self._wait_for_turn(session_id, pending, ticket)
                    with self.line.time_answer():
                        yield from self._run_answer(session_id, base, pending, models)
        except Exception as error:  # a page that says so and goes on is worth more than one that is dead
            yield from self._end_answer(session_id, pending, describe_error(error), "error")
        finally:
            pending.stop_event.set()
            if session_id in self.sessions:
                self.sessions.update_answer(session_id, pending, pending_answer=None)

    def _wait_for_turn(self, session_id: str, pending: PendingAnswer, ticket: object) -> Iterator[Session]:
        """Yield the session each time that its place in the line changes, until its turn has come or it is stopped."""
        told = 0
        while (place := self.line.get_place(ticket)) and not pending.stop_event.wait(LINE_INTERVAL):
            if pending.attention.is_lost:
                pending.stop_event.set()
            if place != told:
                told = place
                words = describe_place(place, self.line.estimate_seconds(place))
                waiting = replace(pending, progress=words, is_queued=True)
                yield from self.sessions.update_answer(session_id, pending, pending_answer=waiting)

    def _begin_answer(self, session_id: str, pending: PendingAnswer, place: int | None) -> tuple[Session, bool]:
        """The session with this query under way, and whether it is: unchanged but for a note if it cannot be now."""
        with self.sessions.hold_for_edit(session_id) as session:
            conversation = session.conversation
            refusal = _find_refusal(session, place)
            if conversation is None or refusal or not pending.query:
                note = refusal if pending.query else ""
                kind = "error" if note else "note"
                refused = self.sessions.update(session_id, note=note, note_kind=kind, unanswered_query=pending.query)
                return refused, False
            base = None if place is None else cut_before(conversation, place)
            begun = self.sessions.update(
                session_id,
                pending_answer=replace(pending, base=base),
                note="",
                unanswered_query="" if pending.is_beside else pending.query,
            )
            return begun, True

    def _run_answer(
        self, session_id: str, conversation: Conversation, pending: PendingAnswer, models: ModelSelection
    ) -> Iterator[Session]:
        if said := answer_small_talk(pending.query):
            yield from self._end_answer(session_id, pending, said, "answer")
            return
        done, episode, retries = conversation.apply_command(pending.query), None, 0
        if done is None:
            heard = pending
            for news in _iterate_until_stopped(
                pending, lambda: self.watch_episodes(session_id, conversation, pending.query, models)
            ):
                heard = heard.hear(news)
                yield from self.sessions.update_answer(session_id, pending, pending_answer=heard)
            episode, retries = heard.episode, heard.retries
            done = _append_turn(conversation, episode)
        if done is None:
            yield from self._end_answer(
                session_id, pending, "The answer was stopped before its first step. You can ask again."
            )
        else:
            yield from self._keep_answer(
                session_id, done, pending, self._describe_turn(session_id, done, episode, models, retries)
            )

    def _keep_answer(
        self, session_id: str, done: Conversation, pending: PendingAnswer, changes: Mapping[str, Any]
    ) -> list[Session]:
        """The session with the turn: where it goes on, on another way, or beside the one that is shown."""
        tree = self.sessions[session_id].tree
        kept: dict[str, Any] = {"conversation": done}
        if pending.is_beside:
            kept = {"tree": tree.add_beside(done)}
        elif pending.base is not None:
            kept = {"tree": tree.fork(done)}
        return self.sessions.update_answer(
            session_id, pending, **kept, **changes, pending_answer=None, unanswered_query=""
        )

    def _describe_turn(
        self, session_id: str, done: Conversation, episode: Episode | None, models: ModelSelection, retries: int
    ) -> dict[str, Any]:
        """What one must know of the answer, said with it: a command that asks no model has none."""
        last = done.last_turn
        if episode is None or last is None:
            return {"note": ""}
        provenance = self.engine.get_provenance(models.planner, models.sam3, is_video=done.timeline is not None)
        price = provenance.budget.price
        cost = "" if price == FREE else format_money(price.compute_cost(last.usage))
        info = TurnInfo(models.planner, models.sam3, retries, cost)
        asked = {normalize_phrase(search.phrase) for search in last.workspace.searches if search.phrase}
        faults = self.equip_sam3(session_id, models.sam3).notes
        notes = [*provenance.warnings, *(note for phrase, note in faults.items() if phrase in asked)]
        return {"note": " ".join(map(format_sentence, notes)), "turn_info": (last, info)}

    def _end_answer(self, session_id: str, pending: PendingAnswer, note: str, kind: NoteKind = "note") -> list[Session]:
        """The session without a turn and with this note, unless the visitor no longer waits for it."""
        return self.sessions.update_answer(
            session_id, pending, pending_answer=None, note=note, note_kind=kind, unanswered_query=pending.query
        )

    def equip_sam3(self, session_id: str, name: str) -> EquippedSam3:
        """Return a SAM 3, once it is loaded, with the operator's concepts and those that the visitor dropped."""
        concepts = {**self.engine.concepts, **self.sessions[session_id].concepts}
        return equip_sam3(self.engine.get_sam3(name), concepts)

    def watch_episodes(
        self, session_id: str, conversation: Conversation, query: str, models: ModelSelection
    ) -> Iterator[Episode]:
        """Take a turn step by step, once the models are loaded."""
        is_video = conversation.timeline is not None
        if self.engine.describe_state(models.planner, models.sam3).kind == "loading":
            report_progress("Loading the model")
        planner = self.engine.get_planner(models.planner, is_video=is_video)
        sam3 = self.equip_sam3(session_id, models.sam3).sam3
        provenance = self.engine.get_provenance(models.planner, models.sam3, is_video=is_video)
        turns = conversation.watch(query, planner, sam3, budget=provenance.budget)
        return (apply_doubt(episode, provenance.doubt) for episode in turns)

    def switch_branch(self, session_id: str, branch: int) -> Session:
        """Show another way that the conversation went."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.pending_answer is not None:
                return self.sessions.update(session_id, note=WAIT_MESSAGE)
            try:
                tree = session.tree.switch(branch)
            except IndexError:
                return self.sessions.update(session_id, note=NO_BRANCH_MESSAGE, note_kind="error")
            return self.sessions.update(session_id, tree=tree, note="", edited=None, unanswered_query="")

    def draw_step(self, shown: ShownStep) -> str:
        """Draw what a step was about, as a data URL; '' where there is nothing. Raises SessionExpiredError."""
        return draw_step(self.sessions[shown.session], shown)

    def describe_sight(self, shown: ShownStep) -> list[dict[str, Any]]:
        """Return what a language model was sent at a step; nothing where that is not known.

        Args:
            shown: Which step.

        Raises:
            SessionExpiredError: There is no such session any more.
        """
        found = self._find_made(shown)
        return [] if found is None else describe_sight(*found, shown.step)

    def draw_sight(self, shown: ShownImage) -> str:
        """Draw an image that a language model was sent, as a data URL; '' where there is none.

        Args:
            shown: Which image.

        Raises:
            SessionExpiredError: There is no such session any more.
        """
        found = self._find_made(shown)
        return "" if found is None else draw_sight(*found, shown.image)

    def _find_made(self, shown: ShownStep) -> tuple[Episode, Provenance] | None:
        """A turn that was answered here, and what made it; of the one under way, what makes it."""
        session = self.sessions[shown.session]
        episode, pending = find_episode(session, shown), session.pending_answer
        if episode is None:
            return None
        info = session.turn_infos.get(episode)
        if info is not None and info.is_recalled:
            return None
        planner = pending.planner if pending is not None and episode is pending.episode else info and info.planner
        if not planner:
            return None
        sam3 = info.sam3 if info is not None else self.engine.sam3_name
        return episode, self.engine.get_provenance(planner, sam3, is_video=episode.task.timeline is not None)

    def download(self, session_id: str, kind: str, models: ModelSelection) -> Path:
        """Write a download.

        Args:
            session_id: Whose conversation it is.
            kind: The name of an exporter, `CONVERSATION` or `TRACE`.
            models: The models that sign a trace.

        Returns:
            A file in a temporary folder of its own, which the caller removes.

        Raises:
            ConversationError: There is nothing to write yet.
        """
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
            if not conversation.selected:
                raise ConversationError("There are no masks in the answer yet.")
            check_formats({kind: EXPORTERS[kind]}, "image" if conversation.timeline is None else "video")
            if conversation.video is not None:
                answer = VideoExportAnswer.from_tracks(conversation.video, list_tracks(conversation), name)
                return EXPORTERS[kind].write_video_answer(answer, folder)
            candidates = conversation.workspace.pick(conversation.selected)
            tolerance = self.sessions[session_id].album.tolerance
            return EXPORTERS[kind].write(
                conversation.image, candidates, name, folder, conversation.reasons, tolerance=tolerance
            )

    def _write_trace(self, conversation: Conversation, path: Path, models: ModelSelection) -> Path:
        if not conversation.turns:
            raise ConversationError("Nothing was asked yet.")
        is_video = conversation.timeline is not None
        provenance = self.engine.get_provenance(models.planner, models.sam3, is_video=is_video)
        asked = [turn for turn in conversation.turns if not turn.task.by_hand] or conversation.turns
        path.write_text(to_html(asked[-1], provenance, source=conversation.name), encoding="utf-8")
        return path

    def _edit_conversation(self, session_id: str, change: Callable[[Conversation], Conversation]) -> Session:
        """As `_apply_edit`, for what needs a conversation."""

        def change_existing(conversation: Conversation | None) -> Conversation:
            if conversation is None:
                raise ConversationError(NO_IMAGE_MESSAGE)
            return change(conversation)

        return self._apply_edit(session_id, change_existing)

    def _apply_edit(self, session_id: str, change: Callable[[Conversation | None], Conversation]) -> Session:
        """The session with the conversation that `change` returns, or unchanged with a note if it fails."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.pending_answer is not None:
                return self.sessions.update(session_id, note=WAIT_MESSAGE)
            try:
                conversation = change(session.conversation)
                return self.sessions.update(session_id, conversation=conversation, note="", unanswered_query="")
            except Exception as error:  # see `ask`
                note = describe_error(error)
                return self.sessions.update(session_id, note=note, note_kind="error", unanswered_query="")


@contextmanager
def _make_temporary_folder() -> Iterator[Path]:
    """A temporary folder, which is removed if the work in it fails."""
    folder = Path(tempfile.mkdtemp(prefix="sam3-agent-"))
    try:
        yield folder
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise


def _find_refusal(session: Session, place: int | None) -> str:
    """Why no question can be asked now; '' where one can."""
    if session.conversation is None:
        return NO_IMAGE_MESSAGE
    if session.pending_answer is not None:
        return WAIT_MESSAGE
    try:
        if place is not None:
            cut_before(session.conversation, place)
    except InvalidEventError as error:
        return format_sentence(str(error))
    return ""


def cut_before(conversation: Conversation, place: int) -> Conversation:
    """Return the conversation as it was before an earlier question.

    Args:
        conversation: It holds the question.
        place: The place of the question among the conversation's events.

    Raises:
        InvalidEventError: There is no question at this place.
    """
    event = conversation.events[place] if 0 <= place < conversation.cursor else None
    if not isinstance(event, Episode) or event.task.by_hand:
        raise InvalidEventError("there is no such question any more; reload the page")
    return Conversation(conversation.events[:place], place)


def get_second(conversation: Conversation, frame: int | None) -> float | None:
    """When a frame of the video is shown. Raises InvalidEventError for one that it does not have."""
    if conversation.timeline is None or frame is None:
        return None
    if frame >= len(conversation.timeline.times):
        raise InvalidEventError(f"there is no frame {frame} in the video")
    return conversation.timeline.times[frame]


def _append_turn(conversation: Conversation, episode: Episode | None) -> Conversation | None:
    """The conversation with the turn, ended if the visitor stopped it; None if it never took a step."""
    if episode is None or not episode.steps:
        return None
    return conversation.append(episode if episode.outcome else end_early(episode, "budget", "by you"))


def _iterate_until_stopped(pending: PendingAnswer, episodes: Callable[[], Iterator[Episode]]) -> Iterator[News]:
    """Yield each episode as soon as it is there, until the last one or until the answer is stopped.

    Between them comes what a slow step and the language model say of their progress. A thread of its own makes
    them: a step of a slow model cannot be interrupted, but nobody has to wait for it.
    """
    queue: Queue[News | BaseException | None] = Queue()
    Thread(target=_produce_episodes, args=(pending, episodes, queue), daemon=True).start()
    held = HeldThought()
    while not pending.stop_event.is_set() and not pending.attention.is_lost:
        try:
            item = queue.get(timeout=0.1)
        except Empty:
            item = PartialReply()
        yield from held.take(item)
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        if not isinstance(item, PartialReply):
            yield item


class HeldThought:
    """Holds the latest part of a reply back until a page can show it; nothing else may overtake it."""

    def __init__(self) -> None:
        self._part = PartialReply()
        self._told_at = 0.0

    def take(self, item: "News | BaseException | None") -> Iterator[PartialReply]:
        """Yield the part that is due.

        Args:
            item: What has happened; an empty part where nothing has.
        """
        if isinstance(item, PartialReply) and item != PartialReply():
            self._part = item
        is_due = not isinstance(item, PartialReply) or monotonic() - self._told_at >= THOUGHT_INTERVAL
        if self._part != PartialReply() and is_due:
            yield self._part
            self._part, self._told_at = PartialReply(), monotonic()


def _produce_episodes(
    pending: PendingAnswer,
    episodes: Callable[[], Iterator[Episode]],
    queue: "Queue[News | BaseException | None]",
) -> None:
    try:
        with listen_to_progress(_limit_rate(queue.put)), listen_to_models(queue.put):
            for episode in episodes():
                queue.put(episode)
                if pending.stop_event.is_set():
                    return
        queue.put(None)
    except BaseException as error:  # raised again where it is waited for
        queue.put(error)


def _limit_rate(say: Callable[[str], object]) -> Callable[[str], None]:
    """Pass on what is said, but not more often than a page can show it."""
    last = -PROGRESS_INTERVAL

    def say_now_and_then(text: str) -> None:
        nonlocal last
        if (now := monotonic()) - last >= PROGRESS_INTERVAL:
            last = now
            say(text)

    return say_now_and_then


def _add_concept(held: Mapping[str, Concept], phrase: str, concept: Concept) -> dict[str, Concept]:
    """The concepts of a session with another one; the oldest of too many is forgotten."""
    others = {name: held_concept for name, held_concept in held.items() if name != phrase}
    return dict([*others.items(), (phrase, concept)][-MAX_CONCEPTS:])
