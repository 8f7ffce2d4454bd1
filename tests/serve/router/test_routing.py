"""Where requests go, and where processes find each other's images."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import Image
from sam3_tool.errors import UserError
from serve.http.errors import ApiError
from serve.http.images import ImageStore
from serve.http.middleware.auth import Tenant
from serve.router.routing import Route, find_route
from serve.router.shared_images import SharedImages
from serve.router.workers import Fleet
from serve.slots import Slot, make_id, rank_slots
from serve.talk.settings import TalkSettings

KEY = "0123456789abcdef0123456789abcdef"
DATA = b'{"input": [{"image_url": "data:image/png;base64,iVBORw0KGgo"}], "text": "%s"}'
TASK = b'{"tasks": [{"id": %d, "data": {"image": "/data/upload/1/a.png"}}], "project": "%d.0"}'


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "route"),
    [
        ("POST", "/v1/images", [(b"idempotency-key", b"k")], b"\x89PNG", Route()),
        ("HEAD", f"/v1/images/{KEY}", [], b"", Route(KEY)),
        ("DELETE", f"/v1/images/{KEY}", [], b"", Route(KEY, is_everywhere=True)),
        ("POST", "/v1/segment", [], b'{"phrases":["a"],"image" : "%s"}' % KEY.encode(), Route(KEY)),
        ("POST", "/v1/episodes", [(b"idempotency-key", b"k")], b'{"image":"%s"}' % KEY.encode(), Route(KEY)),
        ("POST", "/v1/jobs", [(b"idempotency-key", b"k")], b'{"images":[]}', Route("k")),
        ("POST", "/v1/jobs", [], b'{"images":[]}', Route()),
        ("GET", "/v1/jobs/abc/result", [], b"", Route("abc", is_kept=True)),
        ("POST", "/v1/conversations/abc/image", [], b'{"image":"%s"}' % KEY.encode(), Route("abc", is_kept=True)),
        ("GET", "/openapi.json", [], b"", Route()),
        ("POST", "/v1/segment", [], b'{"image":"../../etc/passwd"}', Route()),
    ],
)
def test_a_request_goes_to_what_it_is_about(method, path, headers, body, route):
    assert find_route(method, path, headers, body) == route


@pytest.mark.parametrize(
    ("path", "first", "again", "other"),
    [
        ("/v1/responses", DATA % b"cat", DATA % b"dog", DATA.replace(b"iVBO", b"iVBP")),
        ("/label-studio/predict", TASK % (1, 1), TASK % (2, 3), (TASK % (1, 1)).replace(b"a.png", b"b.png")),
    ],
)
def test_what_brings_its_image_along_goes_where_that_image_was(path, first, again, other):
    routes = [find_route("POST", path, [], body) for body in (first, again, other)]
    assert routes[0].key is not None
    assert routes[0] == routes[1] != routes[2]


def test_keys_are_spread_evenly_and_stay_where_they_are_when_another_process_goes():
    keys = [make_id() for _ in range(3000)]
    ranked = {key: rank_slots(key, 3) for key in keys}
    shares = Counter(order[0] for order in ranked.values())
    assert all(850 < shares[number] < 1150 for number in range(3))
    assert all(Slot(order[0], 3).owns(key) for key, order in ranked.items())
    second = Counter(order[1] for order in ranked.values() if order[0] == 2)
    assert min(second.values()) > 400  # the keys of a process that is gone are spread, too


def test_each_process_keeps_its_own_files_and_its_ids_lead_back_to_it():
    settings = TalkSettings(job_path=Path("a/jobs.db"), conversation_folder=Path("b")).choose_own(Slot(1, 2))
    assert (settings.job_path, settings.conversation_folder) == (Path("a/jobs-1-of-2.db"), Path("b/1-of-2"))
    assert all(Slot(1, 2).owns(settings.new_id()) for _ in range(20))


def test_a_temporary_folder_whose_name_is_too_long_for_sockets_is_one_line(tmp_path):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    with pytest.raises(UserError, match="set TMPDIR to a shorter one"):
        Fleet(2, lambda slot, path: None, parent=long)
    assert list(long.iterdir()) == []


def open_store(folder, *, max_bytes: int = 10**6, seconds: float = 60.0) -> ImageStore:
    return ImageStore(max_bytes=max_bytes, seconds=seconds, tenants=(ANNA, BEN), shared=SharedImages(folder))


ANNA, BEN = Tenant("anna"), Tenant("ben")
NOISE = Image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), ("a note",))


def test_an_image_that_one_process_received_is_found_by_the_others_of_its_tenant_alone(tmp_path):
    first, second = open_store(tmp_path), open_store(tmp_path)
    kept = first.put(ANNA, NOISE)
    found = second.get(ANNA, kept.key)
    assert kept.notes == ("a note",)
    assert found.key == kept.key != NOISE.key
    assert np.array_equal(found.pixels, NOISE.pixels)
    assert not found.pixels.flags.writeable
    for tenant, key in [(BEN, kept.key), (ANNA, NOISE.key), (ANNA, f"../{kept.key}"), (ANNA, "")]:
        with pytest.raises(ApiError, match="there is no image"):
            second.get(tenant, key)
    first.drop(ANNA, kept.key)
    with pytest.raises(ApiError):
        open_store(tmp_path).get(ANNA, kept.key)
    assert list(tmp_path.glob("*.npy")) == []


def test_what_a_process_has_no_room_for_or_nobody_uses_leaves_the_folder(tmp_path):
    store = open_store(tmp_path, max_bytes=4 * 2**16, seconds=0.0)  # each image counts 64 KiB, a tenant has half of it
    keys = [store.put(ANNA, Image(np.full((4, 4, 3), number, np.uint8))).key for number in range(3)]
    assert [any(key in path.name for path in tmp_path.glob("*.npy")) for key in keys] == [False, True, True]
    for path in tmp_path.glob("*.npy"):
        path.touch()
    store.drop_expired()
    assert len(list(tmp_path.glob("*.npy"))) == 2  # another process may have used them a moment ago
    SharedImages(tmp_path).remove_unused(-1.0)
    assert list(tmp_path.glob("*.npy")) == []
