"""A conversation in a terminal: lines in, answers out, `/commands` for what is done by hand."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from agent.conversation import Conversation, ConversationError
from agent.episode import Candidate, Episode
from agent.exports import FORMATS, chosen
from agent.inline_picture import Inline, escape
from agent.options import BadInput, check_query
from agent.planner import Planner, PlannerError
from agent.result import OutputError, replacing
from agent.terminal import Progress, latest_step, one_line, progress
from agent.tools import TOOLS_OF
from agent.tools.words import counted
from agent.transcript import MadeBy, TranscriptError
from sam3_tool import CheckpointError, Picture, PictureError, Sam3
from sam3_tool.draw import draw_marks

OVERLAY = "overlay.png"
MOST = 12
"""Masks that the line of an answer names; /masks tells all."""
PROMPT = "> "
OF_USER = (
    *(BadInput, CheckpointError, ConversationError, OutputError),
    *(PictureError, PlannerError, TranscriptError),
)
"""Errors whose message is for the user; the conversation goes on."""


class Leave(Exception):
    """The user wants to go."""


@dataclass(frozen=True)
class Chat:
    """What every line is answered with."""

    planner: Planner
    sam3: Sam3
    made_by: MadeBy
    folder: Path
    """For the overlay and exports."""
    say: Callable[[str], object]
    """Prints a line."""
    inline: Inline = "never"
    by_hand: bool = False
    """Whether a person types the lines. Else each line brings one line, so that programs can read them."""
    save_to: Path | None = None

    def answer(self, line: str, conversation: Conversation) -> Conversation:
        """What comes of a line: a query, or a command with a slash before it. Raises those of `OF_USER`, and Leave."""
        line = line.strip()
        if line.startswith("/"):
            return self._commanded(line[1:], conversation)
        check_query(line)
        done = conversation.obey(line) or self._asked(line, conversation)
        return self.told(done)

    def told(self, conversation: Conversation) -> Conversation:
        """Says where the conversation stands, and shows it."""
        self.say(in_one_line(conversation))
        try:
            image = self._drawn(conversation)
        except OutputError as error:  # what was answered counts all the same
            self.say(f"error: {one_line(str(error))}")
        else:
            if self.by_hand:
                self.say(escape(image, self.inline) or f"  {self.folder / OVERLAY}")
        return conversation

    def _drawn(self, conversation: Conversation) -> Image.Image:
        """The masks over the picture, which is also written. Raises OutputError."""
        masks = conversation.workspace.instances(conversation.visible)
        image = draw_marks(conversation.picture, masks, numbers=conversation.visible)
        with replacing(self.folder, [OVERLAY]) as stage:
            image.save(stage / OVERLAY)
        return image

    def _asked(self, query: str, conversation: Conversation) -> Conversation:
        tools = TOOLS_OF[self.made_by.protocol]
        turns = conversation.watch(query, self.planner, self.sam3, tools=tools, budget=self.made_by.budget)
        with progress() as shown:
            shown.now("thinking")
            *_, episode = (_shown(episode, shown) for episode in turns)
        return conversation.append(episode)

    def _commanded(self, line: str, conversation: Conversation) -> Conversation:
        try:
            name, *words = shlex.split(line) or [""]
        except ValueError as error:
            raise BadInput(f"/{line} cannot be read: {error}") from error
        if name not in COMMANDS:
            raise BadInput(f"there is no command /{name}; /help names those there are")
        return COMMANDS[name].run(self, conversation, words)


def held(chat: Chat, conversation: Conversation, lines: Iterable[str]) -> bool:
    """Talks until the lines end, and then saves where that was asked for; whether every line could be done."""
    if chat.by_hand:
        chat.told(conversation)
    latest, well = conversation, True
    try:
        for gone_on, done in talk(chat, conversation, lines):
            latest, well = gone_on, well and done
    finally:
        if chat.save_to is not None:
            save(latest, chat.save_to)
    return well


def talk(chat: Chat, conversation: Conversation, lines: Iterable[str]) -> Iterator[tuple[Conversation, bool]]:
    """The conversation after each line, until /quit, and whether the line could be done.

    What cannot be done is said in one line that begins with 'error:'. Ctrl-C ends a turn that a person waits for, and
    leaves the conversation as it was.
    """
    for line in filter(str.strip, lines):
        done = True
        try:
            conversation = chat.answer(line, conversation)
        except Leave:
            return
        except OF_USER as error:
            done = False
            chat.say(f"error: {one_line(str(error))}")
        except KeyboardInterrupt:
            if not chat.by_hand:
                raise
            chat.say("stopped; the conversation is as it was")
        yield conversation, done


def lines(by_hand: bool) -> Iterator[str]:
    """What is typed, until Ctrl-D; or the lines of stdin."""
    if not by_hand:
        # as names of files are read: what is not UTF-8 stays recognisable
        yield from (line.decode(errors="surrogateescape") for line in sys.stdin.buffer)
        return
    with _history():
        while True:
            try:
                line = input(PROMPT)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print("\n(Ctrl-D leaves)")
            else:
                yield line


@contextmanager
def _history() -> Iterator[None]:
    """Arrow keys, and what was typed in earlier chats, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state", "sam3-agent", "chat-history").expanduser()
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(1000)
            readline.write_history_file(path)


