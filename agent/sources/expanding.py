"""From what a person points at to its images and videos: a file, folder, pattern, list, URL, or standard input."""

import glob
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from agent.core.errors import UsageError
from agent.sources.opening import has_subject_name, open_subject
from sam3_tool.errors import PathError, mask_passwords
from sam3_tool.image import Image
from sam3_tool.image_files.file_kinds import HEAD_BYTES, is_plain_text
from sam3_tool.system.file_names import sanitize_file_name
from sam3_tool.system.files import decode_text
from sam3_tool.system.paths import expand_path, is_file, is_folder, is_there
from sam3_tool.video.folders import to_natural_key
from sam3_tool.video.video import Video

STDIN = "-"
"""The source that stands for standard input."""
LIST_SUFFIX = ".txt"
"""How the name of a list ends: one path or URL on each line."""
_STDIN_NAME = "stdin"


@dataclass(frozen=True, eq=False)
class SourceItem:
    """One image or one video of a source.

    >>> SourceItem("https://example.org/photos/cat.png?size=2", "https://example.org/photos/cat.png?size=2").name
    'cat.png'
    """

    source: str
    """As people know it: a path, a URL without the password in it, or "-"."""
    held: Path | str | bytes | Image | Video
    """Where it is: a path, a URL, the content of a file; or the image or the video itself."""

    @property
    def name(self) -> str:
        """The file name."""
        match self.held:
            case Path():
                return self.held.name
            case str():
                return _name_url(self.held)
            case bytes():
                return _STDIN_NAME
        return ""

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return Path(self.name).stem

    def open_subject(self, *, max_pixels: int | None, fetch: Callable[[str], bytes]) -> Image | Video:
        """Open the image or the video.

        Args:
            max_pixels: Refuse larger images; None for the default.
            fetch: Returns what a URL holds.

        Raises:
            UserError: It is neither, it is too large, or the URL cannot be fetched.
        """
        match self.held:
            case Path():
                return open_subject(self.held, max_pixels=max_pixels)
            case str():
                return Image.read(fetch(self.held), max_pixels=max_pixels)
            case bytes():
                return Image.read(self.held, max_pixels=max_pixels)
        return self.held


@dataclass(frozen=True)
class Expansion:
    """What sources hold, in the order in which they were named."""

    items: tuple[SourceItem, ...]
    notes: tuple[str, ...] = ()
    """A sentence for each thing that was left out."""
    is_single: bool = False
    """Whether one image or video was named, and not many that happen to be one."""


def _name_url(url: str) -> str:
    """The name of the file that a URL leads to, else its host; "" for what no one can take apart."""
    try:
        parts = urlsplit(mask_passwords(url))
        return PurePosixPath(unquote(parts.path)).name or parts.hostname or ""
    except ValueError:  # half a pair of brackets
        return ""


def is_url(text: str) -> bool:
    """Tell whether a source is the address of something on the web.

    >>> is_url("https://example.org/cat.png"), is_url("cat.png"), is_url("s3://photos/cat.png")
    (True, False, False)
    """
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def expand_sources(
    sources: Sequence[str], *, each: bool = False, read_stdin: Callable[[], bytes] | None = None
) -> Expansion:
    """Find the images and videos that sources hold.

    Args:
        sources: Each is a file, a folder, a pattern (`photos/*.jpg`; `**` for folders in folders), a list (a `.txt`
            file with one path or URL on each line), a URL, or "-" for standard input.
        each: Take every image of a folder by itself. Without it, a folder is a video, and its images are the frames.
        read_stdin: Returns all of standard input: the bytes of an image, or the lines of a list.

    Returns:
        The images and videos, without having looked into them. Files of a folder and of a pattern are in natural order.

    Raises:
        PathError: A source cannot be the name of a file.
        UsageError: A source matches nothing.

    >>> [item.name for item in expand_sources(["b.png"]).items]
    ['b.png']
    """
    parts = [_expand_source(source, each, read_stdin) for source in sources]
    if len(parts) == 1:
        return parts[0]
    for source, part in zip(sources, parts, strict=True):
        if part.is_single and isinstance(part.items[0].held, Path) and not is_there(part.items[0].held):
            raise UsageError(
                f"{source}: no such file; name files that are there, and put a query of several words in quotes"
            )
    items = tuple(item for part in parts for item in part.items)
    return Expansion(items, tuple(note for part in parts for note in part.notes))


