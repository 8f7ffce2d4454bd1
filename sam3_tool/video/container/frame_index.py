"""Which frames a stream has: found by reading its packets, without decoding one."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from av.packet import Packet

from sam3_tool.video.container.stream import READ_ERRORS


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """When each frame is shown, and where decoding can begin."""

    stamps: np.ndarray
    """int64, (T,), in units of the stream, increasing."""
    key_stamps: np.ndarray
    """int64, (K,), of the frames that need no other, increasing; also of those that are not shown."""
    key_decodes: np.ndarray
    """int64, (K,), when those are decoded, which some containers seek by."""

    def find_key(self, index: int) -> int:
        """Return the last key frame that is not shown after a frame; 0 where none is known.

        What is decoded after a key frame and shown before it may need the key frame before.
        """
        return max(0, int(np.searchsorted(self.key_stamps, self.stamps[index], side="right")) - 1)

    def find_first_frame(self, key: int) -> int:
        """Return the first frame that is shown with a key frame or after it."""
        return int(np.searchsorted(self.stamps, self.key_stamps[key]))

    def get_seek_stamps(self, key: int) -> tuple[int, int, int]:
        """Return when a key frame is shown, and what may be sought for it, best first."""
        return int(self.key_stamps[key]), int(self.key_stamps[key]), int(self.key_decodes[key])

    def find_frame(self, stamp: int | None) -> int | None:
        """Return the frame that is shown at a time, or None."""
        if stamp is None:
            return None
        index = int(np.searchsorted(self.stamps, stamp))
        return index if index < len(self.stamps) and self.stamps[index] == stamp else None

    def keep_first(self, count: int) -> "FrameIndex":
        """Return the index without the frames after so many."""
        return FrameIndex(self.stamps[:count], self.key_stamps, self.key_decodes)

    def drop_before(self, stamp: int) -> "FrameIndex":
        """Return the index without the frames before a time."""
        return FrameIndex(self.stamps[self.stamps >= stamp], self.key_stamps, self.key_decodes)


@dataclass(frozen=True, eq=False)
class PacketReport:
    """What the packets of a stream tell."""

    count: int
    """Packets, also of frames that are not shown."""
    index: FrameIndex | None
    """None where time stamps are missing, repeat or go back, so that they do not tell frames apart."""
    is_in_order: bool
    """Whether frames are decoded in the order in which they are shown."""
    ends_early: bool
    """Whether the last packet is cut off, or reading ended with an error."""


class _PacketList:
    """Time stamps of packets, 8 bytes each."""

    def __init__(self) -> None:
        self.count = 0
        self.shown, self.key_stamps, self.key_decodes = array("q"), array("q"), array("q")
        self.has_stamps = self.is_in_order = True
        self.ends_cut = False
        self._latest_decode: int | None = None

    def append(self, packet: Packet) -> None:
        self.count += 1
        if packet.pts is None:
            self.has_stamps = False
            return
        decode = packet.pts if packet.dts is None else packet.dts
        if packet.dts is not None and self._latest_decode is not None and decode < self._latest_decode:
            self.has_stamps = False  # time goes back
        self._latest_decode = packet.dts
        self.ends_cut = packet.is_corrupt
        if packet.is_keyframe:
            self.key_stamps.append(packet.pts)
            self.key_decodes.append(decode)
        if not packet.is_discard:
            self.is_in_order &= not self.shown or packet.pts > self.shown[-1]
            self.shown.append(packet.pts)


def read_packets(packets: Iterable[Packet]) -> PacketReport:
    """Read all packets of a stream, and keep of each no more than its time stamps."""
    found, has_failed = _PacketList(), False
    try:
        for packet in packets:
            if packet.size:
                found.append(packet)
    except READ_ERRORS:
        has_failed = True
    if found.ends_cut and len(found.shown) > 1:
        del found.shown[-1]
    stamps, keys = np.sort(np.array(found.shown, np.int64)), np.array(found.key_stamps, np.int64)
    is_usable = found.has_stamps and len(keys) > 0 and len(stamps) > 0 and bool(np.all(np.diff(stamps) > 0))
    order = np.argsort(keys, kind="stable")
    index = FrameIndex(stamps, keys[order], np.array(found.key_decodes, np.int64)[order])
    return PacketReport(found.count, index if is_usable else None, found.is_in_order, found.ends_cut or has_failed)


def space_stamps(stamps: np.ndarray, step: float) -> np.ndarray:
    """Return stamps in which each is greater than the one before.

    Frames whose stamp is missing, repeats or goes back are spread evenly until the next later stamp.

    Args:
        stamps: float64, (T,), NaN where there is none.
        step: From frame to frame where nothing else tells it.

    >>> space_stamps(np.array([0, 0, 0, 3, 2, np.nan]), 1.0).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    latest = np.fmax.accumulate(np.concatenate([[-np.inf], stamps]))[:-1]
    good = np.flatnonzero(stamps > latest)
    if not len(good):
        return np.arange(len(stamps)) * step
    numbers = np.arange(len(stamps))
    spaced: np.ndarray = np.interp(numbers, good, stamps[good])
    spaced += step * (np.minimum(numbers - good[0], 0) + np.maximum(numbers - good[-1], 0))
    return spaced
