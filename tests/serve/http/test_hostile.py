"""What clients send that no client should: each is one clear error, in one shape, and nothing of it is repeated."""

import json
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from sam3_tool import Sam3, ScriptedBackend
from serve.http.app import create_app
from serve.http.errors import to_api_error
from serve.http.settings import ServeSettings
from tests.support.serving import write_image

JSON = {"content-type": "application/json"}
SECRET = "SECRET-of-the-client"


def build_bomb() -> bytes:
    """A PNG of 900 megapixels in 109 kB."""

    def build_chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">2I5B", 30_000, 30_000, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" * 3751 * 1000) for _ in range(30)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + build_chunk(b"IHDR", head) + build_chunk(b"IDAT", rows) + build_chunk(b"IEND", b"")


def write_asked(key: str, **fields: object) -> bytes:
    return json.dumps({"image": key, **fields}).encode()


def check_refusal(answer, status: int, code: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert {*error} == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in error["message"]
    assert len(error["message"]) < 300
    assert SECRET not in answer.text
    assert "/srv" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": float("inf")}, "threshold"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": SECRET}, "threshold"),
        ({"threshold": 10**400}, "threshold"),
        ({"boxes": [[0, 0, float("nan"), 4]]}, "boxes.0.2"),
        ({"boxes": [[0, 0, 0, 4]]}, "box"),
        ({"boxes": [[0, 0, 4, -4]]}, "boxes.0: a box is x, y, width, height, with width and height above 0"),
        ({"boxes": [[1e308, 0, 1e308, 4]]}, "box"),
        ({"boxes": [[-9, -9, 5, 5]]}, "lies outside the image"),
        ({"boxes": [[0, 0, 4, 4]], "box_labels": [1, 1]}, "box"),
        ({"box_labels": [2]}, "box_labels.0"),
        ({"phrases": ["c"] * 10**5}, "phrases"),
        ({"phrases": ["c" * 2001]}, "phrases.0"),
        ({"phrases": [" "]}, "phrase"),
        ({"phrases": "cup"}, "phrases"),
        ({"phrases": ["\ud800"]}, "phrases.0"),
        ({"phrases": [None]}, "phrases.0"),
        ({"masks": SECRET}, "masks"),
        ({"image": 7}, "image"),
        ({"image": SECRET * 9}, "image"),
        ({"\ud800" * 200: 1}, "unicode"),
        ({"x" * 200: 1}, "x" * 80 + ":"),
        ({"unknown": SECRET}, "unknown: there is no such field"),
        ({"like": "0" * 32}, "no image"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(client, key, fields, word) -> None:
    answer = client.post("/v1/segment", content=write_asked(key, **{"phrases": ["cup"], **fields}), headers=JSON)
    check_refusal(answer, *((404, "image_gone") if "like" in fields else (422, "invalid")))
    assert word in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the body is empty; expected a JSON object"),
        (b"null", "the body is empty; expected a JSON object"),
        (b"[]", "the body must be a JSON object"),
        (b'{"image": }', "the body is no JSON: Expecting value, at letter 11"),
        (b'{"image": "x", "video": "y"}', "this route takes images; "),
        (b'{"image": "x", "like": "x"}', "`like` names the image that `boxes`"),
    ],
)
def test_what_is_wrong_with_a_whole_body_is_said_in_words_of_the_route(client, key, content, says) -> None:
    answer = client.post("/v1/segment", content=content.replace(b'"x"', json.dumps(key).encode()), headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(says)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", JSON, 422, "invalid"),
        (b"{", JSON, 422, "invalid"),
        (b"\xff", JSON, 400, "bad_request"),
        (b"[" * 10**5, JSON, 400, "bad_request"),
        (b"1" * 10**5, JSON, 400, "bad_request"),
        (b"null", JSON, 422, "invalid"),
        (b'{"image": "x"}', {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b"x", {**JSON, "content-encoding": "gzip"}, 415, "compressed"),
        (b"{}", {**JSON, "content-encoding": "identity"}, 422, "invalid"),
        (b'{"phrases": [' + b'"cup", ' * 10**6, JSON, 413, "too_large"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/segment", "/v1/refine"])
def test_a_body_that_cannot_be_read_is_said_to_be(client, route, content, headers, status, code) -> None:
    check_refusal(client.post(route, content=content, headers=headers), status, code)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "invalid"),
        (b"just a text " * 99, {"content-type": "image/png"}, 415, "not_an_image"),
        (write_image()[:-30], {}, 415, "not_an_image"),
        (write_image((1001, 1000)), {}, 413, "too_many_pixels"),
        (b"x" * (2 * 10**5 + 1), {}, 413, "too_large"),
        (b"--b\r\nhalf", {"content-type": "multipart/form-data; boundary=b"}, 422, "invalid"),
        (b"--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}, 422, "invalid"),
        (b"--b\r\n", {"content-type": "multipart/form-data"}, 400, "bad_request"),
        (b'{"url": "https://example.org/x.png"}', JSON, 403, "urls_off"),
        (b'{"url": 7}', JSON, 422, "invalid"),
        (write_image(), {"content-encoding": "br"}, 415, "compressed"),
        (b'{"url": "SECRET-of-the-client", "b": NaN}', JSON, 422, "invalid"),
    ],
)
def test_a_file_that_is_no_image_is_refused(client, content, headers, status, code) -> None:
    check_refusal(client.post("/v1/images", content=content, headers=headers), status, code)


def test_a_file_that_would_unpack_to_900_megapixels_is_refused(client) -> None:
    check_refusal(client.post("/v1/images", content=build_bomb()), 413, "too_many_pixels")


def test_a_form_with_several_files_is_said_to_be_one(client) -> None:
    answer = client.post("/v1/images", files=[(name, (name, write_image())) for name in ("a", "b")])
    check_refusal(answer, 422, "invalid")
    assert answer.json()["error"]["message"] == "the form holds 2 files; send each in a request of its own"


def test_a_file_that_curl_has_changed_gets_a_hint(client) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/v1/images", content=write_image(), headers=sent).status_code == 201
    answer = client.post("/v1/images", content=write_image().replace(b"\n", b""), headers=sent)
    check_refusal(answer, 415, "not_an_image")
    assert "--data-binary @FILE" in answer.json()["error"]["message"]


def test_no_name_of_a_kind_of_value_is_told_as_a_field(client) -> None:
    answer = client.post("/v1/jobs", json={"images": [{"image": "0" * 32}], "query": "cups"})
    check_refusal(answer, 422, "invalid")
    assert answer.json()["error"]["message"].startswith("images.0: ")


def test_a_body_without_a_length_is_counted_as_it_arrives(client) -> None:
    check_refusal(client.post("/v1/images", content=(b"x" * 10**5 for _ in range(3))), 413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/images/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("GET", "/v1/images/%00", 404, "image_gone"),
        ("PATCH", "/v1/segment", 405, "method_not_allowed"),
        ("POST", "/v1/segment/", 404, "not_found"),
    ],
)
def test_what_the_framework_refuses_has_the_same_shape(client, method, path, status, code) -> None:
    check_refusal(client.request(method, path), status, code)


