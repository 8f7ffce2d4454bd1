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

from agent.budget import end
from agent.conversation import Conversation, ConversationError
from agent.episode import Episode
from agent.exports import FORMATS
from agent.exports.answer import Answer
from agent.planner import PlannerError
from agent.tools import TOOLS_OF
from agent.transcript import TranscriptError, to_html
from demo.engine import Engine
from demo.exchange import NotUnderstood
from demo.uploads import Limits, opened, reopened
from demo.visits import Answering, Visit, VisitOver, Visits, nbytes
from sam3_tool import CheckpointError, DeviceError, Picture, PictureError

log = logging.getLogger(__name__)

TOLD = (
    CheckpointError,
    ConversationError,
    DeviceError,
    NotUnderstood,
    PictureError,
    PlannerError,
    TranscriptError,
    VisitOver,
)
"""Errors whose message is for the visitor."""
WAIT = "Wait for the answer, or stop it first."
INTERRUPTED = "Reloading the page stopped the answer. The question is in the box below; ask it again."
FIRST = "Choose a picture first."
FULL = (
    "With this picture the conversation would hold {:.1f} MiB of pictures, and {:.1f} are allowed. Open this page in"
    " another tab to begin another one; this one stays here, to be downloaded or gone on with."
)
DEFECT = (
    "Something went wrong here, which is a defect of the program: {}. Your picture and your masks are as they were."
)
CONVERSATION, TRACE = "conversation", "trace"
"""Downloads that are not masks."""


@dataclass(frozen=True)
class Chosen:
    """By the visitor."""

    planner: str
    sam3: str


