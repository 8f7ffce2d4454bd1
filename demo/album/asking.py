"""One question over all images, in the background: one image after the other, each in the line of all visitors."""

from collections.abc import Mapping
from dataclasses import replace
from threading import Thread
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from demo.actions import LINE_INTERVAL, Actions, ModelSelection
from demo.album.actions import WAIT_MESSAGE
from demo.album.adding import collect_conversation, open_entry
from demo.album.entries import AlbumEntry
from demo.album.run import AskRun
from demo.sessions import Session, SessionExpiredError
from demo.talk.ways import TurnInfo, add_info
from demo.talk.wording import describe_error

CHANGED_MESSAGE = "This image was changed while the question was answered; ask it here again."


def start_run(actions: Actions, session_id: str, query: str, models: ModelSelection) -> AskRun:
    """Begin to ask a question about every image that is not done.

    Raises:
        ConversationError: There is no image to ask about, no question, or a run goes on.
        InvalidEventError: The page does not offer these models.
    """
    actions.engine.require_offered(models.planner, models.sam3)
    session = actions.sessions[session_id]
    ids = [entry.id for entry in session.album.entries if not entry.done]
    if not query.strip():
        raise ConversationError("Write what to look for in all images.")
    if not ids:
        raise ConversationError("Every image is done; there is none to ask about.")
    run = AskRun(query.strip(), len(ids))

    def begin(latest: Session) -> Mapping[str, Any]:
        earlier = latest.album.run
        if earlier is not None and not earlier.is_ended:
            raise ConversationError("A question over all images is being answered; stop it first.")
        return {"album": replace(latest.album, run=run)}

    actions.sessions.change(session_id, begin)
    Thread(target=ask_images, args=(actions, session_id, run, ids, models), daemon=True).start()
    return run


def ask_images(actions: Actions, session_id: str, run: AskRun, ids: list[int], models: ModelSelection) -> None:
    """Ask about one image after the other, until the last one or until the run is stopped."""
    try:
        for entry_id in ids:
            if run.is_stopped:
                break
            run.entry = entry_id
            _ask_image(actions, session_id, run, entry_id, models)
    except SessionExpiredError:
        pass  # the visitor has gone
    finally:
        run.entry, run.is_ended = None, True


def _ask_image(actions: Actions, session_id: str, run: AskRun, entry_id: int, models: ModelSelection) -> None:
    session = actions.sessions[session_id]
    entry = session.album.get_entry(entry_id)
    if entry is None:  # taken out meanwhile
        run.total -= 1
        return
    try:
        before = _open_conversation(actions, session, entry)
        after = _answer(actions, session_id, run, before, models)
        if after is None:
            return
        note = _store_answer(actions, session_id, entry, before, after, TurnInfo(models.planner, models.sam3))
    except SessionExpiredError:
        raise
    except Exception as error:  # one image of many is a sentence
        note = describe_error(error)
    run.answered, run.failed = run.answered + (not note), run.failed + bool(note)
    actions.album.change_entry(session_id, entry_id, lambda latest: replace(latest, note=note))


def _open_conversation(actions: Actions, session: Session, entry: AlbumEntry) -> Conversation:
    if session.album.current == entry.id and session.conversation is not None:
        if session.pending_answer is not None:
            raise ConversationError(WAIT_MESSAGE)
        return session.conversation
    return open_entry(entry, actions.limits)


def _answer(
    actions: Actions, session_id: str, run: AskRun, conversation: Conversation, models: ModelSelection
) -> Conversation | None:
    """The conversation with the turn; None where the run was stopped. The turn waits in the line of all visitors."""
    with actions.line.join() as ticket:
        while actions.line.get_place(ticket):
            if run.stop_event.wait(LINE_INTERVAL):
                return None
        latest: Episode | None = None
        for episode in actions.watch_episodes(session_id, conversation, run.query, models):
            latest = episode
            if run.is_stopped and episode.outcome is None:
                return None
    return None if latest is None else conversation.append(latest)


def _store_answer(
    actions: Actions,
    session_id: str,
    entry: AlbumEntry,
    before: Conversation,
    after: Conversation,
    info: TurnInfo,
) -> str:
    """Keep the answer unless somebody changed the image meanwhile; return why not, or ''."""
    collected = collect_conversation(entry, after, tree=add_info(entry.tree, after.cursor - 1, info))
    with actions.sessions.hold_for_edit(session_id) as session:
        if session.album.current == entry.id and session.conversation is not None:
            is_same = session.conversation is before or session.conversation.pack() == before.pack()
            if session.pending_answer is not None or not is_same:
                return CHANGED_MESSAGE
            actions.sessions.update(session_id, conversation=after, note="", turn_info=(after.last_turn, info))
            return ""
        latest = session.album.get_entry(entry.id)
        if latest is None or latest.packed != before.pack():
            return CHANGED_MESSAGE
        actions.album.change_entry(session_id, entry.id, lambda now: replace(collected, done=now.done))
    return ""
