"""Stage 1: read every image file, find duplicates, and choose splits before anything is labelled."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from annotate.asking import map_ahead
from annotate.progress import ProgressMeter
from engine.errors import EngineError
from engine.media.duplicates import MIN_COSINE, GroupFinder, compute_cosine, compute_dhash
from engine.media.images import EngineImage, Split
from engine.media.splits import choose_split
from engine.stages.stage import RunContext, StageName, StageReport
from engine.store.files import ReadFile, UnreadFile, count_files, keep_read_files, list_unread
from engine.store.folder import remove_copies
from sam3_tool.errors import ImageError
from sam3_tool.image import Image
from sam3_tool.system.interruptions import defer_interruptions
from sam3_tool.system.paths import is_folder

BATCH_FILES = 32
"""Files whose outcome is kept together; a kill makes so many be read again at most."""
DECODERS = 2
"""Threads that read images."""


@dataclass(frozen=True)
class MediaStage:
    """Reads image files that were listed. A file that cannot be read is kept with the reason, and the run goes on."""

    name: StageName = "media"

    def run(self, context: RunContext) -> StageReport:
        """Read every file that was not read yet. See `Stage.run`."""
        total, unread, _ = count_files(context.store.database)
        if not unread:
            return StageReport(self.name, what="new images")
        meter = ProgressMeter(total, total - unread)
        grouping = ImageGrouping(context)
        done = errors = forgotten = 0
        for batch in _read_batches(context):
            _check_folders(batch)
            placed = [
                found if found.image is None else replace(found, image=grouping.place_image(found.image))
                for found in batch
            ]
            with defer_interruptions():
                kept = keep_read_files(context.store.database, placed)
            failed = [found for found in kept if found.error]
            for found in failed:
                context.on_note(f"{found.file.path}: {found.error}")
            done, errors = done + len(kept) - len(failed), errors + len(failed)
            forgotten += len(placed) - len(kept)
            stay = {found.file.path for found in kept}
            remove_copies(context.store.folder, {found.file.path for found in placed} - stay)
            meter.add_images(len(placed), {"ImageError": len(failed)})
            context.report_progress(self.name, meter)
            if context.is_out_of_time():
                break
        if forgotten:
            context.on_note(f"{forgotten:,} files hold images that were forgotten; they stay out")
        if grouping.compared_by_hash_alone:
            context.on_note(
                "near-duplicates were told by their hashes alone, for this SAM 3 gives no embedding of a whole image"
            )
        left = count_files(context.store.database)[1]
        return StageReport(self.name, done, "images read", left, errors)


@dataclass(eq=False)
class ImageGrouping:
    """Gives images their group and split, beside those that a store holds."""

    context: RunContext
    compared_by_hash_alone: bool = field(default=False, init=False)
    """Whether SAM 3 could not tell two of them apart."""
    _features: dict[str, np.ndarray | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._settings = self.context.store.read_settings()
        self._finder = GroupFinder(self._are_alike)
        self._images = {image.key: image for image in self.context.store.images()}
        leaders = [image for image in self._images.values() if image.is_kept and image.dhash]
        self._finder.add_leaders([(image.key, image.dhash) for image in leaders])

    def place_image(self, image: EngineImage) -> EngineImage:
        """Return an image with its group and split: those of the first of its near-duplicates.

        That one's split counts also where `image` is of another source.
        """
        if (known := self._images.get(image.key)) is not None:
            return replace(image, group=known.group, split=known.split)
        self._images[image.key] = image
        group = self._finder.find_group(image.key, image.dhash)
        split = self._choose_split(image) if group == image.key else self._images[group].split
        self._images[image.key] = placed = replace(image, group=group, split=split)
        return placed

    def _choose_split(self, image: EngineImage) -> Split:
        settings = self._settings
        return choose_split(
            image.source if settings.split_by == "source" else image.key,
            validation_share=settings.validation_share,
            test_share=settings.test_share,
        )

    def _are_alike(self, first: str, second: str) -> bool:
        """Whether the pooled embeddings of two images agree; hashes alone decide where there are none."""
        one, other = self._pool_features(first), self._pool_features(second)
        if one is None or other is None:
            self.compared_by_hash_alone = True
            return True
        return compute_cosine(one, other) > MIN_COSINE

    def _pool_features(self, key: str) -> np.ndarray | None:
        if key not in self._features:
            try:
                self._features[key] = self.context.sam3.pool_features(self._images[key].open_pixels())
            except ImageError:  # it is gone meanwhile: its hash still tells
                self._features[key] = None
        return self._features[key]


def _read_batches(context: RunContext) -> Iterator[list[ReadFile]]:
    """Read files that were not read yet, some at a time, while those before are worked on."""
    after = 0
    with ThreadPoolExecutor(DECODERS, "decoder") as pool:
        while files := list_unread(context.store.database, after=after, limit=BATCH_FILES):
            after = files[-1].id
            yield [*map_ahead(pool, read_file, files, 2 * DECODERS)]


def _check_folders(batch: Sequence[ReadFile]) -> None:
    """Raise EngineError where no file of a batch can be read, and the folder is gone: it is not the images."""
    gone = {found.file.path.parent for found in batch if found.error and not is_folder(found.file.path.parent)}
    if gone and all(found.error for found in batch):
        raise EngineError(
            f"the folder {min(gone)} cannot be reached any more; connect it and run the same command again, what is"
            " done is kept"
        )


def read_file(file: UnreadFile) -> ReadFile:
    """Read an image file.

    Returns:
        Its image with hashes, but without group and split; or why it cannot be read.
    """
    original_hash = ""
    try:
        content = file.path.read_bytes()
        original_hash = sha256(content).hexdigest()
        image = Image.read(content)
        key, dhash = image.key, compute_dhash(image)
    except (ImageError, OSError, MemoryError) as error:
        return ReadFile(file, original_hash, error=describe_error(error))
    found = EngineImage(
        key=key,
        path=file.path,
        width=image.width,
        height=image.height,
        source=file.source,
        original_hash=original_hash,
        dhash=dhash,
    )
    return ReadFile(file, original_hash, found)


def describe_error(error: BaseException) -> str:
    """Say in one line why an image cannot be read, without its name."""
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return " ".join(text.removeprefix("image: ").split())[:500] or type(error).__name__
