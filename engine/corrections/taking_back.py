"""Take back masks that people have drawn or mended in another tool, as corrections of the pairs that wait for them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent.imports.base import ImportedImage, ImportedMask
from agent.imports.reading import read_files
from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Correction, Pair
from engine.states import StatePolicy
from engine.store.store import NO_POLICY, EngineStore
from sam3_tool.masks.rle import RleMask, compute_areas


@dataclass(frozen=True)
class TakenCorrections:
    """What came of files of another tool.

    >>> TakenCorrections(corrections=3, empty=1, other_masks=0, unknown_images=()).corrections
    3
    """

    corrections: int
    """Pairs that are final now."""
    empty: int
    """Pairs of the files' images that still wait: the files have no mask of their phrase."""
    other_masks: int
    """Masks whose label is no phrase that waits in their image."""
    unknown_images: tuple[str, ...]
    """Names in the files that are of no image of the engine."""


def take_corrections(
    store: EngineStore,
    paths: Sequence[Path],
    *,
    by: str,
    at: float,
    policy: StatePolicy = NO_POLICY,
    empty_is_done: bool = False,
) -> TakenCorrections:
    """Append a correction for each pair that waits for one and that the files show, all of them or none.

    Args:
        store: The data engine, open for writing.
        paths: COCO files, tasks of Label Studio, labels of YOLO, or a ZIP of these.
        by: Name of the person whose work it is.
        at: When it was done, in seconds since 1970.
        policy: What judgements of models are worth.
        empty_is_done: Whether a pair without a mask in the files is done too: nothing of it is in the image.

    Returns:
        What was taken, and what was left.

    Raises:
        EngineError: A file cannot be read, a name is of several images, or a mask does not fit its image.
    """
    if not by.strip():
        raise EngineError("the name of whoever corrected is empty; say who it was: --by NAME")
    found, problems = read_files([(path.name, path) for path in paths])
    if problems:
        raise EngineError(f"{problems[0]}; nothing was taken from any file")
    named = _NamedImages(store.images())
    waiting = _list_waiting(store, policy)
    taken, unknown, empty, matched = dict[str, Correction](), [], 0, 0
    for imported in found:
        image = named.find_image(imported)
        if image is None:
            unknown.append(imported.name)
            continue
        for pair in waiting.get(image.key, ()):
            masks = _draw_masks(imported, pair, image)
            matched += len(masks)
            empty += not masks and not empty_is_done
            if masks or empty_is_done:
                taken[pair.key] = Correction(
                    pair=pair.key,
                    masks=tuple(masks),
                    groups=(False,) * len(masks),
                    exhaustive=True,
                    by=f"human:{by.strip()}",
                    at=at,
                )
    store.append([*taken.values()])
    return TakenCorrections(len(taken), empty, sum(len(imported.masks) for imported in found) - matched, tuple(unknown))


class _NamedImages:
    """The images of an engine, by the end of their paths."""

    def __init__(self, images: Iterable[EngineImage]) -> None:
        self._by_name: dict[str, list[EngineImage]] = defaultdict(list)
        for image in images:
            self._by_name[image.path.name].append(image)

    def find_image(self, named: ImportedImage) -> EngineImage | None:
        """Return the image that a file names; None where there is none. Raises EngineError where several are."""
        parts = PurePosixPath(named.name.replace("\\", "/")).parts
        same = self._by_name.get(parts[-1], []) if parts else []
        alike = [image for image in same if image.path.parts[-len(parts) :] == parts]
        if len(alike) > 1:
            raise EngineError(
                f"{named.name!r} is the name of {len(alike)} images ({alike[0].path} is one); put their folders before"
                " the names in the file"
            )
        return alike[0] if alike else None


def _list_waiting(store: EngineStore, policy: StatePolicy) -> Mapping[str, list[Pair]]:
    """List the pairs that wait for correction, by their image."""
    waiting: dict[str, list[Pair]] = defaultdict(list)
    for summary in store.iterate_summaries(policy):
        if summary.decision.name == "correct":
            waiting[summary.pair.image].append(summary.pair)
    return waiting


def _draw_masks(named: ImportedImage, pair: Pair, image: EngineImage) -> list[RleMask]:
    """Draw the masks of a pair's phrase; what covers no pixel is none. Raises EngineError."""
    size = (named.width or image.width, named.height or image.height)
    if size != (image.width, image.height):
        raise EngineError(
            f"{named.name!r} is {size[0]} x {size[1]} pixels in the file, and {image.width} x {image.height} in the"
            " engine; hand out once more, and correct the images as they are"
        )
    try:
        drawn = [mask.draw(image.height, image.width) for mask in _select_masks(named, pair)]
    except ValueError as error:
        raise EngineError(f"{named.name!r}, {pair.phrase!r}: {error}; nothing was taken from any file") from error
    return [mask for mask, area in zip(drawn, compute_areas(drawn), strict=True) if area > 0]


def _select_masks(named: ImportedImage, pair: Pair) -> Iterator[ImportedMask]:
    names = {pair.phrase.casefold(), pair.original.casefold()}
    return (mask for mask in named.masks if mask.label.strip().casefold() in names)
