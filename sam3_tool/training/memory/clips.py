"""What the frozen trunk sees in generated clips, kept in files: `python -m sam3_tool.training.memory.clips FOLDER`.

Half a minute of one core for a minute of training, once; training then reads clips as often as it likes. A run that
was ended goes on where it stood, and training may start while clips are still being added.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from transformers import Sam3TrackerVideoModel

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.synthetic.scenes import HELD_OUT
from sam3_tool.training.batch import to_square
from sam3_tool.training.memory.network import LearningMemory, Levels
from sam3_tool.training.networks.architecture import FINE_SIDE, GRID, MASK_SIDE, WIDTH

CLIP_LENGTH = 24
ID_SIDE = 2 * FINE_SIDE
"""Side of the square on which each pixel's owner is kept."""
_SHAPES = {
    "finest": (WIDTH // 8, MASK_SIDE, MASK_SIDE),
    "finer": (WIDTH // 4, 2 * GRID, 2 * GRID),
    "coarse": (WIDTH, GRID, GRID),
}
"""Level that the mask decoder reads -> its shape."""
_READY = "ready.json"


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """Clips of CLIP_LENGTH frames as arrays in files, which the operating system reads when they are asked for."""

    folder: Path
    levels: tuple[np.ndarray, ...]
    """float16, (N, T, ...) as in `_SHAPES`."""
    ids: np.ndarray
    """uint8, (N, T, ID_SIDE, ID_SIDE): index + 1 of the object whose pixel it is."""

    @classmethod
    def open(cls, folder: Path) -> "ClipFeatures":
        return cls(folder, tuple(_open_array(folder, name) for name in _SHAPES), _open_array(folder, "ids"))

    def count_ready(self) -> int:
        """Return how many clips there are by now."""
        return len(json.loads((self.folder / _READY).read_text())["objects"])

    def read_levels(self, clips: Sequence[int], frames: Sequence[int]) -> Levels:
        """Return one frame of each of these clips."""
        pairs = list(zip(clips, frames, strict=True))
        return [torch.from_numpy(np.stack([level[pair] for pair in pairs])).float() for level in self.levels]

    def read_truth(self, clip: int, frame: int, index: int) -> torch.Tensor:
        """Return float32, (FINE_SIDE, FINE_SIDE): the share of each cell that is the object's."""
        mask = self.ids[clip, frame] == index + 1
        cells = mask.reshape(FINE_SIDE, 2, FINE_SIDE, 2).mean(axis=(1, 3), dtype=np.float32)
        return torch.from_numpy(cells)


def write_clip_features(folder: Path, network: LearningMemory, *, count: int, first_seed: int) -> None:
    """Draw the clips of `count` seeds and keep what the trunk sees. Every fourth clip is a fast one."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = _read_ready(folder)
    levels = [_create_array(folder, name, np.float16, (count, CLIP_LENGTH, *_SHAPES[name])) for name in _SHAPES]
    ids = _create_array(folder, "ids", np.uint8, (count, CLIP_LENGTH, ID_SIDE, ID_SIDE))
    for index in range(len(ready), count):
        clip = draw_clip(first_seed + index, length=CLIP_LENGTH, fast=index % 4 == 0)
        for level, seen in zip(levels, _encode_clip(network, clip), strict=True):
            level[index] = seen.numpy()
        for frame, owners in enumerate(clip.ids):
            ids[index, frame] = cv2.resize(owners, (ID_SIDE, ID_SIDE), interpolation=cv2.INTER_NEAREST)
        ready.append(len(clip.objects))
        (folder / _READY).with_suffix(".new").write_text(json.dumps({"objects": ready}))
        (folder / _READY).with_suffix(".new").replace(folder / _READY)


def _encode_clip(network: LearningMemory, clip: Clip, *, at_once: int = 8) -> Levels:
    squares = torch.stack([to_square(frame) for frame in clip.frames])
    parts = [network.encode_frames(part) for part in torch.split(squares, at_once)]
    return [torch.cat(level) for level in zip(*parts, strict=True)]


def _read_ready(folder: Path) -> list[int]:
    path = folder / _READY
    return list(json.loads(path.read_text())["objects"]) if path.exists() else []


def _create_array(folder: Path, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    path = folder / f"{name}.npy"
    mode = "r+" if path.exists() else "w+"
    array: np.ndarray = np.lib.format.open_memmap(path, mode, dtype, shape)  # type: ignore[no-untyped-call]
    return array


def _open_array(folder: Path, name: str) -> np.ndarray:
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r")
    return array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="3 GB for 500 clips")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--start", default="tiny", help="checkpoint whose trunk is used (default: tiny)")
    parser.add_argument("--held-out", action="store_true", help="clips that training never sees")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tracker = Sam3TrackerVideoModel.from_pretrained(locate_checkpoint(asked.start), dtype=torch.float32).eval()
    first_seed = HELD_OUT if asked.held_out else 0
    write_clip_features(asked.folder, LearningMemory(tracker), count=asked.clips, first_seed=first_seed)


if __name__ == "__main__":
    main()
