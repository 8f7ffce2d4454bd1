"""What is remembered of a video: frames on the way to another, and never more than there is room for."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sam3_tool import Image
from sam3_tool.video.container.frame_index import space_stamps
from sam3_tool.video.decoding import REMEMBERED_BYTES, FrameReader

SIDE = 512
ROOM = REMEMBERED_BYTES // (3 * SIDE**2)
"""Frames of this size that are remembered."""


class CountingDecoder:
    """Frames of one colour that can be decoded from every hundredth on."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def find_start(self, index: int) -> int:
        return index - index % 100

    def decode_from(self, start: int) -> Iterator[tuple[int, int]]:
        for index in range(start, 1000):
            self.decoded.append(index)
            yield index, index

    def to_pixels(self, raw: int) -> np.ndarray:
        return np.full((SIDE, SIDE, 3), raw % 256, np.uint8)


def test_a_read_from_the_start_decodes_each_frame_once_and_keeps_only_a_few():
    decoder = CountingDecoder()
    reader = FrameReader(decoder, SIDE, SIDE)
    alive: list[weakref.ref[Image]] = []
    for index in range(300):
        alive.append(weakref.ref(reader.read_frame(index)))
    gc.collect()
    assert decoder.decoded == list(range(300))
    assert sum(image() is not None for image in alive) == ROOM < 300


def test_frames_on_the_way_to_another_are_not_decoded_again():
    decoder = CountingDecoder()
    reader = FrameReader(decoder, SIDE, SIDE)
    reader.read_frame(260)
    for index in (240, 259, 230, 261):
        assert reader.read_frame(index).pixels[0, 0, 0] == index % 256
    assert decoder.decoded == list(range(200, 262))


def test_a_jump_begins_at_the_last_start_before_the_frame():
    decoder = CountingDecoder()
    reader = FrameReader(decoder, SIDE, SIDE)
    reader.read_frame(5)
    reader.read_frame(710)
    assert decoder.decoded == [*range(6), *range(700, 711)]


def test_a_read_backwards_decodes_each_group_about_as_often_as_it_exceeds_what_is_remembered():
    decoder = CountingDecoder()
    reader = FrameReader(decoder, SIDE, SIDE)
    for index in range(299, -1, -1):
        reader.read_frame(index)
    assert len(decoder.decoded) <= 3 * 100 * (100 // ROOM + 1)


def test_many_threads_get_the_frames_that_they_ask_for():
    reader = FrameReader(CountingDecoder(), SIDE, SIDE)
    asked = np.random.default_rng(0).integers(0, 1000, 60).tolist()
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(reader.read_frame, asked))
    assert [int(image.pixels[0, 0, 0]) for image in images] == [index % 256 for index in asked]


def test_stamps_become_increasing_and_good_ones_stay():
    nan = np.nan
    assert space_stamps(np.array([5.0, 6, 8]), 1).tolist() == [5, 6, 8]
    assert space_stamps(np.array([nan, nan, 4.0, nan, 6]), 2).tolist() == [0, 2, 4, 5, 6]
    assert space_stamps(np.array([nan, nan]), 2).tolist() == [0, 2]
    assert space_stamps(np.array([0.0, 10, 20, 0, 10]), 10).tolist() == [0, 10, 20, 30, 40]
