"""A data engine of three generated images, judged for some phrases each."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from engine.media.images import EngineImage
from engine.pairs import Correction, Judgement, Pair, Proposal
from engine.store.store import EngineStore
from sam3_tool.image import Image
from sam3_tool.masks.rle import encode_mask

SIZE = (40, 30)
"""(width, height)."""


def draw_block(x0, y0, x1, y1):
    mask = np.zeros(SIZE[::-1], bool)
    mask[y0:y1, x0:x1] = True
    return encode_mask(mask)


LEFT, RIGHT = draw_block(2, 3, 12, 18), draw_block(20, 5, 38, 25)


class ProjectBuilder:
    """Adds images, pairs and what people said of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = EngineStore.create(folder / "engine")
        self._saved = 0

    def add_image(self, name: str, *, split: str = "train", save=None) -> str:
        """Save a grey image, unless `save` saves another, and add it; return its key."""
        path = self.folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._saved += 1
        grey = np.full((*SIZE[::-1], 3), self._saved * 20, np.uint8)
        (save or (lambda pixels, path: PIL.Image.fromarray(pixels).save(path)))(grey, path)
        image = Image.open(path)
        found = EngineImage(key=image.key, path=path, width=image.width, height=image.height, split=split)
        self.store.add_images([found])
        return image.key

    def add_pair(self, image: str, phrase: str, masks=(), said=(), correction=None, parent="") -> str:
        """Add a pair with its proposal; `said`: choices about each mask, and about coverage where there is one more."""
        pair = Pair(image=image, phrase=phrase, original=phrase, origin="list", parent=parent)
        self.store.add_pairs([pair])
        proposal = Proposal(pair=pair.key, masks=masks, scores=(0.9,) * len(masks), presence=0.5, made_by="tiny")
        self.store.add_proposals([proposal], at=1.0)
        stages = [("mv", index) for index in range(len(masks))] + [("ev", None)]
        accepted = tuple(index for index, choice in enumerate(said[: len(masks)]) if choice == "accept")
        entries = [
            Judgement(
                **{"pair": pair.key, "stage": stage, "mask": mask, "choice": choice, "drawn": "random"},
                **{"by": "human:anna", "at": 2.0, "shown": accepted if stage == "ev" else ()},
            )
            for (stage, mask), choice in zip(stages, said, strict=False)
        ]
        if correction is not None:
            masks, groups, exhaustive = correction
            values = {"pair": pair.key, "masks": masks, "groups": groups, "exhaustive": exhaustive}
            entries.append(Correction(**values, by="human:anna", at=3.0))
        self.store.append(entries)
        return pair.key


@pytest.fixture
def builder(tmp_path):
    builder = ProjectBuilder(tmp_path)
    yield builder
    builder.store.close()


@pytest.fixture
def judged(builder):
    """a.png: cups and no dog, final; a cat, perhaps more; b.png: a dog beside a group; a phrase left undecided."""
    first, second = builder.add_image("a.png"), builder.add_image("sub/b.png")
    builder.add_image("held-out.png", split="test")
    builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "accept", "accept"))
    builder.add_pair(first, "dog", (), ("accept",))
    builder.add_pair(first, "cat", (LEFT,), ("accept",))
    builder.add_pair(second, "dog", (LEFT,), correction=((LEFT, RIGHT), (False, True), True))
    builder.add_pair(second, "cup", (LEFT,), ("reject",))
    return builder
