"""Kept jobs and conversations, after the number of processes has changed."""

import itertools
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from agent.core.errors import UsageError
from sam3_tool import Sam3
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from serve.slots import Slot
from serve.talk.jobs import JobStore
from serve.talk.moving import move_kept
from serve.talk.schemas import JobRequest
from serve.talk.settings import TalkSettings
from tests.support.serving import write_image

COUNTS = (1, 4, 2, 1, 3)


def open_stores(settings: TalkSettings, count: int) -> list[JobStore]:
    own = [settings.choose_own(Slot(number, count)) if count > 1 else settings for number in range(count)]
    return [JobStore(one) for one in own]


def test_every_job_is_found_by_its_owner_whatever_the_number_of_processes(tmp_path: Path) -> None:
    settings = TalkSettings(job_path=tmp_path / "jobs.db")
    [store] = open_stores(settings, 1)
    request = JobRequest(images=["a", "b"], query="the cups")
    ids = [store.add("anna", request, "hash", key=f"key-{number}") for number in range(6)]
    job = store.begin(ids[0])
    assert job is not None
    store.write_line(job, 1, '{"index": 1}')
    store.close()
    for before, count in itertools.pairwise(COUNTS):
        assert move_kept(settings, count) == len(ids), (before, count)
        assert move_kept(settings, count) == 0
        stores = open_stores(settings, count)
        for job_id in ids:
            owners = [store for number, store in enumerate(stores) if Slot(number, count).owns(job_id)]
            assert owners[0].describe("anna", job_id).images == 2
        first = next(store for number, store in enumerate(stores) if Slot(number, count).owns(ids[0]))
        assert first.read_lines(ids[0], 0) == [(1, '{"index": 1}')]
        assert first.add("anna", request, "hash", key="key-0") == ids[0]
        for store in stores:
            store.close()
    assert {path.name for path in tmp_path.glob("*.db")} == {f"jobs-{number}-of-3.db" for number in range(3)}


def test_a_file_that_another_server_uses_or_that_is_none_is_refused_and_kept(tmp_path: Path) -> None:
    settings = TalkSettings(job_path=tmp_path / "jobs.db")
    [store] = open_stores(settings, 1)
    with pytest.raises(UsageError, match="another server uses"):
        move_kept(settings, 2)
    store.close()
    (tmp_path / "jobs-0-of-5.db").write_text("no jobs, but a diary")
    with pytest.raises(UsageError, match="cannot be taken over"):
        move_kept(settings, 1)
    assert (tmp_path / "jobs-0-of-5.db").read_text() == "no jobs, but a diary"


def test_conversations_go_on_with_another_number_of_processes(sam3: Sam3, tmp_path: Path) -> None:
    settings = TalkSettings(conversation_folder=tmp_path / "talks")
    with TestClient(create_app(ServeSettings(talk=settings), sam3)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        ids = [client.post("/v1/conversations", json={"image": key}).json()["conversation"] for _ in range(4)]
    assert move_kept(settings, 2) == len(ids)
    found = []
    for number in range(2):
        own = settings.choose_own(Slot(number, 2))
        with TestClient(create_app(ServeSettings(talk=own), sam3)) as client:
            found += [id for id in ids if client.get(f"/v1/conversations/{id}").status_code == 200]
    assert sorted(found) == sorted(ids)
    assert move_kept(settings, 1) == len(ids)
    with TestClient(create_app(ServeSettings(talk=settings), sam3)) as client:
        assert all(client.get(f"/v1/conversations/{id}").status_code == 200 for id in ids)
