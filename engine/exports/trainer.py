"""Labels for the official trainer of SAM 3: SA-Co files, the class that reads them there, and lines for its config."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.exports import judged_pairs
from engine.exports.closed_coco import build_closed_coco
from engine.exports.folders import fill_new_folder
from engine.exports.reading import ImageNamer
from engine.exports.saco_entries import CATEGORIES, build_mask_entry, build_pair_entry
from engine.exports.selection import REASONS, PairUse, decide_use
from engine.images import EngineImage
from engine.states import PairState, StatePolicy
from engine.store.store import NO_POLICY, EngineStore
from sam3_tool.errors import ImageError

TRAINED_SPLITS = ("train", "val")
"""What a trainer may see; the split `test` stays away from it."""
QUERIES_PER_DATAPOINT = 80
"""The official `Sam3ImageDataset` passes over an image with more than 81 queries."""
LOADER_FILE, CONFIG_FILE, EXCLUDED_FILE = "judged_pairs.py", "trainer.yaml", "excluded.jsonl"
TEMPLATE = Path(__file__).with_name("trainer_template.yaml")


@dataclass(frozen=True)
class TrainerReport:
    """What an export holds."""

    folder: Path
    pairs: Mapping[str, int]
    """By split."""
    negatives: int
    """Pairs of which it is final that nothing is there."""
    partial: int
    """Pairs with masks that are perhaps not all."""
    decided_by: Mapping[str, int]
    """Final pairs, by who decided: "human" or "model"."""
    excluded: Mapping[str, int]
    """Pairs left out, by reason."""
    copied: int
    """Images saved anew, because a plain reader would see other pixels."""


@dataclass
class _Content:
    """What is written of one split."""

    pairs: list[dict[str, Any]] = field(default_factory=list)
    masks: list[dict[str, Any]] = field(default_factory=list)

    def count_negatives(self) -> int:
        """Count the pairs without a mask."""
        return len(self.pairs) - len({mask["image_id"] for mask in self.masks})


def export_trainer(
    store: EngineStore,
    folder: Path,
    *,
    policy: StatePolicy = NO_POLICY,
    plain_coco: bool = False,
    on_note: Callable[[str], None] = lambda text: None,
) -> TrainerReport:
    """Write the splits `train` and `val` for the official trainer.

    `train.json` and `val.json` are SA-Co files, of which `judged_pairs.JudgedPairs` makes one datapoint an image and
    one query a judged pair; `trainer.yaml` has the lines for the trainer's config, and `excluded.jsonl` the pairs that
    are left out. The files say up to which position of the log they were made.

    Args:
        store: The data engine.
        folder: Missing or empty; whole at the end, or as it was.
        policy: What judgements of models are worth; by default, people's count alone.
        plain_coco: Write COCO files for the trainer's own reader too. It takes every phrase that an image has no mask
            of for absent, so that every image must be judged for every phrase.
        on_note: Called with a sentence about an image that cannot be read.

    Raises:
        EngineError: The folder holds something, nothing can be exported, or the labels are not closed for plain COCO.
    """
    with fill_new_folder(folder) as unfinished:
        return _TrainerExport(store, folder, unfinished, policy, on_note).write_files(plain_coco=plain_coco)


class _TrainerExport:
    """One export under way."""

    def __init__(
        self,
        store: EngineStore,
        folder: Path,
        unfinished: Path,
        policy: StatePolicy,
        on_note: Callable[[str], None],
    ) -> None:
        self._store, self._folder, self._unfinished = store, folder, unfinished
        self._policy, self._on_note = policy, on_note
        self._position = store.last_position
        self._images = {image.key: image for image in store.images()}
        self._namer = ImageNamer(self._images.values(), folder, unfinished)
        self._phrases = {phrase: number for number, phrase in enumerate(_list_phrases(store), start=1)}
        self._content: dict[str, _Content] = defaultdict(_Content)
        self._excluded: list[dict[str, Any]] = []
        self._decided_by: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def write_files(self, *, plain_coco: bool) -> TrainerReport:
        """Write everything into the unfinished folder."""
        for state in self._store.iterate_states(self._policy):
            self._add_state(state)
        if not self._content["train"].pairs:
            looked_at = ", ".join(f"{count:,} {split}" for split, count in sorted(self._seen.items())) or "none"
            raise EngineError(
                f"{self._store.folder} has nothing to train on: no pair of the split train is judged (pairs by split:"
                f" {looked_at}); judge some with: sam3-agent engine review {self._store.folder}"
            )
        for split in TRAINED_SPLITS:
            if self._content[split].pairs:
                self._write_json(f"{split}.json", self._build_saco(self._content[split]))
                if plain_coco:
                    self._write_json(f"{split}_coco.json", build_closed_coco(self._build_saco(self._content[split])))
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in self._excluded)
        (self._unfinished / EXCLUDED_FILE).write_text("".join(lines), encoding="utf-8")
        shutil.copyfile(str(judged_pairs.__file__), self._unfinished / LOADER_FILE)
        (self._unfinished / CONFIG_FILE).write_text(self._fill_template(), encoding="utf-8")
        return self._summarize()

    def _add_state(self, state: PairState) -> None:
        image = self._images[state.pair.image]
        self._seen[image.split] += 1
        if image.split not in TRAINED_SPLITS:
            return
        use = decide_use(state)
        if not use.is_used:
            self._exclude_pair(state, image, use.reason, REASONS[use.reason])
            return
        try:
            name = self._namer.name_image(image)
        except ImageError as error:
            self._exclude_pair(state, image, "unreadable", str(error))
            return
        self._add_pair(state, image, use, name)

    def _add_pair(self, state: PairState, image: EngineImage, use: PairUse, name: str) -> None:
        content = self._content[image.split]
        number = len(content.pairs) + 1
        content.pairs.append(build_pair_entry(number, state, use, image, name, self._phrases))
        for mask, is_group in zip(state.masks, state.groups, strict=True):
            source = state.decided_by or "undecided"
            content.masks.append(
                build_mask_entry(len(content.masks) + 1, number, mask, is_group=is_group, source=source)
            )
        if use.is_pixel_exhaustive:
            self._decided_by[state.decided_by] += 1

    def _exclude_pair(self, state: PairState, image: EngineImage, reason: str, text: str) -> None:
        if reason == "unreadable":
            self._on_note(text)
        row = {"pair": state.pair.key, "image": str(image.path), "phrase": state.pair.phrase, "state": state.name}
        self._excluded.append({**row, "reason": reason, "text": text})

    def _build_saco(self, content: _Content) -> dict[str, Any]:
        info = {
            "made_by": "sam3-agent engine export",
            "log_position": self._position,
            "img_folder": str(self._namer.root),
        }
        return {"info": info, "images": content.pairs, "annotations": content.masks, "categories": CATEGORIES}

    def _write_json(self, name: str, content: object) -> None:
        (self._unfinished / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def _fill_template(self) -> str:
        has_val = bool(self._content["val"].pairs)
        values = {
            "IMG_FOLDER": json.dumps(str(self._namer.root)),
            "TRAIN_FILE": json.dumps(str(self._folder.absolute() / "train.json")),
            "VAL_FILE": json.dumps(str(self._folder.absolute() / ("val.json" if has_val else "train.json"))),
            "EXPORT_FOLDER": str(self._folder.absolute()),
            "QUERIES": str(QUERIES_PER_DATAPOINT),
        }
        text = TEMPLATE.read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text

    def _summarize(self) -> TrainerReport:
        pairs = [pair for content in self._content.values() for pair in content.pairs]
        return TrainerReport(
            self._folder,
            {split: len(self._content[split].pairs) for split in TRAINED_SPLITS},
            negatives=sum(content.count_negatives() for content in self._content.values()),
            partial=sum(not pair["is_pixel_exhaustive"] for pair in pairs),
            decided_by=dict(self._decided_by),
            excluded=dict(Counter(row["reason"] for row in self._excluded)),
            copied=self._namer.copied,
        )


def _list_phrases(store: EngineStore) -> list[str]:
    return sorted({pair.phrase for pair in store.pairs()})
