"""What the benchmarks count is right; how fast things are, only running them tells."""

import json
import os
import random
import signal
from importlib import import_module
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize
from typer.testing import CliRunner

from agent.cli.main import main
from bench.cli import SUITES, app
from bench.harness.networks import build_random_network, load_network
from bench.harness.plots import plot_table
from bench.harness.tables import Table
from bench.harness.tokens import LEAST, MOST, SIDE, compute_image_tokens, load_token_counter
from bench.harness.workload import Workload, list_phrases, make_image
from bench.suites import follow_ups
from bench.suites.agent import toolsets
from bench.suites.agent.overhead import PARTS, PLANS, run_round
from bench.suites.agent.toolsets import AT_SIGHT, CHECKED, CLOSE_UPS, PUBLISHED, compute_published_cost, measure_costs
from bench.suites.baselines import find_non_overlapping
from bench.suites.baselines import segment_as_published as published_way
from bench.suites.drawing import draw_blob_scene
from bench.suites.episode import measure_episode
from bench.suites.sam3 import count_operations, measure_parts, measure_phrases, measure_sam3
from bench.suites.videos.long_video import OBJECTS, measure_long_video
from bench.suites.videos.operations import Architecture, build_table, count_frame_operations
from bench.suites.videos.tracking import OVERHEAD_TRACKS, DrawnFrames, measure_tracking
from sam3_tool import ConceptPrompt, remove_overlaps


