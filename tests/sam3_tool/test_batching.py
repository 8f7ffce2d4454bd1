import gc
import random
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from sam3_tool.batching.batcher import Batcher, BatchLimits, BatchRun
from sam3_tool.batching.calls import Ticket
from sam3_tool.errors import DeadlineError, OverloadedError, RequestCancelledError


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
    while batcher.waiting < sum(map(len, calls)):
        time.sleep(0.001)
    return [first, *waiting]


def test_calls_made_meanwhile_are_served_together(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=8))
    with ThreadPoolExecutor(9) as pool:
        futures = held_up(batcher, doubler, pool, [[number] for number in range(1, 9)])
        doubler.gate.set()
        assert [future.result(10) for future in futures] == [[2 * number] for number in range(9)]
    assert doubler.sizes == [1, 8]


def test_more_requests_than_fit_one_batch_are_split_and_keep_their_order(doubler):
    assert Batcher(doubler, BatchLimits(max_size=3))(range(8)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert doubler.sizes == [3, 3, 2]


def test_no_requests_are_no_batch(doubler):
    assert Batcher(doubler, BatchLimits(max_size=3))([]) == []
    assert doubler.sizes == []


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), SystemExit(3)])
def test_an_end_of_the_program_reaches_every_caller_of_the_batch_and_the_next_call_works(doubler, error):
    batcher = Batcher(doubler, BatchLimits(max_size=8))
    with ThreadPoolExecutor(4) as pool:
        first, *others = held_up(batcher, doubler, pool, [[1], [2], [3]])
        doubler.errors = [error, ValueError("before that")]
        doubler.gate.set()
        assert isinstance(first.exception(10), ValueError)
        doubler.gate.set()
        assert [future.exception(10) for future in others] == [error] * 3
        doubler.gate.set()
        assert batcher([7]) == [14]


def refuse_thirteen(numbers: list[int]) -> list[int]:
    if 13 in numbers:
        raise ValueError("13")
    return [2 * number for number in numbers]


def test_an_error_of_one_call_does_not_fail_the_others_of_its_batch():
    doubler = Doubler()
    reports: list[BatchRun] = []
    batcher = Batcher(
        lambda numbers: refuse_thirteen(doubler(numbers)) and [2 * number for number in numbers],
        BatchLimits(max_size=8),
        on_batch=reports.append,
    )
    with ThreadPoolExecutor(5) as pool:
        first, *others = held_up(batcher, doubler, pool, [[1, 2], [6.5], [3], [4]])
        doubler.gate.set()
        assert [future.result(10) for future in (first, others[0], *others[2:])] == [[0], [2, 4], [6], [8]]
        assert str(others[1].exception(10)) == "13"
    assert [(report.size, report.failed) for report in reports] == [
        (1, False), (5, True), (2, False), (1, True), (1, False), (1, False),
    ]  # fmt: skip


def test_after_an_error_the_rest_of_the_call_is_not_run(doubler):
    doubler.errors = [MemoryError("full")]
    batcher = Batcher(doubler, BatchLimits(max_size=1))
    with pytest.raises(MemoryError):
        batcher([1, 2, 3, 4, 5, 6, 7, 8])
    doubler.gate.set()
    assert batcher([1]) == [2]
    assert len(doubler.sizes) <= 3  # one more may have begun already


def test_a_wrong_number_of_results_is_an_error():
    with pytest.raises(RuntimeError, match="gave 1 results for 2 requests"):
        Batcher(lambda numbers: numbers[:1], BatchLimits(max_size=2))([1, 2])


def test_closing_fails_what_waits_and_what_comes_later(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=1))
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
    batcher = Batcher(double, BatchLimits(max_size=1))
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
    batcher = Batcher(lambda requests: [None for _ in requests], BatchLimits(max_size=2))
    batcher([request])
    batcher([Request()])
    gone = weakref.ref(request)
    del request
    gc.collect()
    assert gone() is None


def test_there_is_no_batch_of_nothing():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Batcher(len, BatchLimits(max_size=0))


def record_order(limits: BatchLimits, calls: list[tuple[str, Ticket]]) -> list[str]:
    """The batches that serve these calls, each a text of requests, when all of them wait before the first begins."""
    batches: list[str] = []
    gate, began = threading.Event(), threading.Event()

    def serve(requests: list[str]) -> list[str]:
        began.set()
        assert gate.wait(10)
        batches.append("".join(requests))
        return [request.upper() for request in requests]

    batcher = Batcher(serve, limits)
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        pool.submit(batcher, ".")
        assert began.wait(10)
        waiting, futures = 0, []
        for requests, ticket in calls:
            futures.append(pool.submit(batcher, requests, ticket))
            waiting += len(requests)
            while batcher.waiting < waiting:
                time.sleep(0.001)
        gate.set()
        assert [future.result(10) for future in futures] == [list(requests.upper()) for requests, _ in calls]
    return batches[1:]


PEOPLE, MACHINES = Ticket(), Ticket(is_batch=True)


