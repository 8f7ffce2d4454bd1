"""Waiting ends: after the patience, with the episode, and at Ctrl-C."""

import os
import signal
import time
from math import inf
from threading import Event, Thread
from threading import enumerate as list_threads

import pytest

from agent import Budget, Task, run
from agent.core.budget import get_remaining_seconds, limit_time
from agent.models.base import ModelError
from agent.planners.chat.planner import ChatPlanner
from sam3_tool.system.waiting import (
    CallClock,
    OutOfTimeError,
    Patience,
    StoppedError,
    map_in_threads,
    wait_for_result,
)
from tests.support.chat_server import ASKED, SEGMENT, TOOL_SCHEMAS, Answer, ask, completion, refusal


def test_what_never_ends_is_given_up_whatever_it_does():
    over = Event()
    with pytest.raises(OutOfTimeError):
        wait_for_result(lambda: over.wait(30), Patience(0.05, CallClock(inf)))
    over.set()


def test_a_result_and_an_error_come_through():
    patience = Patience(10.0, CallClock(inf))
    assert wait_for_result(lambda: 4, patience) == 4
    with pytest.raises(ZeroDivisionError):
        wait_for_result(lambda: 1 // 0, Patience(10.0, CallClock(inf)))


def test_a_sign_of_life_renews_the_patience_but_not_for_ever():
    patience = Patience(0.2, CallClock(inf))

    def work():
        for _ in range(3):
            time.sleep(0.12)
            patience.renew()
        return "done"

    assert wait_for_result(work, patience) == "done"
    endless = Patience(0.02, CallClock(inf))

    def go_on():
        while not endless.is_over:
            endless.renew()

    with pytest.raises(OutOfTimeError):
        wait_for_result(go_on, endless)


def test_who_is_stopped_does_not_sleep_on():
    clock = CallClock(inf)
    clock.stopped.set()
    with pytest.raises(StoppedError):
        clock.sleep(60)


def test_results_come_in_order_and_an_error_stops_the_rest():
    stopped, begun = Event(), []
    assert map_in_threads(lambda n: n * n, range(5), threads=2, stopped=Event()) == [0, 1, 4, 9, 16]

    def fail(number):
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        map_in_threads(fail, [0, 1], threads=1, stopped=stopped)
    assert stopped.is_set()


def test_limits_of_time_are_nested():
    assert get_remaining_seconds() == inf
    with limit_time(100), limit_time(None), limit_time(1000):
        assert 90 < get_remaining_seconds() <= 100
    assert get_remaining_seconds() == inf


@pytest.mark.parametrize("late", [{"stall": 60.0}, {"blanks": 60.0}])
def test_a_call_in_flight_ends_with_the_seconds_of_the_episode(server, load, kitchen, kitchen_sam3, late):
    server.script(completion(calls=[SEGMENT]), Answer("{}", **late))
    episode = run(Task(kitchen, "cups"), ChatPlanner(load(timeout=300.0)), kitchen_sam3, budget=Budget(max_seconds=1.5))
    assert (episode.outcome, len(server.requests)) == ("budget", 2)
    assert len(episode.best_ids) == 3
    assert "at the limit of 1.5 seconds" in episode.steps[-1].observation.text


def test_ctrl_c_ends_pooled_requests_and_nothing_more_is_sent(server, load):
    server.script(Answer("{}", 503, stall=60.0))
    model = load(workers=2, retries=5, timeout=300.0)

    def interrupt():
        while len(server.requests) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        model.generate_replies([ASKED] * 6, TOOL_SCHEMAS)
    server.over.set()  # all answer now, with what is asked again as a rule
    time.sleep(0.3)
    assert len(server.requests) == 2
    assert all(thread.daemon for thread in list_threads() if thread.name.startswith("request"))


def test_ctrl_c_between_two_tries_ends_them(server, load):
    server.script(refusal(503, "busy"))
    model = load(workers=2, retries=50, first_delay=30.0, timeout=300.0)

    def interrupt():
        while len(server.requests) < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        model.generate_replies([ASKED] * 3, TOOL_SCHEMAS)
    time.sleep(0.1)
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [Answer("{}", stall=60.0), refusal(429, "later", retry_after_ms="400")])
def test_a_dead_server_is_named_within_the_patience_for_one_answer(server, load, answer):
    server.script(answer)
    with pytest.raises(ModelError, match=r"did not answer within 0.5 seconds|answered 429 .later."):
        load(wire="auto", timeout=0.5, retries=5)
    assert len(server.requests) <= 3


def test_a_silent_server_is_asked_twice_at_most(server, load):
    server.script(Answer("{}", stall=60.0))
    assert "did not answer within 0.2 seconds, in 2 tries" in ask(load(timeout=0.2, retries=5)).error
    assert len(server.requests) == 2
