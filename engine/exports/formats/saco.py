"""SA-Co files, as Meta publishes Gold and Silver: an entry is a pair, and a pair without masks is a negative.

OUT/silver_train_merged_test.json      one for each split; named as the readers of SA-Co expect
OUT/gold_train_merged_a_release_test.json, _b_, _c_    the pairs that three people have each finished alone
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.exports.final_pairs import FinalPair, FinalPairs
from engine.exports.folders import write_json_object
from engine.exports.opinions import ANNOTATORS
from engine.exports.saco_entries import CATEGORIES, build_mask_entry, build_pair_entry
from engine.exports.selection import PairUse
from sam3_tool.masks.rle import RleMask

Labels = tuple[tuple[RleMask, ...], tuple[bool, ...], PairUse, str]
"""Masks, whether each is a group, what they cover, and who decided."""


def write_saco(pairs: FinalPairs, folder: Path) -> list[str]:
    """Write SA-Co files of every split.

    Args:
        pairs: What is final.
        folder: An empty folder.

    Returns:
        Names of the files.
    """
    names = []
    for split in pairs.splits:
        names.append(f"silver_{split}_merged_test.json")
        _SacoFile(pairs, split, _get_labels).write_file(folder / names[-1])
        if any(pair.opinions for pair in pairs.read_pairs(split)):
            for number, annotator in zip(range(ANNOTATORS), "abc", strict=True):
                names.append(f"gold_{split}_merged_{annotator}_release_test.json")
                _SacoFile(pairs, split, _choose_opinion(number)).write_file(folder / names[-1])
    return names


def _get_labels(pair: FinalPair) -> Labels | None:
    return pair.state.masks, pair.state.groups, pair.use, pair.state.decided_by


def _choose_opinion(number: int) -> Callable[[FinalPair], Labels | None]:
    def get_opinion(pair: FinalPair) -> Labels | None:
        if not pair.opinions:
            return None
        opinion = pair.opinions[number]
        return opinion.masks, opinion.groups, opinion.use, "human"

    return get_opinion


class _SacoFile:
    """One file: the pairs of a split with one opinion of each. Ids are the same in all files of the split."""

    def __init__(self, pairs: FinalPairs, split: str, label: Callable[[FinalPair], Labels | None]) -> None:
        self._pairs, self._split, self._label = pairs, split, label
        self._phrases = {phrase: number for number, phrase in enumerate(pairs.list_phrases(), start=1)}

    def write_file(self, path: Path) -> None:
        info = self._pairs.build_info("saco") | {"split": self._split}
        lists = {"images": self._build_pairs(), "annotations": self._build_masks(), "categories": CATEGORIES}
        write_json_object(path, {"info": info}, lists)

    def _read_labels(self) -> Iterator[tuple[int, FinalPair, Labels]]:
        for number, pair in enumerate(self._pairs.read_pairs(self._split), start=1):
            if (labels := self._label(pair)) is not None:
                yield number, pair, labels

    def _build_pairs(self) -> Iterator[dict[str, Any]]:
        for number, pair, (_, _, use, by) in self._read_labels():
            entry = build_pair_entry(number, pair.state, use, pair.image, pair.file_name, self._phrases)
            yield entry | {"decided_by": by, **describe_origin(pair)}

    def _build_masks(self) -> Iterator[dict[str, Any]]:
        number = 0
        for pair_number, _, (masks, groups, _, by) in self._read_labels():
            for mask, is_group in zip(masks, groups, strict=True):
                number += 1
                yield build_mask_entry(number, pair_number, mask, is_group=is_group, source=by)


def describe_origin(pair: FinalPair) -> dict[str, str]:
    """Describe where a pair and its image come from, beside what `build_pair_entry` says."""
    image = pair.image
    return {
        "origin": pair.state.pair.origin,
        "split": image.split,
        "duplicate_group": image.group,
        "image_key": image.key,
        "original_hash": image.original_hash,
    }
