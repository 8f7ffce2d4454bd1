"""Projects of the data engine with drawn images and masks, ready to be reviewed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from engine.media.images import EngineImage
from engine.pairs import Pair, Proposal
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.queue.review_queue import ReviewQueue
from engine.store.store import EngineStore
from sam3_tool import Image
from sam3_tool.masks.rle import encode_mask

SIZE = (48, 64)
"""Height and width of every image."""


def draw_masks(count: int) -> np.ndarray:
    """Squares beside each other, bool (count, 48, 64)."""
    masks = np.zeros((count, *SIZE), bool)
    for number, mask in enumerate(masks):
        mask[8:30, 4 + 14 * number : 15 + 14 * number] = True
    return masks


def add_pair(store: EngineStore, image: EngineImage, phrase: str, count: int) -> str:
    """Add a pair of an image with `count` proposed masks; return its key."""
    pair = Pair(image=image.key, phrase=phrase, original=phrase, origin="list")
    store.add_pairs([pair])
    masks = tuple(encode_mask(mask) for mask in draw_masks(count))
    made = Proposal(pair=pair.key, masks=masks, scores=(0.9,) * count, presence=0.8, made_by="tiny")
    store.add_proposals([made], at=1.0)
    return pair.key


def add_image(store: EngineStore, folder: Path, number: int) -> EngineImage:
    """Draw an image with squares where the masks are, and add it."""
    pixels = np.full((*SIZE, 3), 240 - number, np.uint8)
    pixels[draw_masks(3).any(axis=0)] = (200, 40 + number, 60)
    path = folder / f"{number}.png"
    PIL.Image.fromarray(pixels).save(path)
    image = EngineImage(key=Image(pixels).key, path=path, width=SIZE[1], height=SIZE[0], source="drawn")
    store.add_images([image])
    return image


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EngineStore]:
    with EngineStore.create(tmp_path / "project") as made:
        yield made


@pytest.fixture
def add(store: EngineStore, tmp_path: Path) -> Callable[..., str]:
    """Adds a pair of a new image; returns its key."""
    numbers = iter(range(200))

    def add_one(phrase: str = "red cup", count: int = 1) -> str:
        return add_pair(store, add_image(store, tmp_path, next(numbers)), phrase, count)

    return add_one


@pytest.fixture
def open_desk(store: EngineStore) -> Iterator[Callable[[], ReviewDesk]]:
    """Opens the review as a new process does."""
    queues: list[ReviewQueue] = []

    def opened() -> ReviewDesk:
        queues.append(ReviewQueue(store.folder / QUEUE_FILE))
        desk = ReviewDesk(store, queues[-1])
        desk.synchronize()
        return desk

    yield opened
    for queue in queues:
        queue.close()
