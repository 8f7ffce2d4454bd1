"""What the page shows of masks, words and formats, without a browser."""

import re

import numpy as np
import pytest

from agent.core.workspace import Candidate
from agent.exports import list_formats
from demo.actions import CONVERSATION, TRACE
from demo.banner import list_known_nouns, render_banner
from demo.canvas import build_mask_rows
from demo.chat import escape_text
from demo.downloads import describe_downloads
from sam3_tool.masks.rle import encode_mask


@pytest.mark.parametrize("text", ["<b>", "![](http://x)", "# a", "$$x$$", "`a`", "_a_", "a\n- b", "https://x.y"])
def test_words_are_written_so_that_nothing_reads_markup_in_them(text):
    assert not set(escape_text(text).replace("<br>", "")) & set("<>![]()$`_*:/-") - {"-"}
    assert re.fullmatch(r"(\w|\s|&#\d+;|<br>)*", escape_text(text))


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


def test_a_mask_of_nearly_the_whole_image_covers_100_percent_of_it():
    mask = np.ones((50, 50), bool)
    mask[0, 0] = False
    (row,) = build_mask_rows([Candidate(1, encode_mask(mask), (0, 0, 50, 50), 0.9, "sky")], [1], {})
    assert row["share"] == "100 %"
