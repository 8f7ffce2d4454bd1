"""What goes over the wire, through a real server of the page where it matters, and no more often than it has to."""

import asyncio
import gzip
import json

import brotli
import pytest

from demo.album.telling import StripMemory
from demo.page.joined import EditAnswerer
from demo.picture.canvas import canvas_state
from demo.requests import Look
from demo.talk.following import Follower
from demo.transport.compression import CompressionMiddleware
from demo.transport.headers import SecurityHeadersMiddleware
from demo.transport.resting import RestingMiddleware

TEXT = b"<p>watermelon</p>" * 200


def answer(body=TEXT, kind="text/html", path="/", headers=(), method="GET", status=200, more=()):
    """What a browser gets of an application that answers with this: status, headers and body."""

    async def app(scope, receive, send):
        start = [(b"content-type", kind.encode()), *more]
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": body[:100], "more_body": True})
        await send({"type": "http.response.body", "body": body[100:]})

    sent = []

    async def send(message):
        sent.append(message)

    asked = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "headers": asked}
    asyncio.run(CompressionMiddleware(SecurityHeadersMiddleware(app))(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(one.get("body", b"") for one in sent[1:])


BROTLI = ("accept-encoding", "gzip, br")


def test_a_page_is_compressed_and_sent_again_only_once_it_has_changed():
    status, headers, body = answer(headers=[BROTLI])
    assert (status, brotli.decompress(body)) == (200, TEXT)
    assert int(headers[b"content-length"]) == len(body)
    assert len(body) < 100
    tag = headers[b"etag"].decode()
    status, headers, body = answer(headers=[BROTLI, ("if-none-match", tag)])
    assert (status, body) == (304, b"")
    assert b"content-encoding" not in headers
    assert answer(TEXT + b"!", headers=[BROTLI, ("if-none-match", tag)])[0] == 200


@pytest.mark.parametrize(
    ("path", "kept"), [("/assets/index-D1.js", b"immutable"), ("/", b"no-cache"), ("/x", b"no-cache")]
)
def test_only_what_has_its_contents_in_its_address_is_kept_forever(path, kept):
    assert kept in answer(path=path, kind="text/javascript", headers=[BROTLI])[1][b"cache-control"]


PASSED = {
    "an event stream": {"kind": "text/event-stream", "headers": [BROTLI]},
    "an image": {"kind": "image/webp", "headers": [BROTLI]},
    "a download": {"more": [(b"content-length", b"99999999")], "headers": [BROTLI]},
    "a part of a file": {"more": [(b"content-range", b"bytes 0-9/99")], "status": 206, "headers": [BROTLI]},
    "what is compressed already": {
        "more": [(b"content-encoding", b"gzip")],
        "body": gzip.compress(TEXT),
        "headers": [BROTLI],
    },
    "a browser without it": {"headers": [("accept-encoding", "gzip")]},
}


@pytest.mark.parametrize("what", PASSED)
def test_what_does_not_gain_goes_out_as_it_is(what):
    given = PASSED[what]
    _, headers, body = answer(**given)
    assert body == given.get("body", TEXT)
    assert headers.get(b"content-encoding") in (None, dict(given.get("more", ())).get(b"content-encoding"))


def test_data_is_compressed_but_no_browser_keeps_it():
    _, headers, body = answer(kind="application/json", headers=[BROTLI])
    assert brotli.decompress(body) == TEXT
    assert not {b"etag", b"cache-control"} & set(headers)


@pytest.mark.parametrize(
    ("kind", "is_guarded"),
    [("text/html", True), ("image/svg+xml", True), ("", True), ("application/json", False), ("text/css", False)],
)
def test_whatever_could_be_shown_as_a_page_says_what_it_may_load(kind, is_guarded):
    headers = answer(kind=kind, headers=[BROTLI])[1]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert (b"content-security-policy" in headers) is is_guarded


def test_the_reply_to_an_edit_tells_the_talk_and_the_strip_too(actions, melons):
    answerer = EditAnswerer(actions, Follower(actions), StripMemory())
    session = actions.sessions[melons]
    revision, token = canvas_state(session)["revision"], answerer.strips.describe_change(session, melons, "")["token"]
    keys = [entry["key"] for entry in answerer.follower.describe_news(Look(session=melons), session)["tail"]]
    asked = {"session": melons, "sam3": "tiny", "page": "p", "first": 0, "revision": revision}
    looks = {"talk": {"session": melons, "version": session.version, "keys": keys}, "strip": token}
    reply = answerer.answer({**asked, "edits": [{"kind": "keep", "ids": [1, 2]}], **looks})
    parts = reply["parts"]
    assert parts["talk"]["keep"] == len(keys)
    assert parts["talk"]["version"] > session.version
    assert [row["masks"] for row in parts["strip"]["entries"]] == [2]
    assert "order" not in parts["strip"]
    assert len(brotli.compress(json.dumps(reply).encode(), quality=5)) < 800
    assert "parts" not in answerer.answer({**asked, "edits": [{"kind": "explode"}], **looks})
    assert answerer.answer({**asked, "edits": [], "strip": "x" * 99})["error"]


def test_the_script_is_added_to_the_page_alone_with_its_length():
    for document, added in ((b"<head><script>window.gradio_config = {}", True), (b"<head><title>a log</title>", False)):
        sent = []

        async def answer(scope, receive, send, document=document):
            start = [(b"content-type", b"text/html; charset=utf-8"), (b"Content-Length", b"%d" % len(document))]
            await send({"type": "http.response.start", "status": 200, "headers": start})
            await send({"type": "http.response.body", "body": document})

        async def send(message, sent=sent):
            sent.append(message)

        asyncio.run(RestingMiddleware(answer, "rest();")({"type": "http"}, None, send))
        start, body = sent
        assert (b"<head><script>rest();</script>" in body["body"]) == added
        assert int(dict(start["headers"])[b"Content-Length"]) == len(body["body"])
