"""The files for Hugging Face: the handler as an endpoint calls it, and the Space as its front matter starts it."""

import base64
import io
import re
import runpy
import urllib.request
from importlib.metadata import requires, version
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from packaging.requirements import Requirement

from sam3_tool import Image, Sam3
from tests.support.program import start_program

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "huggingface"
SCENE = (ROOT / "examples" / "scene.png").read_bytes()


@pytest.fixture(scope="module")
def handler(tiny: Sam3) -> Any:
    """Loads what `tiny` holds."""
    return runpy.run_path(str(FOLDER / "endpoint" / "handler.py"))["EndpointHandler"](str(FOLDER / "endpoint"))


def read_mask(row: dict[str, Any]) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(row["mask"]))))


@pytest.mark.parametrize("kind", ["base64", "data URL", "bytes", "Pillow"])
def test_an_image_may_come_in_each_way_that_an_endpoint_has(handler: Any, tiny: Sam3, kind: str) -> None:
    text = base64.b64encode(SCENE).decode()
    inputs = {
        "base64": text,
        "data URL": f"data:image/png;base64,{text}",
        "bytes": SCENE,
        "Pillow": PIL.Image.open(io.BytesIO(SCENE)),
    }[kind]
    rows = handler({"inputs": inputs, "parameters": {"phrases": ["watermelon"]}})
    expected = tiny.segment(Image.read(SCENE), "watermelon")
    assert len(rows) == len(expected) > 1
    for row, mask, score in zip(rows, expected.masks, expected.scores.tolist(), strict=True):
        assert (row["label"], row["score"]) == ("watermelon", score)
        np.testing.assert_array_equal(read_mask(row), mask)


def test_a_sentence_is_answered_by_the_agent(handler: Any) -> None:
    [row] = handler({"inputs": SCENE, "parameters": {"query": "the largest watermelon"}})
    rows = handler({"inputs": SCENE, "parameters": {"phrases": ["watermelon"]}})
    assert read_mask(row).sum() == max(read_mask(one).sum() for one in rows)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "`inputs` must be an image"),
        ({"inputs": "?"}, "no image in base64"),
        ({"inputs": b"text"}, "not an image but a text file"),
        ({"inputs": SCENE}, "must have `phrases`"),
        ({"inputs": SCENE, "parameters": {"phrases": []}}, "must have `phrases`"),
        ({"inputs": SCENE, "parameters": {"phrases": ["cat"], "threshold": 2}}, "threshold"),
    ],
)
def test_bad_input_is_one_sentence(handler: Any, data: dict[str, Any], said: str) -> None:
    answer = handler(data)
    assert {*answer} == {"error"}
    assert said in answer["error"]


def test_the_space_is_what_its_front_matter_says() -> None:
    front = yaml.safe_load((FOLDER / "space" / "README.md").read_text("utf-8").split("---")[1])
    assert (front["sdk"], front["license"]) == ("gradio", "apache-2.0")
    assert (FOLDER / "space" / front["app_file"]).is_file()
    wanted = [one.specifier for one in map(Requirement, requires("sam3-agent") or []) if one.name == "gradio"]
    assert wanted
    assert all(front["sdk_version"] in versions for versions in wanted)


def test_both_folders_install_this_version() -> None:
    for name in ("endpoint", "space"):
        assert (
            f"sam3_agent-{version('sam3-agent')}-py3-none-any.whl" in (FOLDER / name / "requirements.txt").read_text()
        )


def test_the_space_serves_the_page() -> None:
    words = runpy.run_path(str(FOLDER / "space" / "app.py"), run_name="app")["ARGUMENTS"]
    words[words.index("--port") + 1] = "0"
    words[words.index("--host") + 1] = "127.0.0.1"
    program = start_program(*words, stderr=DEVNULL)
    try:
        assert program.stdout is not None
        address = re.match(r"http://\S+", program.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[0]) as page:
            assert b"gradio" in page.read()
    finally:
        program.kill()
        program.close()
