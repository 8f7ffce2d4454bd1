"""CLIP's tokenizer for a checkpoint that comes without one: from files beside it, installed packages or the hub."""

import gzip
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.files.checkpoint import fetch_tokenizer, format_one_line
from sam3_tool.errors import CheckpointError

MERGES_FILE = "bpe_simple_vocab_16e6.txt.gz"
"""CLIP's table of merges, as Meta's and OpenAI's code ship it."""
START, END = "<|startoftext|>", "<|endoftext|>"

_PACKAGES = {"sam3": "assets", "open_clip": "", "clip": ""}
"""Packages that ship the table -> the folder that it is in."""


def find_tokenizer(file: Path, words: int) -> Any:
    """Return CLIP's tokenizer.

    Args:
        file: The weights. What lies beside them comes first.
        words: Tokens that their text encoder knows.

    Raises:
        CheckpointError: There is none anywhere, or the one beside the weights is of another model.
    """
    folder = file.parent
    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        return _read_folder(folder, words)
    for table in (folder / MERGES_FILE, *_list_installed_tables()):
        if table.is_file():
            return read_merges(table, words)
    fetched = fetch_tokenizer()
    if fetched is None:
        raise CheckpointError(
            f"{file} comes without a tokenizer, none is on this machine, and the Hugging Face hub cannot be reached; "
            f"put {MERGES_FILE} (of Meta's or OpenAI's code) or the tokenizer.json of openai/clip-vit-base-patch32 "
            f"beside it. {WORKS_NOW}"
        )
    return _read_folder(fetched, words)


def read_merges(table: Path, words: int) -> Any:
    """Return the tokenizer of a table of merges: 256 bytes, these as ends of words, one word a merge, start and end.

    Raises:
        CheckpointError: The table is damaged, or has fewer merges than that.
    """
    try:
        lines = gzip.decompress(table.read_bytes()).decode("utf-8").split("\n")
        merges = [(first, second) for first, second in map(str.split, lines[1 : words - 2 * 256 - 1])]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CheckpointError(f"{table} cannot be read: {format_one_line(error)}. {WORKS_NOW}") from error
    letters = list(bytes_to_unicode().values())
    spelled = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    tokenizer = CLIPTokenizer(vocab={word: row for row, word in enumerate(spelled)}, merges=merges)
    return _check_size(tokenizer, table, words)


def _list_installed_tables() -> Iterator[Path]:
    """Yield where installed packages would have the table. None of them is imported."""
    for package, folder in _PACKAGES.items():
        spec = find_spec(package)
        yield from (Path(place) / folder / MERGES_FILE for place in (spec and spec.submodule_search_locations) or ())


def _read_folder(folder: Path, words: int) -> Any:
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged file raises whatever its damaged part does
        raise CheckpointError(
            f"the tokenizer in {folder} cannot be read: {format_one_line(error)}. {WORKS_NOW}"
        ) from error
    return _check_size(tokenizer, folder, words)


def _check_size(tokenizer: Any, place: Path, words: int) -> Any:
    if len(tokenizer) != words:
        raise CheckpointError(
            f"the tokenizer in {place} has {len(tokenizer)} tokens, and the weights have {words}; expected CLIP's, "
            f"such as {MERGES_FILE} or the tokenizer.json of openai/clip-vit-base-patch32. {WORKS_NOW}"
        )
    return tokenizer