@dataclass(frozen=True)
class Actions:
    """Everything a visitor can do. Every method takes the secret of a visit, and returns it as it then is."""

    engine: Engine
    visits: Visits
    limits: Limits
    examples: Path

    def arrive(self, secret: str) -> Visit:
        """The page was loaded, perhaps again, which ends an answer that it was waiting for."""
        visit = self.stop(secret)
        asked = visit.answering.query if visit.answering else "" if visit.note else visit.asked
        return self.visits.update(secret, answering=None, note=INTERRUPTED, asked=asked) if asked else visit

    def show(self, secret: str, path: str) -> Visit:
        """An uploaded picture, or a conversation that was saved."""
        return self._edited(secret, lambda conversation: self._opened(conversation, Path(path)), anew=True)

    def example(self, secret: str, name: str) -> Visit:
        known = {file.stem: file for file in self.examples.iterdir()}

        def shown(conversation: Conversation | None) -> Conversation:
            if name not in known:
                raise NotUnderstood(f"there is no example {name!r}")
            return self._on(conversation, Picture.open(known[name]), known[name].name)

        return self._edited(secret, shown, anew=True)

    def edit(self, secret: str, change: Callable[[Conversation], Conversation]) -> Visit:
        """A turn made by hand, or undone."""
        return self._edited(secret, change)

    def click(self, secret: str, sam3: str, x: float, y: float, *, positive: bool, id: int | None) -> Visit:
        return self._edited(secret, lambda one: one.click(x, y, self.engine.sam3(sam3), positive=positive, id=id))

    def box(self, secret: str, sam3: str, box: tuple[float, float, float, float]) -> Visit:
        return self._edited(secret, lambda one: one.box(*box, self.engine.sam3(sam3)))

    def stop(self, secret: str) -> Visit:
        visit = self.visits[secret]
        if visit.answering is not None:
            visit.answering.stop.set()
        return visit

    def ask(self, secret: str, query: str, chosen: Chosen) -> Iterator[Visit]:
        """The visit after each step of the answer; the last one has the whole turn.

        It goes on from the edits that are under way. Until its end edits and other questions are refused, with a note.
        """
        answering = Answering(query.strip())
        visit = self._begun(secret, answering)
        try:
            yield visit
            if visit.answering is answering and visit.conversation is not None:
                yield from self._answered(secret, visit.conversation, answering, chosen)
        except TOLD as error:
            yield from self._ended(secret, answering, str(error))
        except Exception as error:  # a page that says so and goes on is worth more than one that is dead
            log.exception("a question was not answered")
            yield from self._ended(secret, answering, DEFECT.format(f"{type(error).__name__}: {error}"))
        finally:
            answering.stop.set()
            if secret in self.visits:
                self.visits.update_answer(secret, answering, answering=None)

    def _begun(self, secret: str, answering: Answering) -> Visit:
        """The visit with this question under way; as it was, and a note, where it cannot be answered now."""
        with self.visits.edited(secret) as visit:
            if visit.conversation is None or visit.answering is not None or not answering.query:
                why = "" if not answering.query else FIRST if visit.conversation is None else WAIT
                return self.visits.update(secret, note=why, asked=answering.query)
            return self.visits.update(secret, answering=answering, note="", asked=answering.query)

    def _answered(
        self, secret: str, conversation: Conversation, answering: Answering, chosen: Chosen
    ) -> Iterator[Visit]:
        done = conversation.obey(answering.query)
        episode = None
        if done is None:
            for episode in _until(answering, lambda: self._episodes(conversation, answering.query, chosen)):
                step = replace(answering, episode=episode)
                yield from self.visits.update_answer(secret, answering, answering=step)
            done = _appended(conversation, episode)
        if done is None:
            yield from self._ended(secret, answering, "Stopped before the first step; ask again whenever you like.")
        else:
            yield from self.visits.update_answer(
                secret, answering, conversation=done, answering=None, note="", asked=""
            )

    def _ended(self, secret: str, answering: Answering, note: str) -> list[Visit]:
        """The visit without an answer and with this note, unless the visitor waits for it no longer."""
        return self.visits.update_answer(secret, answering, answering=None, note=sentence(note), asked=answering.query)

    def _episodes(self, conversation: Conversation, query: str, chosen: Chosen) -> Iterator[Episode]:
        planner, sam3 = self.engine.planner(chosen.planner), self.engine.sam3(chosen.sam3)
        made_by = self.engine.made_by(chosen.planner, chosen.sam3)
        tools = TOOLS_OF[made_by.protocol]
        return conversation.watch(query, planner, sam3, tools=tools, budget=made_by.budget)

    def download(self, secret: str, kind: str, chosen: Chosen) -> Path:
        """A file in a folder of its own. Raises ConversationError where there is nothing to write yet."""
        conversation = self.visits[secret].conversation
        if conversation is None:
            raise ConversationError(FIRST)
        name = conversation.name or "picture.png"
        stem = Answer.stem_of(name)
        with _folder() as folder:
            if kind == CONVERSATION:
                path = folder / f"{stem}.conversation.json"
                conversation.save(path)
                return path
            if kind == TRACE:
                return self._trace(conversation, folder / f"{stem}.trace.html", chosen)
            candidates = conversation.workspace.pick(conversation.selected)
            if not candidates:
                raise ConversationError("There are no masks in the answer yet.")
            return FORMATS[kind].write(conversation.picture, candidates, name, folder, conversation.reasons)

    def _trace(self, conversation: Conversation, path: Path, chosen: Chosen) -> Path:
        if not conversation.turns:
            raise ConversationError("Nothing was asked yet.")
        made_by = self.engine.made_by(chosen.planner, chosen.sam3)
        asked = [turn for turn in conversation.turns if not turn.task.by_hand] or conversation.turns
        path.write_text(to_html(asked[-1], made_by, source=conversation.name), encoding="utf-8")
        return path

    def _opened(self, conversation: Conversation | None, file: Path) -> Conversation:
        if file.suffix.lower() == ".json":
            return reopened(file, self.limits)
        return self._on(conversation, opened(file, self.limits), file.name)

    def _on(self, conversation: Conversation | None, picture: Picture, name: str) -> Conversation:
        """The conversation about this picture. Raises PictureError where there are too many in it already."""
        if conversation is None:
            return Conversation.start(picture, name)
        shown = conversation.show(picture, name)
        if (found := nbytes(shown)) > self.limits.visit:
            raise PictureError(FULL.format(found / 2**20, self.limits.visit / 2**20))
        return shown

    def _edited(self, secret: str, change: Callable[[Any], Conversation], *, anew: bool = False) -> Visit:
        """With what `change` makes of the conversation; as it was, and a note, where it cannot. `anew`: needs none."""
        with self.visits.edited(secret) as visit:
            if visit.answering is not None or (visit.conversation is None and not anew):
                return self.visits.update(secret, note=WAIT if visit.answering else FIRST)
            try:
                return self.visits.update(secret, conversation=change(visit.conversation), note="", asked="")
            except TOLD as error:
                return self.visits.update(secret, note=sentence(str(error)), asked="")
            except Exception as error:  # see `ask`
                log.exception("an edit failed")
                told = DEFECT.format(f"{type(error).__name__}: {error}")
                return self.visits.update(secret, note=told, asked="")


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary one, removed again where what it is for fails."""
    folder = Path(tempfile.mkdtemp(prefix="sam3-agent-"))
    try:
        yield folder
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise


def _appended(conversation: Conversation, episode: Episode | None) -> Conversation | None:
    """With the turn, ended where it stands if the visitor stopped it; None where it never took a step."""
    if episode is None or not episode.steps:
        return None
    return conversation.append(episode if episode.outcome else end(episode, "budget", "by you"))


def _until(answering: Answering, episodes: Callable[[], Iterator[Episode]]) -> Iterator[Episode]:
    """Each episode as soon as it is there, until the last one or until it is stopped.

    They are made in a thread of their own: a step of a slow model cannot be interrupted, but need not be waited for.
    """
    made: Queue[Episode | BaseException | None] = Queue()
    Thread(target=_make, args=(answering, episodes, made), daemon=True).start()
    while not answering.stop.is_set():
        try:
            one = made.get(timeout=0.1)
        except Empty:
            continue
        if one is None:
            return
        if isinstance(one, BaseException):
            raise one
        yield one


def _make(
    answering: Answering, episodes: Callable[[], Iterator[Episode]], made: "Queue[Episode | BaseException | None]"
) -> None:
    try:
        for episode in episodes():
            made.put(episode)
            if answering.stop.is_set():
                return
        made.put(None)
    except BaseException as error:  # raised again where it is waited for
        made.put(error)


def sentence(text: str) -> str:
    """What went wrong, as a person would write it.

    >>> sentence("there is nothing to undo")
    'There is nothing to undo.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?" else ".")
