"""Two processes behind one address, as clients see them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx2
import pytest
from typer.testing import CliRunner

from serve.cli import serve_app
from serve.http.middleware.auth import TokenBook
from serve.http.settings import ServeSettings
from serve.plan import run_at_socket
from serve.router.app import create_router
from serve.router.workers import Fleet, HealthRules
from tests.support.scripted_worker import build_scripted_app
from tests.support.serving import ANNA, BEN, as_tenant, serve_in_thread, write_image


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    health = HealthRules(interval=0.2, deadline=1.0, misses=2)
    return Fleet(2, partial(run_at_socket, build_scripted_app, build_settings()), health=health)


def build_settings() -> ServeSettings:
    return ServeSettings(tokens=TokenBook.parse(f"anna:{ANNA},ben:{BEN}"), max_body_bytes=10**5)


@pytest.fixture(scope="module")
def client(fleet: Fleet) -> Iterator[httpx2.Client]:
    app = create_router(build_settings(), fleet)
    with serve_in_thread(app) as url, httpx2.Client(base_url=url, headers=as_tenant(ANNA), timeout=60) as client:
        wait_until(lambda: client.get("/ready").json().get("processes") == 2)
        yield client
    assert not fleet.folder.exists()
    assert all(worker._process is not None and worker._process.exitcode is not None for worker in fleet.workers)


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def count_samples(client: httpx2.Client, start: str) -> dict[str, float]:
    """The value of each sample that begins so, by the label of its process."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(start)]
    return {line.partition('process="')[2][0]: float(line.rpartition(" ")[2]) for line in lines}


def test_images_are_encoded_once_where_they_are_asked_for_whoever_received_them(client, fleet):
    colours = ["red", "green", "blue", "white", "black", "navy"]
    keys = [client.post("/v1/images", content=write_image(colour=colour)).json()["image"] for colour in colours]
    for key in keys:
        for _ in range(2):
            answer = client.post("/v1/segment", json={"image": key, "phrases": ["cup"]})
            assert len(answer.json()["results"][0]["instances"]) == 1
    owned = [sum(fleet.get_owner(key).slot.number == number for key in keys) for number in range(2)]
    assert [count_encoded(client, number) for number in range(2)] == owned


def count_encoded(client: httpx2.Client, number: int) -> float:
    return count_samples(client, f'sam3_images_total{{process="{number}",source="encoded"')[str(number)]


def test_an_image_of_one_process_serves_as_an_example_in_another(client, fleet):
    by_owner = {}
    number = 0
    while len(by_owner) < 2:
        key = client.post("/v1/images", content=write_image(colour=f"#0000{number:02x}")).json()["image"]
        by_owner[fleet.get_owner(key).slot.number] = key
        number += 1
    asked = {"image": by_owner[0], "like": by_owner[1], "phrases": ["cup"], "boxes": [[1, 1, 9, 9]]}
    assert client.post("/v1/segment", json=asked).status_code == 200


def test_conversations_and_jobs_lead_back_to_the_process_that_keeps_them(client):
    colours = ["red", "green", "blue", "white"]
    keys = [client.post("/v1/images", content=write_image(colour=colour)).json()["image"] for colour in colours]
    for key in keys:
        made = client.post("/v1/conversations", json={"image": key})
        assert made.status_code == 201
        assert client.get(made.headers["location"]).json()["conversation"] == made.json()["conversation"]
    for number in range(4):
        made = client.post(
            "/v1/jobs", json={"images": keys, "phrases": ["cup"]}, headers={"idempotency-key": f"{number}"}
        )
        assert made.status_code == 202
        wait_until(lambda place=made.headers["location"]: client.get(place).json()["state"] == "done")
        status = client.get(made.headers["location"]).json()
        assert (status["done"], status["failed"]) == (4, 0)  # whichever process has them


