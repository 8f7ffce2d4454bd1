"""What the benchmarks count is right; how fast things are, only running them tells."""

import json
import random
import subprocess
import sys

import pytest
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from bench.overhead import PARTS, PLANS, one_round
from bench.protocols import AT_SIGHT, CHECKED, CLOSE_UPS, PUBLISHED, measured, published
from bench.tokens import LEAST, MOST, SIDE, counter, picture_tokens


def test_picture_tokens_are_those_of_the_models_own_processor():
    chance = random.Random(0)
    for most in (300, 2000, 9000):
        for _ in range(500):
            width, height = chance.randint(most // 10, most), chance.randint(most // 10, most)
            rows, columns = smart_resize(height, width, factor=SIDE, min_pixels=LEAST, max_pixels=MOST)
            assert picture_tokens(width, height) == rows * columns / SIDE**2, (width, height)


def test_text_tokens_are_counted_by_what_is_named():
    count, name = counter()
    assert count("the second largest cherry above the banana") in range(5, 12)
    assert "tekken" in name or "letters" in name


def test_the_published_agents_cost_is_that_of_its_requests():
    """Per mask a check prompt and three pictures; three requests of the main conversation besides."""
    three, ten = (published(number, width=1024, height=768) for number in (3, 10))
    assert (three.rounds, ten.rounds, ten.model_calls) == (6, 13, 13)
    assert ten.text_tokens - three.text_tokens == 7 * (1177 + 40)
    assert ten.image_tokens - three.image_tokens == 7 * (2 * 768 + 224)


@pytest.fixture(scope="module")
def ten_masks():
    return measured(10, 1280)


def test_the_workspace_needs_a_third_of_the_papers_tokens_and_a_fifth_of_its_rounds(ten_masks):
    workspace = ten_masks[f"workspace, {CLOSE_UPS}"]
    for paper in (f"{PUBLISHED}, pictures as they are", f"paper, {CHECKED}, one after the other"):
        assert ten_masks[paper].tokens > 3 * workspace.tokens
        assert ten_masks[paper].rounds > 5 * workspace.rounds


def test_examining_together_takes_one_round_for_all_masks(ten_masks):
    one_by_one, together = (ten_masks[f"paper, {CHECKED}{how}"] for how in (", one after the other", ""))
    assert (one_by_one.rounds, together.rounds) == (13, 4)
    assert one_by_one.tokens == together.tokens
    assert ten_masks[f"workspace, {CHECKED}"].model_calls == 4
    assert ten_masks[f"workspace, {AT_SIGHT}"].rounds == 2


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_step_of_the_overhead_is_measured_in_all_its_parts(plan):
    steps = one_round(plan, 0)
    assert len(steps) == len(plan)
    assert all(set(step) == set(PARTS) and step["conversation"] > 0 and step["tool"] > 0 for step in steps)


def test_the_numbers_can_be_written_to_a_file(tmp_path):
    program = [sys.executable, "-m", "bench.protocols", "--out", str(tmp_path / "there" / "protocols.json")]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    held = json.loads((tmp_path / "there" / "protocols.json").read_text("utf-8"))
    assert set(held["masks"]) == {"3", "10", "30"}
    assert held["text_tokens_by"] in done.stdout
