"""What every line of a terminal chat is answered with, and how the conversation is shown there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image

from agent.cli.terminal.console import to_one_line
from agent.cli.terminal.inline_image import InlineMode, encode_inline_image
from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.errors import InterruptedOutputError, OutputError
from agent.core.planner import Planner
from agent.core.text.english import pluralize
from agent.core.timeline import format_span
from agent.records.provenance import Provenance
from agent.report.output_folder import MAX_SHEET_SIDE, raise_write_errors, stage_files
from agent.report.tracks import draw_tracks
from sam3_tool import Sam3
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.system.file_names import escape_unprintable
from sam3_tool.system.interruptions import defer_interruptions

OVERLAY = "overlay.png"
MAX_LISTED_MASKS = 12
"""Masks that the line of an answer names; /masks lists all."""


@dataclass
class SavedFile:
    """What of a conversation is in a file by now. It changes as that happens, so that nothing untrue is said of it."""

    path: Path | None = None
    """The file that was written last."""
    is_final: bool = False
    """Whether it holds the conversation as it ended."""

    def describe(self) -> str:
        """Say what is kept of a conversation that was interrupted."""
        if self.path is None:
            return "nothing was saved"
        if self.is_final:
            return f"the conversation is in {self.path}"
        return f"what came after it was saved in {self.path} was not saved"


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
    max_pixels: int | None = None
    """Of an image that /picture opens."""
    saved: SavedFile = field(default_factory=SavedFile)

    def report_state(self, conversation: Conversation) -> bool:
        """Says where the conversation stands, and shows it; whether that could be done in full."""
        self.say(format_state(conversation))
        try:
            image = self._draw_overlay(conversation)
        except OutputError as error:  # what was answered counts all the same
            self.say(f"error: {to_one_line(str(error))}")
            return False
        if self.interactive:
            self.say(encode_inline_image(image, self.inline) or f"  {escape_unprintable(str(self.folder / OVERLAY))}")
        return True

    def write_conversation(self, conversation: Conversation, path: Path, *, is_final: bool = False) -> None:
        """Save the conversation as it is; an interruption waits until that is done. Raises InterruptedOutputError."""
        with defer_interruptions():
            try:
                conversation.save(path)
            except OSError as error:
                raise InterruptedOutputError(f"cannot write {path}: {error.strerror or error}") from error
            self.saved.path, self.saved.is_final = path, is_final

    def _draw_overlay(self, conversation: Conversation) -> PIL.Image.Image:
        """The masks over the image, which is also written. Raises OutputError."""
        image = _draw_masks(conversation)
        with stage_files(self.folder, [OVERLAY]) as stage, raise_write_errors(self.folder):
            image.save(stage / OVERLAY)
        return image


def _draw_masks(conversation: Conversation) -> PIL.Image.Image:
    """The masks in question over the image; of a video, over some of its frames."""
    ids = conversation.displayed_ids
    if conversation.timeline is None:
        return draw_marks(conversation.image, conversation.workspace.get_instances(ids), mask_ids=ids)
    tracks = conversation.workspace.get_masklets(ids)
    return draw_tracks(conversation.build_task(""), ids, tracks, side=MAX_SHEET_SIDE).to_pil()


def format_state(conversation: Conversation) -> str:
    """What the latest turn said, and the masks of the answer."""
    masks = conversation.workspace.pick(conversation.displayed_ids)
    if conversation.last_turn is None:
        size = f"{conversation.image.width} x {conversation.image.height} pixels"
        timeline, kind = conversation.timeline, "an image" if conversation.timeline is None else "a video"
        length = "" if timeline is None else f", {pluralize(timeline.stop - timeline.start, 'frame')}"
        until = "" if timeline is None else f", {format_span(timeline.times[timeline.start], timeline.end)}"
        return f"{escape_unprintable(conversation.name) or kind}, {size}{length}{until}: say what to find, or /help"
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
