"""A server that was given concepts looks for them wherever their phrase is asked for."""

import io

import numpy as np
from fastapi.testclient import TestClient

from serve.http.app import create_app
from serve.http.settings import ServeSettings


def test_a_phrase_of_a_request_is_looked_for_by_its_examples(tiny, picture):
    content = io.BytesIO()
    picture.to_pil().save(content, "PNG")
    gizmo = tiny.describe(picture, boxes=[(205, 85, 285, 165)])
    with TestClient(create_app(ServeSettings(), tiny.with_concepts({"gizmo": gizmo}))) as client:
        key = client.post("/v1/images", content=content.getvalue()).json()["image"]
        asked = client.post("/v1/segment", json={"image": key, "phrases": ["gizmo", "gadget"], "masks": "none"})
        refused = client.post("/v1/segment", json={"image": key, "exemplar_masks": []})
    shown, plain = asked.json()["results"]
    assert np.abs(np.subtract(shown["instances"][0]["bbox"], [205, 85, 80, 80])).max() < 8
    assert (shown["phrase"], len(shown["instances"]), plain["instances"]) == ("gizmo", 1, [])
    assert refused.status_code == 422