def test_a_request_keeps_a_number_of_its_own_if_it_is_one(client) -> None:
    given = {
        sent: client.get("/health", headers={"x-request-id": sent}).headers["x-request-id"] for sent in ("a-1", "<b>")
    }
    assert given["a-1"] == "a-1"
    assert len(given["<b>"]) == 16


class BrokenBackend(ScriptedBackend):
    """It fails, and its error tells where it lives."""

    def decode(self, embeddings, prompts):
        raise OSError("/var/lib/weights cannot be read")


def test_a_defect_says_nothing_to_the_client_and_all_to_the_log(caplog) -> None:
    with TestClient(create_app(ServeSettings(), Sam3(BrokenBackend({})))) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        answer = client.post("/v1/segment", json={"image": key, "phrases": ["cup"]})
        check_refusal(answer, 500, "internal")
        assert client.get("/health").status_code == 200
    assert "/var/lib/weights" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


def fill_database() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table jobs (row blob)")
        database.execute("pragma max_page_count = 2")
        database.execute("insert into jobs values (zeroblob(100000))")


def fill_disk() -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


@pytest.mark.parametrize("fill", [fill_database, fill_disk])
def test_a_full_disk_is_no_defect(fill, caplog) -> None:
    with pytest.raises((sqlite3.Error, OSError)) as raised:
        fill()
    told = to_api_error(raised.value, "r1")
    assert (told.status, told.code) == (507, "no_storage")
    assert "Traceback" not in caplog.text
    assert "r1" in caplog.text
