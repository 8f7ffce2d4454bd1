"""Memory of this process in the course of a long video: `python -m bench.suites.videos.long_video`.

Frames are drawn when they are asked for, a phrase is followed through all of them, and what was found is dropped as it
comes. So whatever grows with the number of frames is kept by the segmenter.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch

from bench.harness.memory import read_allocated_mib, read_resident_mib
from bench.harness.tables import Table
from bench.suites.videos.tracking import DrawnFrames
from sam3_tool import Sam3, Video
from sam3_tool.backends.loading import load_backend

WIDTH, HEIGHT, OBJECTS = 320, 240, 2
"""The drawn objects are a disc and a rectangle."""
PHRASE = "shape"
CACHE_MIB = 64
"""Room for embeddings. With the usual 512 MiB memory grows until that is full, which is no growth with time."""


def measure_long_video(
    name: str = "tiny", *, frames: Sequence[int] = (100, 1000, 10_000), cache_mib: int = CACHE_MIB
) -> Iterator[Table]:
    """Measure the memory of this process after so many frames of one video.

    Args:
        name: What `--sam3` takes.
        frames: After how many frames, ascending.
        cache_mib: Room for embeddings, in MiB.

    Yields:
        The table so far, each time that it has got a row.
    """
    torch.set_num_threads(1)
    backend = load_backend(name, device="cpu", dtype="auto", compile=None)
    sam3 = Sam3(backend, cache_bytes=cache_mib * 2**20)
    video = Video(DrawnFrames(frames[-1], OBJECTS, WIDTH, HEIGHT))
    rows: list[tuple[int | float, ...]] = []
    for count, tracked in enumerate(sam3.track(video, PHRASE), start=1):
        if count in frames:
            rows.append((count, len(tracked.ids[0]), read_allocated_mib(), read_resident_mib()))
            yield _build_table(rows, name, cache_mib)


def _build_table(rows: Sequence[tuple[int | float, ...]], name: str, cache_mib: int) -> Table:
    allocated = [row[2] for row in rows]
    about = {
        "SAM 3": name,
        "phrase": PHRASE,
        "room for embeddings": f"{cache_mib} MiB",
        "largest change of what is allocated": f"{100 * (max(allocated) - min(allocated)) / allocated[0]:.1f} %",
    }
    title = f"memory in the course of a video of {WIDTH} x {HEIGHT}"
    return Table("long-video", title, ("frames", "objects", "allocated, MiB", "process, MiB"), tuple(rows), about)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--frames", default="100,1000,10000", help="measure after so many frames")
    parser.add_argument("--cache-mib", type=int, default=CACHE_MIB, help="room for embeddings (default 64)")
    arguments = parser.parse_args()
    frames = sorted(map(int, arguments.frames.split(",")))
    for table in measure_long_video(arguments.sam3, frames=frames, cache_mib=arguments.cache_mib):
        print(table.to_text(), flush=True)


if __name__ == "__main__":
    main()
