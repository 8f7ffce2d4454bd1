"""Beginning a data engine, or adding to one: images are listed, texts are taken over, nothing is computed."""

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import EngineError
from engine.phrases.ontology_files import GENERATED_WORLD, load_ontology
from engine.phrases.word_lists import read_block_list, read_groundable_words
from engine.project.image_files import NamedImages, add_images, list_images
from engine.project.packed_images import MAX_COPIED_GB, PackedCopier, check_size, is_packed
from engine.project.texts import read_alt_texts
from engine.store.folder import DATABASE_FILE, describe_os_error
from engine.store.settings import EngineSettings, read_withdrawn_phrases, write_withdrawn_phrases
from engine.store.store import EngineStore

BLOCKED_FILE = "blocked.txt"
NOT_GROUNDABLE_FILE = "not_groundable.txt"


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What a person gives. None and () leave what is there.

    >>> Materials(phrases=("cup",)).split_by is None
    True
    """

    images: Path | None = None
    """A folder, one image, a list of paths, or images that are packed in tars or parquet files."""
    phrases: tuple[str, ...] = ()
    ontology: str | None = None
    """A file, or "generated-world"."""
    guidelines: Path | None = None
    blocked: Path | None = None
    """Phrases never to be asked about."""
    not_groundable: Path | None = None
    """Words without an outline."""
    alt_text: Path | None = None
    source: str | None = None
    """Of the images; left out, the folder within `images` that each lies in."""
    licence: str = ""
    """Of the images."""
    split_by: str | None = None
    """See `EngineSettings`."""
    column: str = "image"
    """Of parquet files, with the images."""
    max_copied_gb: float = MAX_COPIED_GB
    """Of images that lie packed in tars or parquet files, and are copied."""


@dataclass(frozen=True)
class Addition:
    """What was added to an engine.

    >>> Addition(is_new=True, images=2, phrases=1).is_new
    True
    """

    is_new: bool
    """Whether the engine was begun."""
    images: int
    """Files that were not listed before."""
    phrases: int
    notes: tuple[str, ...] = ()
    """What was passed over."""


def begin_engine(
    folder: Path, materials: Materials, *, on_progress: Callable[[str], None] = lambda text: None
) -> Addition:
    """Begin a data engine in a folder, or add to the one that is there.

    Args:
        folder: Its folder; a new one must be empty or not there yet.
        materials: What to label.
        on_progress: Is told how many packed images are copied.

    Returns:
        What is new. Images that are listed already get the licence and the alternative texts that are said now.

    Raises:
        UserError: Something of it cannot be read; then nothing was begun or added. Packed images that cannot all be
            copied leave an engine without them, and what is copied is kept for the same call again.
    """
    is_new, copy_notes = not (folder / DATABASE_FILE).exists(), list[str]()
    if is_new and materials.images is None:
        raise EngineError(f"{folder} is to be begun without images; say where they lie: --images FOLDER")
    images = _name_images(materials, folder)
    _check_texts(materials)
    with EngineStore.create(folder) if is_new else EngineStore.open(folder, task="work") as store:
        before = store.read_settings()
        _check_splits(store, before, materials)
        settings = _merge_settings(before, materials)
        _copy_texts(folder, materials, settings)
        if images is not None and is_packed(images.listing):
            copier = PackedCopier(store, images.listing, images.max_bytes, on_progress)
            images = replace(images, copies=copier.copy_images())
            copy_notes = copier.notes
        with store.database.write():
            added, notes = (0, []) if images is None else add_images(store.database, images)
            store.write_settings(settings)
            withdrawn = _withdraw_phrases(store, materials.blocked)
    new_phrases = len(settings.phrases) - len(before.phrases)
    return Addition(is_new, added, new_phrases, (*notes, *copy_notes, *withdrawn))


def _name_images(materials: Materials, folder: Path) -> NamedImages | None:
    """Return what is said of which images. Raises UserError, also for words about images that are not named."""
    if materials.images is None:
        said = {"--source": materials.source, "--licence": materials.licence, "--alt-text": materials.alt_text}
        if option := next((option for option, value in said.items() if value), ""):
            raise EngineError(f"{option} says something of images; name those that it is about, too: --images FOLDER")
        return None
    texts = None if materials.alt_text is None else read_alt_texts(materials.alt_text)
    listing, max_bytes = (
        list_images(materials.images, folder, column=materials.column),
        round(1e9 * materials.max_copied_gb),
    )
    check_size(listing, max_bytes)
    return NamedImages(listing, materials.source, materials.licence, texts, max_bytes=max_bytes)


def _withdraw_phrases(store: EngineStore, blocked: Path | None) -> list[str]:
    """Withdraw the pairs whose phrases a new list names, and bring back those that only the list before named.

    Returns:
        What a person should know of it.
    """
    if blocked is None:
        return []
    before, rules = read_withdrawn_phrases(store.database), read_block_list(blocked)
    pairs = Counter(pair.phrase for pair in store.pairs())
    reasons = {phrase: reason for phrase in sorted(pairs) if (reason := rules.find_reason(phrase))}
    write_withdrawn_phrases(store.database, reasons)
    notes = []
    if new := [phrase for phrase in reasons if phrase not in before]:
        count = sum(pairs[phrase] for phrase in new)
        notes.append(f"{count:,} pairs of {len(new):,} phrases are withdrawn; what was said of them is kept")
    if back := [phrase for phrase in before if phrase not in reasons]:
        notes.append(f"{sum(pairs[phrase] for phrase in back):,} pairs count again: their phrases are not on this list")
    return notes


def _check_texts(materials: Materials) -> None:
    """Raise EngineError where a text cannot be read, before anything is written."""
    if materials.ontology is not None:
        load_ontology(materials.ontology)
    if materials.blocked is not None:
        read_block_list(materials.blocked)
    if materials.not_groundable is not None:
        read_groundable_words(materials.not_groundable)
    if materials.guidelines is not None:
        try:
            materials.guidelines.read_bytes()
        except OSError as error:
            raise EngineError(
                f"the guidelines {materials.guidelines} cannot be read ({error.strerror or error}); give a text file"
            ) from error


def _check_splits(store: EngineStore, before: EngineSettings, materials: Materials) -> None:
    """Raise EngineError where images have their splits already, and others are asked for."""
    if materials.split_by in (None, before.split_by):
        return
    if next(store.images(), None) is not None:
        raise EngineError(
            f"images of this engine are split by {before.split_by} already, and splits never change; begin another"
            " engine for another split"
        )


def _merge_settings(before: EngineSettings, materials: Materials) -> EngineSettings:
    ontology, guidelines = before.ontology, before.guidelines
    if materials.ontology == GENERATED_WORLD:
        ontology = GENERATED_WORLD
    elif materials.ontology is not None:
        ontology = f"ontology{Path(materials.ontology).suffix}"
    if materials.guidelines is not None:
        guidelines = f"guidelines{materials.guidelines.suffix}"
    return before.model_copy(
        update={
            "phrases": tuple(dict.fromkeys([*before.phrases, *materials.phrases])),
            "ontology": ontology,
            "guidelines": guidelines,
            "blocked": before.blocked if materials.blocked is None else BLOCKED_FILE,
            "not_groundable": before.not_groundable if materials.not_groundable is None else NOT_GROUNDABLE_FILE,
            "split_by": materials.split_by or before.split_by,
        }
    )


def _copy_texts(folder: Path, materials: Materials, settings: EngineSettings) -> None:
    """Copy texts into the engine's folder, so that it does not depend on where they lay. Raises EngineError."""
    copies = {
        settings.guidelines: materials.guidelines,
        settings.blocked: materials.blocked,
        settings.not_groundable: materials.not_groundable,
    }
    if materials.ontology not in (None, GENERATED_WORLD):
        copies[settings.ontology] = Path(str(materials.ontology))
    try:
        for name, path in copies.items():
            if path is not None:
                with suppress(shutil.SameFileError):
                    shutil.copyfile(path, folder / name)
    except OSError as error:
        raise describe_os_error(folder, error) from error
