"""Simulated projects: computed once for each seed, at 30 ms a pair, and kept in files."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from platformdirs import user_cache_path

from engine.pairs import Pair, Proposal
from engine.proposing import describe_recipe
from engine.simulation import NegativeKind, SimulatedPair, draw_numbered_scene, draw_project
from engine.verifiers.inputs import add_mirrored_signals
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import RleMask
from sam3_tool.system.files import write_atomically

FILE_VERSION = 1
"""Goes up whenever the same seed gives other pairs or signals."""


def load_project(
    sam3: Sam3,
    seed: int,
    *,
    scenes: int,
    negatives: NegativeKind,
    mirrored: bool = False,
    folder: Path | None = None,
) -> list[SimulatedPair]:
    """Load a simulated project, or make it and keep it.

    Args:
        sam3: The segmenter that proposes.
        seed: Other seeds draw other scenes.
        scenes: How many.
        negatives: See `draw_project`.
        mirrored: Whether pairs have signals of the mirrored image besides.
        folder: Where files are kept; default: the user's cache.
    """
    what = f"{FILE_VERSION} {describe_recipe(sam3, is_mirrored=mirrored)} {seed} {scenes} {negatives}"
    path = (folder or user_cache_path("sam3-agent") / "bench-engine") / f"{sha256(what.encode()).hexdigest()[:16]}.gz"
    if path.exists():
        rows = json.loads(gzip.decompress(path.read_bytes()))
        return [from_row(row) for row in rows]
    if mirrored:
        plain = load_project(sam3, seed, scenes=scenes, negatives=negatives, folder=folder)
        pairs = [*look_in_mirror(sam3, plain)]
    else:
        pairs = [*draw_project(sam3, seed, scenes=scenes, negatives=negatives)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, gzip.compress(json.dumps([to_row(pair) for pair in pairs]).encode(), 1))
    return pairs


def look_in_mirror(sam3: Sam3, pairs: Iterable[SimulatedPair]) -> Iterator[SimulatedPair]:
    """Yield the pairs of a project with signals of the mirrored scenes besides."""
    for number, group in groupby(pairs, lambda pair: pair.scene):
        scene = [*group]
        image = Image(draw_numbered_scene(number).pixels)
        proposals = [pair.proposal for pair in scene]
        measured = add_mirrored_signals(sam3, image, [pair.pair for pair in scene], proposals)
        yield from (replace(pair, proposal=proposal) for pair, proposal in zip(scene, measured, strict=True))


def to_row(simulated: SimulatedPair) -> list[object]:
    """Convert to what JSON can hold."""
    truth = [[*mask.size, mask.counts] for mask in simulated.truth]
    pair, proposal = (value.model_dump(mode="json") for value in (simulated.pair, simulated.proposal))
    return [simulated.scene, pair, proposal, truth]


def from_row(row: list) -> SimulatedPair:
    """Convert back."""
    scene, pair, proposal, truth = row
    masks = tuple(RleMask((height, width), counts) for height, width, counts in truth)
    return SimulatedPair(scene, Pair.model_validate(pair), Proposal.model_validate(proposal), masks)
