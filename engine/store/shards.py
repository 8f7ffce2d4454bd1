"""Files of proposals: written whole or not at all, and read a few rows at a time."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from engine.errors import EngineError
from engine.pairs import Proposal
from sam3_tool.masks.rle import RleMask
from sam3_tool.system.files import replace_atomically

GROUP_ROWS = 64
"""Rows that are read together: one pair of them costs a few milliseconds."""
OPEN_FILES = 16
SCHEMA = pa.schema(
    [
        ("pair", pa.string()),
        ("image", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("masks", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float64())),
        ("presence", pa.float64()),
        ("evidence", pa.list_(pa.string())),
        ("evidence_scores", pa.list_(pa.float64())),
        ("mask_signals", pa.string()),
        ("pair_signals", pa.string()),
        ("made_by", pa.string()),
        ("asked", pa.string()),
    ]
)


def write_shard(folder: Path, proposals: Sequence[tuple[str, Proposal]]) -> str:
    """Write proposals into a new file.

    Args:
        folder: The folder of all such files.
        proposals: Keys of images, each with a proposal for a pair of it.

    Returns:
        The file's name.

    Raises:
        OSError: It cannot be written; then nothing is left of it.
    """
    name = f"proposals-{token_hex(8)}.parquet"
    table = pa.Table.from_pylist([_to_row(image, proposal) for image, proposal in proposals], SCHEMA)
    with replace_atomically(folder / name) as unfinished:
        parquet.write_table(table, unfinished, row_group_size=GROUP_ROWS, compression="zstd", write_page_checksum=True)
    return name


def read_proposals(path: Path, rows: Sequence[int]) -> dict[int, Proposal]:
    """Read some rows of a file.

    Args:
        path: A file that `write_shard` wrote.
        rows: Their numbers, from 0.

    Returns:
        The proposals by the number of their row.

    Raises:
        EngineError: The file is missing or damaged.
    """
    found: dict[int, Proposal] = {}
    try:
        file = _open_shard(path)
        for group in sorted({row // GROUP_ROWS for row in rows}):
            wanted = [row - group * GROUP_ROWS for row in rows if row // GROUP_ROWS == group]
            table = file.read_row_group(group, use_threads=False).take(wanted)
            for row, values in zip(wanted, table.to_pylist(), strict=True):
                found[group * GROUP_ROWS + row] = _from_row(values)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        said = " ".join(str(error).split())
        raise EngineError(f"{path} cannot be read ({said}); put a copy of it back") from error
    return found


def read_shard(path: Path) -> Iterator[tuple[str, Proposal]]:
    """Yield key of the image, and proposal, of every row, a group of rows in memory at a time. Raises EngineError."""
    try:
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        for batch in file.iter_batches(batch_size=GROUP_ROWS, use_threads=False):
            for values in batch.to_pylist():
                yield values["image"], _from_row(values)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise EngineError(f"{path} cannot be read ({' '.join(str(error).split())}); put a copy of it back") from error


@lru_cache(maxsize=OPEN_FILES)
def _open_shard(path: Path) -> parquet.ParquetFile:
    return parquet.ParquetFile(path, page_checksum_verification=True)


def close_shards() -> None:
    """Close every file that is kept open for reading."""
    _open_shard.cache_clear()


def _to_row(image: str, proposal: Proposal) -> dict[str, Any]:
    every = (*proposal.masks, *proposal.evidence)
    height, width = every[0].size if every else (0, 0)
    return {
        "pair": proposal.pair,
        "image": image,
        "height": height,
        "width": width,
        "masks": [mask.counts for mask in proposal.masks],
        "scores": proposal.scores,
        "presence": proposal.presence,
        "evidence": [mask.counts for mask in proposal.evidence],
        "evidence_scores": proposal.evidence_scores,
        "mask_signals": json.dumps(proposal.mask_signals),
        "pair_signals": json.dumps(proposal.pair_signals),
        "made_by": proposal.made_by,
        "asked": proposal.asked,
    }


def _from_row(values: dict[str, Any]) -> Proposal:
    size = (values["height"], values["width"])
    # this program wrote the row, and checksums say when a byte of it is wrong: nothing is checked again
    return Proposal.model_construct(
        pair=values["pair"],
        masks=tuple(RleMask(size, counts) for counts in values["masks"]),
        scores=tuple(values["scores"]),
        presence=values["presence"],
        evidence=tuple(RleMask(size, counts) for counts in values["evidence"]),
        evidence_scores=tuple(values["evidence_scores"]),
        mask_signals=tuple(json.loads(values["mask_signals"])),
        pair_signals=json.loads(values["pair_signals"]),
        made_by=values["made_by"],
        asked=values["asked"],
    )
