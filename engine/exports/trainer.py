"""Labels for the official trainer of SAM 3: SA-Co files, the class that reads them there, and lines for its config."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.exports import judged_pairs
from engine.exports.closed_coco import ClosedVocabulary
from engine.exports.folders import fill_new_folder, write_json_object
from engine.exports.reading import ImageNamer
from engine.exports.saco_entries import CATEGORIES, build_mask_entry, build_pair_entry
from engine.exports.selection import REASONS, PairUse, decide_use
from engine.exports.split_spool import SplitSpool
from engine.media.images import EngineImage
from engine.states import PairState, StatePolicy
from engine.store.changes import LogMoment
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
    held_out: int
    """Pairs of the split test, which the trainer never sees."""
    copied: int
    """Images saved anew, because a plain reader would see other pixels."""


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
    with fill_new_folder(folder) as unfinished, ExitStack() as stack:
        export = _TrainerExport(store, folder, unfinished, policy, on_note, stack)
        return export.write_files(plain_coco=plain_coco)


class _TrainerExport:
    """One export under way."""

    def __init__(
        self,
        store: EngineStore,
        folder: Path,
        unfinished: Path,
        policy: StatePolicy,
        on_note: Callable[[str], None],
        stack: ExitStack,
    ) -> None:
        self._store, self._folder, self._unfinished = store, folder, unfinished
        self._policy, self._on_note = policy, on_note
        self._moment = LogMoment(store.database)
        self._images = {image.key: image for image in store.images()}
        self._namer = ImageNamer(self._images.values(), folder, unfinished)
        self._phrases = {phrase: number for number, phrase in enumerate(_list_phrases(store), start=1)}
        self._spools = {split: SplitSpool(unfinished, split) for split in TRAINED_SPLITS}
        for spool in self._spools.values():
            stack.callback(spool.remove_files)
        self._excluded_file = stack.enter_context((unfinished / EXCLUDED_FILE).open("w", encoding="utf-8"))
        self._excluded: Counter[str] = Counter()
        self._decided_by: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def write_files(self, *, plain_coco: bool) -> TrainerReport:
        """Write everything into the unfinished folder."""
        for history in self._store.iterate_histories(self._policy, until=self._moment.position):
            self._add_state(history.state)
        self._moment.check_masks()
        if not self._spools["train"].pairs:
            looked_at = ", ".join(f"{count:,} {split}" for split, count in sorted(self._seen.items())) or "none"
            raise EngineError(
                f"{self._store.folder} has nothing to train on: no pair of the split train is judged (pairs by split:"
                f" {looked_at}); judge some with: sam3-agent engine review {self._store.folder}"
            )
        spools = {split: spool for split, spool in self._spools.items() if spool.pairs}
        for split, spool in spools.items():
            lists = {"images": spool.read_pairs(), "annotations": spool.read_masks(), "categories": CATEGORIES}
            write_json_object(self._unfinished / f"{split}.json", {"info": self._info}, lists, is_one_line=True)
        if plain_coco:
            vocabulary = ClosedVocabulary(spools.values())
            for split, spool in spools.items():
                path = self._unfinished / f"{split}_coco.json"
                write_json_object(path, {"info": self._info}, vocabulary.build_lists(spool), is_one_line=True)
        shutil.copyfile(str(judged_pairs.__file__), self._unfinished / LOADER_FILE)
        (self._unfinished / CONFIG_FILE).write_text(self._fill_template(), encoding="utf-8")
        return self._summarize()

    @property
    def _info(self) -> dict[str, Any]:
        made = {"made_by": "sam3-agent engine export", "log_position": self._moment.position}
        return {**made, "img_folder": str(self._namer.root)}

    def _add_state(self, state: PairState) -> None:
        image = self._images.get(state.pair.image)
        if image is None:
            return  # added after the list of images was read
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
        spool = self._spools[image.split]
        number, source = spool.pairs + 1, state.decided_by or "undecided"
        masks = [
            build_mask_entry(place, number, mask, is_group=is_group, source=source)
            for place, (mask, is_group) in enumerate(zip(state.masks, state.groups, strict=True), start=spool.masks + 1)
        ]
        spool.add_pair(build_pair_entry(number, state, use, image, name, self._phrases), masks)
        if use.is_pixel_exhaustive:
            self._decided_by[state.decided_by] += 1

    def _exclude_pair(self, state: PairState, image: EngineImage, reason: str, text: str) -> None:
        if reason == "unreadable":
            self._on_note(text)
        row = {"pair": state.pair.key, "image": str(image.path), "phrase": state.pair.phrase, "state": state.name}
        line = json.dumps({**row, "reason": reason, "text": text}, ensure_ascii=False)
        self._excluded_file.write(line + "\n")
        self._excluded[reason] += 1

    def _fill_template(self) -> str:
        has_val = bool(self._spools["val"].pairs)
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
        spools = self._spools.values()
        return TrainerReport(
            self._folder,
            {split: spool.pairs for split, spool in self._spools.items()},
            negatives=sum(spool.negatives for spool in spools),
            partial=sum(spool.partial for spool in spools),
            decided_by=dict(self._decided_by),
            excluded=dict(self._excluded),
            held_out=sum(count for split, count in self._seen.items() if split not in TRAINED_SPLITS),
            copied=self._namer.copied,
        )


def _list_phrases(store: EngineStore) -> list[str]:
    return sorted({pair.phrase for pair in store.pairs()})
