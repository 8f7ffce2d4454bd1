"""What the decoder draws of objects that are followed: `python -m sam3_tool.training.refinement.tracks FOLDER`.

Objects of generated clips are followed from masks, boxes and clicks, each alone, without any refinement: the refiner
shall learn to mend masks that drift. From tracks that it mended itself it learnt to draw the next mask better, and to
go along with small errors, so that it followed worse.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sam3_tool import Image, Sam3, Video, VisualPrompt
from sam3_tool.backends.loading import load_backend
from sam3_tool.backends.transformers.video.refinement import SQUARE_SIDE, View, enlarge_masks
from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.synthetic.scenes import HELD_OUT
from sam3_tool.training.clicking import find_centre_click

CLIP_LENGTH = 24
MIN_AREA = 0.003
"""Share of a frame that an object covers, so that it is shown there."""
MIN_IOU = 0.35
"""Of a mask and the object that was shown; below it the mask is of something else."""


@dataclass(eq=False)
class RecordingRefiner:
    """A refiner that changes nothing, and what it was asked: a row for each mask that is not empty."""

    squares: list[torch.Tensor] = field(default_factory=list)
    """The frame of each row."""
    logits: list[np.ndarray] = field(default_factory=list)
    """float16, (64, 64) each."""

    def refine(self, pixels: torch.Tensor, logits: torch.Tensor, earlier: Sequence[View | None]) -> torch.Tensor:
        for mask in logits:
            if (mask > 0).any():
                self.squares.append(pixels)
                self.logits.append(mask.clamp(-30, 30).numpy().astype(np.float16))
        return enlarge_masks(logits)


def write_tracks(folder: Path, start: str, *, first: int, count: int) -> None:
    """Follow objects of `count` clips, and write a file for each, NUMBER.npz; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    backend: Any = load_backend(start, device="cpu", dtype="auto", compile=None)
    network, _ = backend.video_parts
    for number in range(first, first + count):
        path = folder / f"{number}.npz"
        if path.exists():
            continue
        clip = draw_training_clip(number)
        network.refiner = recorder = RecordingRefiner()
        objects: list[int] = []
        for index in follow_objects(Sam3(backend), clip, np.random.default_rng(number)):
            objects += [index] * (len(recorder.logits) - len(objects))
        rows = list_rows(recorder, clip, objects)
        if rows is not None:
            whole = path.with_name(f"new-{path.name}")
            np.savez_compressed(whole, **rows)  # type: ignore[arg-type]
            whole.replace(path)


def draw_training_clip(number: int) -> Clip:
    """Every fourth clip is a fast one."""
    return draw_clip(number, length=CLIP_LENGTH, fast=number % 4 == 0)


def follow_objects(sam3: Sam3, clip: Clip, rng: np.random.Generator) -> Iterator[int]:
    """Follow each object of one frame to the end, alone, and yield its index then."""
    video = Video.from_images([Image(pixels) for pixels in clip.frames])
    start = int(rng.integers(0, 6)) if rng.random() < 0.5 else 0
    for index in range(len(clip.objects)):
        mask = clip.find_masks(index)[start]
        if mask.mean() > MIN_AREA:
            session = sam3.open_tracking(video)
            session.add_prompt(start, _draw_prompt(mask, rng))
            for _ in session.propagate(start):
                pass
            yield index


def _draw_prompt(mask: np.ndarray, rng: np.random.Generator) -> VisualPrompt:
    kind = rng.random()
    if kind < 0.5:
        return VisualPrompt(mask=mask)
    if kind < 0.75:
        rows, columns = np.nonzero(mask)
        box = float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
        return VisualPrompt(box=box)
    x, y, _ = find_centre_click(mask)
    return VisualPrompt(((float(x), float(y)),))


def list_rows(recorder: RecordingRefiner, clip: Clip, objects: Sequence[int]) -> dict[str, np.ndarray] | None:
    """Return what is kept of a clip, by name; None where no mask is on its object.

    Masks that have slipped to a neighbour for the most part teach nothing; those that have slipped a little teach the
    way back. So it matters which object was shown.

    Args:
        recorder: What was asked.
        clip: Where the objects are.
        objects: The object of each row.

    Returns:
        "frames", "objects": int64, (N,): the frame, and the object's index. "logits": float16, (N, 64, 64).
    """
    known = _thin_out(read_squares(clip))
    rows: dict[str, list[Any]] = {"frames": [], "objects": [], "logits": []}
    for index, square, logits in zip(objects, recorder.squares, recorder.logits, strict=True):
        frame = _number_frame(square, known)
        if _measure_iou(_to_mask(logits, clip), clip.ids[frame] == index + 1) > MIN_IOU:
            for name, value in zip(rows, (frame, index, logits), strict=True):
                rows[name].append(value)
    return {name: np.stack(values) for name, values in rows.items()} if rows["frames"] else None


def _to_mask(logits: np.ndarray, clip: Clip) -> np.ndarray:
    height, width = clip.ids.shape[1:]
    return np.asarray(cv2.resize(logits.astype(np.float32), (width, height)) > 0)


def _number_frame(square: torch.Tensor, known: torch.Tensor) -> int:
    """Return which frame this is, told from some of its pixels."""
    return int((known - _thin_out(square)).abs().mean(dim=(1, 2, 3)).argmin())


def _thin_out(squares: torch.Tensor) -> torch.Tensor:
    return squares[..., ::16, ::16].float()


def read_squares(clip: Clip) -> torch.Tensor:
    """Return the frames as the refiner reads them, uint8, (T, 3, SQUARE_SIDE, SQUARE_SIDE)."""
    from torchvision.transforms.v2.functional import resize

    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    squares: torch.Tensor = resize(frames, [SQUARE_SIDE, SQUARE_SIDE], antialias=True)
    return squares


def read_owners(clip: Clip) -> np.ndarray:
    """Return whose each pixel of the squares is, uint8, (T, SQUARE_SIDE, SQUARE_SIDE), as in `Clip.ids`."""
    side = (SQUARE_SIDE, SQUARE_SIDE)
    return np.stack([cv2.resize(ids, side, interpolation=cv2.INTER_NEAREST) for ids in clip.ids])


def _measure_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="0.3 GB for 1,000 clips")
    parser.add_argument("--start", default="tiny", help="checkpoint (default: tiny)")
    parser.add_argument("--first", type=int, default=0, help="number of the first clip (default 0)")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--held-out", action="store_true", help="clips that training never sees")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    first = asked.first + (HELD_OUT if asked.held_out else 0)
    write_tracks(asked.folder, asked.start, first=first, count=asked.clips)


if __name__ == "__main__":
    main()
