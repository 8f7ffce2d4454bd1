"""Images, segment and refine over HTTP: the answers of a direct call, in JSON."""

import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from sam3_tool import Image, Instances, Sam3
from sam3_tool.masks.rle import RleMask, decode_mask, from_polygons, merge_masks
from serve.http.app import create_app
from serve.http.schemas import EverythingAnswer, RefineAnswer, SegmentAnswer, SegmentRequest
from serve.http.settings import ServeSettings
from tests.support.serving import HEIGHT, WIDTH, write_image


def read_mask(instance: dict) -> np.ndarray:
    """The mask of an instance, however it is written."""
    if "segmentation" in instance:
        return decode_mask(RleMask.from_coco(instance["segmentation"]))
    if "png" in instance:
        return np.asarray(PIL.Image.open(BytesIO(b64decode(instance["png"]))))
    return decode_mask(merge_masks(from_polygons(instance["polygons"], HEIGHT, WIDTH)))


@pytest.mark.parametrize("masks", ["rle", "png", "polygons"])
def test_masks_come_back_exactly_in_every_format(client, key, cups: Instances, masks: str) -> None:
    answer = client.post("/v1/segment", json={"image": key, "phrases": ["cup", "hat"], "masks": masks}).json()
    found, nothing = answer["results"]
    assert (found["phrase"], found["presence"], nothing["phrase"], nothing["instances"]) == ("cup", 0.97, "hat", [])
    assert [instance["bbox"] for instance in found["instances"]] == [[6, 4, 24, 16], [40, 30, 20.5, 10]]
    assert [instance["id"] for instance in found["instances"]] == [1, 2]
    assert [instance["area"] for instance in found["instances"]] == cups.areas.tolist()
    for instance, mask in zip(found["instances"], cups.masks, strict=True):
        assert np.array_equal(read_mask(instance), mask)
    assert answer["usage"]["decodes"] == 2


def test_masks_can_be_left_out(client, key) -> None:
    answer = client.post("/v1/segment", json={"image": key, "phrases": ["cup"], "masks": "none"}).json()
    assert {*answer["results"][0]["instances"][0]} == {"id", "phrase", "score", "bbox", "area"}


def test_boxes_alone_are_one_question_and_need_no_phrase(client, key) -> None:
    asked = {"image": key, "boxes": [[6, 4, 24, 16]], "box_labels": [1]}
    answer = client.post("/v1/segment", json=asked).json()
    assert [result["phrase"] for result in answer["results"]] == [""]


def test_boxes_may_lie_in_another_image(client, key) -> None:
    other = client.post("/v1/images", content=write_image(colour="red")).json()["image"]
    asked = {"image": key, "phrases": ["cup"], "boxes": [[6, 4, 24, 16]], "like": other}
    assert client.post("/v1/segment", json=asked).json()["usage"] == {
        "encodes": 1,
        "decodes": 1,
        "seconds": pytest.approx(0, abs=60),
    }


def test_a_click_gives_candidates_and_a_mask_of_the_answer_can_be_sent_back(client, key, cups) -> None:
    first = client.post("/v1/refine", json={"image": key, "points": [[8, 6]]}).json()["candidates"][0]
    assert np.array_equal(read_mask(first), cups.masks[0])
    asked = {"image": key, "mask": first["segmentation"], "box": [6, 4, 24, 16], "multimask": False}
    again = client.post("/v1/refine", json=asked).json()["candidates"]
    assert np.array_equal(read_mask(again[0]), cups.masks[0])


@pytest.mark.parametrize(
    ("size", "counts"),
    [([WIDTH, HEIGHT], "06"), ([HEIGHT, WIDTH], "06"), ([HEIGHT, WIDTH], "é" * 9), ([HEIGHT, WIDTH], "o" * 99)],
)
def test_a_mask_that_is_none_is_refused_before_it_is_decoded(client, key, size, counts) -> None:
    answer = client.post("/v1/refine", json={"image": key, "mask": {"size": size, "counts": counts}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


def test_an_image_is_here_until_it_is_deleted(client) -> None:
    uploaded = client.post("/v1/images", content=write_image(colour="blue"))
    place = uploaded.headers["location"]
    assert client.head(place).status_code == 200
    assert client.get(place).json() == {name: uploaded.json()[name] for name in ("image", "width", "height", "expires")}
    assert client.delete(place).status_code == 204
    assert client.head(place).status_code == 404
    asked = {"image": uploaded.json()["image"], "phrases": ["cup"]}
    assert client.post("/v1/segment", json=asked).json()["error"]["code"] == "image_gone"


def test_a_photo_is_turned_upright_whatever_its_form_calls_it(client) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = write_image(kind="JPEG", exif=exif)
    answers = [
        client.post("/v1/images", content=photo).json(),
        client.post("/v1/images", files={"file": ("../../etc/passwd", photo, "text/html")}).json(),
    ]
    assert [(answer["width"], answer["height"]) for answer in answers] == [(HEIGHT, WIDTH)] * 2
    assert answers[0] == answers[1]


def test_a_word_that_the_weights_do_not_know_is_said_so(tiny: Sam3) -> None:
    with TestClient(create_app(ServeSettings(), tiny)) as client:
        key = client.post("/v1/images", content=write_image()).json()["image"]
        answer = client.post("/v1/segment", json={"image": key, "phrases": ["giraffe"]}).json()
    assert answer["results"][0]["warnings"] == [tiny.vocabulary_warning("giraffe")]


def test_the_page_of_routes_runs_no_script_and_fetches_nothing(client) -> None:
    answer = client.get("/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search("<script|<link|src=|https?://", answer.text)
    for path in client.get("/openapi.json").json()["paths"]:
        assert f" {path}</code>" in answer.text
    for field in SegmentRequest.model_fields:
        assert f"<td><code>{field}</code></td>" in answer.text


@pytest.mark.parametrize(
    ("route", "asked", "shape"),
    [
        ("/v1/segment", {"phrases": ["cup"], "masks": "polygons"}, SegmentAnswer),
        ("/v1/refine", {"points": [[8, 6]], "masks": "png"}, RefineAnswer),
        ("/v1/everything", {"points_per_side": 4}, EverythingAnswer),
    ],
)
def test_answers_are_what_the_document_says(client, key, route, asked, shape) -> None:
    answer = client.post(route, json={"image": key, **asked}).json()
    assert shape.model_validate(answer).model_dump(exclude_unset=True, mode="json") == answer


def test_everything_is_what_a_direct_call_finds(client, key, sam3: Sam3) -> None:
    answer = client.post("/v1/everything", json={"image": key, "points_per_side": 8}).json()
    direct = sam3.segment_everything(Image(np.full((HEIGHT, WIDTH, 3), 255, np.uint8)), points_per_side=8)
    assert [instance["segmentation"]["counts"] for instance in answer["instances"]] == [m.counts for m in direct.rles]
    assert len(direct) == 2


def test_a_request_may_wait_for_less_time_than_the_server_allows(client, key) -> None:
    asked = {"image": key, "phrases": ["cup"]}
    statuses = [
        client.post("/v1/segment", json=asked, headers={"x-timeout": text}).status_code
        for text in ("5", "1e999", "1e-9", "0", "nan", "soon")
    ]
    assert statuses == [200, 200, 504, 422, 422, 422]
