"""A conversation in a terminal: lines in, answers out, `/commands` for what is done by hand."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from agent.cli.console import Progress, format_latest_step, show_progress, to_one_line
from agent.cli.inline_image import InlineMode, encode_inline_image
from agent.cli.options import check_query
from agent.conversation.conversation import Conversation
from agent.core.english import pluralize
from agent.core.episode import Episode
from agent.core.errors import OutputError, UsageError
from agent.core.planner import Planner
from agent.core.workspace import Candidate
from agent.exports import EXPORTERS, select_exporters
from agent.records.provenance import Provenance
from agent.report.output_folder import stage_files
from sam3_tool import Image, Sam3
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.errors import UserError

OVERLAY = "overlay.png"
MAX_LISTED_MASKS = 12
"""Masks that the line of an answer names; /masks tells all."""
PROMPT = "> "


class QuitChat(Exception):
    """The user wants to go."""


@dataclass(frozen=True)
class Chat:
    """What every line is answered with."""

    planner: Planner
    sam3: Sam3
    provenance: Provenance
    folder: Path
    """For the overlay and exports."""
    say: Callable[[str], object]
    """Prints a line."""
    inline: InlineMode = "never"
    interactive: bool = False
    """Whether a person types the lines. Else each line brings one line, so that programs can read them."""
    save_to: Path | None = None

    def answer(self, line: str, conversation: Conversation) -> Conversation:
        """What comes of a line: a query, or a command with a slash before it. Raises UserError, and QuitChat."""
        line = line.strip()
        if line.startswith("/"):
            return self._run_command(line[1:], conversation)
        check_query(line)
        updated = conversation.apply_command(line) or self._run_query(line, conversation)
        return self.report_state(updated)

    def report_state(self, conversation: Conversation) -> Conversation:
        """Says where the conversation stands, and shows it."""
        self.say(format_state(conversation))
        try:
            image = self._draw_overlay(conversation)
        except OutputError as error:  # what was answered counts all the same
            self.say(f"error: {to_one_line(str(error))}")
        else:
            if self.interactive:
                self.say(encode_inline_image(image, self.inline) or f"  {self.folder / OVERLAY}")
        return conversation

    def _draw_overlay(self, conversation: Conversation) -> PIL.Image.Image:
        """The masks over the picture, which is also written. Raises OutputError."""
        masks = conversation.workspace.get_instances(conversation.displayed_ids)
        image = draw_marks(conversation.image, masks, mask_ids=conversation.displayed_ids)
        with stage_files(self.folder, [OVERLAY]) as stage:
            image.save(stage / OVERLAY)
        return image

    def _run_query(self, query: str, conversation: Conversation) -> Conversation:
        turns = conversation.watch(query, self.planner, self.sam3, budget=self.provenance.budget)
        with show_progress() as progress:
            progress.show_status("thinking")
            *_, episode = (_report_step(episode, progress) for episode in turns)
        return conversation.append(episode)

    def _run_command(self, line: str, conversation: Conversation) -> Conversation:
        try:
            name, *words = shlex.split(line) or [""]
        except ValueError as error:
            raise UsageError(f"/{line} cannot be read: {error}") from error
        if name not in COMMANDS:
            raise UsageError(f"there is no command /{name}; /help names those there are")
        return COMMANDS[name].run(self, conversation, words)


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
            write_conversation(latest, chat.save_to)
    return well


def chat_loop(chat: Chat, conversation: Conversation, lines: Iterable[str]) -> Iterator[tuple[Conversation, bool]]:
    """The conversation after each line, until /quit, and whether the line could be done.

    What cannot be done is said in one line that begins with 'error:'. Ctrl-C ends a turn that a person waits for, and
    leaves the conversation as it was.
    """
    for line in filter(str.strip, lines):
        done = True
        try:
            conversation = chat.answer(line, conversation)
        except QuitChat:
            return
        except UserError as error:
            done = False
            chat.say(f"error: {to_one_line(str(error))}")
        except KeyboardInterrupt:
            if not chat.interactive:
                raise
            chat.say("stopped; the conversation is as it was")
        yield conversation, done


def read_lines(interactive: bool) -> Iterator[str]:
    """What is typed, until Ctrl-D; or the lines of stdin."""
    if not interactive:
        # as names of files are read: what is not UTF-8 stays recognisable
        yield from (line.decode(errors="surrogateescape") for line in sys.stdin.buffer)
        return
    with _keep_history():
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
def _keep_history() -> Iterator[None]:
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


def _report_step(episode: Episode, progress: Progress) -> Episode:
    progress.show_status(format_latest_step(episode))
    return episode


# in words


def format_state(conversation: Conversation) -> str:
    """What the latest turn said, and the masks of the answer."""
    masks = conversation.workspace.pick(conversation.displayed_ids)
    if conversation.last_turn is None:
        size = f"{conversation.image.width} x {conversation.image.height} pixels"
        return f"{conversation.name or 'a picture'}, {size}: say what to find, or /help"
    outcome = "" if conversation.outcome in ("answered", "no_match") else f"{conversation.outcome}: "
    named = "; ".join(
        f"{candidate.id} {candidate.phrase or '(by example)'} {candidate.score:.2f}"
        for candidate in masks[:MAX_LISTED_MASKS]
    )
    more = f"; and {len(masks) - MAX_LISTED_MASKS} more" if len(masks) > MAX_LISTED_MASKS else ""
    return to_one_line(
        f"{outcome}{conversation.message}{named and f' [{named}{more}]'}{_format_cost(conversation.last_turn)}"
    )


def _format_cost(turn: Episode) -> str:
    """Of a language model; "" where none was asked."""
    usage = turn.usage
    tokens = f"{usage.prompt_tokens + usage.completion_tokens:,} tokens"
    return f" ({pluralize(usage.model_calls, 'model call')}, {tokens})" if usage.model_calls else ""


def _format_row(candidate: Candidate, selected: Sequence[int]) -> str:
    box = ", ".join(f"{edge:.0f}" for edge in candidate.box)
    sign = "*" if candidate.id in selected else " "
    return f"{sign} {candidate.id:>3}  {candidate.score:.2f}  {candidate.phrase or '(by example)'}  [{box}]"


# commands


CommandHandler = Callable[[Chat, Conversation, Sequence[str]], Conversation]


@dataclass(frozen=True)
class Command:
    arguments: str
    """As /help writes it."""
    summary: str
    run: CommandHandler


def _undo_step(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(conversation.undo())


def _redo_step(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(conversation.redo())


def _save_conversation(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _parse_path(words) if words or chat.save_to is None else chat.save_to
    write_conversation(conversation, path)
    chat.say(f"saved in {path}")
    return conversation


def _open_conversation(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(Conversation.open(_parse_path(words)))


def _show_image(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _parse_path(words)
    return chat.report_state(conversation.show(Image.open(path), path.name))


def _list_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    rows = [_format_row(candidate, conversation.selected) for candidate in conversation.workspace]
    chat.say("\n".join(rows) or "no mask was found so far")
    return conversation


def _click_pixel(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    positive, rest = _parse_sign(words)
    x, y, *third = _parse_numbers(rest, 2, 3)
    mask_id, *_ = [*_to_integers(third), None]
    return chat.report_state(conversation.click(x, y, chat.sam3, positive=positive, mask_id=mask_id))


def _apply_box(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    positive, rest = _parse_sign(words)
    x0, y0, x1, y1 = _parse_numbers(rest, 4, 4)
    return chat.report_state(conversation.apply_box(x0, y0, x1, y1, chat.sam3, positive=positive))


def _remove_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(conversation.remove(_parse_ids(words)))


def _keep_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(conversation.keep(_parse_ids(words)))


def _add_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return chat.report_state(conversation.restore(_parse_ids(words)))


def _apply_threshold(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    (threshold,) = _parse_numbers(words, 1, 1)
    return chat.report_state(conversation.filter_by_score(threshold))


def _export_answer(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    if not words:
        raise UsageError(f"/export needs a format out of {', '.join(EXPORTERS)}")
    formats = select_exporters(",".join(words))
    masks = conversation.workspace.pick(conversation.selected)
    names = [exporter.build_file_name(conversation.name) for exporter in formats.values()]
    with stage_files(chat.folder, names) as stage:
        for exporter in formats.values():
            exporter.write(conversation.image, masks, conversation.name, stage, conversation.reasons)
    chat.say(f"{chat.folder}: {', '.join(names)}")
    return conversation


def _print_help(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    usages = {f"/{name} {command.arguments}".strip(): command.summary for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    chat.say("Say what to find, then go on: 'only the red ones', 'the plates too', 'not number 3', 'undo'. By hand:")
    chat.say("\n".join(f"  {usage:<{width}}  {about}" for usage, about in usages.items()))
    return conversation


def _quit_chat(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    raise QuitChat


COMMANDS: dict[str, Command] = {
    "undo": Command("", "back by one step", _undo_step),
    "redo": Command("", "forth again", _redo_step),
    "masks": Command("", "every mask found in this picture; * = in the answer", _list_masks),
    "remove": Command("ID …", "masks of the answer that do not belong there", _remove_masks),
    "keep": Command("ID …", "only these masks of the answer", _keep_masks),
    "add": Command("ID …", "known masks that belong there too", _add_masks),
    "click": Command(
        "X Y [-] [ID]",
        "one more object at this pixel, or more of the mask there, or of mask ID; - = less of it",
        _click_pixel,
    ),
    "box": Command("X0 Y0 X1 Y1 [-]", "all that looks like what is in this box; - = leave that out", _apply_box),
    "threshold": Command("T", "only masks that score above T", _apply_threshold),
    "picture": Command("FILE", "go on with another picture", _show_image),
    "export": Command("FORMAT …", f"the answer for other tools: {', '.join(EXPORTERS)}", _export_answer),
    "save": Command("[FILE]", "the whole conversation in one file", _save_conversation),
    "open": Command("FILE", "a saved conversation in the place of this one", _open_conversation),
    "help": Command("", "this", _print_help),
    "quit": Command("", "leave; so does Ctrl-D", _quit_chat),
}


def write_conversation(conversation: Conversation, path: Path) -> None:
    """Raises OutputError."""
    try:
        conversation.save(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _parse_path(words: Sequence[str]) -> Path:
    if len(words) != 1:
        raise UsageError(f"it takes one file name, got {len(words)}; a name with spaces is written in quotes")
    return Path(words[0]).expanduser()


def _parse_sign(words: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether no minus stands among the words, and the other words."""
    return "-" not in words, [word for word in words if word not in "+-"]


def _parse_numbers(words: Sequence[str], min_count: int, max_count: int) -> list[float]:
    try:
        numbers = [float(number) for word in words for number in word.replace(",", " ").split()]
    except ValueError as error:
        raise UsageError(f"it takes numbers, got {' '.join(words)!r}") from error
    if not min_count <= len(numbers) <= max_count:
        expected = f"{min_count}" if min_count == max_count else f"{min_count} or {max_count}"
        raise UsageError(f"it takes {expected} numbers, got {len(numbers)}; see /help")
    return numbers


def _parse_ids(words: Sequence[str]) -> list[int]:
    return _to_integers(_parse_numbers(words, 1, 1000))


def _to_integers(numbers: Sequence[float]) -> list[int]:
    if fractions := [number for number in numbers if not number.is_integer()]:
        raise UsageError(f"masks have whole numbers, got {fractions[0]:g}")
    return [int(number) for number in numbers]
