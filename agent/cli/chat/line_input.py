"""Lines of a chat: typed at a prompt with history and completion, or read from a pipe."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.shortcuts import CompleteStyle

from agent.cli.chat.commands import COMMANDS
from agent.cli.terminal.signals import TerminationError
from agent.cli.terminal.streams import print_line
from agent.exports import EXPORTERS
from sam3_tool.system.paths import find_home

PROMPT = "> "
MAX_HISTORY = 1000
"""Lines of earlier chats that the arrow keys reach."""
FORMER_HISTORY = Path(".local/state/sam3-agent/chat-history")
"""Where, in the home folder, the lines were kept on every system before each system's own place was asked for."""
EDITLINE_HEADER = "_HiStOrY_V2_"
"""First line of a history that readline's replacement on macOS wrote; its spaces are written \\040."""


def read_lines(interactive: bool) -> Iterator[str]:
    """Yield what is typed, until Ctrl-D; or the lines of stdin."""
    if interactive:
        yield from _prompt_lines()
    else:
        # as names of files are read: what is not UTF-8 stays recognisable
        yield from (line.decode(errors="surrogateescape") for line in sys.stdin.buffer)


def _prompt_lines() -> Iterator[str]:
    session: PromptSession[str] = PromptSession(
        PROMPT,
        history=_open_history(),
        completer=ChatCompleter(),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
    )
    while True:
        try:
            line = session.prompt()
        except EOFError:
            return
        except TerminationError:
            raise
        except KeyboardInterrupt:
            print_line("(Ctrl-D leaves)")
        else:
            yield line


def _open_history() -> History:
    """Lines of earlier chats; those of this one alone where no home folder is known, as in some containers."""
    path = find_history_file()
    return InMemoryHistory() if path is None else LineHistory(path)


def find_history_file() -> Path | None:
    """Return the file of earlier lines; a history at its former place is copied once.

    Without a home folder there is none, unless XDG_STATE_HOME names a folder for it.
    """
    if find_home() is None and not os.environ.get("XDG_STATE_HOME"):
        return None
    path = user_state_path("sam3-agent", appauthor=False) / "chat-history"
    with suppress(OSError):
        former = find_home()
        if former is not None and (former := former / FORMER_HISTORY).is_file() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(former, path)
    return path


class LineHistory(History):
    """One line of text for each line that was typed, oldest first, as readline keeps them too.

    A file that cannot be read or written costs the history, not the chat.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def load_history_strings(self) -> Iterable[str]:
        """Return earlier lines, the latest first."""
        with suppress(OSError):
            lines = self.path.read_text("utf-8", "surrogateescape").splitlines()
            if lines[:1] == [EDITLINE_HEADER]:
                lines = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line) for line in lines[1:]]
            return lines[: -MAX_HISTORY - 1 : -1]
        return []

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            with self.path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{string}\n")


class ChatCompleter(Completer):
    """Completes /commands, and after a command the names of files or of formats."""

    def __init__(self) -> None:
        self.paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        line = document.text_before_cursor
        if not line.startswith("/"):
            return
        name, space, argument = line[1:].partition(" ")
        if not space:
            yield from _complete_word(name, COMMANDS)
            return
        command = COMMANDS.get(name)
        if command is not None and command.completes == "format":
            yield from _complete_word(argument.rpartition(" ")[2], EXPORTERS)
        elif command is not None and command.completes == "file":
            # after an opening quote, a name with spaces is completed like any other
            unquoted = argument.lstrip().lstrip("'\"")
            yield from self.paths.get_completions(Document(unquoted), complete_event)


def _complete_word(start: str, words: Iterable[str]) -> Iterator[Completion]:
    return (Completion(word, start_position=-len(start)) for word in words if word.startswith(start))
