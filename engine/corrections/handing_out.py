"""Hand out the pairs that wait for correction, as a COCO file that CVAT and other editors of masks read.

OUT/coco.json      images, phrases as categories, and the masks that are accepted so far
OUT/images/*.png   only images that a plain reader would see otherwise
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.exports.closed_coco import build_annotation
from engine.exports.final_pairs import MADE_BY
from engine.exports.folders import fill_new_folder, write_json_object
from engine.exports.reading import ImageNamer
from engine.exports.saco_entries import build_mask_entry
from engine.media.images import EngineImage
from engine.states import PairState, StatePolicy
from engine.store.changes import LogMoment
from engine.store.store import NO_POLICY, EngineStore
from sam3_tool.errors import ImageError

HANDED_FILE = "coco.json"


@dataclass(frozen=True)
class HandOutReport:
    """What was handed out.

    >>> HandOutReport(Path("out"), pairs=2, images=1, masks=0).pairs
    2
    """

    folder: Path
    pairs: int
    images: int
    masks: int
    """Accepted so far, and to be kept or mended."""


def hand_out_corrections(
    store: EngineStore,
    folder: Path,
    *,
    policy: StatePolicy = NO_POLICY,
    on_note: Callable[[str], None] = lambda text: None,
) -> HandOutReport:
    """Write the pairs that wait for correction.

    Args:
        store: The data engine.
        folder: Missing or empty; whole at the end, or as it was.
        policy: What judgements of models are worth.
        on_note: Called with a sentence about each image that cannot be read.

    Returns:
        What was written.

    Raises:
        EngineError: The folder holds something or cannot be written, or no pair waits for correction.
    """
    with fill_new_folder(folder) as unfinished:
        images = {image.key: image for image in store.images()}
        namer = ImageNamer(images.values(), folder, unfinished)
        sheet = _Sheet(namer, on_note)
        moment = LogMoment(store.database)
        for history in store.iterate_histories(policy, until=moment.position):
            image = images.get(history.state.pair.image)
            if image is not None and history.state.name == "correct":
                sheet.add_state(history.state, image)
        moment.check_masks()
        if not sheet.pairs:
            raise EngineError(
                f"no pair of {store.folder} waits for correction; pairs come to it when somebody rejects masks, or says"
                f" that some are missing, in: sam3-agent engine review {store.folder}"
            )
        info = {"made_by": MADE_BY, "log_position": moment.position, "img_folder": str(namer.root)}
        write_json_object(unfinished / HANDED_FILE, {"info": info}, sheet.build_lists())
    return HandOutReport(folder, sheet.pairs, len(sheet.images), len(sheet.annotations))


class _Sheet:
    """The lists of the file, as pairs are added."""

    def __init__(self, namer: ImageNamer, on_note: Callable[[str], None]) -> None:
        self._namer, self._on_note = namer, on_note
        self.pairs = 0
        self.images: dict[str, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []
        self._phrases: dict[str, int] = {}

    def add_state(self, state: PairState, image: EngineImage) -> None:
        """Add a pair with the masks that are accepted so far."""
        try:
            name = self._namer.name_image(image)
        except ImageError as error:
            self._on_note(str(error))
            return
        size = {"width": image.width, "height": image.height}
        row = self.images.setdefault(image.key, {"id": len(self.images) + 1, "file_name": name, **size})
        category = self._phrases.setdefault(state.pair.phrase, len(self._phrases) + 1)
        self.pairs += 1
        for mask, is_group in zip(state.masks, state.groups, strict=True):
            entry = build_mask_entry(len(self.annotations) + 1, 0, mask, is_group=is_group, source="")
            self.annotations.append(build_annotation(entry, size, row["id"], category))

    def build_lists(self) -> dict[str, list[dict[str, Any]]]:
        categories = [{"id": number, "name": phrase} for phrase, number in self._phrases.items()]
        return {"images": [*self.images.values()], "annotations": self.annotations, "categories": categories}
