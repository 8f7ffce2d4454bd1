"""The server of the review: who may do what, what is refused, and what a page gets."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from engine.errors import EngineError
from engine.pairs import Judgement
from engine.review.app import create_app
from engine.review.desk import ReviewDesk
from engine.review.services import ReviewServices
from engine.review.team.people import People
from engine.store.store import EngineStore
from sam3_tool import Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import encode_mask
from serve.http.services import BackgroundModel
from serve.http.settings import ServeSettings
from tests.engine.review.conftest import SIZE, draw_masks
from tests.support.serving import as_tenant

TOKENS = {name: f"{name}-has-a-long-token" for name in ("anna", "ben", "cleo")}
USERS = "".join(
    f'[users.{name}]\ntokens = ["{TOKENS[name]}"]\nrole = "{role}"\n'
    for name, role in (("anna", "annotator"), ("ben", "reviewer"), ("cleo", "admin"))
)


@pytest.fixture
def people(tmp_path: Path) -> People:
    (tmp_path / "users.toml").write_text(USERS)
    return People.read(tmp_path / "users.toml")


@pytest.fixture
def open_client(open_desk: Callable[[], ReviewDesk], people: People) -> Iterator[Callable[..., TestClient]]:
    """Opens a server; `team=False` is one person without tokens."""
    clients: list[TestClient] = []

    def opened(*, team: bool = True) -> TestClient:
        chosen = people if team else People.build_alone()
        settings = ServeSettings(tokens=chosen.tokens, hosts=("127.0.0.1",))
        sam3 = BackgroundModel.from_loaded(Sam3(ScriptedBackend({})))
        services = ReviewServices(settings, chosen, open_desk(), sam3, wage=30.0, guidelines="Look well.")
        clients.append(TestClient(create_app(services), base_url="http://127.0.0.1"))
        return clients[-1].__enter__()

    yield opened
    for client in clients:
        client.__exit__(None, None, None)


def post(client: TestClient, path: str, body: dict, person: str = "anna"):
    return client.post(f"/api/{path}", json=body, headers=as_tenant(TOKENS.get(person, person)))


def take(client: TestClient, person: str = "anna", stage: str = "mv", **how) -> list[dict]:
    answer = post(client, "take", {"stage": stage, "page": f"{person}-page", "count": 9, **how}, person)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def say(client: TestClient, item: int, choice: str, person: str = "anna", **how) -> dict:
    answer = {"id": f"{person}-{item}-{choice}", "item": item, "choice": choice, "seconds": 2.0, **how}
    return post(client, "answers", {"answers": [answer]}, person).json()


def test_the_page_is_there_and_nothing_of_others_runs_in_it(open_client):
    client = open_client()
    for path in ("/", "/review.js", "/review.css", "/studio.css", "/icon.svg"):
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert client.get("/api/me").headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(("method", "path"), [("GET", "me"), ("POST", "take"), ("GET", "people"), ("GET", "images/5d")])
def test_nobody_gets_anything_without_a_token(open_client, method, path):
    answer = open_client().request(method, f"/api/{path}")
    assert answer.status_code == 401


def test_a_person_alone_needs_no_token_but_a_name_of_this_machine(add, open_client):
    add()
    client = open_client(team=False)
    assert client.get("/api/me").json()["role"] == "admin"
    assert client.get("/api/me", headers={"host": "evil.example"}).status_code == 403
    assert client.post("/api/take", json={}, headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("path", "allowed"), [("people", {"ben", "cleo"}), ("failures", {"ben", "cleo"}), ("progress", set(TOKENS))]
)
def test_roles_see_what_they_may(open_client, path, allowed):
    client = open_client()
    seen = {name for name in TOKENS if client.get(f"/api/{path}", headers=as_tenant(TOKENS[name])).is_success}
    assert seen == allowed


def test_whoever_gets_nothing_is_told_how_many_items_other_pages_hold(add, open_client):
    add("cup", 2)
    client = open_client()
    first, second = take(client)

    def ask(person: str, page: str) -> dict:
        return post(client, "take", {"stage": "mv", "page": page, "count": 9}, person).json()

    assert ask("ben", "other") == {"items": [], "elsewhere": 2}
    assert ask("anna", "window-closed-by-force") == {"items": [], "elsewhere": 2}
    say(client, first["id"], "accept")
    assert ask("ben", "other") == {"items": [], "elsewhere": 1}
    say(client, second["id"], "accept")
    assert ask("ben", "other") == {"items": [], "elsewhere": 0}


def test_an_item_tells_nothing_of_what_others_or_the_model_think(add, open_client, store: EngineStore):
    key = add("<img src=x onerror=alert(1)>")
    by = "model:signals@ab"
    judged = Judgement(pair=key, stage="mv", mask=0, choice="reject", probability=0.2, by=by, at=1.0, drawn="auto")
    store.append([judged])
    client = open_client()
    [item] = take(client)
    assert set(item) == {"id", "stage", "phrase", "image", "masks", "rows", "focus"}
    assert set(item["masks"][0]) == {"index", "path", "at", "box", "is_accepted"}
    told = say(client, item["id"], "accept")["told"]["anna-1-accept"]
    assert told == {"model": {"choice": "reject", "probability": 0.2, "by": by}}


def test_a_grid_is_of_one_phrase(add, open_client):
    for phrase in ("cup", "cup", "hat", "cup"):
        add(phrase)
    items = take(open_client(), grid=True)
    assert len({item["phrase"] for item in items}) == 1


def test_an_image_comes_in_parts_of_a_bounded_size(add, open_client):
    add()
    client = open_client()
    [item] = take(client)
    path = f"/api/images/{item['image']['key']}"
    content = client.get(f"{path}?box=0,0,32,48&side=16", headers=as_tenant(TOKENS["anna"]))
    assert PIL.Image.open(BytesIO(content.content)).size == (11, 16)
    for query in ("box=0,0,99,99", "box=5,5,5,5", "box=a", "side=99999", "box=-1,0,3,3"):
        assert client.get(f"{path}?{query}", headers=as_tenant(TOKENS["anna"])).status_code == 422
    assert client.get("/api/images/nothing", headers=as_tenant(TOKENS["anna"])).status_code == 404


def test_an_image_that_is_gone_is_said_in_a_sentence(add, open_client, tmp_path):
    add()
    client = open_client()
    [item] = take(client)
    (tmp_path / "0.png").unlink()
    answer = client.get(f"/api/images/{item['image']['key']}", headers=as_tenant(TOKENS["anna"]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "image_gone")
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("take", {"stage": "all", "page": "p"}),
        ("take", {"stage": "mv", "page": "p", "count": 10**9}),
        ("take", {"stage": "mv", "page": "../p"}),
        ("answers", {"answers": []}),
        ("answers", {"answers": [{"id": "a", "item": 1, "choice": "accept", "seconds": -1}]}),
        ("answers", {"answers": [{"id": "a", "item": 1, "choice": "accept", "seconds": 1, "by": "ben"}]}),
        ("refine", {"item": 1, "points": [["a", 0, True]]}),
        ("refine", {"item": 1, "box": [1, 2]}),
    ],
)
def test_what_no_page_would_send_is_refused(open_client, path, body):
    assert post(open_client(), path, body).status_code == 422


def test_clicks_are_for_whoever_holds_the_item(add, open_client):
    add()
    client = open_client()
    [item] = take(client)
    click = {"item": item["id"], "points": [[5, 9, True]]}
    assert post(client, "refine", click, "ben").status_code == 404
    assert post(client, "refine", click).json() == {"rows": []}
    assert post(client, "refine", {**click, "points": [[500, 9, True]]}).status_code == 422
    assert post(client, "refine", {**click, "points": []}).status_code == 422


def test_everything_like_a_box_is_found_but_what_is_there(add, open_desk, people):
    add()
    masks = draw_masks(3)
    found = Instances(masks, masks_to_boxes(masks), np.array([0.9, 0.8, 0.7], np.float32), 0.9, "red cup")
    sam3 = BackgroundModel.from_loaded(Sam3(ScriptedBackend({None: {"red cup": found}})))
    services = ReviewServices(ServeSettings(tokens=people.tokens, hosts=("127.0.0.1",)), people, open_desk(), sam3)
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        [item] = take(client)
        there = {"id": 1, "size": SIZE, "counts": encode_mask(masks[0]).counts}
        asked = {"item": item["id"], "id": 5, "box": [4, 8, 15, 30], "masks": [there]}
        assert post(client, "alike", asked, "ben").status_code == 404
        rows = post(client, "alike", asked).json()["rows"]
        assert sorted((row["id"], row["counts"]) for row in rows) == [
            (5, encode_mask(masks[1]).counts),
            (6, encode_mask(masks[2]).counts),
        ]
        assert post(client, "alike", {**asked, "box": [900, 900, 950, 950]}).status_code == 422
        assert post(client, "alike", {**asked, "masks": [{**there, "counts": "~~~"}]}).status_code == 422
        wrong = {**asked, "masks": [{**there, "size": [9, 9], "counts": encode_mask(np.ones((9, 9), bool)).counts}]}
        assert post(client, "alike", wrong).status_code == 422


def test_undo_gives_the_items_back(add, open_client):
    add()
    client = open_client()
    [item] = take(client)
    say(client, item["id"], "accept")
    assert post(client, "undo", {"page": "anna-page"}).json()["items"] == [item]
    assert post(client, "undo", {"page": "anna-page"}).json()["items"] == []


def test_whoever_edits_a_mask_gets_all_masks_of_its_pair(add, open_client):
    add(count=4)
    client = open_client()
    items = {item["masks"][0]["index"]: item for item in take(client)}
    say(client, items[0]["id"], "reject")
    say(client, items[3]["id"], "accept")
    item = items[1]
    view = post(client, "edit", {"item": item["id"]}).json()["view"]
    assert view["stage"] == "correct"
    assert [mask["is_accepted"] for mask in view["masks"]] == [False, True, True, True]  # nobody refused 2


def test_a_reviewer_makes_an_item_a_test_and_whoever_fails_it_is_told(add, open_client):
    add()
    client = open_client()
    [item] = take(client)
    gold = {"item": item["id"], "choice": "reject"}
    assert post(client, "gold", gold).status_code == 403
    assert [post(client, "gold", gold, person).status_code for person in ("ben", "cleo")] == [200, 200]
    assert post(client, "gold", {**gold, "choice": "maybe"}, "cleo").status_code == 422
    told = say(client, item["id"], "accept")["told"]["anna-1-accept"]
    assert told["gold"] == {"expected": "reject", "right": False}


def test_reviewers_see_why_masks_fail_and_who_is_hasty(add, open_client):
    for phrase in ("cup", "cup", "hat"):
        add(phrase)
    client = open_client()
    for item in take(client):
        if item["phrase"] == "cup":
            say(client, item["id"], "reject", reason="holes", seconds=0.2)
    ben = as_tenant(TOKENS["ben"])
    found = client.get("/api/failures?reason=holes", headers=ben).json()
    assert found["facets"]["phrase"] == [["cup", 2]]
    assert found["facets"]["size"] == [["medium", 2]]
    assert len(found["answers"]) == 2
    assert client.get("/api/failures?reason=duplicate", headers=ben).json()["count"] == 0
    told = client.get("/api/people", headers=ben).json()
    assert told["machines"] == "not known yet: no run has ended here"
    [anna] = told["people"]
    assert (anna["person"], anna["answers"], anna["hasty"], anna["accepted"]) == ("anna", 2, 2, 0)


def test_the_estimate_counts_what_is_left(add, open_client):
    for _ in range(4):
        add()
    rest = open_client().get("/api/progress", headers=as_tenant(TOKENS["anna"])).json()["rest"]
    assert rest["pairs"] == 4
    assert 0 <= rest["low"] < rest["hours"] < rest["high"]
    assert rest["money"] == pytest.approx(30 * rest["hours"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[users.anna]\ntokens = ['short']", "16 letters"),
        ("[users.anna]\nrole = 'admin'", "tokens"),
        ("[users.anna]\ntokens = ['a-very-long-secret-one']\nrole = 'boss'", "role"),
        ("[users]\nanna = 'a-very-long-secret-one'", "anna"),
        ("[people.anna]", "expected a table [users.NAME]"),
        ("{", "not TOML"),
        (
            "[users.anna]\ntokens=['a-very-long-secret-one']\n[users.ben]\ntokens=['a-very-long-secret-one']",
            "same token",
        ),
        ('[users."a\\u001fb"]\ntokens=["a-very-long-secret-one"]', "is no name"),
    ],
)
def test_a_file_of_users_that_is_wrong_is_said_in_a_sentence_without_tokens(tmp_path, text, told):
    path = tmp_path / "users.toml"
    path.write_text(text)
    with pytest.raises(EngineError) as caught:
        People.read(path)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
