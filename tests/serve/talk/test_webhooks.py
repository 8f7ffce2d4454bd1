"""Signed messages: the scheme's published example, and what is sent again."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from sam3_tool.network.fetching import FetchError, UrlFetcher
from serve.talk.webhooks import RETRY_SECONDS, deliver_message, parse_secret, sign_message

SECRET = b"0123456789abcdef01234567"


@dataclass(frozen=True)
class Receiver(UrlFetcher):
    """Takes what is posted, and answers in turn; an error is raised."""

    origins: frozenset[tuple[str, int]] | None = None
    max_bytes: int = 0
    answers: list[int | FetchError] = field(default_factory=list)
    posted: list[tuple[bytes, Mapping[str, str]]] = field(default_factory=list)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> int:
        self.posted.append((content, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, FetchError):
            raise answer
        return answer


def deliver(receiver: UrlFetcher, url: str = "https://hooks.test/x") -> tuple[str, list[float]]:
    """Why it failed, and how long it waited before each try."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async def run() -> str:
        return await deliver_message(receiver, url, SECRET, "j1", {"state": "done"}, wait=wait)

    return asyncio.run(run()), waited


def test_the_published_example_of_the_scheme() -> None:
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign_message(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_check_what_it_got() -> None:
    receiver = Receiver(answers=[200])
    assert deliver(receiver) == ("", [0.0])
    [(body, headers)] = receiver.posted
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.digest(SECRET, signed, sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body) == {"state": "done"}


def test_it_is_sent_again_until_it_is_taken() -> None:
    receiver = Receiver(answers=[500, FetchError("url_failed", "no answer"), 204])
    assert deliver(receiver) == ("", [0.0, *RETRY_SECONDS[:2]])
    assert {headers["webhook-id"] for _, headers in receiver.posted} == {"j1"}


def test_it_is_given_up_after_five_tries() -> None:
    assert deliver(Receiver(answers=[503] * 5)) == ("the receiver answered 503", [0.0, *RETRY_SECONDS])


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "https://localhost/x", "http://hooks.test/", "nonsense"])
def test_what_is_refused_is_not_tried_again(url: str) -> None:
    fetcher = UrlFetcher.from_hosts(["127.0.0.1", "localhost", "hooks.test"], max_bytes=1)
    failure, waited = deliver(fetcher, url)
    assert failure
    assert waited == [0.0]


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "0123456789abcdef01234567", "whsec_!!", "whsec_é"])
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(ValueError, match="expected whsec_ and Base64"):
        parse_secret(text)
