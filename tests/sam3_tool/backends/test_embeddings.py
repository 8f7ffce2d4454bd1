"""What a device has no room for waits in the host's memory, and is not encoded again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.transformers.backend import ImageEmbedding, TransformersBackend
from sam3_tool.cache import ByteCache, SpillOver
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

PICTURES = [Image(draw_scene(HELD_OUT + number, size=(160, 120)).pixels) for number in range(4)]


@dataclass
class Counting:
    """The embedded network, with a list of the pictures that it encoded."""

    network: TransformersBackend
    encoded: list[str] = field(default_factory=list)
    name: str = "counting"

    def encode(self, images: Sequence[Image]) -> list[ImageEmbedding]:
        self.encoded += [picture.key for picture in images]
        return self.network.encode(images)

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return self.network.decode(embeddings, prompts)

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[Any]) -> list[Instances]:
        return self.network.refine(embeddings, prompts)

    def vocabulary_warning(self, phrase: str) -> str:
        return self.network.vocabulary_warning(phrase)


@pytest.fixture
def backend(network) -> Counting:
    return Counting(network)


@pytest.fixture(scope="module")
def room(network) -> int:
    """Bytes of one embedding."""
    return network.encode(PICTURES[:1])[0].nbytes


def two_places(device: int, host: int) -> tuple[ByteCache[str, Any], ByteCache[str, Any]]:
    """On the host, and on the device, which overflows to it."""
    waiting = ByteCache[str, Any](host, size=lambda one: one.nbytes)
    overflow = SpillOver(waiting, evict=ImageEmbedding.copy_to_host, restore=ImageEmbedding.copy_to_device)
    return waiting, ByteCache(device, size=lambda one: one.nbytes, spill_over=overflow)


def assert_same(one: Instances, other: Instances) -> None:
    assert (one.masks == other.masks).all()
    assert (one.boxes == other.boxes).all()
    assert (one.scores == other.scores).all()


def assert_alike(one: Instances, other: Instances) -> None:
    """As they are where images were encoded together with others, which changes last digits on some processors."""
    assert (one.masks != other.masks).sum() <= one.masks.size * 1e-3
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_what_has_no_room_on_the_device_is_not_encoded_again(backend, room):
    sam3 = Sam3(backend, cache_bytes=2 * room, host_bytes=2 * room)
    first = [sam3.segment(picture, "object") for picture in PICTURES]
    assert sum(len(found) for found in first) > 4
    for picture, before in zip(PICTURES, first, strict=True):
        assert_same(sam3.segment(picture, "object"), before)
    assert backend.encoded == [picture.key for picture in PICTURES]


def test_without_room_on_the_host_the_oldest_are_encoded_again(backend, room):
    sam3 = Sam3(backend, cache_bytes=2 * room)
    encodes = [sam3.run_requests([(picture, ConceptPrompt("object"))]).encodes for picture in PICTURES + PICTURES]
    assert encodes == [1] * 8


def test_the_oldest_leave_the_device_first_and_then_the_host_and_no_budget_is_exceeded(network, room):
    waiting, cache = two_places(2 * room, room)
    for number, embedding in enumerate(network.encode(PICTURES)):
        cache[str(number)] = embedding
        assert cache.nbytes <= 2 * room
        assert waiting.nbytes <= room
    assert [str(number) in cache for number in range(4)] == [False, True, True, True]
    assert "1" in waiting
    assert cache.get("1") is not None  # pushes 2 out, which takes its place
    assert ("1" in waiting, "2" in waiting, cache.nbytes, waiting.nbytes) == (False, True, 2 * room, room)


def test_what_is_put_in_anew_is_nowhere_twice(network, room):
    waiting, cache = two_places(room, room)
    one, other = network.encode(PICTURES[:2])
    cache["one"], cache["other"] = one, other
    cache["one"] = one
    assert (cache.nbytes, waiting.nbytes) == (room, room)


def test_an_embedding_larger_than_the_devices_budget_waits_on_the_host(backend, room):
    sam3 = Sam3(backend, cache_bytes=1, host_bytes=room)
    assert [sam3.run_requests([(PICTURES[0], ConceptPrompt("object"))]).encodes for _ in range(3)] == [1, 0, 0]


def test_pictures_of_one_call_may_exceed_both_budgets(backend, room):
    sam3 = Sam3(backend, cache_bytes=room, host_bytes=room)
    requests = [(picture, ConceptPrompt(phrase)) for phrase in ("object", "circle") for picture in PICTURES]
    ample = Sam3(backend.network)
    for assert_equal in (assert_same, assert_alike):  # the second time, two images are encoded without the others
        for found, expected in zip(sam3.segment_batch(requests), ample.segment_batch(requests), strict=True):
            assert_equal(found, expected)
    assert len(backend.encoded) == 4 + 2  # all four, then the two that had no room


def test_an_embedding_remembers_its_device_and_loses_no_bit(network):
    [embedding] = network.encode(PICTURES[:1])
    away = embedding.copy_to_host()
    back = away.copy_to_device()
    assert (away.device, back.device, away.nbytes) == (torch.device("cpu"), None, embedding.nbytes)
    tensors = zip(*((*one.levels, one.trunk, one.cls_token) for one in (embedding, back)), strict=True)
    assert all(torch.equal(one, other) and one.stride() == other.stride() for one, other in tensors)


@pytest.mark.parametrize("way", ["recorded", "remembered"])
def test_what_is_recorded_or_remembered_overflows_too(way, backend, room, tmp_path):
    if way == "recorded":
        sam3 = Sam3(RecordingBackend(backend, tmp_path), cache_bytes=room, host_bytes=4 * room)
    else:
        remembered = CachingBackend(backend, tmp_path, made_with={}, cache_bytes=room, host_bytes=4 * room)
        sam3 = Sam3(remembered)
    for phrase in ("object", "circle"):
        for picture in PICTURES:
            sam3.segment(picture, phrase)
    assert len(backend.encoded) == 4
