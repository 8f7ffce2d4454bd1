"""An annotator's project in a real Label Studio, from connecting the backend to a saved annotation."""

import io
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import PIL.Image
import pytest

from agent import UsageError
from sam3_tool.synthetic.scenes import draw_scene
from serve.labels.label_studio_images import LabelStudioImages
from tests.label_studio.conftest import BACKEND_TOKEN, LEGACY_TOKEN, LabelStudio

SCENE = draw_scene(3021, size=(640, 480))
NOUNS = sorted({one.noun for one in SCENE.objects})
PROJECT = "/api/projects/"


def build_config(labels: list[str]) -> str:
    held = "".join(f'<Label value="{label}"/>' for label in labels)
    smart = "".join(
        f'<{kind} name="{kind}" toName="image" smart="true">{held}</{kind}>'
        for kind in ("KeyPointLabels", "RectangleLabels")
    )
    return (
        '<View><Image name="image" value="$image"/>'
        f'<BrushLabels name="tag" toName="image">{held}</BrushLabels>{smart}</View>'
    )


@dataclass
class Annotator:
    """A project, and who works on it."""

    client: httpx2.Client
    project: int
    backend: int
    tasks: dict[str, dict[str, Any]]
    """By the name of the uploaded file."""

    def retrieve_predictions(self) -> None:
        """As the menu of the list of tasks does it."""
        answer = self.client.post(
            "/api/dm/actions",
            params={"id": "retrieve_tasks_predictions", "project": self.project},
            json={"selectedItems": {"all": True, "excluded": []}},
        )
        assert answer.status_code == 200, answer.text[:500]

    def list_predictions(self, name: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/api/tasks/{self.tasks[name]['id']}/", params={"project": self.project})
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions

    def use_smart_tool(self, kind: str, **value: Any) -> dict[str, Any]:
        """As the page does it when somebody clicks, or has drawn a box."""
        prompt = {
            "type": kind,
            "original_width": 640,
            "original_height": 480,
            "is_positive": True,
            "from_name": "KeyPointLabels" if kind.startswith("key") else "RectangleLabels",
            "to_name": "image",
            "value": {**value, kind: [SCENE.objects[0].noun]},
        }
        answer = self.client.post(
            f"/api/ml/{self.backend}/interactive-annotating",
            json={"task": self.tasks["scene.jpg"]["id"], "context": {"result": [prompt]}},
        )
        assert answer.status_code == 200, answer.text[:500]
        given: dict[str, Any] = answer.json()
        return given


def encode_jpeg(turned: bool = False) -> bytes:
    """The scene; turned, as a camera that was held upright keeps it."""
    image, exif = PIL.Image.fromarray(SCENE.pixels), PIL.Image.Exif()
    if turned:
        image = image.transpose(PIL.Image.Transpose.ROTATE_90)
        exif[0x0112] = 6  # the viewer has to turn it by 90 degrees clockwise
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


@pytest.fixture(scope="module")
def annotator(label_studio: LabelStudio, backend: str) -> Iterator[Annotator]:
    with label_studio.connect() as client:
        yield make_annotator(client, label_studio, backend)


def make_annotator(client: httpx2.Client, label_studio: LabelStudio, backend: str) -> Annotator:
    """A project with four tasks, one of whose images is deleted, and the backend connected to it."""
    project = client.post(PROJECT, json={"title": "fruit", "label_config": build_config(NOUNS)}).json()["id"]
    uploads = {
        "scene.jpg": encode_jpeg(),
        "turned.jpg": encode_jpeg(turned=True),
        "gone.jpg": encode_jpeg(),
        "text.png": b"?",
    }
    for name, content in uploads.items():
        answer = client.post(f"{PROJECT}{project}/import", files={"file": (name, content, "image/jpeg")})
        assert answer.status_code == 201, answer.text[:500]
    rows = client.get("/api/tasks/", params={"project": project, "fields": "all"}).json()["tasks"]
    tasks = {name: row for name in uploads for row in rows if row["data"]["image"].endswith(name)}
    [gone] = label_studio.files.rglob("*gone.jpg")
    gone.unlink()
    settings = {
        "url": backend,
        "project": project,
        "title": "sam3",
        "is_interactive": True,
        "auth_method": "BASIC_AUTH",
    }
    wrong = client.post("/api/ml/", json={**settings, "basic_auth_user": "studio", "basic_auth_pass": "wrong"})
    assert wrong.status_code == 400
    assert "authentication parameters were either not provided or are incorrect" in wrong.text
    right = client.post("/api/ml/", json={**settings, "basic_auth_user": "studio", "basic_auth_pass": BACKEND_TOKEN})
    assert right.status_code == 201, right.text[:500]
    return Annotator(client, project, right.json()["id"], tasks)


def read_brush(region: dict[str, Any]) -> np.ndarray:
    from label_studio_sdk.converter.brush import decode_rle

    size = region["original_height"], region["original_width"], 4
    return np.asarray(decode_rle(region["value"]["rle"]).reshape(size)[..., 3] > 0)


def compute_ious(regions: list[dict[str, Any]]) -> list[float]:
    """How well each region fits the object that it fits best."""
    masks = map(read_brush, regions)
    return [max(float((mask & own).sum() / (mask | own).sum()) for own in SCENE.masks) for mask in masks]


def test_the_backend_is_connected(annotator: Annotator, label_studio: LabelStudio, result: dict[str, Any]) -> None:
    row = annotator.client.get(f"/api/ml/{annotator.backend}").json()
    assert (row["state"], row["error_message"]) == ("CO", None)
    assert row["model_version"].startswith("sam3-agent-tiny-")
    result["versions"] = {"label-studio": annotator.client.get("/api/version").json()["release"]}


def test_predictions_are_kept_but_for_the_tasks_without_an_image(annotator: Annotator, result: dict[str, Any]) -> None:
    annotator.retrieve_predictions()
    for name in ("scene.jpg", "turned.jpg"):
        [prediction] = annotator.list_predictions(name)
        ious = compute_ious(prediction["result"])
        assert len(ious) == len(prediction["result"]) > 1
        assert statistics.fmean(ious) > 0.6
        assert {(region["original_width"], region["original_height"]) for region in prediction["result"]} == {
            (640, 480)
        }
        result[f"predictions of {name}, IoU"] = [round(iou, 3) for iou in ious]
    assert annotator.list_predictions("gone.jpg") == annotator.list_predictions("text.png") == []


def test_only_other_labels_are_asked_for_again(annotator: Annotator) -> None:
    annotator.retrieve_predictions()
    assert len(annotator.list_predictions("scene.jpg")) == 1
    labels = [*NOUNS, "unheard-of"]
    changed = annotator.client.patch(f"{PROJECT}{annotator.project}/", json={"label_config": build_config(labels)})
    assert changed.status_code == 200, changed.text[:500]
    annotator.retrieve_predictions()
    versions = [prediction["model_version"] for prediction in annotator.list_predictions("scene.jpg")]
    assert len(set(versions)) == len(versions) == 2


def test_smart_tools_give_one_mask_each(annotator: Annotator, result: dict[str, Any]) -> None:
    rows, columns = np.nonzero(SCENE.masks[0])
    x, y = 100 * float(np.median(columns)) / 640, 100 * float(np.median(rows)) / 480
    x0, y0, x1, y1 = SCENE.boxes[0] / np.array([6.4, 4.8, 6.4, 4.8])
    box = {"x": float(x0), "y": float(y0), "width": float(x1 - x0), "height": float(y1 - y0)}
    ious = {}
    for name, kind, value in (
        ("click", "keypointlabels", {"x": x, "y": y, "width": 0.3}),
        ("box", "rectanglelabels", box),
    ):
        started = time.perf_counter()
        given = annotator.use_smart_tool(kind, **value)
        seconds = time.perf_counter() - started
        [region] = given["data"]["result"]
        assert region["value"]["brushlabels"] == [SCENE.objects[0].noun]
        mask = read_brush(region)
        ious[name] = round(float((mask & SCENE.masks[0]).sum() / (mask | SCENE.masks[0]).sum()), 3)
        result[f"smart {name}, seconds"] = round(seconds, 2)
    assert min(ious.values()) > 0.4
    result["smart tools, IoU"] = ious


def test_a_click_outside_the_image_is_an_error_and_no_mask(annotator: Annotator) -> None:
    given = annotator.use_smart_tool("keypointlabels", x=120, y=5, width=0.3)
    assert "422" in given["errors"][0]
    assert "data" not in given


def test_a_legacy_token_fetches_images_too(annotator: Annotator, label_studio: LabelStudio) -> None:
    images = LabelStudioImages(label_studio.url, LEGACY_TOKEN)
    assert images.read(annotator.tasks["scene.jpg"]["data"]["image"]) == encode_jpeg()
    with pytest.raises(UsageError, match="refuses the image"):
        LabelStudioImages(label_studio.url, "0123").read(annotator.tasks["scene.jpg"]["data"]["image"])


def test_a_saved_annotation_is_told_to_the_backend(annotator: Annotator, backend: str) -> None:
    [prediction] = annotator.list_predictions("turned.jpg")[:1]
    task = annotator.tasks["turned.jpg"]["id"]
    saved = annotator.client.post(f"/api/tasks/{task}/annotations/", json={"result": prediction["result"]})
    assert saved.status_code == 201, saved.text[:500]
    metrics = httpx2.get(f"{backend.removesuffix('/label-studio')}/metrics", auth=("x", BACKEND_TOKEN)).text
    assert any("/label-studio/webhook" in line and 'status="201"' in line for line in metrics.splitlines())