def _shown(episode: Episode, shown: Progress) -> Episode:
    shown.now(latest_step(episode))
    return episode


# in words


def in_one_line(conversation: Conversation) -> str:
    """What the latest turn said, and the masks of the answer."""
    masks = conversation.workspace.pick(conversation.visible)
    if conversation.last is None:
        size = f"{conversation.picture.width} x {conversation.picture.height} pixels"
        return f"{conversation.name or 'a picture'}, {size}: say what to find, or /help"
    outcome = "" if conversation.outcome in ("answered", "no_match") else f"{conversation.outcome}: "
    named = "; ".join(f"{one.id} {one.phrase or '(by example)'} {one.score:.2f}" for one in masks[:MOST])
    more = f"; and {len(masks) - MOST} more" if len(masks) > MOST else ""
    return one_line(f"{outcome}{conversation.message}{named and f' [{named}{more}]'}{_cost(conversation.last)}")


def _cost(turn: Episode) -> str:
    """Of a language model; "" where none was asked."""
    usage = turn.usage
    tokens = f"{usage.prompt_tokens + usage.completion_tokens:,} tokens"
    return f" ({counted(usage.model_calls, 'model call')}, {tokens})" if usage.model_calls else ""


def _row(candidate: Candidate, selected: Sequence[int]) -> str:
    box = ", ".join(f"{edge:.0f}" for edge in candidate.box)
    sign = "*" if candidate.id in selected else " "
    return f"{sign} {candidate.id:>3}  {candidate.score:.2f}  {candidate.phrase or '(by example)'}  [{box}]"


# commands


Run = Callable[[Chat, Conversation, Sequence[str]], Conversation]


@dataclass(frozen=True)
class Command:
    takes: str
    """As /help writes it."""
    about: str
    run: Run


