"""Jobs in SQLite: nothing that was found is lost, whatever happens to the server."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import UsageError
from serve.http.errors import ApiError
from serve.talk.jobs import PAGE, Job, JobStore
from serve.talk.schemas import JobRequest
from serve.talk.settings import TalkSettings

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="
URL = {"url": "https://images.test/a.png"}


def build_request(*images: object, **fields: object) -> JobRequest:
    return JobRequest.model_validate({"images": images or ("k1", "k2"), "query": "the red cups", **fields})


@pytest.fixture
def store() -> Iterator[JobStore]:
    with_memory = JobStore(TalkSettings(max_jobs=3, max_job_images=10))
    yield with_memory
    with_memory.close()


def begin(store: JobStore, job_id: str) -> Job:
    job = store.begin(job_id)
    assert job is not None
    return job


def refuse(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(ApiError) as refused:
        call(*arguments, **options)  # type: ignore[operator]
    return refused.value.code


def test_a_job_from_its_beginning_to_its_end(store: JobStore) -> None:
    job_id = store.add("anna", build_request(), "h")
    assert store.describe("anna", job_id).state == "queued"
    assert store.list_waiting(()) == {"anna": job_id}
    job = begin(store, job_id)
    assert store.find_missing(job, 5) == [0, 1]
    assert store.write_line(job, 1, '{"index": 1}', code="image_gone", message="upload it again")
    assert store.find_missing(job, 5) == [0]
    assert store.write_line(job, 0, '{"index": 0}')
    assert store.finish(job)
    status = store.describe("anna", job_id)
    assert (status.state, status.images, status.done, status.failed) == ("done", 2, 2, 1)
    assert [error.index for error in status.errors] == [1]
    assert store.read_lines(job_id, 0) == [(0, '{"index": 0}'), (1, '{"index": 1}')]
    assert store.list_waiting(()) == {}
    assert store.begin(job_id) is None


def test_nobody_sees_the_job_of_another_tenant(store: JobStore) -> None:
    job_id = store.add("anna", build_request(), "h")
    for call in (store.describe, store.cancel, store.resume):
        assert refuse(call, "ben", job_id) == "job_gone"


def test_a_key_that_comes_again_leads_to_the_same_job(store: JobStore) -> None:
    first = store.add("anna", build_request(), "h", key="k")
    assert store.add("anna", build_request(), "h", key="k") == first
    assert store.add("ben", build_request(), "h", key="k") != first
    assert refuse(store.add, "anna", build_request("k3"), "other", key="k") == "idempotency_mismatch"


def test_a_cancelled_job_keeps_what_it_has_found_and_takes_no_more(store: JobStore) -> None:
    job_id = store.add("anna", build_request(), "h")
    job = begin(store, job_id)
    store.write_line(job, 0, "{}")
    assert store.cancel("anna", job_id)
    assert not store.write_line(job, 1, "{}")
    assert not store.finish(job)
    assert (store.describe("anna", job_id).state, store.describe("anna", job_id).done) == ("cancelled", 1)
    assert not store.cancel("anna", job_id)  # the second time it is forgotten
    assert refuse(store.describe, "anna", job_id) == "job_gone"
    assert store.read_lines(job_id, 0) == []


def test_what_has_no_result_is_asked_for_again_when_a_job_is_resumed(store: JobStore) -> None:
    job_id = store.add("anna", build_request(), "h")
    assert refuse(store.resume, "anna", job_id) == "job_running"
    job = begin(store, job_id)
    store.write_line(job, 0, "{}")
    store.write_line(job, 1, "{}", code="image_gone", message="gone")
    store.finish(job)
    store.resume("anna", job_id)
    assert store.find_missing(begin(store, job_id), 5) == [1]
    store.write_line(job, 1, "{}")
    store.finish(job)
    assert refuse(store.resume, "anna", job_id) == "job_done"


def test_a_tenant_has_so_many_jobs_and_so_many_images(store: JobStore) -> None:
    for _ in range(3):
        store.add("anna", build_request("k"), "h")
    assert refuse(store.add, "anna", build_request("k"), "h") == "too_many_jobs"
    assert refuse(store.add, "ben", build_request(*"abcdefghijk"), "h") == "too_many_jobs"
    store.add("ben", build_request(*"abcdefghij"), "h")


def test_thousands_of_jobs_of_one_tenant_keep_no_other_waiting() -> None:
    store = JobStore(TalkSettings(max_jobs=2_000))
    first = store.add("anna", build_request("k"), "h")
    for _ in range(1_999):
        store.add("anna", build_request("k"), "h")
    late = store.add("ben", build_request("k"), "h")
    assert store.list_waiting(()) == {"anna": first, "ben": late}
    assert set(store.list_waiting([first, late])) == {"anna"}
    store.close()


def test_expired_jobs_are_forgotten_with_their_rows() -> None:
    now = [0.0]
    store = JobStore(TalkSettings(job_seconds=100), now=lambda: now[0])
    job_id, waiting = store.add("anna", build_request("k"), "h"), store.add("anna", build_request("k"), "h")
    job = begin(store, job_id)
    store.write_line(job, 0, "{}")
    store.finish(job)
    now[0] = 101.0
    store.drop_expired()
    assert refuse(store.describe, "anna", job_id) == "job_gone"
    assert store.read_lines(job_id, 0) == []
    assert store.describe("anna", waiting).state == "queued"


def test_long_results_come_in_pages() -> None:
    store = JobStore(TalkSettings())
    job = begin(store, store.add("anna", build_request(*["k"] * (PAGE + 3)), "h"))
    for place in range(PAGE + 3):
        store.write_line(job, place, str(place))
    assert [place for place, _ in store.read_lines(job.id, 0)] == [*range(PAGE)]
    assert [place for place, _ in store.read_lines(job.id, PAGE)] == [PAGE, PAGE + 1, PAGE + 2]


# over a restart


def restart(store: JobStore, settings: TalkSettings) -> tuple[JobStore, list[str]]:
    """As after a kill: nobody ends what is under way."""
    store.close()
    again = JobStore(settings)
    return again, again.take_up()


def test_after_a_restart_jobs_of_urls_go_on_and_jobs_that_need_uploads_say_so(tmp_path: Path) -> None:
    settings = TalkSettings(job_path=tmp_path / "jobs" / "jobs.sqlite")
    store = JobStore(settings)
    urls = store.add("anna", build_request(URL, URL), "h")
    mixed = store.add("anna", build_request("k1", URL), "h")
    uploads = store.add("anna", build_request("k1", "k2"), "h")
    store.write_line(begin(store, urls), 0, "{}")
    store.write_line(begin(store, mixed), 0, "{}")
    store.write_line(begin(store, uploads), 0, '{"index": 0}')
    store, interrupted = restart(store, settings)
    assert interrupted == [uploads]
    assert store.find_missing(begin(store, urls), 5) == [1]
    assert store.find_missing(begin(store, mixed), 5) == [1]
    assert store.describe("anna", uploads).state == "interrupted"
    assert store.read_lines(uploads, 0) == [(0, '{"index": 0}')]
    store.resume("anna", uploads)
    assert store.find_missing(begin(store, uploads), 5) == [1]
    store.close()


def test_a_webhook_that_was_not_told_is_told_after_a_restart(tmp_path: Path) -> None:
    settings = TalkSettings(job_path=tmp_path / "jobs.sqlite")
    store = JobStore(settings)
    hook = {"url": "https://hooks.test/x", "secret": SECRET}
    told, untold = (store.add("anna", build_request(URL, webhook=hook), "h") for _ in range(2))
    for job_id in (told, untold):
        job = begin(store, job_id)
        store.write_line(job, 0, "{}")
        store.finish(job)
    store.mark_webhook(told, "")
    store, _ = restart(store, settings)
    assert [job.id for job in store.list_webhooks()] == [untold]
    store.mark_webhook(untold, "the receiver answered 500")
    assert store.list_webhooks() == []
    status = store.describe("anna", untold)
    assert (status.webhook, status.webhook_error) == ("failed", "the receiver answered 500")
    assert SECRET not in status.model_dump_json()
    store.close()


def test_one_server_alone_uses_a_file_and_nobody_else_reads_it(tmp_path: Path) -> None:
    settings = TalkSettings(job_path=tmp_path / "jobs.sqlite")
    store = JobStore(settings)
    assert (tmp_path / "jobs.sqlite").stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="another server uses this file"):
        JobStore(settings)
    store.close()
    JobStore(settings).close()


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "foreign.sqlite"
    text.write_text("my notes, which are longer than the head of a database" * 9)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE jobs (id)")
    connection.close()
    for path in (text, foreign, tmp_path):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(UsageError, match="file of jobs"):
            JobStore(TalkSettings(job_path=path))
        assert (path.read_bytes() if path.is_file() else b"") == before
