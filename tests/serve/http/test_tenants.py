"""Two tenants: nobody gets in without a token, and nobody sees, or can guess, what somebody else has."""

from base64 import b64encode

import numpy as np
import pytest

from agent.core.errors import UsageError
from sam3_tool import Image
from serve.http.errors import ApiError
from serve.http.images import MIN_IMAGE_BYTES, ImageStore
from serve.http.middleware.auth import Tenant, TokenBook
from tests.support.serving import ANNA, BEN, as_tenant, write_image


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ANNA},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {ANNA[:-1]}"},
        {"authorization": f"Bearer {ANNA}x"},
        {"authorization": "Basic !!!"},
        {"authorization": b"Bearer \xff\xfe"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/segment", "/metrics", "/docs", "/openapi.json", "/nowhere"])
def test_nothing_but_the_servers_health_is_told_without_a_token(guarded, headers, path) -> None:
    answer = guarded.get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].split()[0] == (
        "Basic" if path in ("/docs", "/openapi.json") else "Bearer"
    )
    assert guarded.get("/health", headers=headers).status_code == 200


def test_a_token_may_come_as_a_password(guarded) -> None:
    headers = {"authorization": "Basic " + b64encode(f"anybody:{ANNA}".encode()).decode()}
    assert guarded.get("/metrics", headers=headers).status_code == 200


def test_a_key_opens_only_its_own_tenants_image(guarded) -> None:
    keys = [
        guarded.post("/v1/images", content=write_image(), headers=as_tenant(token)).json()["image"]
        for token in (ANNA, BEN)
    ]
    assert keys[0] != keys[1]
    assert Image(np.full((48, 64, 3), 255, np.uint8)).key not in keys
    refusals = [
        guarded.get(f"/v1/images/{key}", headers={**as_tenant(ANNA), "x-request-id": "1"})
        for key in (keys[1], "0" * 32)
    ]
    assert [answer.status_code for answer in refusals] == [404, 404]
    assert refusals[0].text == refusals[1].text  # somebody else's key reads as nobody's
    assert guarded.delete(f"/v1/images/{keys[1]}", headers=as_tenant(ANNA)).status_code == 204
    assert guarded.get(f"/v1/images/{keys[1]}", headers=as_tenant(BEN)).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["hunter2-hunter2-hunter2", "anna:hunter2", ":hunter2-hunter2-hunter2", "a:hunter2-hunter2-x,b:hunter2-hunter2-x"],
)
def test_tokens_that_cannot_be_used_are_not_shown(text) -> None:
    with pytest.raises(UsageError) as caught:
        TokenBook.parse(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "tokens = 'hunter2-hunter2-hunter2'",
        "[tenants.a]\ntokens = ['hunter2']",
        "[tenants.a]\ntokens = 'hunter2-hunter2-hunter2'",
        "[tenants.a]\ntokens = ['sha256:hunter2']",
        "[tenants.a]\ntokens = ['hunter2-hunter2-hunter2']\nmax_requests = 0",
        "[tenants.a]\ntokens = ['hunter2-hunter2-hunter2', 'hunter2-hunter2-hunter2']",
        "hunter2-hunter2-hunter2",
    ],
)
def test_a_file_of_tokens_that_cannot_be_used_is_one_line_without_them(tmp_path, text) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        TokenBook.read(path)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_tokens_holds_limits_and_may_hold_hashes_alone(tmp_path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(
        "[tenants.anna]\ntokens = ['first-long-secret-token', 'sha256:"
        "8a3d5bc7f4d8e32cbc0ee6d4a8d6e5ff95ba3b0b6de7a2f5a9d6e0a7b0b2f5d1']\nmax_image_mib = 2\nmax_megapixels = 1.5\n"
        "max_requests = 3\n"
    )
    found = TokenBook.read(path).find_tenant("first-long-secret-token")
    assert found == Tenant("anna", 2 * 2**20, 1_500_000, 3)


def make_image(value: int) -> Image:
    return Image(np.full((4, 6, 3), value, np.uint8))


def test_an_image_is_forgotten_after_an_hour_without_use() -> None:
    clock = [0.0]
    store = ImageStore(max_bytes=10**6, seconds=60, now=lambda: clock[0])
    key = store.put(Tenant(), make_image(1)).key
    clock[0] = 59
    store.get(Tenant(), key)
    clock[0] = 118
    store.get(Tenant(), key)
    clock[0] = 178
    with pytest.raises(ApiError, match="upload it again"):
        store.get(Tenant(), key)
    store.drop_expired()
    assert (len(store), store.nbytes) == (0, 0)


def test_a_tenant_with_many_images_pushes_out_its_own() -> None:
    anna, ben = Tenant("anna"), Tenant("ben", max_image_bytes=10 * MIN_IMAGE_BYTES)
    store = ImageStore(max_bytes=4 * MIN_IMAGE_BYTES, seconds=60, tenants=(anna, ben))
    of_anna = store.put(anna, make_image(0)).key
    of_ben = [store.put(ben, make_image(value)).key for value in range(5)]
    assert store.get(anna, of_anna)
    assert [store.get(ben, key).key for key in of_ben[2:]] == of_ben[2:]
    for key in of_ben[:2]:
        with pytest.raises(ApiError):
            store.get(ben, key)


def test_an_image_without_room_is_refused_and_pushes_out_nothing() -> None:
    store = ImageStore(max_bytes=MIN_IMAGE_BYTES, seconds=60)
    key = store.put(Tenant(), make_image(1)).key
    with pytest.raises(ApiError) as caught:
        store.put(Tenant(), Image(np.zeros((200, 200, 3), np.uint8)))
    assert caught.value.status == 413
    assert store.get(Tenant(), key)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8000"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8000"}, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
        ({"host": "localhost:8000", "origin": "https://evil.example"}, 403),
        ({"host": "localhost:8000", "origin": "null"}, 403),
    ],
)
def test_web_pages_of_others_cannot_use_a_server_without_tokens(local_client, headers, status) -> None:
    assert local_client.get("/metrics", headers=headers).status_code == status
