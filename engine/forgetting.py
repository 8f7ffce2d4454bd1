"""Forgetting an image in every file of a data engine: the queue of reviewers, lists of phrases, and the store."""

import json
import os
from contextlib import closing, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.phrases.phrase_log import forget_sources
from engine.review.queue.review_queue import ReviewQueue
from engine.store.files import find_files, list_image_paths, remove_unread_file
from engine.store.folder import remove_copies
from engine.store.forgetting import Removal
from engine.store.store import EngineStore
from sam3_tool.system.files import write_atomically

QUEUE_FILE = "review.sqlite"
"""The queue of reviewers, in the engine's folder."""
MIN_KEY_LETTERS = 8
"""Of an image's key that a person must give."""


def forget_image(store: EngineStore, named: str) -> Removal:
    """Forget an image in all files of an engine.

    Args:
        store: Opened for writing.
        named: The image's key or the first letters of it, its file, or the file's name if no other image has it.

    Returns:
        What was removed. Image files are not the engine's, and stay, but for copies in its own folder.

    Raises:
        EngineError: There is no such image, there are several, or nothing can be written.
    """
    key, unread = find_named_image(store, named)
    if not key:
        paths = tuple(path for _, path in unread)
        for number, path in unread:
            remove_unread_file(store.database, number, _hash_file(path))
        return Removal("", paths, copies=remove_copies(store.folder, paths))
    pairs = {pair.key for pair in store.pairs(image=key)}
    if (store.folder / QUEUE_FILE).exists():
        with closing(ReviewQueue(store.folder / QUEUE_FILE)) as queue:
            queue.forget_pairs(pairs)
    for path in sorted(store.folder.glob("*.jsonl")):
        _remove_lines(path, {key, *pairs})
    forget_sources(store, key)
    copies = remove_copies(store.folder, list_image_paths(store.database, key))
    return replace(
        store.forget(key), copies=copies
    )  # last, so that the same command again goes on where this one was killed


def find_named_image(store: EngineStore, named: str) -> tuple[str, list[tuple[int, Path]]]:
    """Find an image by its key, its file, or the file's name.

    Returns:
        Its key; or "" and ids and paths of files that are listed and hold no image that could be read.

    Raises:
        EngineError: There is none, or there are several.
    """
    if len(named) >= MIN_KEY_LETTERS and "/" not in named:
        keys = [image.key for image in store.images() if image.key.startswith(named)]
        if len(keys) > 1:
            raise EngineError(f"{len(keys)} images have keys that begin with {named!r}; give more letters of it")
        if keys:
            return keys[0], []
    files = find_files(store.database, Path(os.path.abspath(named)), named)  # noqa: PTH100, it may hold ".."
    if not files:
        raise EngineError(
            f"there is no image {named!r} in {store.folder}; give its file as it was added, or its key of at least"
            f" {MIN_KEY_LETTERS} letters"
        )
    held = {key or "" for _, _, key in files}
    if len(held) > 1:
        raise EngineError(f"{len(files)} images are called {named!r}; give the whole path of the one to forget")
    return held.pop(), [(number, path) for number, path, _ in files]


def _hash_file(path: Path) -> str:
    with suppress(OSError):
        return sha256(path.read_bytes()).hexdigest()
    return ""


def _remove_lines(path: Path, keys: set[str]) -> None:
    """Remove the lines of a JSONL file that are about an image or about pairs of it. Raises OSError as EngineError."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not _is_about(line, keys)]
        if len(kept) < len(lines):
            write_atomically(path, b"".join(kept))
    except OSError as error:
        raise EngineError(f"{path} cannot be written ({error.strerror or error}); nothing was forgotten yet") from error


def _is_about(line: bytes, keys: set[str]) -> bool:
    with suppress(ValueError, RecursionError):
        value: Any = json.loads(line)
        return isinstance(value, dict) and any(str(value.get(name, "")) in keys for name in ("image", "pair"))
    return False
