"""The /commands of a terminal chat: what is done by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.cli.chat.session import Chat
from agent.cli.terminal.console import print_notes
from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.errors import UsageError
from agent.core.workspace import Candidate
from agent.exports import EXPORTERS, select_exporters
from agent.report.output_folder import raise_write_errors, stage_files, write_exports
from agent.sources.opening import open_subject
from agent.tools.video.times import parse_time
from sam3_tool import Video
from sam3_tool.system.file_names import escape_unprintable
from sam3_tool.system.paths import expand_path


class ChatEndedError(Exception):
    """The user leaves the chat."""


CommandHandler = Callable[[Chat, Conversation, Sequence[str]], Conversation]


@dataclass(frozen=True)
class Command:
    arguments: str
    """As /help writes it."""
    summary: str
    run: CommandHandler
    completes: Literal["", "file", "format"] = ""
    """What the Tab key completes after the command's name."""


def _undo_step(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return conversation.undo()


def _redo_step(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return conversation.redo()


def _save_conversation(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _parse_path(words) if words or chat.save_to is None else chat.save_to
    chat.write_conversation(conversation, path)
    chat.say(f"saved in {escape_unprintable(str(path))}")
    return conversation


def _open_conversation(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return Conversation.open(_parse_path(words))


def _show_image(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    path = _parse_path(words)
    subject = open_subject(path, max_pixels=chat.max_pixels)
    if isinstance(subject, Video) != chat.planner.toolset.is_for_videos:
        kind = "a video" if isinstance(subject, Video) else "an image"
        raise UsageError(f"this chat is not about that kind; leave it, and start one with {path.name}, which is {kind}")
    print_notes(subject.notes)
    return (
        conversation.show_video(subject, path.name)
        if isinstance(subject, Video)
        else conversation.show(subject, path.name)
    )


def _list_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    rows = [_format_row(candidate, conversation.selected) for candidate in conversation.workspace]
    chat.say("\n".join(rows) or "no mask was found so far")
    return conversation


def _click_pixel(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    at, words = _parse_moment(words, conversation)
    positive, rest = _parse_sign(words)
    x, y, *third = _parse_numbers(rest, 2, 3)
    mask_id, *_ = [*_to_integers(third), None]
    return conversation.click(x, y, chat.sam3, positive=positive, mask_id=mask_id, at=at)


def _apply_box(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    at, words = _parse_moment(words, conversation)
    positive, rest = _parse_sign(words)
    x0, y0, x1, y1 = _parse_numbers(rest, 4, 4)
    return conversation.apply_box(x0, y0, x1, y1, chat.sam3, positive=positive, at=at)


def _remove_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return conversation.remove(_parse_ids(words))


def _keep_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return conversation.keep(_parse_ids(words))


def _add_masks(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    return conversation.restore(_parse_ids(words))


def _apply_threshold(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    (threshold,) = _parse_numbers(words, 1, 1)
    return conversation.filter_by_score(threshold)


def _export_answer(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    if not words:
        raise UsageError(f"/export needs a format out of {', '.join(EXPORTERS)}")
    formats = select_exporters(",".join(words), "image" if conversation.timeline is None else "video")
    if conversation.timeline is not None and conversation.video is None:
        raise UsageError("the video itself is not at hand; hand it in with /picture FILE, then export")
    names = [exporter.build_file_name(conversation.name) for exporter in formats.values()]
    answer = Episode(conversation.build_task(""))
    with stage_files(chat.folder, names) as stage, raise_write_errors(chat.folder):
        write_exports(answer, [*formats.values()], stage, source=conversation.name, reasons=conversation.reasons)
    chat.say(f"{escape_unprintable(str(chat.folder))}: {', '.join(names)}")
    return conversation


def _print_help(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    usages = {f"/{name} {command.arguments}".strip(): command.summary for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    chat.say("Say what to find, then go on: 'only the red ones', 'the plates too', 'not number 3', 'undo'. By hand:")
    chat.say("\n".join(f"  {usage:<{width}}  {about}" for usage, about in usages.items()))
    return conversation


def _quit_chat(chat: Chat, conversation: Conversation, words: Sequence[str]) -> Conversation:
    raise ChatEndedError


COMMANDS: dict[str, Command] = {
    "undo": Command("", "back by one step", _undo_step),
    "redo": Command("", "forth again", _redo_step),
    "masks": Command("", "every mask found in this image; * = in the answer", _list_masks),
    "remove": Command("ID …", "masks of the answer that do not belong there", _remove_masks),
    "keep": Command("ID …", "only these masks of the answer", _keep_masks),
    "add": Command("ID …", "known masks that belong there too", _add_masks),
    "click": Command(
        "X Y [-] [ID] [@TIME]",
        "one more object at this pixel, or more of the mask there, or of mask ID; - = less of it; @0:01.2 in a video",
        _click_pixel,
    ),
    "box": Command(
        "X0 Y0 X1 Y1 [-] [@TIME]", "all that looks like what is in this box; - = leave that out", _apply_box
    ),
    "threshold": Command("T", "only masks that score above T", _apply_threshold),
    "picture": Command("FILE", "go on with another image, or another video", _show_image, "file"),
    "export": Command("FORMAT …", f"the answer for other tools: {', '.join(EXPORTERS)}", _export_answer, "format"),
    "save": Command("[FILE]", "the whole conversation in one file", _save_conversation, "file"),
    "open": Command("FILE", "a saved conversation in the place of this one", _open_conversation, "file"),
    "help": Command("", "this", _print_help),
    "quit": Command("", "leave; so does Ctrl-D", _quit_chat),
}


def _format_row(candidate: Candidate, selected: Sequence[int]) -> str:
    box = ", ".join(f"{edge:.0f}" for edge in candidate.box)
    sign = "*" if candidate.id in selected else " "
    return f"{sign} {candidate.id:>3}  {candidate.score:.2f}  {candidate.phrase or '(by example)'}  [{box}]"


def _parse_path(words: Sequence[str]) -> Path:
    if len(words) != 1:
        raise UsageError(f"it takes one file name, got {len(words)}; a name with spaces is written in quotes")
    return expand_path(words[0])


def _parse_sign(words: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether no minus stands among the words, and the other words."""
    return "-" not in words, [word for word in words if word not in "+-"]


def _parse_moment(words: Sequence[str], conversation: Conversation) -> tuple[float | None, list[str]]:
    """The second that is written @TIME, and the other words. Of a video, it must be there."""
    moments = [word[1:] for word in words if word.startswith("@")]
    rest = [word for word in words if not word.startswith("@")]
    if conversation.timeline is None:
        if moments:
            raise UsageError(f"@{moments[0]} is a time in a video, and here stands an image")
        return None, rest
    at = parse_time(moments[0]) if len(moments) == 1 else None
    if not isinstance(at, float):
        raise UsageError("say once in which frame of the video, as @0:01.2 or @1.2 for the second in which it is shown")
    return at, rest


def _parse_numbers(words: Sequence[str], min_count: int, max_count: int) -> list[float]:
    try:
        numbers = [float(number) for word in words for number in word.replace(",", " ").split()]
    except ValueError as error:
        raise UsageError(f"it takes numbers, got {' '.join(words)!r}") from error
    if not min_count <= len(numbers) <= max_count:
        expected = " or ".join(map(str, sorted({min_count, max_count})))
        expected = f"{min_count} or more" if max_count > min_count + 1 else expected
        raise UsageError(f"it takes {expected} numbers, got {len(numbers)}; see /help")
    return numbers


def _parse_ids(words: Sequence[str]) -> list[int]:
    return _to_integers(_parse_numbers(words, 1, 1000))


def _to_integers(numbers: Sequence[float]) -> list[int]:
    if fractions := [number for number in numbers if not number.is_integer()]:
        raise UsageError(f"masks have whole numbers, got {fractions[0]:g}")
    return [int(number) for number in numbers]
