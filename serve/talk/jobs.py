"""Jobs, kept in SQLite: what was asked, how far it has come, and a row for each image that is done."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from filelock import FileLock, Timeout

from agent.core.errors import UsageError
from serve.http.errors import ApiError
from serve.talk.idempotency import build_mismatch_error, check_key
from serve.talk.schemas import ENDED_STATES, JobRequest, JobState, JobStatus, RowError
from serve.talk.settings import TalkSettings

APPLICATION_ID, VERSION = 0x53334A31, 1
"""Written into the file, by which it is known."""
SHOWN_ERRORS = 100
PAGE = 100
"""Rows that are read at once."""
WAITS = "state IN ('queued', 'running')"
SCHEMA = f"""
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, request TEXT NOT NULL, images INTEGER NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, ended REAL, key TEXT, request_hash TEXT NOT NULL,
    webhook TEXT NOT NULL DEFAULT 'none', webhook_error TEXT NOT NULL DEFAULT '', UNIQUE (tenant, key)
);
CREATE INDEX jobs_by_state ON jobs (state, tenant, created);
CREATE INDEX jobs_by_tenant ON jobs (tenant, state, images);
CREATE TABLE results (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, place INTEGER NOT NULL, line TEXT NOT NULL,
    code TEXT, message TEXT, PRIMARY KEY (job, place)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True)
class Job:
    """A job as it is worked at."""

    id: str
    tenant: str
    request: JobRequest
    state: JobState


