"""WebDataset: tars of images, each followed by a JSON file of all its pairs; the same export is the same bytes."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from engine.exports.final_pairs import FinalPair, FinalPairs

TAR_BYTES = 500 * 10**6
"""After which a new tar is begun."""
Member = tuple[str, bytes]


def write_webdataset(pairs: FinalPairs, folder: Path, *, tar_bytes: int = TAR_BYTES) -> list[str]:
    """Write tars of every split.

    Args:
        pairs: What is final, with trails.
        folder: An empty folder.
        tar_bytes: Size from which on a new tar is begun.

    Returns:
        Names of the files.
    """
    names: list[str] = []
    for split in pairs.splits:
        samples = (
            _build_sample(pairs, list(group))
            for _, group in groupby(pairs.read_pairs(split), key=lambda pair: pair.image.key)
        )
        for number, part in enumerate(_split_samples(samples, tar_bytes)):
            names.append(f"{split}-{number:06d}.tar")
            _write_tar(folder / names[-1], part)
    return names


def _split_samples(samples: Iterable[list[Member]], tar_bytes: int) -> Iterator[Iterator[list[Member]]]:
    """Yield the samples of one tar after the other; each must be read to its end before the next."""
    waiting = iter(samples)
    ahead = next(waiting, None)

    def fill_tar() -> Iterator[list[Member]]:
        nonlocal ahead
        size = 0
        while ahead is not None:
            needed = sum(len(content) for _, content in ahead)
            if size and size + needed > tar_bytes:
                return
            size += needed
            sample, ahead = ahead, next(waiting, None)
            yield sample

    while ahead is not None:
        yield fill_tar()


def _build_sample(pairs: FinalPairs, group: list[FinalPair]) -> list[Member]:
    image, path = group[0].image, pairs.find_file(group[0])
    content = {
        **{name: getattr(image, name) for name in ("width", "height", "split", "source", "licence", "original_hash")},
        "image_key": image.key,
        "file_name": group[0].file_name,
        "duplicate_group": image.group,
        "log_position": pairs.position,
        "pairs": [_describe_pair(pair) for pair in group],
    }
    text = json.dumps(content, ensure_ascii=False).encode()
    return [(f"{image.key}.{path.suffix.lower().lstrip('.') or 'img'}", path.read_bytes()), (f"{image.key}.json", text)]


def _describe_pair(pair: FinalPair) -> dict[str, Any]:
    state = pair.state
    return {
        **state.pair.model_dump(exclude={"image"}),
        "pair": state.pair.key,
        "is_positive": bool(state.masks),
        "masks": [mask.to_coco() for mask in state.masks],
        "groups": state.groups,
        "is_instance_exhaustive": pair.use.is_exhaustive,
        "is_pixel_exhaustive": pair.use.is_pixel_exhaustive,
        "state": state.name,
        "decided_by": state.decided_by,
        "judgements": [{key: value for key, value in entry.items() if key != "masks"} for entry in pair.trail],
    }


def _write_tar(path: Path, samples: Iterable[list[Member]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in (member for sample in samples for member in sample):
            info = tarfile.TarInfo(name)  # no time and no owner: the same labels give the same bytes
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
