"""`engine init`: begin a data engine, or add images and phrases to one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.terminal.console import print_notes, report_user_errors, require_extra, show_progress
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError
from agent.core.text.english import format_count
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from engine.project.beginning import Addition


def init_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    images: Annotated[
        Path | None,
        path_option(
            help="A folder with images, also in folders in it; one image; a list of paths (.txt); tars; parquet files."
        ),
    ] = None,
    phrases: Annotated[
        str | None, typer.Option(help="A file with a phrase on each line, or phrases with commas: 'cat, dog'.")
    ] = None,
    ontology: Annotated[
        str | None, typer.Option(help="A tree of concepts (.json, .obo or .csv), or 'generated-world'.")
    ] = None,
    blocked: Annotated[
        Path | None, path_option(help="Phrases never to ask about: a line each, 'words; reason'. Others ship.")
    ] = None,
    not_groundable: Annotated[
        Path | None, path_option(help="Words that name nothing with an outline: a line each. Others ship.")
    ] = None,
    guidelines: Annotated[Path | None, path_option(help="A text that reviewers see.")] = None,
    alt_text: Annotated[
        Path | None,
        path_option(help="What is said of images: .json by file name, or .csv with file_name and alt_text."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the images come from (default: the folder within --images).")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the images, e.g. CC-BY-4.0; it goes into exports.")] = "",
    column: Annotated[str, typer.Option(help="The column of parquet files that holds the images.")] = "image",
    max_copied_gb: Annotated[
        float, typer.Option(help="Copy no more GB of images that lie packed in tars or parquet files.")
    ] = 100.0,
    split_by: Annotated[
        Literal["group", "source"] | None,
        typer.Option(help="What is never split between train, val and test (default: group, the near-duplicates)."),
    ] = None,
) -> None:
    """Begin a data engine in FOLDER, or add to the one that is there. Nothing is computed yet: `engine run` does that.

    Texts are copied into FOLDER, and so are images that lie packed in tars or parquet files; all others stay where they
    are.
    """
    with (
        report_user_errors(interrupted="the same command again begins or adds it"),
        require_extra("parquet", "pyarrow"),
    ):
        if not 0 < max_copied_gb < float("inf"):
            raise UsageError(f"--max-copied-gb takes a number above 0, e.g. 100, got {max_copied_gb:g}")
        from annotate.questions import read_phrases
        from engine.project.beginning import Materials, begin_engine
        from engine.project.rules import clean_list, load_engine_rules
        from engine.store.store import EngineStore

        wanted = read_phrases(phrases) if phrases is not None else ()
        materials = Materials(
            images=images,
            phrases=wanted,
            ontology=ontology,
            guidelines=guidelines,
            blocked=blocked,
            not_groundable=not_groundable,
            alt_text=alt_text,
            source=source,
            licence=licence,
            split_by=split_by,
            column=column,
            max_copied_gb=max_copied_gb,
        )
        with show_progress() as display:
            added = begin_engine(folder, materials, on_progress=display.show_status)
        with EngineStore.open(folder, read_only=True) as store:
            dropped = clean_list(wanted, load_engine_rules(store)).dropped
            has_phrases = bool(store.read_settings().phrases) or alt_text is not None
        print_notes([*added.notes, *(f"{entry.original!r} is not asked about: {entry.reason}" for entry in dropped)])
        if not has_phrases:
            print_notes(["no phrases for all images yet: give --phrases, --alt-text, or `engine run` a --planner"])
    _print_summary(folder, added, len(dropped))


def _print_summary(folder: Path, added: "Addition", dropped: int) -> None:
    """Say what was added, how many phrases of it nobody is asked about, and how to go on."""
    done = "begun with" if added.is_new else "there already; added"
    name = escape_unprintable(str(folder))
    others = f", {dropped:,} of which are not asked about" if dropped else ""
    begun = f"{format_count(added.images, 'image')} and {format_count(added.phrases, 'phrase')}"
    print_line(f"{name}: {done} {begun}{others}")
    print_line(f"go on with: sam3-agent engine run {name}")
