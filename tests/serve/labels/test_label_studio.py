"""The Label Studio backend: labels become phrases, smart tools become clicks; its own SDK reads the answers."""

import base64
import io
import json
import logging

import numpy as np
import PIL.Image
import pytest

from agent import UsageError
from sam3_tool import Instances, Sam3, ScriptedBackend
from serve.labels.label_config import parse_label_config
from serve.labels.label_studio import LabelStudioBackend, PredictRequest
from serve.labels.label_studio_images import LabelStudioImages

HEIGHT, WIDTH = 48, 64


def draw_mask(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def make_instances(phrase: str, *masks: np.ndarray, score: float = 0.75) -> Instances:
    boxes = np.zeros((len(masks), 4), np.float32)
    return Instances(np.stack(masks), boxes, np.full(len(masks), score, np.float32), 0.9, phrase)


CAT, DOG = draw_mask(4, 6, 20, 30), draw_mask(40, 10, 60, 40)
SCRIPT = {
    "Cat": make_instances("Cat", CAT),
    "kitten": make_instances("kitten", CAT, draw_mask(30, 0, 36, 6), score=0.9),
    "dog": make_instances("dog", DOG),
}


def encode_image(size: tuple[int, int] = (WIDTH, HEIGHT), **options: object) -> str:
    file = io.BytesIO()
    PIL.Image.new("RGB", size, "grey").save(file, "JPEG", **options)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def make_backend(**options: object) -> LabelStudioBackend:
    return LabelStudioBackend(
        sam3=Sam3(ScriptedBackend({None: SCRIPT})), images=LabelStudioImages(), weights="scripted", **options
    )


def make_request(config: str, *tasks: dict, prompts: list[dict] | None = None) -> PredictRequest:
    body = {"tasks": [{"id": number, "data": data} for number, data in enumerate(tasks)], "label_config": config}
    return PredictRequest.model_validate({**body, "params": {"context": prompts and {"result": prompts}}})


def make_config(*tags: str) -> str:
    return f'<View><Image name="image" value="$image"/>{"".join(tags)}</View>'


def make_tag(kind: str, *labels: str, options: str = "", image: str = "image") -> str:
    held = "".join(f'<Label value="{label}"/>' if "<" not in label else label for label in labels)
    return f'<{kind} name="{kind}" toName="{image}" {options}>{held}</{kind}>'


def read_brush(region: dict) -> np.ndarray:
    from label_studio_sdk.converter.brush import decode_rle  # slow to import

    size = region["original_height"], region["original_width"], 4
    return decode_rle(region["value"]["rle"]).reshape(size)[..., 3] > 0


def find_complaints(config: str, prediction: dict) -> list[str]:
    """What Label Studio's own library has against a prediction."""
    from label_studio_sdk.label_interface import LabelInterface  # slow to import

    return LabelInterface(config).validate_prediction(prediction, return_errors=True)


SMART = make_config(
    make_tag("BrushLabels", "Cat", '<Label value="Dog" predicted_values="dog"/>'),
    make_tag("KeyPointLabels", "Cat", "Dog", options='smart="true"'),
    make_tag("RectangleLabels", "Cat", "Dog", options='smart="true"'),
)


def test_every_label_is_looked_for_and_label_studio_accepts_what_is_found():
    [prediction] = make_backend().predict(make_request(SMART, {"image": encode_image()}))
    assert find_complaints(SMART, prediction) == []
    assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Cat"], ["Dog"]]
    for region, mask in zip(prediction["result"], (CAT, DOG), strict=True):
        np.testing.assert_array_equal(read_brush(region), mask)
    assert prediction["score"] == pytest.approx(0.75)


def test_polygons_and_rectangles_are_drawn_in_per_cent():
    config = make_config(make_tag("PolygonLabels", "Cat"), make_tag("RectangleLabels", "Cat"))
    [prediction] = make_backend().predict(make_request(config, {"image": encode_image()}))
    assert find_complaints(config, prediction) == []
    polygon, rectangle = (region["value"] for region in prediction["result"])
    place = [rectangle[name] for name in ("x", "y", "width", "height")]
    np.testing.assert_allclose(place, [100 * 4 / WIDTH, 100 * 6 / HEIGHT, 100 * 16 / WIDTH, 100 * 24 / HEIGHT])
    corners = np.array(polygon["points"]) / 100 * [WIDTH, HEIGHT]
    assert len(corners) == 4
    np.testing.assert_allclose([corners.min(0), corners.max(0)], [[4, 6], [20, 30]], atol=0.5)


def test_an_object_that_two_phrases_of_a_label_find_is_given_once():
    config = make_config(make_tag("BrushLabels", '<Label value="Pet" predicted_values="Cat, kitten, dog"/>'))
    [prediction] = make_backend().predict(make_request(config, {"image": encode_image()}))
    assert [region["score"] for region in prediction["result"]] == pytest.approx([0.9, 0.9, 0.75])


def test_a_task_whose_image_is_gone_has_an_error_and_the_others_an_answer(caplog):
    tasks = [
        {"image": encode_image()},
        {"image": "/data/upload/1/gone.png"},
        {"other": 1},
        {"image": "data:image/png;base64,aa"},
    ]
    with caplog.at_level(logging.WARNING, "serve"):
        first, *others = make_backend().predict(make_request(SMART, *tasks))
    assert len(first["result"]) == 2
    said = [prediction["error"] for prediction in others]
    assert said[0].startswith("LABEL_STUDIO_URL is not set")
    assert said[1] == "the task has no image under '$image'"
    assert "base64" in said[2]
    assert len(caplog.messages) == 3


def test_what_there_is_no_time_for_is_left_for_the_next_call():
    first, second = make_backend(seconds=-1).predict(make_request(SMART, {"image": encode_image()}, {}))
    assert "retrieve predictions again" in first["error"]
    assert "result" not in second


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("$image", {"$undefined$": "IMAGE"}),  # it was imported before the project had a labelling interface
        ("$photo.urls[1]", {"photo": {"urls": ["", "IMAGE"]}}),
        ("$my-image", {"my-image": "IMAGE"}),
        ("$a.b", {"a.b": "IMAGE"}),
        ("data:image/jpeg;base64,$held", {"held": "CONTENT"}),
    ],
)
def test_an_image_is_found_wherever_a_tag_may_say_that_it_is(value, data):
    config = make_config(make_tag("Brushlabels", "Cat", image=" image , other")).replace("$image", value)
    task = json.loads(json.dumps(data).replace("IMAGE", encode_image()).replace("CONTENT", encode_image()[23:]))
    [prediction] = make_backend().predict(make_request(config, task))
    assert [region["to_name"] for region in prediction["result"]] == ["image"]


