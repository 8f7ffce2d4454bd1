"""`/v1/jobs` over HTTP: what is found is kept, whatever is missing, refused or restarted."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agent.report.result import Result
from sam3_tool.network.fetching import UrlFetcher
from serve.talk.talk import Talk
from tests.serve.talk.conftest import Pausing
from tests.support.serving import ANNA, BEN, as_tenant, write_image

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="
HOOK = {"url": "https://hooks.test/x", "secret": SECRET}


def start(client: TestClient, *images: object, headers: Any = None, **asked: object) -> Any:
    return client.post("/v1/jobs", json={"images": list(images), **asked}, headers=headers)


def wait(client: TestClient, path: str) -> dict[str, Any]:
    """The job once it has ended."""
    for _ in range(400):
        status: dict[str, Any] = client.get(path).json()
        if status["ended"] is not None:
            return status
        time.sleep(0.02)
    raise AssertionError(f"the job did not end: {status}")


def read_rows(client: TestClient, path: str, start: int = 0) -> list[dict[str, Any]]:
    answer = client.get(f"{path}/result", params={"start": start})
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_query_about_many_images_one_of_which_is_gone(anna: TestClient, key: str) -> None:
    begun = start(anna, key, "0" * 32, key, query="all the cups")
    path = begun.headers["location"]
    assert (begun.status_code, begun.json()["images"]) == (202, 3)
    status = wait(anna, path)
    assert (status["state"], status["done"], status["failed"]) == ("done", 3, 1)
    assert [(error["index"], error["code"]) for error in status["errors"]] == [(1, "image_gone")]
    rows = read_rows(anna, path)
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert [row["image"] for row in rows] == [key, "0" * 32, key]
    assert rows[1]["result"] is None
    assert rows[1]["error"]["code"] == "image_gone"
    assert Result.model_validate(rows[2]["result"]).count == 2
    assert [row["index"] for row in read_rows(anna, path, 2)] == [2]


def test_what_was_gone_is_asked_for_again_once_it_is_uploaded(anna: TestClient, key: str) -> None:
    assert anna.delete(f"/v1/images/{key}").status_code == 204
    path = start(anna, key, phrases=["cup"]).headers["location"]
    assert wait(anna, path)["failed"] == 1
    assert anna.post("/v1/images", content=write_image()).json()["image"] == key
    assert anna.post(f"{path}/resume").status_code == 202
    assert wait(anna, path)["failed"] == 0
    [row] = read_rows(anna, path)
    segmented = anna.post("/v1/segment", json={"image": key, "phrases": ["cup"]}).json()
    assert row["result"]["results"] == segmented["results"]
    assert anna.post(f"{path}/resume").json()["error"]["code"] == "job_done"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"images": [], "query": "cups"}, "invalid"),
        ({"images": ["k"] * 10_001, "query": "cups"}, "invalid"),
        ({"images": ["k"]}, "invalid"),
        ({"images": ["k"], "query": "cups", "phrases": ["cup"]}, "invalid"),
        ({"images": ["k"], "query": "cups", "planner": "nobody"}, "planner_not_allowed"),
        ({"images": ["k"], "query": "cups", "budget": {"max_steps": 100}}, "budget_too_large"),
        ({"images": [{"url": "https://images.test/a.png"}], "query": "cups"}, "urls_off"),
        ({"images": ["k"], "query": "cups", "webhook": HOOK}, "urls_off"),
        ({"images": ["k"], "query": "cups", "webhook": {**HOOK, "secret": "s3cret-of-mine"}}, "invalid"),
        ({"images": ["k"], "query": "cups", "webhook": {"url": "https://127.0.0.1/x", "secret": SECRET}}, "urls_off"),
    ],
)
def test_jobs_that_make_no_sense_never_begin(shared: TestClient, asked: dict[str, Any], code: str) -> None:
    answer = shared.post("/v1/jobs", json=asked)
    assert answer.json()["error"]["code"] == code
    assert "s3cret" not in answer.text


def test_nobody_sees_the_job_of_somebody_else(anna: TestClient, key: str) -> None:
    path = start(anna, key, phrases=["cup"]).headers["location"]
    wait(anna, path)
    as_ben = as_tenant(BEN)
    for answer in (
        anna.get(path, headers=as_ben),
        anna.get(f"{path}/result", headers=as_ben),
        anna.post(f"{path}/resume", headers=as_ben),
        anna.delete(path, headers=as_ben),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_gone")
    assert start(anna, key, phrases=["cup"], headers=as_ben).status_code == 202  # but the image is not his
    assert anna.delete(path).status_code == 204
    assert anna.get(path).status_code == 404


def test_a_job_with_a_key_begins_once(anna: TestClient, key: str) -> None:
    first, again = (start(anna, key, phrases=["cup"], headers={"idempotency-key": "k"}) for _ in range(2))
    assert first.json()["job"] == again.json()["job"]
    other = start(anna, key, phrases=["hat"], headers={"idempotency-key": "k"})
    assert other.json()["error"]["code"] == "idempotency_mismatch"


def test_a_job_is_cancelled_between_images_and_keeps_what_it_has_found(
    anna: TestClient, key: str, pausing: Pausing
) -> None:
    path = start(anna, key, key, query="cups", planner="pausing").headers["location"]
    assert pausing.reached.wait(30)
    running = anna.get(f"{path}/result")
    assert (running.status_code, running.json()["error"]["code"]) == (409, "job_running")
    assert int(running.headers["retry-after"]) > 0
    assert anna.delete(path).json()["state"] == "cancelled"
    pausing.may_go_on.set()
    assert read_rows(anna, path) == []
    assert wait(anna, path)["done"] == 0


def test_a_planner_that_is_down_is_a_row_for_each_image_and_no_address(anna: TestClient, key: str) -> None:
    path = start(anna, key, key, query="cups", planner="absent").headers["location"]
    assert wait(anna, path)["failed"] == 2
    rows = read_rows(anna, path)
    assert {row["error"]["code"] for row in rows} == {"planner_unavailable"}
    assert "10.1.2.3" not in json.dumps(rows)


def test_a_long_job_keeps_nobody_elses_waiting(make_app: Callable[..., FastAPI]) -> None:
    with TestClient(make_app(job_workers=1), headers=as_tenant(ANNA)) as client:
        as_ben = as_tenant(BEN)
        keys = [client.post("/v1/images", content=write_image(), headers=who).json()["image"] for who in ({}, as_ben)]
        long = start(client, *[keys[0]] * 300, phrases=["cup"]).headers["location"]
        short = start(client, keys[1], phrases=["cup"], headers=as_ben).headers["location"]
        client.headers.update(as_ben)
        assert wait(client, short)["failed"] == 0
        client.headers.update(as_tenant(ANNA))
        assert client.get(long).json()["ended"] is None
        assert client.delete(long).json()["state"] == "cancelled"


# webhooks and restarts


class Hooks(UrlFetcher):
    """Takes every URL, and remembers what is posted."""

    posted: list[dict[str, Any]]

    def check_url(self, url: str) -> Any:
        return url

    async def post(self, url: str, content: bytes, headers: Any) -> int:
        self.posted.append({"url": url, "headers": dict(headers), "job": json.loads(content)})
        return 200


@pytest.fixture
def hooks() -> Hooks:
    made = Hooks(frozenset(), 1)
    object.__setattr__(made, "posted", [])
    return made


def use_hooks(app: FastAPI, hooks: Hooks) -> None:
    talk: Talk = app.state.talk
    talk.services.fetcher = talk.jobs.fetcher = hooks


def test_the_end_of_a_job_is_told_and_the_secret_is_not(make_app: Callable[..., FastAPI], hooks: Hooks) -> None:
    app = make_app(tokens=False)
    use_hooks(app, hooks)
    with TestClient(app) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        begun = start(client, key, phrases=["cup"], webhook=HOOK)
        path = begun.headers["location"]
        wait(client, path)
        while (status := client.get(path).json())["webhook"] == "waiting":
            time.sleep(0.02)
    assert status["webhook"] == "delivered"
    [told] = hooks.posted
    assert (told["url"], told["job"]["state"], told["job"]["done"]) == (HOOK["url"], "done", 1)
    assert told["headers"]["webhook-id"].startswith(begun.json()["job"])
    assert SECRET not in begun.text + json.dumps(told["job"])


def test_a_webhook_to_loopback_is_refused_when_the_job_is_asked_for_or_when_it_ends(
    make_app: Callable[..., FastAPI],
) -> None:
    """The first tells by the text, the second by the address that an allowed name has at that time."""
    app = make_app(tokens=False)
    fetcher = UrlFetcher.from_hosts(["localhost"], max_bytes=10)
    talk: Talk = app.state.talk
    talk.services.fetcher = talk.jobs.fetcher = fetcher
    with TestClient(app) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        refused = start(client, key, phrases=["cup"], webhook={**HOOK, "url": "https://127.0.0.1/x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "url_not_allowed")
        path = start(client, key, phrases=["cup"], webhook={**HOOK, "url": "https://localhost/x"}).headers["location"]
        wait(client, path)
        while (status := client.get(path).json())["webhook"] == "waiting":
            time.sleep(0.02)
    assert (status["webhook"], status["webhook_error"]) == (
        "failed",
        "the host of this URL is not on the public Internet",
    )


def test_a_job_outlives_a_restart_in_the_midst_of_it(
    make_app: Callable[..., FastAPI], pausing: Pausing, tmp_path: Path
) -> None:
    path_of_jobs = tmp_path / "jobs.sqlite"
    with TestClient(make_app(tokens=False, job_path=path_of_jobs)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        done = start(client, key, phrases=["cup"]).headers["location"]
        wait(client, done)
        cut = start(client, key, key, query="cups", planner="pausing").headers["location"]
        assert pausing.reached.wait(30)
        threading.Timer(0.2, pausing.may_go_on.set).start()
    with TestClient(make_app(tokens=False, job_path=path_of_jobs)) as client:
        assert client.get(done).json()["state"] == "done"
        assert len(read_rows(client, done)) == 1
        assert client.get(cut).json()["state"] == "interrupted"
        before = len(read_rows(client, cut))
        assert client.post("/v1/images", content=write_image()).json()["image"] == key
        assert client.post(f"{cut}/resume").status_code == 202
        status = wait(client, cut)
        assert (before < 2, status["state"], status["done"], status["failed"]) == (True, "done", 2, 0)
