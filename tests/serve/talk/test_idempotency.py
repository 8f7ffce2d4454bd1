"""The same request under the same key is answered once."""

import pytest
from pydantic import BaseModel

from serve.http.errors import ApiError
from serve.talk.idempotency import Claim, IdempotencyStore, StoredAnswer, hash_request

ANSWER = StoredAnswer(200, b"found", "text/plain")


class Asked(BaseModel):
    query: str
    steps: int = 3


def answer(store: IdempotencyStore, key: str, *, tenant: str = "anna", body: bytes = b"found") -> None:
    claim = store.begin(tenant, key, "h")
    assert isinstance(claim, Claim)
    with claim:
        claim.finish(StoredAnswer(200, body, "text/plain"))


def is_kept(store: IdempotencyStore, key: str, *, tenant: str = "anna") -> bool:
    begun = store.begin(tenant, key, "h")
    if isinstance(begun, StoredAnswer):
        return True
    with begun:  # and give it back
        return False


def refuse(store: IdempotencyStore, key: str, request_hash: str = "h") -> ApiError:
    with pytest.raises(ApiError) as refused:
        store.begin("anna", key, request_hash)
    return refused.value


def test_the_second_request_waits_for_the_first_and_then_gets_its_answer() -> None:
    store = IdempotencyStore()
    claim = store.begin("anna", "k", "h")
    assert isinstance(claim, Claim)
    with claim:
        running = refuse(store, "k")
        assert (running.status, running.code, dict(running.headers or {})) == (
            409,
            "still_running",
            {"retry-after": "1"},
        )
        claim.finish(ANSWER)
    assert store.begin("anna", "k", "h") is ANSWER


def test_another_request_under_the_key_is_refused_finished_or_not() -> None:
    store = IdempotencyStore()
    claim = store.begin("anna", "k", "h")
    assert isinstance(claim, Claim)
    with claim:
        assert refuse(store, "k", "other").code == "idempotency_mismatch"
        claim.finish(ANSWER)
    assert refuse(store, "k", "other").status == 422


def test_an_answer_that_failed_is_not_given_again() -> None:
    store = IdempotencyStore()
    claim = store.begin("anna", "k", "h")
    assert isinstance(claim, Claim)
    with pytest.raises(ZeroDivisionError), claim:
        raise ZeroDivisionError
    assert isinstance(store.begin("anna", "k", "h"), Claim)


def test_tenants_share_no_keys() -> None:
    store = IdempotencyStore()
    answer(store, "k")
    assert not is_kept(store, "k", tenant="ben")
    assert is_kept(store, "k")


def test_answers_are_kept_for_a_day() -> None:
    now = [0.0]
    store = IdempotencyStore(now=lambda: now[0])
    answer(store, "k")
    now[0] = 86_399.0
    assert is_kept(store, "k")
    now[0] = 86_401.0
    assert not is_kept(store, "k")


def test_the_oldest_answers_go_where_there_is_no_room_and_running_requests_stay() -> None:
    store = IdempotencyStore(max_entries=3)
    assert isinstance(store.begin("anna", "running", "h"), Claim)
    for key in "abc":
        answer(store, key)
    assert refuse(store, "running").code == "still_running"
    assert [is_kept(store, key) for key in "cb"] == [True, True]
    assert not is_kept(store, "a")


def test_bytes_are_bounded_too() -> None:
    store = IdempotencyStore(max_bytes=10)
    answer(store, "a", body=b"x" * 6)
    answer(store, "b", body=b"x" * 6)
    answer(store, "huge", body=b"x" * 11)
    assert [is_kept(store, key) for key in ("a", "b", "huge")] == [False, True, False]


def test_without_a_key_every_request_is_the_first() -> None:
    store = IdempotencyStore()
    for _ in range(2):
        claim = store.begin("anna", None, "h")
        assert isinstance(claim, Claim)
        with claim:
            claim.finish(ANSWER)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\n"])
def test_what_is_no_key(key: str) -> None:
    assert refuse(IdempotencyStore(), key).status == 422


def test_the_hash_is_of_what_was_understood() -> None:
    plain = hash_request("POST /v1/episodes", Asked(query="cups"))
    assert plain == hash_request("POST /v1/episodes", Asked.model_validate_json('{ "steps": 3, "query" :"cups" }'))
    assert plain != hash_request("POST /v1/episodes", Asked(query="cups", steps=4))
    assert plain != hash_request("POST /v1/jobs", Asked(query="cups"))
