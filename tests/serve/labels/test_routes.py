"""Label Studio's four routes, as its own client asks them."""

import base64
import logging

import pytest
from fastapi.testclient import TestClient

from sam3_tool import Sam3
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.serving import ANNA, HEIGHT, WIDTH, write_image

LABELS = '<Label value="cup"/><Label value="Car"/>'
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    f'<BrushLabels name="tag" toName="image">{LABELS}</BrushLabels>'
    f'<KeyPointLabels name="point" toName="image" smart="true">{LABELS}</KeyPointLabels></View>'
)
IMAGE = f"data:image/png;base64,{base64.b64encode(write_image()).decode()}"
SETUP = {
    "project": "1.1700000000",
    "schema": CONFIG,
    "hostname": "http://169.254.169.254",
    "access_token": "somebody-elses-token",
    "extra_params": None,
}


def build_request(*tasks: dict, config: str = CONFIG, context: dict | None = None) -> dict:
    rows = [{"id": number, "data": data, "project": 1, "meta": {}} for number, data in enumerate(tasks, start=1)]
    params = {"login": None, "password": None, "context": context}
    return {"tasks": rows, "project": "1.1700000000", "label_config": config, "params": params}


def click(x: float, y: float) -> dict:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": ["cup"]}
    place = {"original_width": WIDTH, "original_height": HEIGHT, "from_name": "point", "to_name": "image"}
    return {"result": [{"id": "a", "type": "keypointlabels", "is_positive": True, "value": value, **place}]}


def test_a_project_is_set_up_and_predicted_with_one_version(client: TestClient):
    assert client.get("/label-studio/health").json()["status"] == "UP"
    version = client.post("/label-studio/setup", json=SETUP).json()["model_version"]
    answer = client.post("/label-studio/predict", json=build_request({"image": IMAGE}, {"image": "/data/gone.png"}))
    assert answer.status_code == 200
    first, second = answer.json()["results"]
    assert first["model_version"] == version
    assert [region["value"]["brushlabels"] for region in first["result"]] == [["cup"], ["cup"]]
    assert {*second} == {"error"}
    assert client.post("/label-studio/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 201


def test_a_smart_click_gets_its_mask(client: TestClient):
    context = click(100 * 50 / WIDTH, 100 * 35 / HEIGHT)
    [prediction] = client.post("/label-studio/predict", json=build_request({"image": IMAGE}, context=context)).json()[
        "results"
    ]
    assert [region["from_name"] for region in prediction["result"]] == ["tag"]


@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        ("setup", {"schema": "<View/>"}, "bad_label_config", "nothing to look for"),
        ("setup", {}, "invalid", "schema: Field required"),
        ("predict", build_request({"image": IMAGE}, config="Car"), "cannot_predict", "is no XML"),
        ("predict", build_request({"image": IMAGE}, context=click(120, 5)), "cannot_predict", "outside the image"),
        ("predict", build_request({"image": "/data/x"}, context=click(5, 5)), "cannot_predict", "LABEL_STUDIO_URL"),
        ("predict", build_request(), "invalid", "tasks"),
        ("predict", build_request({"image": IMAGE}, context={"result": [{"type": "x"}]}), "invalid", "value"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(client: TestClient, path: str, body: dict, code: str, said: str):
    answer = client.post(f"/label-studio/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert said in answer.json()["error"]["message"]


def test_the_password_of_basic_authentication_is_a_token(guarded: TestClient):
    assert guarded.post("/label-studio/webhook", json={}).status_code == 201  # it comes without the password
    for path in ("health", "setup", "predict"):
        ask = guarded.get if path == "health" else guarded.post
        assert ask(f"/label-studio/{path}").status_code == 401
    assert guarded.get("/label-studio/health", auth=("anybody", ANNA)).status_code == 200
    assert guarded.post("/label-studio/setup", json=SETUP, auth=("anybody", ANNA)).status_code == 200


def test_setting_up_waits_for_no_model_and_predicting_says_that_it_loads():
    app = create_app(ServeSettings(), lambda: pytest.fail("it is not started"))
    client = TestClient(app)  # without its lifespan, so that nothing is loaded
    assert client.get("/label-studio/health").status_code == 200
    assert client.post("/label-studio/setup", json=SETUP).json()["model_version"].startswith("sam3-agent-sam3-")
    answer = client.post("/label-studio/predict", json=build_request({"image": IMAGE}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "loading")


def test_labels_that_the_network_does_not_know_are_logged(tiny: Sam3, caplog):
    config = CONFIG.replace("Car", "Giraffe").replace("cup", "spacecraft")
    with TestClient(create_app(ServeSettings(), tiny)) as client, caplog.at_level(logging.WARNING, "serve"):
        assert client.post("/label-studio/setup", json={**SETUP, "schema": config}).status_code == 200
        body = build_request({"image": IMAGE}, config=config)
        [prediction] = client.post("/label-studio/predict", json=body).json()["results"]
    assert sum("does not know 'Giraffe'" in message for message in caplog.messages) == 1
    assert prediction["result"] == []
