"""Operations of phrases through a video, by size of the network: `python -m bench.suites.videos.operations`.

They are counted on tensors without memory, so that no weights and no fast machine are needed. Multiplications and
additions of matrix products, convolutions and attention count; the rest does not, nor does the decoder of 200 queries.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers import Sam3Config, Sam3Model, Sam3TrackerConfig, Sam3TrackerModel, Sam3VideoConfig

from bench.harness.networks import FULL
from bench.harness.tables import Table
from bench.suites.sam3 import create_flop_counter
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.backends.transformers.video.attention import MemoryGroup
from sam3_tool.backends.transformers.video.network import FrameLevels, FrameReader, MemoryWeights, VideoNetwork
from sam3_tool.backends.transformers.video.selection import MAX_POINTERS, MAX_SPATIAL

PHRASE_TOKENS = 32
"""As the published text encoder pads a phrase."""
PHRASES, OBJECTS = (1, 4, 8), (0, 2, 4, 8, 16)


class FrameOperations(NamedTuple):
    """GFLOP of one frame."""

    encode: float
    """The image, for detector and tracker."""
    search: float
    """One phrase."""
    follow: float
    """One object whose memory is full: it looks at it, is decoded, and is remembered."""

    def compare_sessions(self, phrases: int, objects: int) -> float:
        """Return how many times the operations of one pass a session for each phrase takes.

        >>> FrameOperations(10.0, 1.0, 1.0).compare_sessions(4, 6)
        2.5
        """
        rest = phrases * self.search + objects * self.follow
        return (phrases * self.encode + rest) / (self.encode + rest)


class Architecture(NamedTuple):
    """The configurations of a checkpoint; those of transformers by themselves are the published ones."""

    detector: Any
    tracker: Any
    memory: Any

    @classmethod
    def from_name(cls, name: str) -> "Architecture":
        """Read what a checkpoint says. `name`: 'full' is the published size; else as for `Sam3.load`."""
        if name == FULL:
            return cls(Sam3Config(), Sam3TrackerConfig(), Sam3VideoConfig().tracker_config)
        folder = locate_checkpoint(name)
        with silence_transformers():
            detector, tracker, video = (
                kind.from_pretrained(folder, local_files_only=True)
                for kind in (Sam3Config, Sam3TrackerConfig, Sam3VideoConfig)
            )
        return cls(detector, tracker, video.tracker_config)


@torch.inference_mode()
def count_frame_operations(architecture: Architecture) -> FrameOperations:
    """Count the operations of a frame."""
    memory = MemoryWeights(architecture.memory).eval()
    places = memory.memory_attention.position_ids  # the network reads them
    memory.to("meta").memory_attention.position_ids = places
    with torch.device("meta"):
        detector, heads = Sam3Model(architecture.detector).eval(), Sam3TrackerModel(architecture.tracker).eval()
    network = VideoNetwork(heads, memory)
    with torch.device("meta"):
        read_frame = FrameReader(heads)
        pixels = torch.zeros(1, 3, network.side, network.side)
        with create_flop_counter() as encoding:
            vision = detector.get_vision_features(pixels)
            levels = read_frame(vision.last_hidden_state)
        with create_flop_counter() as searching:
            _search_phrase(detector, vision.fpn_hidden_states[:-1], vision.fpn_position_encoding[:-1])
        with create_flop_counter() as following:
            _follow_object(network, levels)
    encode, search, follow = (counter.get_total_flops() / 1e9 for counter in (encoding, searching, following))
    return FrameOperations(encode, search, follow)


def _search_phrase(detector: Any, levels: Sequence[torch.Tensor], places: Sequence[torch.Tensor]) -> None:
    """Mix a phrase with an image and make its masks. The decoder of the queries, which needs values, is left out."""
    channels, queries = detector.config.detr_encoder_config.hidden_size, detector.config.detr_decoder_config.num_queries
    phrase = torch.zeros(1, PHRASE_TOKENS, channels)
    mixed = detector.detr_encoder(vision_features=[levels[-1]], text_features=phrase, vision_pos_embeds=[places[-1]])
    detector.mask_decoder(
        decoder_queries=torch.zeros(1, queries, channels),
        backbone_features=list(levels),
        encoder_hidden_states=mixed.last_hidden_state,
        prompt_features=phrase,
    )


def _follow_object(network: VideoNetwork, levels: FrameLevels) -> None:
    """Look for an object with one conditioning frame and all other frames that a memory holds."""
    grid, width = len(network.memory_places), network.memory_places.shape[-1]
    pointers = MAX_POINTERS * network.channels // width
    tokens = torch.zeros(1, (1 + MAX_SPATIAL) * grid + pointers, width)
    found = network.decode(levels, network.recall(levels, [MemoryGroup(tokens, tokens, pointers)]))
    network.remember(levels, network.soften_tracked(found.logits), found.presences)


def build_table(counted: FrameOperations, name: str) -> Table:
    """Compare one pass with a session for each phrase, by numbers of phrases and objects."""
    rows = [
        (phrases, *(round(counted.compare_sessions(phrases, objects), 2) for objects in OBJECTS)) for phrases in PHRASES
    ]
    about = {
        "SAM 3": name,
        "an image": f"{counted.encode:,.1f} GFLOP",
        "a phrase": f"{counted.search:,.1f} GFLOP",
        "an object": f"{counted.follow:,.1f} GFLOP",
    }
    columns = ("phrases", *(f"{objects} objects" for objects in OBJECTS))
    return Table("phrase-operations", "a session for each phrase, times one pass", columns, tuple(rows), about)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="full", help="'full' (the published size), 'tiny' or a folder")
    name = parser.parse_args().sam3
    print(build_table(count_frame_operations(Architecture.from_name(name)), name).to_text())


if __name__ == "__main__":
    main()
