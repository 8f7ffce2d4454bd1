import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from sam3_tool.batching import Batcher


class Doubler:
    """Doubles numbers; can be held up at a gate, and asked for errors, after which the gate is shut."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.errors: list[BaseException] = []

    def __call__(self, numbers: list[int]) -> list[int]:
        self.began.set()
        assert self.gate.wait(10)
        self.sizes.append(len(numbers))
        if self.errors:
            self.gate.clear()
            raise self.errors.pop()
        return [2 * number for number in numbers]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


def held_up(batcher: Batcher, doubler: Doubler, pool: ThreadPoolExecutor, calls: list[list[int]]) -> list:
    """The futures of these calls, all made while a first one, [0], holds the batcher up."""
    doubler.gate.clear()
    first = pool.submit(batcher, [0])
    assert doubler.began.wait(10)
    waiting = [pool.submit(batcher, call) for call in calls]
    while len(batcher._queue._pending) < sum(map(len, calls)):
        pass
    return [first, *waiting]


def test_calls_made_meanwhile_are_served_together(doubler):
    batcher = Batcher(doubler, max_size=8)
    with ThreadPoolExecutor(9) as pool:
        futures = held_up(batcher, doubler, pool, [[number] for number in range(1, 9)])
        doubler.gate.set()
        assert [future.result(10) for future in futures] == [[2 * number] for number in range(9)]
    assert doubler.sizes == [1, 8]


def test_more_requests_than_fit_one_batch_are_split_and_keep_their_order(doubler):
    assert Batcher(doubler, max_size=3)(range(8)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert doubler.sizes == [3, 3, 2]


def test_no_requests_are_no_batch(doubler):
    assert Batcher(doubler, max_size=3)([]) == []
    assert doubler.sizes == []


@pytest.mark.parametrize("error", [MemoryError("full"), KeyboardInterrupt("stop"), SystemExit(3)])
def test_an_error_reaches_every_caller_of_the_batch_and_the_next_call_works(doubler, error):
    batcher = Batcher(doubler, max_size=8)
    with ThreadPoolExecutor(4) as pool:
        first, *others = held_up(batcher, doubler, pool, [[1], [2], [3]])
        doubler.errors = [error, ValueError("before that")]
        doubler.gate.set()
        assert isinstance(first.exception(10), ValueError)
        doubler.gate.set()
        assert [future.exception(10) for future in others] == [error] * 3
        doubler.gate.set()
        assert batcher([7]) == [14]


def test_after_an_error_the_rest_of_the_call_is_not_run(doubler):
    doubler.errors = [MemoryError("full")]
    batcher = Batcher(doubler, max_size=1)
    with pytest.raises(MemoryError):
        batcher([1, 2, 3, 4, 5, 6, 7, 8])
    doubler.gate.set()
    assert batcher([1]) == [2]
    assert len(doubler.sizes) <= 3  # one more may have begun already


def test_a_wrong_number_of_results_is_an_error():
    with pytest.raises(RuntimeError, match="gave 1 results for 2 requests"):
        Batcher(lambda numbers: numbers[:1], max_size=2)([1, 2])


def test_closing_fails_what_waits_and_what_comes_later(doubler):
    batcher = Batcher(doubler, max_size=1)
    with ThreadPoolExecutor(4) as pool:
        first, *others = held_up(batcher, doubler, pool, [[1], [2]])
        closing = pool.submit(batcher.close)
        for future in others:
            assert "closed" in str(future.exception(10))
        doubler.gate.set()
        closing.result(10)
        assert first.result(10) == [0]
    with pytest.raises(RuntimeError, match="closed"):
        batcher([1])
    assert not batcher._queue._thread.is_alive()


def test_nobody_needs_to_close_a_batcher_that_is_no_longer_used():
    double = Doubler()
    batcher = Batcher(double, max_size=1)
    assert batcher([1]) == [2]
    thread, gone = batcher._queue._thread, weakref.ref(double)
    assert thread.daemon
    del batcher, double
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    del thread  # it holds what it ran
    gc.collect()
    assert gone() is None


def test_requests_are_forgotten_once_they_are_served():
    class Request:
        pass

    request = Request()
    batcher = Batcher(lambda requests: [None for _ in requests], max_size=2)
    batcher([request])
    batcher([Request()])
    gone = weakref.ref(request)
    del request
    gc.collect()
    assert gone() is None


def test_there_is_no_batch_of_nothing():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Batcher(len, max_size=0)
