import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from sam3_tool import ConceptPrompt, Image, Instances, Sam3, ScriptedBackend
from sam3_tool.backends.scripted import ScriptedEmbedding

PHRASES = ["red circle", "blue square", "green star", "circle", "shape", "red thing", "yellow ring", "square"]


def plain(value: int, height: int = 6, width: int = 8) -> Image:
    return Image(np.full((height, width, 3), value, np.uint8))


@dataclass(frozen=True)
class Heavy(ScriptedEmbedding):
    nbytes: int = 100


class Counting(ScriptedBackend):
    """A scripted backend that remembers what it was asked, with embeddings of 100 bytes, and may fail."""

    def __init__(self) -> None:
        super().__init__({})
        self.encoded: list[list[str]] = []
        self.decoded: list[list[str | None]] = []
        self.fails = False
        self.threads: set[str] = set()

    def encode(self, images: Sequence[Image]) -> list[ScriptedEmbedding]:
        assert images
        self.encoded.append([picture.key for picture in images])
        return [Heavy(picture.key, picture.height, picture.width) for picture in images]

    def decode(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        self.threads.add(threading.current_thread().name)
        self.decoded.append([prompt.phrase for prompt in prompts])
        if self.fails:
            raise MemoryError("the accelerator is full")
        return super().decode(embeddings, prompts)


@pytest.fixture
def backend() -> Counting:
    return Counting()


def asks(*pairs: tuple[Image, str]) -> list[tuple[Image, ConceptPrompt]]:
    return [(picture, ConceptPrompt(phrase)) for picture, phrase in pairs]


# The cache


def test_a_picture_is_encoded_once_whatever_is_asked_of_it(tiny):
    first = tiny.run_requests(asks((plain(1), "dog"), (plain(1), "cat")))
    again = tiny.run_requests(asks((plain(1), "bird")))
    assert (first.encodes, first.decodes) == (1, 2)
    assert (again.encodes, again.decodes) == (0, 1)


def test_a_cached_picture_gives_the_same_answer(tiny, network, picture):
    fresh = Sam3(network).segment(picture, "red circle")
    again = tiny.segment(picture, "red circle")
    assert (fresh.masks == again.masks).all()
    assert np.allclose(fresh.scores, again.scores, atol=1e-6)


def test_pictures_of_one_batch_are_encoded_together_and_each_once(backend):
    one, other = plain(1), plain(2)
    Sam3(backend).run_requests(asks((one, "a"), (other, "b"), (one, "c"), (other, "d")))
    assert backend.encoded == [[one.key, other.key]]
    assert backend.decoded == [["a", "c", "b", "d"]]


def test_a_call_larger_than_a_batch_still_encodes_each_picture_once(backend):
    pictures = [plain(value) for value in range(6)]
    requests = asks(*((picture, phrase) for phrase in "abc" for picture in pictures))
    report = Sam3(backend, max_batch=4, cache_bytes=200).run_requests(requests)
    assert (report.encodes, report.decodes) == (6, 18)
    assert [instances.phrase for instances in report.instances] == [prompt.phrase for _, prompt in requests]


def test_the_picture_that_was_used_least_recently_is_forgotten_first(backend):
    sam3 = Sam3(backend, cache_bytes=200)
    one, two, three = plain(1), plain(2), plain(3)
    for picture in (one, two, one, three, one, two):
        sam3.segment(picture, "dog")
    assert backend.encoded == [[one.key], [two.key], [three.key], [two.key]]


def test_without_room_for_an_embedding_every_call_encodes(backend):
    sam3 = Sam3(backend, cache_bytes=99)
    assert [sam3.run_requests(asks((plain(1), "dog"), (plain(1), "cat"))).encodes for _ in range(2)] == [1, 1]


def test_embeddings_of_the_real_network_count_with_their_bytes(network):
    small = Sam3(network, cache_bytes=1)
    assert [small.run_requests(asks((plain(1), "dog"))).encodes for _ in range(2)] == [1, 1]


# Threads


def test_eight_threads_get_what_each_would_get_alone(tiny, picture):
    alone = [tiny.segment(picture, phrase, threshold=0.01) for phrase in PHRASES]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda phrase: tiny.segment(picture, phrase, threshold=0.01), PHRASES * 2))
    for expected, found in zip(alone * 2, together, strict=True):
        assert found.phrase == expected.phrase
        assert np.allclose(found.scores, expected.scores, atol=1e-5)
        assert np.allclose(found.boxes, expected.boxes, atol=1e-2)
        assert (found.masks != expected.masks).sum() <= 1e-4 * expected.masks.size


