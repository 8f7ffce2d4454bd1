"""The command itself: options in, a conversation in the terminal, an exit code out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.loading import load_models
from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.options.segment_options import Options
from agent.cli.terminal.console import FAILURE, print_notes, report_user_errors, show_progress
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError
from sam3_tool.system.file_names import sanitize_file_name
from sam3_tool.system.paths import is_folder

if TYPE_CHECKING:
    from agent.conversation.conversation import Conversation


@shared_options.planning_options()
def chat(
    options: Options,
    image: Annotated[Path | None, path_argument(help="An image or a video; may be left out with --open.")] = None,
    out: Annotated[Path | None, path_option(help="Output folder (default: out/<name of IMAGE>).")] = None,
    open_: Annotated[Path | None, path_option("--open", help="Go on with a saved conversation.")] = None,
    save: Annotated[Path | None, path_option(help="Save the conversation there on leaving.")] = None,
    say: Annotated[
        list[str] | None, typer.Option(help="A line to say; given again, the next one. Then it leaves.")
    ] = None,
    inline: Annotated[
        Literal["auto", "kitty", "iterm", "sixel", "never"],
        typer.Option(help="How the terminal shows images (auto: by its name; else their path is printed)."),
    ] = "auto",
    max_pixels: shared_options.MaxPixelsOption = None,
) -> None:
    """Talk about IMAGE: say what to find, then 'only the red ones', 'not number 3', 'undo'. /help says more.

    overlay.png shows the answer after every turn. Lines may also come by --say or from a pipe: each brings one line.
    Exit codes: 0; 1 such a line could not be done; 2 bad usage or bad input; 130 interrupted.
    """
    with report_user_errors():
        from agent.cli.chat.line_input import read_lines
        from agent.cli.chat.loop import run_chat
        from agent.cli.chat.session import Chat
        from agent.cli.terminal.inline_image import detect_inline_mode

        if not all(map(str.strip, say or ())):
            raise UsageError("--say is empty; is a variable not set? Expected a line to say")
        interactive = not say and sys.stdin.isatty()
        if save is not None and (is_folder(save) or not is_folder(save.parent)):
            raise UsageError(f"--save needs the name of a file in a folder that is there, got {save}")
        conversation = _open_conversation(image, open_, max_pixels)
        options = options.for_subject(is_video=conversation.timeline is not None)
        with show_progress() as progress:
            planner, sam3, provenance = load_models(options, progress)
        kind = inline if inline != "auto" else detect_inline_mode(os.environ)
        folder = out or Path("out", sanitize_file_name(Path(conversation.name or "conversation").stem))
        session = Chat(
            planner,
            sam3,
            provenance,
            folder,
            print_line,
            inline=kind,
            interactive=interactive,
            save_to=save,
            max_pixels=max_pixels,
        )
    with report_user_errors(interrupted=session.saved.describe):
        succeeded = run_chat(session, conversation, say or read_lines(interactive))
    raise typer.Exit(0 if succeeded or interactive else FAILURE)


def _open_conversation(image: Path | None, saved: Path | None, max_pixels: int | None) -> "Conversation":
    """A conversation about this image or video; the saved one, where it is given, goes on with it."""
    from agent.conversation.conversation import Conversation
    from agent.sources.opening import open_subject
    from sam3_tool import Image

    if saved is not None:
        opened = Conversation.open(saved)
        if image is None:
            return opened
    elif image is None:
        raise UsageError("no image to talk about; name one, or --open a saved conversation")
    subject = open_subject(image, max_pixels=max_pixels)
    print_notes(subject.notes)
    if isinstance(subject, Image):
        return Conversation.start(subject, image.name) if saved is None else opened.show(subject, image.name)
    return Conversation.start_video(subject, image.name) if saved is None else opened.show_video(subject, image.name)
