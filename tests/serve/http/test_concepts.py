"""Examples reach a server as concepts that it was started with, and as files and masks that a request brings."""

import base64
import io

import numpy as np
import pytest
from fastapi.testclient import TestClient

from sam3_tool import Concept
from sam3_tool.masks.rle import encode_mask
from serve.client import Sam3Client
from serve.client.exchanges import RemoteError
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.serving import serve_in_thread

BOX = (205.0, 85.0, 285.0, 165.0)


@pytest.fixture(scope="module")
def gizmo(tiny, picture):
    return tiny.describe(picture, boxes=[BOX])


@pytest.fixture(scope="module")
def content(picture):
    file = io.BytesIO()
    picture.to_pil().save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def app(tiny, gizmo):
    return create_app(ServeSettings(), tiny.with_concepts({"gizmo": gizmo}))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def ask(client, content):
    key = client.post("/v1/images", content=content).json()["image"]
    return lambda **body: client.post("/v1/segment", json={"image": key, "masks": "none", **body})


def encode_file(concept: Concept) -> str:
    return base64.b64encode(concept.to_bytes()).decode()


def test_a_phrase_of_a_request_is_looked_for_by_its_examples(ask):
    shown, plain = ask(phrases=["gizmo", "gadget"]).json()["results"]
    assert np.abs(np.subtract(shown["instances"][0]["bbox"], [205, 85, 80, 80])).max() < 8
    assert (shown["phrase"], len(shown["instances"]), plain["instances"]) == ("gizmo", 1, [])


def test_a_request_brings_a_concept_and_masks_and_finds_what_they_find_in_process(ask, tiny, gizmo, picture):
    mask = np.zeros((picture.height, picture.width), bool)
    mask[85:165, 205:285] = True
    sent = {"size": list(mask.shape), "counts": encode_mask(mask).counts}
    expected = tiny.segment(picture, gizmo)
    for body in ({"concept": encode_file(gizmo)}, {"exemplar_masks": [sent]}, {"boxes": [[205, 85, 80, 80]]}):
        [found] = ask(**body).json()["results"]
        np.testing.assert_allclose([one["score"] for one in found["instances"]], expected.scores, atol=1e-4)
    [found] = ask(phrases=["red circle"], concept=encode_file(gizmo)).json()["results"]
    named = tiny.segment(picture, gizmo.with_phrase("red circle"))
    np.testing.assert_allclose([one["score"] for one in found["instances"]], named.scores, atol=1e-6)
    assert ask(exemplar_masks=[sent], mask_labels=[0]).json()["results"] != [found]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"concept": "?"}, "invalid", "not in base64"),
        ({"concept": base64.b64encode(b"no concept").decode()}, "invalid", "the file is no concept, or is cut off"),
        ({"exemplar_masks": [{"size": [4, 4], "counts": "`4"}]}, "invalid", "must have the image's size"),
        ({"phrases": ["cup"], "mask_labels": [1]}, "invalid", "1 mask labels, but there is no mask"),
        ({"exemplar_masks": []}, "invalid", "needs a noun phrase"),
    ],
)
def test_what_is_no_example_is_one_sentence(ask, body, code, said):
    answer = ask(**body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert said in answer.json()["error"]["message"]
    assert "/tmp" not in answer.text


def test_a_concept_of_other_weights_or_beside_boxes_is_refused(ask, gizmo):
    other = Concept(gizmo.examples, (1,), gizmo.surroundings, None, "ab" * 32, "other", "float32")
    answer = ask(concept=encode_file(other))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "other_weights")
    answer = ask(concept=encode_file(gizmo), boxes=[[1, 1, 9, 9]])
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


def test_the_python_client_sends_masks_and_concepts(app, content, picture, gizmo, tiny):
    mask = np.zeros((picture.height, picture.width), bool)
    mask[85:165, 205:285] = True
    with serve_in_thread(app) as address, Sam3Client(address, patience=5) as client:
        by_concept, by_mask, elsewhere = (
            client.segment(content, **examples)[0].instances
            for examples in ({"concept": gizmo}, {"masks": [mask]}, {"masks": [mask], "like": content})
        )
        with pytest.raises(RemoteError, match="made with other weights"):
            client.segment(
                content, concept=Concept(gizmo.examples, (1,), gizmo.surroundings, None, "ab", "other", "float32")
            )
    assert len(by_concept) == len(by_mask) == len(elsewhere) == len(tiny.segment(picture, gizmo))


def test_a_response_is_about_the_concept_in_its_file(client, content, gizmo):
    def respond(*parts):
        url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        body = {
            "model": "sam-3.1",
            "input": [{"role": "user", "content": [*parts, {"type": "input_image", "image_url": url}]}],
        }
        return client.post("/v1/responses", json=body)

    file = {"type": "input_file", "file_data": f"data:;base64,{encode_file(gizmo)}"}
    by_file, by_name = respond(file), respond({"type": "input_text", "text": "gizmo"})
    assert by_file.status_code == 200, by_file.text
    assert by_file.json()["output"][0]["content"] == by_name.json()["output"][0]["content"]
    assert respond(file, {"type": "input_text", "text": "red circle"}).status_code == 200
    for parts in ((file, file), ({**file, "file_data": "data:;base64,AAAA"},)):
        assert respond(*parts).status_code == 400