@pytest.mark.parametrize("value", ["$photo.urls[9]", "$photo.urls.x", "$photo.urls[0].y", "$photo", "$gone", "$", ""])
def test_a_task_without_the_image_that_a_tag_names_is_said_to_have_none(value):
    config = make_config(make_tag("BrushLabels", "Cat")).replace("$image", value)
    [prediction] = make_backend().predict(make_request(config, {"photo": {"urls": ["a"]}}))
    assert prediction["error"] == f"the task has no image under {value!r}"


def test_an_image_without_labels_of_its_own_need_not_be_there():
    config = make_config(make_tag("BrushLabels", "Cat"), '<Image name="before" value="$before"/>')
    [prediction] = make_backend().predict(make_request(config, {"image": encode_image()}))
    assert len(prediction["result"]) == 1


def test_each_control_labels_the_image_that_it_is_for():
    config = (
        '<View><Image name="left" value="$a"/><Image name="right" value="$b"/>'
        f"{make_tag('BrushLabels', 'Cat', image='left')}{make_tag('RectangleLabels', 'dog', image='right')}</View>"
    )
    [prediction] = make_backend().predict(make_request(config, {"a": encode_image(), "b": encode_image()}))
    assert [(region["to_name"], region["type"]) for region in prediction["result"]] == [
        ("left", "brushlabels"),
        ("right", "rectanglelabels"),
    ]


