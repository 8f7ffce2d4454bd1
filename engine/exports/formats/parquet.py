"""Parquet files, a row a pair, as the library `datasets` reads them: a folder of train-00000.parquet and so on."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from engine.exports.final_pairs import FinalPair, FinalPairs

FILE_ROWS = 10_000
"""Pairs in a file, at most."""
GROUP_ROWS = 500
"""Pairs that are in memory before they are written."""
GROUP_BYTES = 2**26
"""Of image files in memory, after which they are written too."""
MASK = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
SAID = pa.struct(
    [
        ("kind", pa.string()),
        ("stage", pa.string()),
        ("mask", pa.int32()),
        ("choice", pa.string()),
        ("reason", pa.string()),
        ("probability", pa.float64()),
        ("by", pa.string()),
        ("seconds", pa.float64()),
        ("at", pa.float64()),
        ("drawn", pa.string()),
        ("weight", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("pair", pa.string()),
        ("phrase", pa.string()),
        ("original", pa.string()),
        ("origin", pa.string()),
        ("parent", pa.string()),
        ("is_positive", pa.bool_()),
        ("masks", pa.list_(MASK)),
        ("groups", pa.list_(pa.bool_())),
        ("is_instance_exhaustive", pa.bool_()),
        ("is_pixel_exhaustive", pa.bool_()),
        ("state", pa.string()),
        ("decided_by", pa.string()),
        ("judgements", pa.list_(SAID)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_key", pa.string()),
        ("split", pa.string()),
        ("duplicate_group", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("original_hash", pa.string()),
        ("log_position", pa.int64()),
    ]
)


def write_parquet(pairs: FinalPairs, folder: Path, *, with_images: bool = False) -> list[str]:
    """Write parquet files of every split.

    Args:
        pairs: What is final, with trails.
        folder: An empty folder.
        with_images: Whether rows hold the image's file, each row its own; otherwise they hold its path.

    Returns:
        Names of the files.
    """
    metadata = {"sam3-agent": json.dumps(pairs.build_info("parquet"))}
    names = []
    for split in pairs.splits:
        rows = (_build_row(pair, pairs, with_images=with_images) for pair in pairs.read_pairs(split))
        count = pairs.counts.pairs[split]
        for number in range(-(-count // FILE_ROWS)):
            names.append(f"{split}-{number:05d}.parquet")
            schema = SCHEMA.with_metadata(metadata)
            with parquet.ParquetWriter(folder / names[-1], schema, compression="zstd") as writer:
                for group in _group_rows(islice(rows, FILE_ROWS)):
                    writer.write_table(pa.Table.from_pylist(group, schema))
    return names


def _group_rows(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in groups that fit into memory."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["image"]["bytes"] or b"")
        if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _build_row(pair: FinalPair, pairs: FinalPairs, *, with_images: bool) -> dict[str, Any]:
    state, image = pair.state, pair.image
    path = pairs.find_file(pair)
    return {
        "image": {"bytes": path.read_bytes() if with_images else None, "path": str(pairs.find_path(pair))},
        "pair": state.pair.key,
        **{name: getattr(state.pair, name) for name in ("phrase", "original", "origin", "parent")},
        "is_positive": bool(state.masks),
        "masks": [mask.to_coco() for mask in state.masks],
        "groups": state.groups,
        "is_instance_exhaustive": pair.use.is_exhaustive,
        "is_pixel_exhaustive": pair.use.is_pixel_exhaustive,
        "state": state.name,
        "decided_by": state.decided_by,
        "judgements": [{name: entry.get(name) for name in SAID.names} for entry in pair.trail],
        "image_key": image.key,
        "duplicate_group": image.group,
        **{name: getattr(image, name) for name in ("width", "height", "split", "source", "licence", "original_hash")},
        "log_position": pairs.position,
    }
