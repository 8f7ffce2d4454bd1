"""The loop of a terminal chat: a line in, a turn or a command, what came of it out."""

import shlex
from collections.abc import Iterable, Iterator

from agent.cli.chat.commands import COMMANDS, ChatEndedError
from agent.cli.chat.session import Chat
from agent.cli.options.segment_options import read_query
from agent.cli.terminal.console import Progress, format_latest_step, show_progress, to_one_line
from agent.cli.terminal.signals import TerminationError
from agent.cli.terminal.streams import PrintingError
from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.errors import UsageError
from agent.doubt.policy import apply_doubt
from agent.tools.video.progress import listen_to_progress
from sam3_tool.errors import UserError


def run_chat(chat: Chat, conversation: Conversation, lines: Iterable[str]) -> bool:
    """Talks until the lines end, and then saves where that was asked for; whether every line could be done."""
    if chat.interactive:
        chat.report_state(conversation)
    latest, well = conversation, True
    try:
        for gone_on, done in chat_loop(chat, conversation, lines):
            latest, well = gone_on, well and done
    finally:
        if chat.save_to is not None:
            chat.write_conversation(latest, chat.save_to, is_final=True)
    return well


def chat_loop(chat: Chat, conversation: Conversation, lines: Iterable[str]) -> Iterator[tuple[Conversation, bool]]:
    """The conversation after each line, until /quit, and whether the line could be done.

    What cannot be done is said in one line that begins with 'error:'. Ctrl-C ends a turn that a person waits for, and
    leaves the conversation as it was. Whatever else ends the chat, a turn that was answered counts.
    """
    for line in filter(str.strip, lines):
        done, before = True, conversation
        try:
            conversation = answer_line(chat, line, conversation)
            if conversation is not before:
                done = chat.report_state(conversation)
        except ChatEndedError:
            return
        except (KeyboardInterrupt, PrintingError) as error:
            if isinstance(error, TerminationError | PrintingError) or not chat.interactive:
                yield conversation, False
                raise
            chat.say(
                "stopped; the conversation is as it was" if conversation is before else "stopped; the answer counts"
            )
        except UserError as error:
            done = False
            chat.say(f"error: {to_one_line(str(error))}")
        yield conversation, done


def answer_line(chat: Chat, line: str, conversation: Conversation) -> Conversation:
    """What comes of a line: a query, or a command with a slash before it. Raises UserError, and ChatEndedError."""
    line = line.strip()
    if line.startswith("/"):
        return _run_command(chat, line[1:], conversation)
    query = read_query(line)
    return conversation.apply_command(query) or _run_query(chat, query, conversation)


def _run_query(chat: Chat, query: str, conversation: Conversation) -> Conversation:
    turns = conversation.watch(query, chat.planner, chat.sam3, budget=chat.provenance.budget)
    with show_progress() as progress, listen_to_progress(progress.show_status):
        progress.show_status("thinking")
        *_, episode = (_report_step(episode, progress) for episode in turns)
    return conversation.append(apply_doubt(episode, chat.provenance.doubt))


def _run_command(chat: Chat, line: str, conversation: Conversation) -> Conversation:
    try:
        name, *words = shlex.split(line) or [""]
    except ValueError as error:
        raise UsageError(f"/{line} cannot be read: {error}") from error
    if name not in COMMANDS:
        raise UsageError(f"there is no command /{name}; /help names those there are")
    return COMMANDS[name].run(chat, conversation, words)


def _report_step(episode: Episode, progress: Progress) -> Episode:
    progress.show_status(format_latest_step(episode))
    return episode
