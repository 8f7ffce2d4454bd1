"""`engine forget`: remove an image and all that is known of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from engine.store.forgetting import Removal


def forget_engine_image(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    image: Annotated[str, typer.Argument(help="The image's file, or its key.")],
) -> None:
    """Remove IMAGE from the data engine in FOLDER: its pairs, its masks, and all that was said of it.

    A hash stays, so that the image never comes back. The image file is not the engine's, and stays where it is; a copy
    of an image that lay in an archive is removed.
    """
    interrupted = "it may be forgotten only in part; the same command again goes on"
    with report_user_errors(interrupted=interrupted), require_extra("parquet", "pyarrow"):
        from engine.forgetting import forget_image
        from engine.store.store import EngineStore
        from sam3_tool.system.interruptions import defer_interruptions

        with EngineStore.open(folder) as store, defer_interruptions():
            removal = forget_image(store, image)
    print_line(describe_removal(removal, folder))


def describe_removal(removal: "Removal", folder: Path) -> str:
    """Say what was removed from the engine in a folder."""
    name = escape_unprintable(", ".join(map(str, removal.files)))
    if not removal.image:
        return f"{name}: forgotten; nothing was known of it, for it holds no image that could be read"
    said = (
        f"{name}: forgotten, with {removal.pairs:,} pairs, {removal.proposals:,} proposals of masks and"
        f" {removal.entries:,} judgements and corrections"
    )
    alike = f". Near-duplicates of it are other images and stay: {', '.join(removal.alike)}" if removal.alike else ""
    stays = "The file itself is still there"
    if removal.copies:
        name = escape_unprintable(removal.copies[0].relative_to(folder.absolute()).parts[1])
        stays = f"Its copy in the engine is removed; {name}, where it came from, still holds it"
    return f"{said}. {stays}{alike}"
