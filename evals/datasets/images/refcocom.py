"""RefCOCOm: expressions about parts of RefCOCO's objects, and about the objects themselves; one mask a sentence.

`annotations/val_part_only.json`, `annotations/val_object_part.json` and those of testA and testB, with the masks beside
that folder and the images of COCO train2014:

    [{"img_name": "COCO_train2014_000000581857.jpg", "segment_id": 12,
      "sentences": [{"idx": 0, "sent_id": 40, "sent": "the left arm of the lady in blue"}]}]

`masks/12.png` is 255 where the target is; every other value is background. The authors published no code that scores
it. Those who quote numbers use LISA's, on every sentence, and call its gIoU mIoU.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from evals.datasets.formats.files import DataSource, name_file
from evals.datasets.formats.referring import check_split
from evals.datasets.images.masked import MaskedDataset, MaskedQuery, check_queries, find_named
from evals.datasets.loading import dataset_loader
from evals.errors import ScoringError
from evals.metrics.inputs.entries import Entry, get_field, get_key, require_list, require_object
from sam3_tool.masks.checks import shorten_value

SOURCE = DataSource(
    "RefCOCOm",
    "the Google Drive file that the README of github.com/Rubics-Xuan/MRES names, and the images of COCO train2014 from"
    " cocodataset.org",
    "none stated for the expressions and masks; the images are under COCO's terms of use",
)
SPLITS = tuple(f"{part}_{level}" for part in ("val", "testA", "testB") for level in ("part_only", "object_part"))
FULL = 255


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str, *, pictures: str | Path | None = None) -> MaskedDataset:
    """`data`: the folder of `annotations/` and `masks/`, or the one above; `pictures`: the folder of the images."""
    check_split(SOURCE, split, SPLITS)
    name = f"annotations/{split}.json"
    file = SOURCE.find_first([data / name, data / "RefCOCOm" / name], f"the file {name} with masks/ beside annotations")
    root = file.parent.parent
    places = [Path(pictures)] if pictures else _list_image_folders(root)
    with name_file(file, SOURCE.name):
        entries = require_list(SOURCE.read_json(file), "the list of segments")
        queries = [query for place, entry in enumerate(entries) for query in _build_queries(root, places, place, entry)]
    note = "The mean over sentences; LISA's constants, as in M2SA's numbers."
    check_queries(SOURCE, file, queries)
    return MaskedDataset("refcocom", SOURCE, split, file, queries, read_target, "lisa", notes=(note,))


def read_target(image: PIL.Image.Image) -> np.ndarray:
    """bool, (H, W): where the mask is white. Others divide by 255 and cut off, which leaves nothing else."""
    return np.asarray(np.asarray(image.convert("L")) == FULL)


def _list_image_folders(root: Path) -> list[Path]:
    below = ("images", "train2014", "images/mscoco/images/train2014", "images/train2014")
    return [folder / name for folder in (root, root.parent) for name in below]


def _build_queries(root: Path, places: Sequence[Path], place: int, entry: Entry) -> Iterator[MaskedQuery]:
    name = f"segment {place}"
    require_object(entry, name)
    image_name = get_field(entry, "img_name", name)
    if not isinstance(image_name, str) or not image_name:
        raise ScoringError(f"{name}: `img_name` must be a text, found {shorten_value(image_name)}")
    image = find_named(SOURCE, places, image_name, name)
    mask = find_named(SOURCE, [root / "masks"], f"{get_key(entry, 'segment_id', name)}.png", name)
    for number, sentence in enumerate(require_list(get_field(entry, "sentences", name), f"{name}: `sentences`")):
        text = get_field(sentence, "sent", f"{name}, sentence {number}")
        if not isinstance(text, str) or not text.strip():
            raise ScoringError(f"{name}, sentence {number}: `sent` must be a text, found {shorten_value(text)}")
        # one segment may be listed twice: its number alone would name two samples alike
        yield MaskedQuery(f"{place}-{number}", text.strip().lower(), image, mask)
