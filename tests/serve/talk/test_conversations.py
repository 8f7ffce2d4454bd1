"""`/v1/conversations`: every verb, two people at once, strangers, and a restart."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agent.core.errors import UsageError
from tests.serve.talk.conftest import Pausing
from tests.support.serving import ANNA, BEN, as_tenant, write_image


class Talker:
    """A conversation over HTTP."""

    def __init__(self, client: TestClient, key: str) -> None:
        self.client = client
        self.started = client.post("/v1/conversations", json={"image": key, "name": "shelf.png"})
        assert self.started.status_code == 201
        self.path = f"/v1/conversations/{self.started.json()['conversation']}"

    def post(self, verb: str, headers: Any = None, **body: object) -> Any:
        return self.client.post(f"{self.path}/{verb}", json=body, headers=headers)

    def take(self, verb: str, **body: object) -> dict[str, Any]:
        """The state after a turn that must succeed."""
        answer = self.post(verb, **body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"] == answer.json()["etag"]
        state: dict[str, Any] = answer.json()
        return state


def list_ids(state: dict[str, Any]) -> list[int]:
    return [mask["id"] for mask in state["masks"]]


@pytest.fixture
def shared_talker(shared: TestClient, shared_key: str) -> Talker:
    return Talker(shared, shared_key)


@pytest.fixture
def talker(anna: TestClient, key: str) -> Talker:
    return Talker(anna, key)


def test_a_conversation_from_its_beginning_to_its_end(talker: Talker, anna: TestClient, key: str) -> None:
    begun = talker.started.json()
    assert talker.started.headers["location"] == talker.path
    assert (begun["cursor"], begun["outcome"], begun["masks"], begun["usage"]) == (1, None, [], None)
    assert begun["image"] == {"image": key, "width": 64, "height": 48, "name": "shelf.png"}
    said = talker.take("say", query="all the cups")
    assert (said["outcome"], list_ids(said), said["cursor"], said["can_undo"]) == ("answered", [1, 2], 2, True)
    assert said["usage"]["sam_decodes"] == 1
    assert list_ids(talker.take("remove", ids=[2])) == [1]
    assert list_ids(talker.take("restore", ids=[2])) == [1, 2]
    assert list_ids(talker.take("keep", ids=[2])) == [2]
    assert list_ids(talker.take("select", ids=[1, 2])) == [1, 2]
    assert list_ids(talker.take("threshold", threshold=0.8)) == [1]
    assert list_ids(talker.take("undo")) == [1, 2]
    assert talker.take("redo")["cursor"] == 7
    assert list_ids(talker.take("say", query="undo")) == [1, 2]
    clicked = talker.take("click", x=50, y=35, mask_id=2)
    assert list_ids(clicked) == [1, 2]
    assert clicked["turns"][-1] == {
        "query": "add what is at 50, 35 to mask 2",
        "by_hand": True,
        "outcome": "answered",
        "message": clicked["message"],
    }
    shown = talker.take("show", image=key, name="again.png")
    assert (shown["image"]["name"], shown["masks"], len(shown["turns"])) == ("again.png", [], 6)
    assert anna.get(talker.path).json()["etag"] == shown["etag"]
    assert anna.delete(talker.path).status_code == 204
    assert anna.delete(talker.path).status_code == 204
    assert anna.get(talker.path).json()["error"]["code"] == "conversation_gone"


def test_a_turn_is_streamed_and_a_command_too(shared_talker: Talker) -> None:
    stream = {"accept": "application/x-ndjson"}
    lines = [json.loads(line) for line in shared_talker.post("say", stream, query="all the cups").text.splitlines()]
    assert [line["type"] for line in lines[-2:]] == ["step", "result"]
    assert list_ids(lines[-1]["result"]) == [1, 2]
    [undone] = shared_talker.post("say", stream, query="undo").text.splitlines()
    assert json.loads(undone)["result"]["cursor"] == 1
    events = shared_talker.post("say", {"accept": "text/event-stream"}, query="all the cups").text
    assert events.count("data: ") == len(lines)


def test_a_box_shows_an_example(anna: TestClient, key: str) -> None:
    talker = Talker(anna, key)
    refused = talker.post("box", box=[40, 30, 20, 10])
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "turn_refused")  # nothing looks like it
    assert anna.get(talker.path).json()["cursor"] == 1


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("undo", {}, "there is nothing to undo"),
        ("redo", {}, "there is nothing to redo"),
        ("say", {"query": "undo"}, "there is nothing to undo"),
        ("remove", {"ids": [7]}, "mask 7 is not in the answer, which has no masks"),
        ("select", {"ids": [1]}, "there is no mask 1; the known ones are none"),
        ("click", {"x": 640, "y": 3}, "lies outside"),
        ("click", {"x": 3, "y": 3, "positive": False}, "there is no mask at 3, 3"),
        ("box", {"box": [100, 100, 5, 5]}, "holds nothing"),
    ],
)
def test_a_turn_that_cannot_be_taken_says_why_and_changes_nothing(
    shared_talker: Talker, verb: str, body: dict[str, object], says: str
) -> None:
    answer = shared_talker.post(verb, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "turn_refused")
    assert says in answer.json()["error"]["message"]
    assert shared_talker.client.get(shared_talker.path).json()["etag"] == shared_talker.started.json()["etag"]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("say", {"query": ""}),
        ("say", {}),
        ("remove", {"ids": []}),
        ("remove", {"ids": [0]}),
        ("remove", {"ids": ["1"]}),
        ("keep", {"ids": [1] * 2001}),
        ("click", {"x": "3", "y": 4}),
        ("click", {"x": 1e999, "y": 4}),
        ("box", {"box": [1, 2, 3]}),
        ("threshold", {"threshold": 1}),
        ("undo", {"steps": 2}),
        ("say", {"query": "cups", "planner": "nobody"}),
    ],
)
def test_bodies_that_make_no_sense(shared_talker: Talker, verb: str, body: dict[str, object]) -> None:
    answer = shared_talker.client.post(
        f"{shared_talker.path}/{verb}", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] in ("invalid", "planner_not_allowed")


# two people at once


def test_whoever_comes_second_with_the_same_state_is_told_so(shared_talker: Talker) -> None:
    seen = {"if-match": shared_talker.started.json()["etag"]}
    first = shared_talker.post("say", seen, query="all the cups")
    second = shared_talker.post("say", seen, query="the largest cup")
    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conversation_moved")
    assert second.headers["etag"] == first.json()["etag"]
    assert shared_talker.post("remove", {"if-match": first.json()["etag"]}, ids=[1]).status_code == 200


def test_a_state_that_only_looks_the_same_after_an_undo_is_another_one(shared_talker: Talker) -> None:
    first = shared_talker.take("say", query="all the cups")
    shared_talker.take("undo")
    other = shared_talker.take("say", query="the largest cup")
    assert first["cursor"] == other["cursor"]
    assert shared_talker.post("remove", {"if-match": first["etag"]}, ids=[1]).status_code == 409
    assert (
        shared_talker.post("undo", {"if-match": str(other["cursor"])}).status_code == 200
    )  # a cursor is taken as well


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        *((None, 200), ("*", 200), ("2", 200), ('"2"', 200), ('"9.9", "2.2"', 200), ('"1.1"', 409), ("1", 409)),
        *(('W/"2.2"', 409), ("", 422), ("*, 2", 422), ("garbage", 422), ('"2', 422), ("-1", 422), ("٢", 422)),
        ("9" * 5000, 409),
    ],
)
def test_what_if_match_may_say(shared_talker: Talker, if_match: str | None, status: int) -> None:
    assert shared_talker.take("say", query="all the cups")["etag"] == '"2.2"'
    headers = {} if if_match is None else {"if-match": if_match.encode()}
    assert shared_talker.post("undo", headers).status_code == status


def test_while_a_turn_is_answered_no_other_one_begins(talker: Talker, pausing: Pausing) -> None:
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(talker.post("say", query="cups", planner="pausing")))
    first.start()
    assert pausing.reached.wait(30)
    busy = talker.post("undo")
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conversation_busy")
    assert busy.headers["retry-after"] == "1"
    assert talker.client.get(talker.path).json()["cursor"] == 1
    pausing.may_go_on.set()
    first.join()
    assert answers[0].json()["cursor"] == 2
    assert talker.take("undo")["cursor"] == 1


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_turn_that_fails_leaves_the_conversation_free(shared_talker: Talker, accept: str) -> None:
    assert shared_talker.post("say", {"accept": accept}, query="cups", planner="down").status_code == 503
    assert shared_talker.take("say", query="all the cups")["count"] == 2


def test_a_turn_with_a_key_is_taken_once_though_the_state_has_moved(talker: Talker) -> None:
    headers = {"if-match": talker.started.json()["etag"], "idempotency-key": "k"}
    first = talker.post("say", headers, query="all the cups")
    again = talker.post("say", headers, query="all the cups")
    assert (again.status_code, again.content, again.headers["etag"]) == (200, first.content, first.headers["etag"])
    assert talker.client.get(talker.path).json()["cursor"] == 2
    undo = {"idempotency-key": "k2"}
    assert talker.post("undo", undo).content == talker.post("undo", undo).content
    assert talker.client.get(talker.path).json()["cursor"] == 1
    assert talker.post("redo", undo).json()["error"]["code"] == "idempotency_mismatch"


# strangers, limits, restarts


def test_nobody_sees_or_changes_the_conversation_of_somebody_else(shared_talker: Talker) -> None:
    as_ben = as_tenant(BEN)
    assert shared_talker.client.get(shared_talker.path, headers=as_ben).json()["error"]["code"] == "conversation_gone"
    assert shared_talker.post("undo", as_ben).status_code == 404
    assert shared_talker.client.delete(shared_talker.path, headers=as_ben).status_code == 204
    assert shared_talker.client.get(shared_talker.path).status_code == 200


def test_the_least_recently_used_conversation_of_the_same_tenant_makes_room(make_app: Callable[..., FastAPI]) -> None:
    with TestClient(make_app(max_conversations=2), headers=as_tenant(ANNA)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        as_ben = as_tenant(BEN)
        bens_image = client.post("/v1/images", content=write_image(), headers=as_ben).json()["image"]
        bens = client.post("/v1/conversations", json={"image": bens_image}, headers=as_ben).headers["location"]
        first, second = Talker(client, key), Talker(client, key)
        assert client.get(first.path).status_code == 200  # which is a use
        third = Talker(client, key)
        statuses = [client.get(talker.path).status_code for talker in (first, second, third)]
        assert statuses == [200, 404, 200]
        assert client.get(bens, headers=as_ben).status_code == 200


def test_a_conversation_is_forgotten_when_nobody_uses_it(make_app: Callable[..., FastAPI]) -> None:
    with TestClient(make_app(tokens=False, conversation_seconds=0.0)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        assert client.get(Talker(client, key).path).status_code == 404


def test_a_conversation_does_not_grow_without_end(make_app: Callable[..., FastAPI]) -> None:
    with TestClient(make_app(tokens=False, max_events=2)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        talker = Talker(client, key)
        talker.take("say", query="all the cups")
        full = talker.post("remove", ids=[1])
        assert (full.status_code, full.json()["error"]["code"]) == (422, "conversation_full")
        assert list_ids(client.get(talker.path).json()) == [1, 2]
        assert talker.take("undo")["cursor"] == 1


def test_conversations_outlive_a_restart(make_app: Callable[..., FastAPI], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with TestClient(make_app(conversation_folder=folder), headers=as_tenant(ANNA)) as client:
        talker = Talker(client, client.post("/v1/images", content=write_image()).json()["image"])
        talker.take("say", query="all the cups")
        talker.take("remove", ids=[2])
        before = talker.take("undo")
    (folder / "broken.json").write_text("not one of them")
    assert folder.stat().st_mode & 0o077 == 0
    with TestClient(make_app(conversation_folder=folder), headers=as_tenant(ANNA)) as client:
        talker.client = client
        after = client.get(talker.path).json()
        ignored = {"expires": None}
        assert after | ignored == before | ignored
        assert client.get(talker.path, headers=as_tenant(BEN)).status_code == 404
        assert list_ids(talker.take("redo")) == [1]
        assert list_ids(talker.take("say", query="all the cups")) == [1, 2]
    assert {path.name for path in folder.iterdir()} == {"broken.json", "conversations.json", *list_kept(folder)}


def list_kept(folder: Path) -> list[str]:
    return [f"{entry['id']}.json" for entry in json.loads((folder / "conversations.json").read_text())]


def test_a_saved_conversation_that_is_damaged_costs_no_other(make_app: Callable[..., FastAPI], tmp_path: Path) -> None:
    with TestClient(make_app(tokens=False, conversation_folder=tmp_path)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        lost, kept = Talker(client, key), Talker(client, key)
    damaged = tmp_path / f"{lost.path.rpartition('/')[2]}.json"
    damaged.write_text("{")
    with TestClient(make_app(tokens=False, conversation_folder=tmp_path)) as client:
        assert [client.get(talker.path).status_code for talker in (lost, kept)] == [404, 200]
    assert damaged.read_text() == "{"


@pytest.mark.parametrize("index", ["{", "[1]", '[{"id": "a"}]', "5"])
def test_a_folder_that_nothing_could_be_kept_in_is_refused_at_the_start(
    make_app: Callable[..., FastAPI], tmp_path: Path, index: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "conversations.json").write_text(index)
    for folder in (file, file / "inner", damaged):
        with pytest.raises(UsageError, match=re.escape(str(folder))):
            make_app(conversation_folder=folder)
    assert (damaged / "conversations.json").read_text() == index


def test_two_servers_at_a_time_do_not_keep_conversations_in_one_folder(
    make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    with (
        TestClient(make_app(conversation_folder=tmp_path)),
        pytest.raises(UsageError, match="another server uses this folder of conversations"),
    ):
        make_app(conversation_folder=tmp_path)
    with TestClient(make_app(conversation_folder=tmp_path)) as client:
        assert client.get("/health").status_code == 200
    assert [path.name for path in tmp_path.iterdir()] == ["conversations.json"]


def test_conversations_that_cannot_be_kept_do_not_end_the_server_as_a_defect(
    make_app: Callable[..., FastAPI], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kept"
    with TestClient(make_app(tokens=False, conversation_folder=folder)) as client:
        Talker(client, client.post("/v1/images", content=write_image()).json()["image"])
        (folder / "conversations.json.lock").unlink()
        folder.rmdir()
    assert any("cannot be saved" in record.message for record in caplog.records)
    assert any("will not be taken up" in record.message for record in caplog.records)
