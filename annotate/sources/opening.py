"""What a SOURCE on the command line is: told by what lies there, and then listed."""

from dataclasses import dataclass
from pathlib import Path

from agent.core.text.english import format_count
from annotate.errors import SourceError
from annotate.sources.base import Listing
from annotate.sources.files import list_folder, list_one_image
from sam3_tool.image_files.reading import IMAGE_SUFFIXES
from sam3_tool.system.paths import is_folder, is_there

LIST_SUFFIXES = (".txt", ".lst", ".list")
ARCHIVE_SUFFIXES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
EXPECTED = "expected a folder, an image, a .parquet file, a .tar archive, or a list of paths (.txt)"


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How images are listed and read."""

    column: str = "image"
    """Of parquet files."""
    allow_urls: bool = False
    limit: int | None = None
    max_pixels: int | None = None


def open_source(source: Path, options: SourceOptions, *, out: Path) -> Listing:
    """List the images of a source.

    Args:
        source: A folder, an image, a parquet file, a tar archive, a list, a folder of parquet files or of archives, or
            a pattern such as "data-*.tar".
        options: How they are listed.
        out: The folder of results, which is no source even if it lies inside of one.

    Returns:
        The listing; it holds one image at least.

    Raises:
        SourceError: There is no such source, or no image in it.
        MissingPackageError: A package that reads such a source is not installed.
    """
    if is_folder(source) and source.resolve() == out.resolve():
        raise SourceError(f"the results cannot lie in {source} itself, among the images; choose another --out")
    listing = _list_source(source, options, out)
    if not len(listing):
        said = "".join(f"; {note}" for note in listing.notes)
        raise SourceError(f"there is no image in {source}{said}; {EXPECTED}")
    return listing


def _list_source(source: Path, options: SourceOptions, out: Path) -> Listing:
    if is_folder(source):
        listing = list_folder(source, without=out, limit=options.limit, max_pixels=options.max_pixels)
        packed = [] if len(listing) else _find_packed_files(source)
        return _list_packed(packed, options) if packed else listing
    if not is_there(source):
        if matching := [path for path in sorted(source.parent.glob(source.name)) if path.is_file()]:
            if all(path.suffix.lower() in IMAGE_SUFFIXES for path in matching):
                raise SourceError(
                    f"the pattern {source} names {format_count(len(matching), 'image')}; patterns are for parts of"
                    " packed data sets, so give the images' folder, or a list of paths (.txt)"
                )
            return _list_packed(matching, options)
        if str(source) == "-":
            raise SourceError(
                "standard input is not read here, for a run that goes on later needs its list again; write the names to"
                " a file, e.g. find photos -name '*.jpg' -print0 > list.txt"
            )
        raise SourceError(f"there is no file or folder {source}; {EXPECTED}")
    if source.suffix.lower() in LIST_SUFFIXES:
        from annotate.sources.lists import list_entries

        return list_entries(source, allow_urls=options.allow_urls, limit=options.limit, max_pixels=options.max_pixels)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return list_one_image(source, max_pixels=options.max_pixels)
    return _list_packed([source], options)


def _find_packed_files(folder: Path) -> list[Path]:
    """Parquet files of a folder, or else its tar archives: a data set in parts."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("*.tar"))


def _list_packed(paths: list[Path], options: SourceOptions) -> Listing:
    match {path.suffix.lower() for path in paths}:
        case kinds if kinds == {".parquet"}:
            from annotate.sources.parquet import list_parquet

            return list_parquet(paths, column=options.column, limit=options.limit, max_pixels=options.max_pixels)
        case kinds if kinds == {".tar"}:
            from annotate.sources.tars import list_tars

            return list_tars(paths, limit=options.limit, max_pixels=options.max_pixels)
    if paths[0].suffix.lower() in ARCHIVE_SUFFIXES:
        raise SourceError(f"{paths[0]} is a compressed archive; unpack it first: {EXPECTED}")
    raise SourceError(f"{paths[0]} is no source of images; {EXPECTED}")