def test_image_tokens_are_those_of_the_models_own_processor():
    rng = random.Random(0)
    for most in (300, 2000, 9000):
        for _ in range(500):
            width, height = rng.randint(most // 10, most), rng.randint(most // 10, most)
            rows, columns = smart_resize(height, width, factor=SIDE, min_pixels=LEAST, max_pixels=MOST)
            assert compute_image_tokens(width, height) == rows * columns / SIDE**2, (width, height)


def test_text_tokens_are_counted_by_what_is_named():
    count, name = load_token_counter()
    assert count("the second largest cherry above the banana") in range(5, 12)
    assert "tekken" in name or "letters" in name


def test_the_published_agents_cost_is_that_of_its_requests():
    """Per mask a check prompt and three images; three requests of the main conversation besides."""
    three, ten = (compute_published_cost(number, width=1024, height=768) for number in (3, 10))
    assert (three.rounds, ten.rounds, ten.model_calls) == (6, 13, 13)
    assert ten.text_tokens - three.text_tokens == 7 * (1177 + 40)
    assert ten.image_tokens - three.image_tokens == 7 * (2 * 768 + 224)


@pytest.fixture(scope="module")
def ten_masks():
    return measure_costs(10, 1280)


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
    steps = run_round(plan, 0)
    assert len(steps) == len(plan)
    assert all(set(step) == set(PARTS) and step["conversation"] > 0 and step["tool"] > 0 for step in steps)


def test_the_network_of_full_size_is_made_on_its_device():
    model, _ = build_random_network(torch.device("meta"), torch.bfloat16)
    assert sum(weight.numel() for weight in model.parameters()) > 8e8
    assert {(weight.device.type, weight.dtype) for weight in model.parameters()} == {("meta", torch.bfloat16)}
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("wrong", [["--device", "nowhere"], ["--compile", "fast"]])
def test_what_cannot_be_measured_is_one_line(wrong):
    result = CliRunner().invoke(app, ["sam3", "--tables", "memory", *wrong])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert wrong[1] in result.output


@pytest.mark.parametrize(
    ("table", "option", "number", "told"),
    [
        ("calls", "--rounds", 40, "'calls' would take 205 phrases and has 82; choose fewer with --rounds"),
        ("parts", "--rounds", 200, "'parts' would take 201 phrases and has 103; choose fewer with --rounds"),
        ("phrases", "--phrases", 128, "'phrases' would take 128 phrases and has 103; choose fewer with --phrases"),
        ("episode", "--phrases", 128, "'episode' would take 128 phrases and has 103; choose fewer with --phrases"),
    ],
)
def test_more_phrases_than_there_are_is_one_line_before_anything_is_measured(table, option, number, told):
    result = CliRunner().invoke(app, ["sam3", "--tables", f"memory,{table}", option, str(number)])
    assert (result.exit_code, result.output) == (2, f"error: the table {told}\n")


def test_the_numbers_can_be_written_to_a_file(tmp_path, capsys):
    file = tmp_path / "there" / "toolsets.json"
    toolsets.main(["--masks", "1", "3", "--out", str(file)])
    saved = json.loads(file.read_text("utf-8"))
    assert set(saved["masks"]) == {"1", "3"}
    assert saved["text_tokens_by"] in capsys.readouterr().out


@pytest.mark.parametrize("command", ["agent", "eval", "demo"])
def test_every_suite_that_a_command_runs_is_there(command):
    for name in SUITES[command]:
        assert callable(import_module(f"bench.suites.{name}").main)


@pytest.fixture(scope="module")
def tiny_network():
    return load_network("tiny", device="cpu", dtype=torch.float32)


def test_the_published_way_finds_the_masks_that_ours_finds(tiny_network):
    """What is compared is two ways to one result."""
    image, asked = make_image(7), list_phrases()[:2]
    ours = tiny_network.build_sam3().segment_batch([(image, ConceptPrompt(phrase)) for phrase in asked])
    for mine, (masks, scores) in zip(ours, published_way(tiny_network, image, asked, 0.5), strict=True):
        order = np.argsort(-scores, kind="stable")
        assert len(mine) == len(masks) > 0
        shared, either = (mine.masks & masks[order]).sum(), (mine.masks | masks[order]).sum()
        assert shared > 0.999 * either


def test_the_network_that_is_measured_stays_as_it_was():
    measured = load_network("tiny", device="cpu", dtype=torch.bfloat16)
    measured.build_sam3()
    assert type(measured.model.mask_decoder).__name__ == "Sam3MaskDecoder"
    assert type(measured.model.mask_decoder.pixel_decoder).__name__ == "Sam3PixelDecoder"
    assert {weight.dtype for weight in measured.model.parameters()} == {torch.bfloat16}
    [(masks, scores)] = published_way(measured, make_image(0), list_phrases()[:1], 0.5)
    assert len(masks) == len(scores) > 0


def test_parts_and_phrases_are_measured_beside_each_other(tiny_network):
    setting = Workload(rounds=1, phrases=(1, 2))
    of_parts, of_phrases = measure_parts(tiny_network, setting), measure_phrases(tiny_network, setting)
    vision = next(row for row in of_parts.rows if row[0] == "vision encoder")
    assert 2.3 < vision[3] < 2.8  # GFLOP: 1.33 billion multiplications, the pixel decoder's share of an image included
    assert [row[0] for row in of_phrases.rows] == [1, 2]
    assert of_phrases.columns[1:5] == ("ours, ms", "ideal, ms", "published, ms", "transformers, ms")
    assert all(cell > 0 for row in of_phrases.rows for cell in row[1:8])


def test_four_phrases_take_less_than_half_of_the_published_ways_operations(tiny_network):
    """Counted, so that no noise of a machine hides a step back."""
    once, each, anew = count_operations(tiny_network, "tiny")
    assert 4 * anew > 2.5 * (once + 4 * each)
    assert once < 2.8e9
    assert each < 1.3e9


def test_the_plain_overlap_removal_keeps_what_ours_keeps():
    _, instances = draw_blob_scene(270, 480, 30)
    assert len(remove_overlaps(instances)) == len(find_non_overlapping(instances.masks, instances.scores)) < 30


@pytest.mark.parametrize(
    "words", ["sam3 --phrases 1,two", "sam3 --against others", "sam3 --tables all", "masks --numbers 0"]
)
def test_numbers_and_names_that_cannot_be_used_are_one_line(words):
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_tables_are_written_as_markdown_and_json(tmp_path):
    table = Table("name", "Title", ("masks", "ours, ms"), [(1, 0.5), (10, 3.0)], {"device": "a laptop"})
    table.write(tmp_path)
    plot_table(table, tmp_path)
    assert json.loads((tmp_path / "name.json").read_text("utf-8"))["rows"] == [[1, 0.5], [10, 3.0]]
    assert "| 1 | 0.5 |" in (tmp_path / "name.md").read_text("utf-8")
    assert "<svg" in (tmp_path / "name.svg").read_text("utf-8")


def test_the_sam_side_of_an_episode_is_measured_to_its_end(tiny_network):
    table = measure_episode(tiny_network, Workload(rounds=1, phrases=(1,)))
    [(phrases, ours, published, ratio, _)] = table.rows
    assert (phrases, ratio) == (1, published / ours)
    assert ratio > 2  # it has always been above 6


def test_only_the_tables_that_are_asked_for_are_measured(tiny_network):
    assert [table.name for table in measure_sam3(Workload(tables=("memory",)))] == ["sam3-memory"]


def list_children() -> set[str]:
    """The ids of the programs that this process has started and that are still there."""
    return {child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text("ascii").split()}


def test_a_benchmark_that_is_ended_is_one_line_and_leaves_nothing_running(capfd):
    before = list_children()
    Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit) as ended:
        main(["bench", "start", "--rounds", "1000"])
    assert ended.value.code == 143
    assert capfd.readouterr() == ("", "ended by SIGTERM; no further table was measured\n")
    assert list_children() <= before


