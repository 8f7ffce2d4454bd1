import numpy as np
import pytest

from agent import WORKSPACE, Budget, Decision, ScriptedPlanner, Task, run
from agent.planners.chat.coordinates import CoordinateFrame, adapt_schema, detect_convention
from agent.tools.toolsets import Segment
from sam3_tool import Image, Sam3, ScriptedBackend

CONVENTIONS = ("pixels", "qwen", "gemini")


@pytest.mark.parametrize(
    ("name", "convention"),
    [
        ("openai:Qwen/Qwen3-VL-8B-Instruct", "qwen"),
        ("vllm:Qwen/Qwen2-VL-7B-Instruct", "qwen"),
        ("openai:qwen2.5vl:7b", "pixels"),
        ("transformers:/models/Qwen2_5_VL-3B", "pixels"),
        ("openai:OpenGVLab/InternVL3-8B", "qwen"),
        ("openai:gemini-2.5-pro", "gemini"),
        ("openai:gpt-5", "pixels"),
        ("scripted", "pixels"),
    ],
)
def test_the_name_of_a_model_tells_how_it_writes_places(name, convention):
    assert detect_convention(name) == convention


@pytest.mark.parametrize(
    ("convention", "written"),
    [("pixels", [320, 72, 640, 720]), ("qwen", [250, 100, 500, 1000]), ("gemini", [100, 250, 1000, 500])],
)
def test_one_place_in_three_conventions(convention, written):
    frame = CoordinateFrame(convention, 1920, 1080, 1280, 720)
    assert frame.to_pixels(written) == [480, 108, 960, 1080]
    assert frame.from_pixels([480, 108, 960, 1080]) == written


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("size", [(1920, 1080, 1280, 720), (101, 4057, 32, 1280), (640, 480, 640, 480)])
def test_what_a_model_wrote_comes_back_to_it_to_the_last_digit(convention, size):
    frame = CoordinateFrame(convention, *size)
    chance = np.random.default_rng(1)
    for _ in range(200):
        written = chance.integers(0, 1000, 4).tolist()
        assert frame.from_pixels(frame.to_pixels(written)) == written


def test_places_far_outside_stay_finite():
    assert CoordinateFrame("qwen", 2000, 2000, 1280, 1280).to_pixels([-1e308, 0, 1e308, 1000]) == [-1e6, 0, 1e6, 2000]


def answer_to(region, sam3, picture):
    call = Decision("segment", f'{{"phrases": ["cup"], "region": {region}}}')
    return run(Task(picture, "q"), ScriptedPlanner([call]), sam3, budget=Budget(max_steps=1)).steps[0].observation.text


def test_what_the_tools_say_of_regions_is_retold_in_the_models_numbers():
    picture = Image(np.zeros((500, 2000, 3), np.uint8))
    sam3 = Sam3(ScriptedBackend({}))
    frame = CoordinateFrame("qwen", 2000, 500, 1280, 320)
    assert "looked in 500,0,1000,500" in frame.rewrite_coordinates(answer_to([1000, 0, 2000, 250], sam3, picture))
    refused = frame.rewrite_coordinates(answer_to([100, 100, 102, 400], sam3, picture))
    assert "The region [50, 200, 51, 800] is too small; give x0, y0, x1, y1 in thousandths" in refused
    assert "2000" not in refused


def test_what_is_said_of_points_and_boxes_is_retold_too():
    frame = CoordinateFrame("qwen", 2000, 500, 1280, 320)
    said = "Found 1 mask for the examples: 3 (score 0.91); looked like 2 and the box 200,50,400,100."
    assert frame.rewrite_coordinates(said).endswith("looked like 2 and the box 100,100,200,200.")
    said = "The point [3000, 50] lies outside the picture, which is 2000 wide and 500 high."
    assert frame.rewrite_coordinates(said) == "The point [1500, 100] lies outside the picture."
    said = "The box [200.0, 50.0, 100.0, 20.0] has no inside in a picture 2000 wide and 500 high; give x0, y0, x1, y1"
    told = frame.rewrite_coordinates(f"{said} in pixels.")
    assert told.startswith("The box [100, 100, 50, 40] has no inside; give x0, y0, x1, y1 in thousandths")
    swapped = CoordinateFrame("gemini", 2000, 500, 1280, 320).rewrite_coordinates(f"{said} in pixels.")
    assert swapped.startswith("The box [100, 100, 40, 50] has no inside; give y0, x0, y1, x1 in thousandths")


EVERY_PLACE = {
    "id": 3,
    "points": [{"x": 480.0, "y": 108.0, "positive": False}],
    "box": [480.0, 108.0, 960.0, 1080.0],
    "boxes": [[480.0, 108.0, 960.0, 1080.0]],
}


@pytest.mark.parametrize(
    ("convention", "point", "box"),
    [
        ("pixels", (320, 72), [320, 72, 640, 720]),
        ("qwen", (250, 100), [250, 100, 500, 1000]),
        ("gemini", (250, 100), [100, 250, 1000, 500]),
    ],
)
def test_every_place_in_a_call_is_moved(convention, point, box):
    frame = CoordinateFrame(convention, 1920, 1080, 1280, 720)
    written = frame.to_model_units(EVERY_PLACE)
    assert written == {
        "id": 3,
        "points": [{"x": point[0], "y": point[1], "positive": False}],
        "box": box,
        "boxes": [box],
    }
    assert frame.to_pixel_units(written) == EVERY_PLACE


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_schemas_speak_of_every_place_as_the_model_writes_it(convention):
    schemas = [adapt_schema(tool.to_planner_schema(), convention) for tool in WORKSPACE.tools]
    told = str([schema["function"]["parameters"] for schema in schemas])
    assert ("pixels" in told) == (convention == "pixels")
    assert ("thousandths" in told) == (convention != "pixels")


def test_where_the_model_writes_the_pictures_own_pixels_nothing_is_retold():
    text = "Found nothing; looked in 1,2,30,40."
    assert CoordinateFrame("pixels", 640, 480, 640, 480).rewrite_coordinates(text) == text


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_schema_of_a_region_says_how_it_is_written(convention):
    schemas = [adapt_schema(tool.to_planner_schema(), convention) for tool in WORKSPACE.tools]
    [described] = [
        schema["function"]["parameters"]["properties"]["region"]["description"]
        for schema in schemas
        if "region" in schema["function"]["parameters"]["properties"]
    ]
    first = {"pixels": "x0, y0, x1, y1 in pixels", "qwen": "x0, y0, x1, y1 in thou", "gemini": "y0, x0, y1, x1 in thou"}
    assert described.startswith(first[convention])
    assert "pixels" in str(Segment.to_planner_schema()), "the tool itself is untouched"
