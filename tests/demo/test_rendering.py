"""What the page shows of masks, words and formats, without a browser."""

import re

import numpy as np
import pytest

from agent.core.workspace import Candidate
from agent.exports import list_formats
from demo.actions import CONVERSATION, TRACE
from demo.page.app import WEB
from demo.page.banner import list_known_nouns, render_banner
from demo.page.downloads import describe_downloads
from demo.picture.canvas import build_mask_rows
from demo.picture.outlines import trace_outline
from demo.talk.wording import describe_answer, format_sentence, has_operator_words
from sam3_tool.masks.rle import encode_mask


def test_the_script_of_the_talk_writes_texts_as_text_alone():
    script = (WEB / "talk.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", script)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fake.png: not an image", "fake.png: not an image."),
        ("there is nothing to undo", "There is nothing to undo."),
        ("http://x answered", "http://x answered."),
    ],
)
def test_a_sentence_keeps_the_case_of_names(said, shown):
    assert format_sentence(said) == shown


@pytest.mark.parametrize(
    "message",
    [
        "Stopped because the planner cannot go on: http://127.0.0.1:7990/v1 answered 500, in 6 tries.",
        "No tool was called; call exactly one of segment, refine.",
        "The checkpoint needs `--sam3 facebook/sam3`.",
    ],
)
def test_a_visitor_reads_no_words_of_the_operator(message):
    assert not has_operator_words(describe_answer(message))
    assert "Report" in describe_answer(message)


def test_a_word_that_the_small_model_does_not_know_is_said_without_an_option():
    message = "Nothing was found for 'zebra'. The embedded SAM 3 does not know 'zebra'; `--sam3 open` takes any phrase."
    assert describe_answer(message).startswith("Nothing was found for zebra. The model does not know zebra.")
    assert not has_operator_words(describe_answer(message))


def test_every_export_format_can_be_downloaded():
    downloads = {name: description for description, name in describe_downloads(None)["choices"]}
    assert set(downloads) == {*list_formats("image"), CONVERSATION, TRACE}
    assert all(downloads[name] == exporter.description for name, exporter in list_formats("image").items())
    assert len(set(downloads.values())) == len(downloads)


def test_the_banner_says_what_the_embedded_checkpoint_knows():
    shapes, things = list_known_nouns()
    assert {"circle", "star"} <= set(shapes)
    assert {"watermelon", "horse"} <= set(things)
    assert f"{len(things)} things" in render_banner("tiny")
    assert render_banner("facebook/sam3") == ""


def test_an_outline_holds_the_mask_and_its_number_lies_inside():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:60] = True
    candidate = Candidate(1, encode_mask(mask), (20, 10, 60, 30), 0.9, "box")
    (row,) = build_mask_rows([candidate], [1], {})
    x, y = row["at"]
    assert mask[int(y), int(x)]
    numbers = [float(number) for number in re.findall(r"[\d.]+", row["path"])]
    edges = [min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])]
    assert edges == pytest.approx([20, 10, 60, 30], abs=0.5)
    assert row["area"] == 800


def test_a_mask_of_one_pixel_still_has_an_outline():
    mask = np.zeros((4000, 5000), bool)
    mask[3000, 4000] = True
    (row,) = build_mask_rows([Candidate(1, encode_mask(mask), (4000, 3000, 4001, 3001), 0.9, "dot")], [1], {})
    assert row["path"].startswith("M")
    assert row["share"] == "under 0.01 %"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (2, 2)])
def test_the_outline_of_a_mask_as_thin_as_a_pixel_is_no_line(height, width):
    path, x, y = trace_outline(encode_mask(np.ones((height, width), bool)))
    corners = np.array([corner.split() for corner in path.strip("MZ").split("L")], float)
    assert len(corners) >= 4
    assert np.all(np.ptp(corners, axis=0) >= (width - 0.5, height - 0.5))
    assert (0 <= x <= width, 0 <= y <= height) == (True, True)


def test_a_mask_of_nearly_the_whole_image_covers_100_percent_of_it():
    mask = np.ones((50, 50), bool)
    mask[0, 0] = False
    (row,) = build_mask_rows([Candidate(1, encode_mask(mask), (0, 0, 50, 50), 0.9, "sky")], [1], {})
    assert row["share"] == "100 %"