class JobStore:
    """Jobs and their rows. Safe to share between threads; of one process.

    Example:
        >>> store = JobStore(TalkSettings())
        >>> job_id = store.add("anna", JobRequest(images=["k1", "k2"], query="the red cups"), "hash")
        >>> store.describe("anna", job_id).state
        'queued'
    """

    def __init__(self, settings: TalkSettings, *, now: Callable[[], float] = time.time) -> None:
        """Open the file that the settings name, or keep jobs in memory.

        Args:
            settings: The limits of each tenant.
            now: A clock in seconds since 1970.

        Raises:
            UsageError: The file cannot be used, or another server uses it.
        """
        self._settings, self._now = settings, now
        self._mutex = RLock()
        path = settings.job_path
        self._file_lock = None if path is None else lock_file(path)
        try:
            self._connection = open_database(path)
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as a file of jobs ({error}); name another one") from error

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._connection.close()
        if self._file_lock is not None:
            self._file_lock.release()

    def add(self, tenant: str, request: JobRequest, request_hash: str, *, key: str | None = None) -> str:
        """Keep a new job, and return its id: that of an earlier one, if the key has come with the same request.

        Args:
            tenant: Whose it is.
            request: What is asked.
            request_hash: What `hash_request` returned.
            key: The header `Idempotency-Key`.

        Raises:
            ApiError: The key is none, or it has come with another request; or the tenant has too many jobs.
        """
        if key is not None and (known := self._find_by_key(tenant, check_key(key), request_hash)):
            return known
        with self._change() as connection:
            self._check_room(connection, tenant, len(request.subjects))
            job_id = self._settings.new_id()
            webhook = "none" if request.webhook is None else "waiting"
            held = (
                job_id,
                tenant,
                request.model_dump_json(),
                len(request.subjects),
                self._now(),
                key,
                request_hash,
                webhook,
            )
            connection.execute(
                "INSERT INTO jobs (id, tenant, request, images, state, created, key, request_hash, webhook)"
                " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                held,
            )
        return job_id

    def _find_by_key(self, tenant: str, key: str, request_hash: str) -> str | None:
        found = self._read("SELECT id, request_hash FROM jobs WHERE tenant = ? AND key = ?", tenant, key)
        if found and found[0]["request_hash"] != request_hash:
            raise build_mismatch_error()
        return str(found[0]["id"]) if found else None

    def _check_room(self, connection: sqlite3.Connection, tenant: str, images: int) -> None:
        settings = self._settings
        waiting, rows = connection.execute(
            f"SELECT count(*) FILTER (WHERE {WAITS}), coalesce(sum(images), 0) FROM jobs WHERE tenant = ?", (tenant,)
        ).fetchone()
        if waiting >= settings.max_jobs:
            message = f"{waiting} of your jobs are not finished, and no more may wait; come back later"
            raise ApiError(429, "too_many_jobs", message, {"retry-after": "60"})
        if rows + images > settings.max_job_images:
            message = (
                f"your jobs have {rows} images, and there is room for {settings.max_job_images}; delete finished jobs"
            )
            raise ApiError(429, "too_many_jobs", message, {"retry-after": "60"})

    def describe(self, tenant: str, job_id: str) -> JobStatus:
        """Return how a job is doing. Raises ApiError if this tenant has no such job."""
        with self._mutex:
            job = self._get(tenant, job_id)
            [counts] = self._read("SELECT count(*) AS done, count(code) AS failed FROM results WHERE job = ?", job_id)
            errors = self._read(
                "SELECT place, code, message FROM results WHERE job = ? AND code IS NOT NULL ORDER BY place LIMIT ?",
                job_id,
                SHOWN_ERRORS,
            )
        return JobStatus(
            job=job_id,
            state=job["state"],
            images=job["images"],
            done=counts["done"],
            failed=counts["failed"],
            errors=[RowError(index=row["place"], code=row["code"], message=row["message"]) for row in errors],
            created=job["created"],
            ended=job["ended"],
            webhook=job["webhook"],
            webhook_error=job["webhook_error"],
        )

    def read_lines(self, job_id: str, start: int) -> list[tuple[int, str]]:
        """Return places and lines of a job's result, from this place on: a page of them, empty at the end."""
        rows = self._read(
            "SELECT place, line FROM results WHERE job = ? AND place >= ? ORDER BY place LIMIT ?", job_id, start, PAGE
        )
        return [(row["place"], row["line"]) for row in rows]

    def cancel(self, tenant: str, job_id: str) -> bool:
        """Cancel a job that is not finished, or forget one that is. Returns whether it was cancelled.

        Raises:
            ApiError: This tenant has no such job.
        """
        with self._change() as connection:
            job = self._get(tenant, job_id)
            if job["state"] in ENDED_STATES:
                connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
                return False
            self._end(connection, job_id, "cancelled")
            return True

    def resume(self, tenant: str, job_id: str) -> None:
        """Let a job that has ended go on with every image that has no result, be it for an error.

        Raises:
            ApiError: This tenant has no such job, or nothing of it is left to do.
        """
        with self._change() as connection:
            job = self._get(tenant, job_id)
            if job["state"] not in ENDED_STATES:
                raise ApiError(409, "job_running", "the job is not finished; there is nothing to resume")
            connection.execute("DELETE FROM results WHERE job = ? AND code IS NOT NULL", (job_id,))
            [(done,)] = connection.execute("SELECT count(*) FROM results WHERE job = ?", (job_id,)).fetchall()
            if done == job["images"]:
                raise ApiError(409, "job_done", "every image of the job has its result; there is nothing to resume")
            connection.execute(
                "UPDATE jobs SET state = 'queued', ended = NULL,"
                " webhook = iif(webhook = 'none', 'none', 'waiting') WHERE id = ?",
                (job_id,),
            )

    # for whoever works at jobs

    def list_waiting(self, held: Collection[str]) -> dict[str, str]:
        """Return the oldest unfinished job of each tenant, leaving out those that somebody works at.

        Args:
            held: Their ids; a few.
        """
        marks = ", ".join("?" * len(held))
        rows = self._read(
            f"SELECT tenant, id, min(created) FROM jobs WHERE {WAITS} AND id NOT IN ({marks}) GROUP BY tenant", *held
        )
        return {row["tenant"]: row["id"] for row in rows}

    def begin(self, job_id: str) -> Job | None:
        """Return a job that is worked at from now on; None if it has ended meanwhile."""
        with self._change() as connection:
            connection.execute(f"UPDATE jobs SET state = 'running' WHERE id = ? AND {WAITS}", (job_id,))
            found = self._read("SELECT * FROM jobs WHERE id = ? AND state = 'running'", job_id)
        return _to_job(found[0]) if found else None

    def find_missing(self, job: Job, count: int) -> list[int]:
        """Return the first places of a job that have no row yet."""
        rows = self._read("SELECT place FROM results WHERE job = ?", job.id)
        done = {row["place"] for row in rows}
        missing = (place for place in range(len(job.request.subjects)) if place not in done)
        return [place for place, _ in zip(missing, range(count), strict=False)]

    def write_line(
        self, job: Job, place: int, line: str, *, code: str | None = None, message: str | None = None
    ) -> bool:
        """Keep the row of an image. Returns False, and keeps nothing, if the job has ended meanwhile."""
        with self._change() as connection:
            written = connection.execute(
                "INSERT OR REPLACE INTO results (job, place, line, code, message)"
                " SELECT id, ?, ?, ?, ? FROM jobs WHERE id = ? AND state = 'running'",
                (place, line, code, message, job.id),
            )
            return written.rowcount == 1

    def finish(self, job: Job) -> bool:
        """End a job all of whose images have rows. Returns whether it was running until now."""
        with self._change() as connection:
            return self._end(connection, job.id, "done")

    def take_up(self) -> list[str]:
        """After a restart: interrupt the jobs that need uploads, which are gone. Returns their ids."""
        interrupted = []
        with self._change() as connection:
            for row in self._read(f"SELECT * FROM jobs WHERE {WAITS}"):
                job = _to_job(row)
                missing = self.find_missing(job, len(job.request.subjects))
                if any(isinstance(job.request.subjects[place], str) for place in missing):
                    self._end(connection, job.id, "interrupted")
                    interrupted.append(job.id)
        return interrupted

    def list_webhooks(self) -> list[Job]:
        """Return the ended jobs whose ends were not told."""
        rows = self._read(f"SELECT * FROM jobs WHERE webhook = 'waiting' AND NOT {WAITS}")
        return [_to_job(row) for row in rows]

    def mark_webhook(self, job_id: str, failure: str) -> None:
        """Write down that a job's end was told; or, in words, why it could not be."""
        with self._change() as connection:
            connection.execute(
                "UPDATE jobs SET webhook = ?, webhook_error = ? WHERE id = ?",
                ("failed" if failure else "delivered", failure, job_id),
            )

    def drop_expired(self) -> None:
        """Forget what ended too long ago."""
        with self._change() as connection:
            connection.execute("DELETE FROM jobs WHERE ended <= ?", (self._now() - self._settings.job_seconds,))

    def _end(self, connection: sqlite3.Connection, job_id: str, state: JobState) -> bool:
        ended = connection.execute(
            f"UPDATE jobs SET state = ?, ended = ? WHERE id = ? AND {WAITS}", (state, self._now(), job_id)
        )
        return ended.rowcount == 1

    def _get(self, tenant: str, job_id: str) -> Any:
        found = self._read("SELECT * FROM jobs WHERE id = ? AND tenant = ?", job_id, tenant)
        if not found:
            raise ApiError(404, "job_gone", "there is no such job here, or no more")
        return found[0]

    def _read(self, sql: str, *values: object) -> Sequence[Any]:
        with self._mutex, closing(self._connection.execute(sql, values)) as cursor:
            return cursor.fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Change several things, or none of them."""
        with self._mutex, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection


def lock_file(path: Path, kind: str = "file of jobs") -> FileLock:
    """Hold a file, so that no other server uses it. Raises UsageError where one does, or nothing can be written there.

    `kind`: what the file is, for people.
    """
    lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)  # another thread may close it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UsageError(f"{path}: another server uses this {kind}; name another one") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or 'cannot be written'}; name another {kind}") from error
    return lock


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open a file of jobs, made where there is none. Raises sqlite3.Error for any other file."""
    if path is not None:
        path.touch(0o600)  # it holds secrets of webhooks
    connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks == [0, 0] and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        elif marks != [APPLICATION_ID, VERSION]:
            raise sqlite3.DatabaseError("it is another program's, or another version's")
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _to_job(row: Any) -> Job:
    return Job(row["id"], row["tenant"], JobRequest.model_validate_json(row["request"]), row["state"])