def test_threads_pay_for_a_picture_once(backend):
    sam3 = Sam3(backend)
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda phrase: sam3.run_requests(asks((plain(1), phrase))), PHRASES))
    assert sum(report.encodes for report in reports) == 1
    assert sum(report.decodes for report in reports) == 8
    assert len(backend.threads) == 1


def test_a_picture_that_was_prepared_is_encoded_once_and_counts_for_the_first_question(backend):
    sam3 = Sam3(backend)
    sam3.prefetch(plain(1))
    while not backend.encoded:  # begins at once, whether or not anybody asks
        time.sleep(0.001)
    reports = [sam3.run_requests(asks((plain(1), phrase))) for phrase in ("dog", "cat")]
    assert [report.encodes for report in reports] == [1, 0]
    sam3.prefetch(plain(1))
    assert sam3.run_requests(asks((plain(1), "dog"))).encodes == 0
    assert backend.encoded == [[plain(1).key]]


def test_what_goes_wrong_while_preparing_is_said_by_the_first_question():
    class Blind(Counting):
        began = threading.Event()

        def encode(self, images: Sequence[Image]) -> list[ScriptedEmbedding]:
            super().encode(images)
            self.began.set()
            raise MemoryError("the accelerator is full")

    backend = Blind()
    sam3 = Sam3(backend)
    sam3.prefetch(plain(1))
    assert backend.began.wait(10)
    with pytest.raises(MemoryError, match="the accelerator is full"):
        sam3.segment(plain(1), "dog")
    assert backend.encoded == [[plain(1).key]] * 2  # in vain the first time, and so once more


def test_an_error_of_the_backend_reaches_the_caller_and_the_next_call_works(backend):
    sam3 = Sam3(backend)
    backend.fails = True
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(sam3.segment, plain(value), "dog") for value in range(4)]:
            assert isinstance(future.exception(10), MemoryError)
    backend.fails = False
    assert len(sam3.segment(plain(1), "dog")) == 0


# Requests


def test_nothing_asked_is_nothing_found(backend):
    report = Sam3(backend).run_requests([])
    assert (report.instances, report.encodes, report.decodes) == ([], 0, 0)


def test_a_request_needs_a_phrase_or_a_box(tiny, picture):
    with pytest.raises(ValueError, match="needs a noun phrase, an exemplar box, or both"):
        tiny.segment(picture)
    with pytest.raises(ValueError, match="needs a noun phrase, an exemplar box, or both"):
        ConceptPrompt("  ")


@pytest.mark.parametrize("box", [(0, 0, np.inf, 9), (-np.inf, 0, 9, 9), (0, 0, 9, np.nan), (9, 0, 9, 9)])
def test_a_box_has_finite_corners_in_order(box):
    with pytest.raises(ValueError, match="a box is finite x0 y0 x1 y1"):
        ConceptPrompt(boxes=(box,))


@pytest.mark.parametrize("corner", [(-9, -9), (10**4, 0), (0, 10**4)])
def test_a_box_with_nothing_of_the_image_is_refused(tiny, picture, corner):
    x, y = corner
    box = (x, y, x + 9, y + 9)
    with pytest.raises(ValueError, match="lies outside the image"):
        tiny.segment(picture, boxes=[box])
    with pytest.raises(ValueError, match="lies outside the image"):
        tiny.refine(picture, box=box)


def test_boxes_may_come_as_arrays(tiny, picture):
    as_array = tiny.segment(picture, boxes=np.array([[30, 60, 150, 180]]), box_labels=np.array([1]))
    as_tuple = tiny.segment(picture, boxes=[(30.0, 60.0, 150.0, 180.0)])
    assert np.allclose(as_array.scores, as_tuple.scores, atol=1e-6)


def test_its_name_says_which_weights_answer(tiny, backend):
    assert (tiny.name, Sam3(backend).name) == ("tiny", "scripted")