def _expand_source(source: str, each: bool, read_stdin: Callable[[], bytes] | None) -> Expansion:
    if source == STDIN:
        return _expand_stdin(read_stdin)
    if is_url(source):
        return Expansion((SourceItem(mask_passwords(source), source),), is_single=not each)
    path = expand_path(source)
    if each and is_folder(path):
        return _choose_subjects(source, _list_folder(source, path))
    if path.suffix.lower() == LIST_SUFFIX and is_file(path):
        return Expansion(tuple(_read_list(source, path.read_bytes(), path.parent)))
    if glob.has_magic(source) and not is_there(path):
        found = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        return _choose_subjects(source, sorted(found, key=lambda found: to_natural_key(str(found))))
    return Expansion((SourceItem(source, path),), is_single=not each)


def _list_folder(source: str, folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda found: to_natural_key(found.name))
    except OSError as error:
        raise UsageError(f"{source}: the folder cannot be read ({error.strerror})") from error


def _choose_subjects(source: str, found: Sequence[Path]) -> Expansion:
    """Of the files that were found, take those that are named like images and videos; hidden ones never."""
    files = [path for path in found if is_file(path) and not path.name.startswith(".")]
    chosen = [path for path in files if has_subject_name(path)]
    if not chosen:
        held = f"no file among {len(files)} is named like an image or a video" if files else "no such file"
        raise UsageError(f"{source}: {held}; expected images such as photos/*.jpg (in quotes, or a folder with --each)")
    left_out = [path.name for path in files if not has_subject_name(path)]
    notes = (f"{source}: left out, as not named like images: {_join_names(left_out)}.",) if left_out else ()
    return Expansion(tuple(SourceItem(str(path), path) for path in chosen), notes)


def _join_names(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _expand_stdin(read_stdin: Callable[[], bytes] | None) -> Expansion:
    if read_stdin is None:
        raise UsageError("standard input cannot be read here; name a file")
    content = read_stdin()
    if not content.strip():
        raise UsageError(
            "standard input is empty; expected the bytes of an image, or a list of paths, one on each line"
        )
    if is_plain_text(content[:HEAD_BYTES]):
        return Expansion(tuple(_read_list("standard input", content, Path())))
    return Expansion((SourceItem(STDIN, content),), is_single=True)


def _read_list(source: str, content: bytes, folder: Path) -> Iterator[SourceItem]:
    """Read the lines of a list. A relative path counts from the current folder, and else from that of the list."""
    try:
        lines = decode_text(content).splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text; expected one path or URL on each line") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    named = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not named:
        raise UsageError(f"{source}: no line names anything; expected one path or URL on each line")
    for number, line in named:
        if is_url(line):
            yield SourceItem(mask_passwords(line), line)
            continue
        try:
            path = expand_path(line)
        except PathError as error:
            raise UsageError(f"{source}, line {number}: {error}") from error
        yield SourceItem(line, path if is_there(path) or not is_there(folder / path) else folder / path)


def choose_folders(items: Sequence[SourceItem], *, reserved: Collection[str] = ()) -> list[str]:
    """Choose a name for the folder of each item's answer: its stem, with a number where an earlier one has it.

    Names differ by more than capitals, since some file systems do not tell those apart. The same items in the same
    order get the same names.

    Args:
        items: The images and videos.
        reserved: Names that no folder may have.

    >>> choose_folders([SourceItem(name, Path(name)) for name in ("a/cat.png", "b/Cat.jpg", "cat-2.png")])
    ['cat', 'Cat-2', 'cat-2-2']
    """
    taken, numbers, chosen = {name.casefold() for name in reserved}, Counter[str](), []
    for item in items:
        stem = name = sanitize_file_name(item.stem)
        while name.casefold() in taken:
            numbers[stem.casefold()] += 1
            name = f"{stem}-{numbers[stem.casefold()] + 1}"
        taken.add(name.casefold())
        chosen.append(name)
    return chosen