@pytest.mark.parametrize(
    ("calls", "batches"),
    [
        ([("aaaaaaaaaaaa", PEOPLE), ("b", PEOPLE)], ["aaab", "aaaa", "aaaa", "a"]),  # a short one waits for one
        ([("aaaaaa", Ticket("x")), ("bbbb", Ticket("x")), ("cc", Ticket("y"))], ["aacc", "bbaa", "bbaa"]),
        ([("mmmm", MACHINES), ("aaaaaaaa", PEOPLE)], ["aaaa", "mmaa", "aamm"]),  # batch calls wait, not for ever
        ([("mm", MACHINES), ("nn", MACHINES)], ["mmnn"]),
        ([("abcd", PEOPLE), ("efgh", PEOPLE)], ["abef", "cdgh"]),  # without common needs, each request is a turn
    ],
)
def test_callers_take_turns_and_people_go_first(calls, batches):
    assert record_order(BatchLimits(max_size=4, list_needs=frozenset), calls) == batches


def test_a_batch_makes_no_more_anew_than_it_may_and_what_is_there_passes():
    limits = BatchLimits(max_size=4, max_new=2, list_needs=frozenset, is_ready=str.isdigit)
    calls = [("abc", PEOPLE), ("d", PEOPLE), ("1", PEOPLE), ("ae", PEOPLE)]
    assert record_order(limits, calls) == ["ad1a", "be", "c"]


@pytest.mark.parametrize("name", ["max_size", "max_waiting", "max_new"])
def test_no_limit_is_below_one(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        BatchLimits(**{"max_size": 1, name: 0})


def test_more_than_may_wait_is_refused_at_once_unless_nothing_waits(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=2, max_waiting=3))
    with ThreadPoolExecutor(3) as pool:
        first, second = held_up(batcher, doubler, pool, [[1, 2]])
        with pytest.raises(OverloadedError, match="busy: 2 requests wait, 2 more were asked for, and at most 3 may"):
            batcher([3, 4])
        third = pool.submit(batcher, [5])
        doubler.gate.set()
        assert [future.result(10) for future in (first, second, third)] == [[0], [2, 4], [10]]
    assert batcher(range(9)) == list(range(0, 18, 2))


def test_what_is_no_longer_wanted_makes_room(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=1, max_waiting=1))
    cancel = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        [first] = held_up(batcher, doubler, pool, [])
        given_up = pool.submit(batcher, [1], Ticket(cancel=cancel))
        while not batcher.waiting:
            time.sleep(0.001)
        cancel.set()
        wanted = pool.submit(batcher, [2])
        assert isinstance(given_up.exception(10), RequestCancelledError)
        doubler.gate.set()
        assert [future.result(10) for future in (first, wanted)] == [[0], [4]]


def test_a_deadline_ends_a_call_while_others_are_served_and_nothing_more_of_it_is_computed(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=2))
    with ThreadPoolExecutor(2) as pool:
        first, late = held_up(batcher, doubler, pool, [])[0], Ticket(deadline=time.monotonic() + 0.02)
        with pytest.raises(DeadlineError, match="not begun by the deadline"):
            batcher([1, 2, 3], late)
        doubler.gate.set()
        assert first.result(10) == [0]
        with pytest.raises(DeadlineError):
            batcher([4], late)
    assert batcher([5], Ticket(deadline=time.monotonic() + 60)) == [10]
    assert doubler.sizes == [1, 1]


def test_what_has_begun_by_its_deadline_is_answered(doubler):
    batcher = Batcher(doubler, BatchLimits(max_size=2))
    doubler.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(batcher, [1, 2], Ticket(deadline=time.monotonic() + 0.5))
        assert doubler.began.wait(10)
        time.sleep(0.6)
        doubler.gate.set()
        assert answer.result(10) == [2, 4]


def test_whoever_is_told_of_batches_may_fail(caplog):
    def fail(run: BatchRun) -> None:
        raise ValueError("no disk")

    assert Batcher(refuse_thirteen, BatchLimits(max_size=8), on_batch=fail)([1]) == [2]
    assert "no disk" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_every_call_ends_with_its_own_answers_or_with_its_own_error(seed):
    """Errors, cancels, deadlines, refusals and a close, at random: no call is lost, and none gets another's answer."""
    draw = random.Random(seed)
    batcher = Batcher(refuse_thirteen, BatchLimits(max_size=4, max_waiting=40), max_wait=0.0)
    endings: Counter[str] = Counter()

    def ask(numbers: list[int], ticket: Ticket, cancels: bool) -> str:
        if cancels and ticket.cancel is not None:
            threading.Timer(0.0005, ticket.cancel.set).start()
        try:
            answers = batcher(numbers, ticket)
        except (OverloadedError, DeadlineError, RequestCancelledError) as error:
            return type(error).__name__
        except RuntimeError as error:
            return str(error).split()[0].rstrip(":")
        except ValueError:
            assert 13 in numbers
            return "failed"
        assert answers == [2 * number for number in numbers]
        return "answered"

    with ThreadPoolExecutor(12) as pool:
        futures = []
        for _ in range(400):
            numbers = [draw.randrange(60) for _ in range(draw.randrange(1, 9))]
            deadline = time.monotonic() + draw.choice([-0.001, 0.002, 0.05]) if draw.random() < 0.3 else None
            ticket = Ticket(draw.choice([None, "a", "b"]), draw.random() < 0.3, deadline, threading.Event())
            futures.append(pool.submit(ask, numbers, ticket, draw.random() < 0.2))
        while sum(future.done() for future in futures) < 300:
            time.sleep(0.001)
        batcher.close()
        endings.update(future.result(10) for future in futures)
    assert sum(endings.values()) == 400
    endings_seen = {"answered", "failed", "closed", "DeadlineError"}
    assert endings_seen <= endings.keys() <= endings_seen | {"OverloadedError", "RequestCancelledError"}
    assert batcher.waiting == 0