def test_a_frame_of_a_video_is_measured_part_by_part():
    [table] = measure_tracking(tracks=(1,), frames=4)
    assert [row[0] for row in table.rows] == [1, OVERHEAD_TRACKS]
    for row in table.rows:
        told = dict(zip(table.columns, row, strict=True))
        assert all(isinstance(cell, int | float) and cell > 0 for cell in row)
        assert told["follow, ms a track"] == pytest.approx(told["follow, ms"] / told["tracks"])
    source = DrawnFrames(3, 5)
    boxes = [source.locate_object(number, 2) for number in range(5)]
    pixels = source.read_frame(2).pixels
    assert all((pixels[(y0 + y1) // 2, (x0 + x1) // 2] != 208).any() for x0, y0, x1, y1 in boxes)


def test_memory_in_the_course_of_a_long_video_is_told_as_it_goes():
    first, last = measure_long_video(frames=(15, 16), cache_mib=1)
    assert list(first.rows) == list(last.rows[:1])
    assert [row[:2] for row in last.rows] == [(15, OBJECTS), (16, OBJECTS)]
    allocated = [row[2] for row in last.rows]
    assert abs(allocated[1] - allocated[0]) < 0.05 * allocated[0]


def test_operations_say_what_sharing_the_encoding_is_worth_for_each_size():
    tiny = count_frame_operations(Architecture.from_name("tiny"))
    assert 1 < tiny.encode < 10
    assert tiny.search < tiny.encode
    table = build_table(tiny, "tiny")
    assert [row[0] for row in table.rows] == [1, 4, 8]
    assert set(table.rows[0][1:]) == {1.0}
    for fewer, more in zip(table.rows, table.rows[1:], strict=False):
        assert all(before < after for before, after in zip(fewer[1:], more[1:], strict=True))
    assert all(list(row[1:]) == sorted(row[1:], reverse=True) for row in table.rows)


def test_a_follow_up_costs_less_than_asking_anew_in_the_committed_numbers_and_when_they_are_made():
    committed = json.loads((Path(__file__).parents[2] / "benchmarks/results/speed/follow-ups.json").read_text())
    later = {way: sum(turn["tokens"] for turn in turns[1:]) for way, turns in committed["ways"].items()}
    assert min(later, key=later.__getitem__) == follow_ups.SHORT
    assert max(later, key=later.__getitem__) == follow_ups.ANEW
    made = follow_ups.play_conversation(follow_ups.SHORT)
    assert [cost.requests for cost in made] == [turn["requests"] for turn in committed["ways"][follow_ups.SHORT]]
    if committed["text_tokens_by"] == load_token_counter()[1]:
        assert [cost.tokens for cost in made] == [turn["tokens"] for turn in committed["ways"][follow_ups.SHORT]]
