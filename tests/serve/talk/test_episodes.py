"""`POST /v1/episodes`, as clients use it, misuse it, and leave it."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agent.report.result import Result
from serve.talk.talk import Talk
from tests.serve.talk.conftest import Pausing
from tests.support.serving import ANNA, BEN, as_tenant, serve_in_thread, write_image

NDJSON = {"accept": "application/x-ndjson"}
SSE = {"accept": "text/event-stream"}


def ask(client: TestClient, key: str, query: str = "all the cups", *, headers: Any = None, **more: object) -> Any:
    return client.post("/v1/episodes", json={"image": key, "query": query, **more}, headers=headers)


def read_lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_the_answer_is_what_result_json_holds(shared: TestClient, shared_key: str) -> None:
    answer = ask(shared, shared_key)
    assert answer.status_code == 200
    result = Result.model_validate_json(answer.content)
    assert (result.outcome, result.count, [mask.phrase for mask in result.masks]) == ("answered", 2, ["cup", "cup"])
    assert json.loads(result.to_json()) == answer.json()


def test_a_stream_has_a_line_for_each_step_and_the_result_last(shared: TestClient, shared_key: str) -> None:
    answer = ask(shared, shared_key, headers=NDJSON)
    *steps, last = read_lines(answer)
    assert (answer.headers["content-type"], answer.headers["x-accel-buffering"]) == ("application/x-ndjson", "no")
    assert [line["step"] for line in steps] == [*range(1, len(steps) + 1)]
    assert [len(line["masks"]) for line in steps if line["tool"] == "segment"] == [2]
    assert sum(len(line["masks"]) for line in steps) == 2
    assert last["type"] == "result"
    assert last["result"].keys() == ask(shared, shared_key).json().keys()


def test_server_sent_events_hold_the_same_lines(shared: TestClient, shared_key: str) -> None:
    answer = ask(shared, shared_key, headers=SSE)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    assert json.loads(events[-1].removeprefix("data: "))["result"]["count"] == 2


@pytest.mark.parametrize(("headers", "sign"), [(NDJSON, '{"type":"waiting"}'), (SSE, ": waiting")])
def test_a_stream_that_takes_long_says_so(
    make_app: Callable[..., FastAPI], pausing: Pausing, headers: dict[str, str], sign: str
) -> None:
    with TestClient(make_app(tokens=False, keep_alive_seconds=0.02)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        threading.Timer(0.2, pausing.may_go_on.set).start()
        lines = ask(client, key, planner="pausing", headers=headers).text.splitlines()
    assert sign in lines
    assert '"type":"result"' in [line for line in lines if line][-1]


@pytest.mark.parametrize("headers", [None, NDJSON])
@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"planner": "openai:gpt"}, 422, "planner_not_allowed"),
        ({"planner": "absent"}, 503, "planner_unavailable"),
        ({"planner": "down"}, 503, "planner_unavailable"),
        ({"planner": "defect"}, 500, "internal"),
        ({"budget": {"max_steps": 9}}, 422, "budget_too_large"),
        ({"budget": {"max_seconds": 60.5}}, 422, "budget_too_large"),
        ({"budget": {"max_steps": 0}}, 422, "invalid"),
        ({"budget": {"max_cost": 1}}, 422, "invalid"),
        ({"query": " "}, 422, "invalid"),
        ({"query": "x" * 2001}, 422, "invalid"),
        ({"image": "0" * 32}, 404, "image_gone"),
        ({"video": "x"}, 422, "invalid"),
    ],
)
def test_what_is_refused_is_refused_in_one_sentence_streamed_or_not(
    shared: TestClient, shared_key: str, more: Any, status: int, code: str, headers: Any
) -> None:
    answer = ask(shared, shared_key, headers=headers, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "10.1.2.3" not in answer.text
    assert "\n" not in error["message"]


def test_a_planner_that_fails_later_ends_with_what_was_found(shared: TestClient, shared_key: str) -> None:
    answer = ask(shared, shared_key, planner="down-later")
    result = answer.json()
    assert (answer.status_code, result["outcome"], result["count"]) == (200, "failed", 2)
    assert "its server does not answer" in result["message"]
    assert "10.1.2.3" not in answer.text + ask(shared, shared_key, planner="down-later", headers=NDJSON).text


def test_a_budget_below_the_servers_holds(shared: TestClient, shared_key: str) -> None:
    assert ask(shared, shared_key, "the largest cup", budget={"max_steps": 1}).json()["outcome"] == "step_limit"


def test_nobody_asks_about_an_image_of_somebody_else(shared: TestClient, shared_key: str) -> None:
    assert ask(shared, shared_key, headers=as_tenant(BEN)).json()["error"]["code"] == "image_gone"
    assert ask(shared, shared_key, headers={"authorization": "Bearer x"}).status_code == 401


# sent again


@pytest.mark.parametrize("kind", [{}, NDJSON, SSE])
def test_a_request_with_a_key_is_done_once(anna: TestClient, key: str, kind: dict[str, str]) -> None:
    first = ask(anna, key, headers={**kind, "idempotency-key": "k1"})
    again = ask(anna, key, headers={**kind, "idempotency-key": "k1"})
    assert (first.content, first.headers["content-type"]) == (again.content, again.headers["content-type"])
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    other = ask(anna, key, "the largest cup", headers={**kind, "idempotency-key": "k1"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


def test_the_same_key_twice_at_once_is_told_to_wait(anna: TestClient, key: str, pausing: Pausing) -> None:
    headers = {"idempotency-key": "k1"}
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(ask(anna, key, planner="pausing", headers=headers)))
    first.start()
    assert pausing.reached.wait(30)
    again = ask(anna, key, planner="pausing", headers=headers)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "still_running")
    assert again.headers["retry-after"] == "1"
    pausing.may_go_on.set()
    first.join()
    assert ask(anna, key, planner="pausing", headers=headers).content == answers[0].content
    assert pausing.steps_taken == 2


@pytest.mark.parametrize("more", [{"planner": "down"}, {"image": "0" * 32}])
@pytest.mark.parametrize("kind", [{}, NDJSON])
def test_an_answer_that_failed_is_not_given_again(anna: TestClient, key: str, more: Any, kind: Any) -> None:
    headers = {**kind, "idempotency-key": "k1"}
    for _ in range(2):
        answer = ask(anna, key, headers=headers, **more)
        assert answer.json()["error"]["code"] in ("planner_unavailable", "image_gone")
    assert ask(anna, key, headers=headers).status_code == 200


# leaving


@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/json"])
def test_who_leaves_ends_the_episode_after_its_step(
    make_app: Callable[..., FastAPI], pausing: Pausing, accept: str
) -> None:
    app = make_app()
    with serve_in_thread(app) as address:
        uploaded = httpx2.post(f"{address}/v1/images", content=write_image(), headers=as_tenant(ANNA))
        body = json.dumps({"image": uploaded.json()["image"], "query": "cups", "planner": "pausing"})
        host, port = address.removeprefix("http://").split(":")
        head = (
            f"POST /v1/episodes HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {ANNA}\r\naccept: {accept}\r\n"
            f"content-type: application/json\r\nidempotency-key: k\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"{head}{body}".encode())
            assert pausing.reached.wait(30)
        talk: Talk = app.state.talk
        assert talk.runner.gate.held == 1
        pausing.may_go_on.set()
        wait_until(lambda: talk.runner.gate.held == 0)
        assert pausing.steps_taken == 2  # the step that was under way was the last one
        wait_until(lambda: is_free(talk))


def is_free(talk: Talk) -> bool:
    """Whether the request with the key may be sent again, and would be answered."""
    return not talk.idempotency.is_claimed("anna", "k")


def wait_until(is_true: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(600):
        if is_true():
            return
        tick.wait(0.05)
    raise AssertionError("it never became true")


def test_too_many_episodes_at_once_are_told_to_come_back(make_app: Callable[..., FastAPI], pausing: Pausing) -> None:
    with TestClient(make_app(tokens=False, episodes=1, waiting_episodes=0)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        first = threading.Thread(target=lambda: ask(client, key, planner="pausing"))
        first.start()
        assert pausing.reached.wait(30)
        for headers in (None, NDJSON):
            busy = ask(client, key, headers=headers)
            assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
            assert int(busy.headers["retry-after"]) >= 1
        pausing.may_go_on.set()
        first.join()
        assert ask(client, key).status_code == 200