def test_regions_of_a_list_of_images_say_which_image_they_are_in():
    config = SMART.replace('value="$image"', 'valueList="$image"')
    [prediction] = make_backend().predict(make_request(config, {"image": [encode_image()] * 2}))
    assert [region["item_index"] for region in prediction["result"]] == [0, 0, 1, 1]


def test_a_photo_that_lies_on_its_side_is_seen_upright():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    [prediction] = make_backend().predict(make_request(SMART, {"image": encode_image((HEIGHT, WIDTH), exif=exif)}))
    assert (prediction["result"][0]["original_width"], prediction["result"][0]["original_height"]) == (WIDTH, HEIGHT)


def test_other_labels_make_another_version():
    versions = {
        LabelStudioBackend.compute_version("/models/w/", config) for config in (SMART, SMART.replace("Dog", "Pet"))
    }
    assert len(versions) == 2
    assert all(version.startswith("sam3-agent-w-") for version in versions)


def click(x: float, y: float, kind: str = "keypointlabels", **value: object) -> dict:
    return {"type": kind, "from_name": "x", "value": {"x": x, "y": y, kind: ["Cat"], **value}}


@pytest.mark.parametrize(
    "prompts",
    [
        [click(15, 40)],
        [click(15, 40), {**click(80, 50), "is_positive": False}],
        [click(5, 10, "rectanglelabels", width=28, height=55)],
        [{"type": "keypoint", "value": {"x": 15, "y": 40}}],
    ],
)
def test_a_smart_tool_gets_one_mask_with_its_label(prompts):
    prediction = make_backend().answer_prompts(make_request(SMART, {"image": encode_image()}, prompts=prompts))
    assert find_complaints(SMART, prediction) == []
    [region] = prediction["result"]
    assert (region["from_name"], region["value"]["brushlabels"]) == ("BrushLabels", ["Cat"])
    np.testing.assert_array_equal(read_brush(region), CAT)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (click(120, 5), "the click at 120 %, 5 % lies outside the image"),
        (click(150, 5, "rectanglelabels", width=9, height=9), "the rectangle has no area in the image"),
        (click(5, 5, "brushlabels"), "no other smart tool is understood"),
        ({**click(5, 5), "value": {"x": 5, "y": 5, "keypointlabels": ["Car"]}}, "draws masks of 'Car'"),
        ({**click(5, 5), "item_index": 3}, "the task has 1 images, and the click is on number 4"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_in_one_sentence(prompt, said):
    with pytest.raises(UsageError, match=said):
        make_backend().answer_prompts(make_request(SMART, {"image": encode_image()}, prompts=[prompt]))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("Car", "is no XML"),
        ("<View/>", "nothing to look for"),
        (make_config(make_tag("KeyPointLabels", "Cat")), "nothing to look for"),
        (make_config(make_tag("BrushLabels")), "nothing to look for"),
        (make_config(make_tag("BrushLabels", "Cat", image="text")), "nothing to look for"),
        (make_config(make_tag("BrushLabels", "Cat", options='model_score_threshold="nan"')), "model_score_threshold"),
        (make_config(make_tag("BrushLabels", *(f"c{number}" for number in range(1001)))), "more than 1000 labels"),
    ],
)
def test_an_interface_without_anything_to_look_for_is_refused(config, said):
    with pytest.raises(UsageError, match=said):
        parse_label_config(config)


def test_a_threshold_belongs_to_its_control():
    config = make_config(make_tag("BrushLabels", "Cat", "kitten", options='model_score_threshold="0.8"'))
    [prediction] = make_backend().predict(make_request(config, {"image": encode_image()}))
    assert {*(region["value"]["brushlabels"][0] for region in prediction["result"])} == {"kitten"}