def _undo(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(conversation.undo())


def _redo(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(conversation.redo())


def _save(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _one_path(words) if words or chat.save_to is None else chat.save_to
    save(conversation, path)
    chat.say(f"saved in {path}")
    return conversation


def _open(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(Conversation.open(_one_path(words)))


def _picture(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _one_path(words)
    return chat.told(conversation.show(Picture.open(path), path.name))


def _masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    rows = [_row(candidate, conversation.selected) for candidate in conversation.workspace]
    chat.say("\n".join(rows) or "no mask was found so far")
    return conversation


def _click(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    positive, rest = _sign(words)
    x, y, *third = _numbers(rest, 2, 3)
    id, *_ = [*_whole(third), None]
    return chat.told(conversation.click(x, y, chat.sam3, positive=positive, id=id))


def _box(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    positive, rest = _sign(words)
    x0, y0, x1, y1 = _numbers(rest, 4, 4)
    return chat.told(conversation.box(x0, y0, x1, y1, chat.sam3, positive=positive))


def _remove(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(conversation.remove(_ids(words)))


def _keep(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(conversation.keep(_ids(words)))


def _add(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.told(conversation.restore(_ids(words)))


def _threshold(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    (threshold,) = _numbers(words, 1, 1)
    return chat.told(conversation.above(threshold))


def _export(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    if not words:
        raise BadInput(f"/export needs a format out of {', '.join(FORMATS)}")
    formats = chosen(",".join(words))
    masks = conversation.workspace.pick(conversation.selected)
    names = [one.file_name(conversation.name) for one in formats.values()]
    with replacing(chat.folder, names) as stage:
        for one in formats.values():
            one.write(conversation.picture, masks, conversation.name, stage, conversation.reasons)
    chat.say(f"{chat.folder}: {', '.join(names)}")
    return conversation


def _help(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    usages = {f"/{name} {command.takes}".strip(): command.about for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    chat.say("Say what to find, then go on: 'only the red ones', 'the plates too', 'not number 3', 'undo'. By hand:")
    chat.say("\n".join(f"  {usage:<{width}}  {about}" for usage, about in usages.items()))
    return conversation


def _quit(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    raise Leave


COMMANDS: dict[str, Command] = {
    "undo": Command("", "back by one step", _undo),
    "redo": Command("", "forth again", _redo),
    "masks": Command("", "every mask found in this picture; * = in the answer", _masks),
    "remove": Command("ID …", "masks of the answer that do not belong there", _remove),
    "keep": Command("ID …", "only these masks of the answer", _keep),
    "add": Command("ID …", "known masks that belong there too", _add),
    "click": Command(
        "X Y [-] [ID]",
        "one more object at this pixel, or more of the mask there, or of mask ID; - = less of it",
        _click,
    ),
    "box": Command("X0 Y0 X1 Y1 [-]", "all that looks like what is in this box; - = leave that out", _box),
    "threshold": Command("T", "only masks that score above T", _threshold),
    "picture": Command("FILE", "go on with another picture", _picture),
    "export": Command("FORMAT …", f"the answer for other tools: {', '.join(FORMATS)}", _export),
    "save": Command("[FILE]", "the whole conversation in one file", _save),
    "open": Command("FILE", "a saved conversation in the place of this one", _open),
    "help": Command("", "this", _help),
    "quit": Command("", "leave; so does Ctrl-D", _quit),
}


def save(conversation: Conversation, path: Path) -> None:
    """Raises OutputError."""
    try:
        conversation.save(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _one_path(words: Sequence[str]) -> Path:
    if len(words) != 1:
        raise BadInput(f"it takes one file name, got {len(words)}; a name with spaces is written in quotes")
    return Path(words[0]).expanduser()


def _sign(words: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether no minus stands among the words, and the other words."""
    return "-" not in words, [word for word in words if word not in "+-"]


def _numbers(words: Sequence[str], least: int, most: int) -> list[float]:
    try:
        numbers = [float(number) for word in words for number in word.replace(",", " ").split()]
    except ValueError as error:
        raise BadInput(f"it takes numbers, got {' '.join(words)!r}") from error
    if not least <= len(numbers) <= most:
        expected = f"{least}" if least == most else f"{least} or {most}"
        raise BadInput(f"it takes {expected} numbers, got {len(numbers)}; see /help")
    return numbers


def _ids(words: Sequence[str]) -> list[int]:
    return _whole(_numbers(words, 1, 1000))


def _whole(numbers: Sequence[float]) -> list[int]:
    if fractions := [number for number in numbers if not number.is_integer()]:
        raise BadInput(f"masks have whole numbers, got {fractions[0]:g}")
    return [int(number) for number in numbers]