def test_a_forgotten_image_is_gone_from_all_processes_and_was_never_there_for_others(client):
    key = client.post("/v1/images", content=write_image(colour="pink")).json()["image"]
    asked = {"image": key, "phrases": ["cup"]}
    assert client.post("/v1/segment", json=asked).status_code == 200
    assert client.post("/v1/segment", json=asked, headers=as_tenant(BEN)).json()["error"]["code"] == "image_gone"
    assert client.delete(f"/v1/images/{key}").status_code == 204
    for _ in range(2):
        assert client.post("/v1/segment", json=asked).json()["error"]["code"] == "image_gone"


def test_refusals_come_before_any_process_is_asked(client):
    assert client.get("/openapi.json", headers={"authorization": "Bearer nobody"}).status_code == 401
    assert client.post("/v1/segment", content=b"x" * 200_000).json()["error"]["code"] == "too_large"
    answer = client.post("/v1/segment", json={"image": 5}, headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.json()["error"]["request_id"]) == (422, "mine")
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert len(answer.headers.get_list("date")) == 1


def test_a_stream_arrives_as_it_is_made(client):
    with client.stream("GET", "/v1/drip") as response:
        lines = response.iter_lines()
        began = time.monotonic()
        assert next(lines) == "first"
        first = time.monotonic() - began
        assert next(lines) == "second"
        assert time.monotonic() - began > first + 0.2


def test_a_client_that_leaves_ends_its_request(client, fleet):
    with client.stream("GET", "/v1/drip") as response:
        next(response.iter_raw())
    wait_until(lambda: sum(worker.inflight for worker in fleet.workers) == 0)
    assert client.get("/openapi.json").status_code == 200


def test_a_process_that_ends_is_told_of_and_started_again_and_its_images_are_found_by_the_other(client, fleet):
    key = client.post("/v1/images", content=write_image(colour="gold")).json()["image"]
    owner = fleet.get_owner(key)
    died = client.post("/v1/die", headers={"idempotency-key": key})  # goes where the image is
    assert (died.status_code, died.json()["error"]["code"]) == (503, "process_ended")
    wait_until(lambda: not owner.is_ready)
    answer = client.post("/v1/segment", json={"image": key, "phrases": ["cup"]})
    assert answer.status_code == 200
    kept = client.get(f"/v1/jobs/{owner.slot.make_id()}")  # what only that process can know
    assert (kept.status_code, kept.json()["error"]["code"]) == (503, "no_process")
    assert client.get("/ready").json() == {"status": "ready", "processes": 1}
    wait_until(lambda: owner.is_ready)
    assert client.post("/v1/segment", json={"image": key, "phrases": ["cup"]}).json()["usage"]["encodes"] == 1
    assert count_samples(client, "sam3_process_restarts")[str(owner.slot.number)] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--gpus", "0,x"], "--gpus takes different numbers with commas, e.g. 0,1,2,3, got '0,x'"),
        (["--gpus", "1,1"], "--gpus takes different numbers"),
        (["--gpus", "0,1", "--processes", "2"], "leave --processes out"),
        (["--gpus", "0,1", "--device", "cpu"], "leave --device out"),
        (["--processes", "2", "--metrics-port", "9"], "--metrics-port is for one process"),
    ],
)
def test_processes_that_cannot_be_are_one_line(words, told):
    result = CliRunner().invoke(serve_app, ["--port", "0", *words])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert told in result.output


def test_a_process_that_hangs_gets_no_requests_and_is_started_again(client, fleet):
    wait_until(lambda: client.get("/ready").json().get("processes") == 2)
    hung, other = fleet.workers
    process, restarts = hung._process, hung.restarts
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: not hung.is_ready)
    key = client.post("/v1/images", content=write_image(colour="teal")).json()["image"]
    assert client.post("/v1/segment", json={"image": key, "phrases": ["cup"]}).status_code == 200
    assert client.get("/metrics").status_code == 200
    wait_until(lambda: hung.is_ready)
    assert (hung.restarts, other.restarts, process.exitcode) == (restarts + 1, other.restarts, -signal.SIGKILL)
