"""What goes wrong in the published agent goes right here: cases that no other file shows, and the README's table."""

import ast
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import prompts
from agent import PAPER, ChatPlanner, Episode, Task, Tool, parse_toolset, run
from agent.models.base import Call, Messages, Reply, Schema
from agent.planners.chat.scripted_model import ScriptedModel
from agent.records.provenance import Provenance
from agent.report.output_folder import ANSWER_FILES, stage_files, write_answer_files
from agent.report.result import Result
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Combine, Examine, Locate, Segment
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.drawing.overlay import PANEL_GAP, PANEL_SIDE, draw_marks, draw_zoom_pair
from sam3_tool.masks.boxes import masks_to_boxes

ROOT = Path(__file__).parents[4]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = [part for part in README.split("\n## ")[1:] if part.startswith("Against the published agent\n")]
PROTOCOLS = ("workspace", "paper")


class Onlooker(ScriptedModel):
    """Remembers what it was shown."""

    def __init__(self, replies: Sequence[str | Call | Reply], **settings: object) -> None:
        super().__init__(replies, **settings)
        self.seen: list[Messages] = []

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        self.seen += conversations
        return super().generate_replies(conversations, tools)

    @property
    def pictures(self) -> list[list[Image]]:
        """Of each request."""
        return [[part for turn in talk for part in turn.content if isinstance(part, Image)] for talk in self.seen]


def call(tool: Tool) -> Call:
    return Call(tool.name, tool.to_decision().arguments)


CUPS = call(SegmentPhrase(text_prompt="red cup"))
CHECK = call(ExamineEachMask())


def select(*numbers: int) -> Call:
    return call(SelectMasksAndReturn(final_answer_masks=list(numbers)))


def script(protocol: str, phrase: str, *, answer: int) -> list[Call]:
    """Look for the phrase, examine what was found, answer with one mask."""
    if protocol == "paper":
        return [call(SegmentPhrase(text_prompt=phrase)), CHECK, select(answer)]
    return [call(Segment(phrases=[phrase])), call(Examine(ids=[answer])), call(Answer(ids=[answer]))]


def finds(masks: Sequence[np.ndarray], *scores: float) -> Instances:
    stack = np.stack(masks)
    return Instances(stack, masks_to_boxes(stack), np.array(scores, np.float32), presence=0.9, phrase="")


def block(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def paper(kitchen, kitchen_sam3) -> Callable[..., tuple[Episode, Onlooker]]:
    """The episode of these replies in the published protocol, and the model that gave them."""

    def paper(*replies: str | Call | Reply, **settings: object) -> tuple[Episode, Onlooker]:
        model = Onlooker(replies, **settings)
        task = Task(kitchen, "the left cup")
        return run(task, ChatPlanner(model, toolset=PAPER), kitchen_sam3), model

    return paper


# --- 5: verdicts


class Chatty(ScriptedModel):
    """Calls tools as scripted, and gives its verdicts in prose."""

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        if len(tools) == 1:
            return [Reply("I could Accept it, but others would REJECT it. <verdict>Accept</verdict>")] * len(
                conversations
            )
        return super().generate_replies(conversations, tools)


def test_a_word_in_prose_is_no_verdict_and_nothing_is_lost_by_it(kitchen, kitchen_sam3):
    planner = ChatPlanner(Chatty([CUPS, CHECK, select(2)]), toolset=PAPER)
    episode = run(Task(kitchen, "q"), planner, kitchen_sam3)
    assert episode.steps[1].observation.text.endswith("not judged, so kept: 1 to 3.")
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))


# --- 7 and 9: what the model sees is what it may choose from


def test_after_a_repeated_phrase_the_masks_can_be_seen_examined_and_selected(paper):
    episode, model = paper(CUPS, CUPS, CHECK, select(2), verdicts={1: 0.1})
    assert [step.observation.is_error for step in episode.steps] == [False] * 4
    _, found, repeated, *_, examined = model.pictures
    assert repeated[-1].key == found[-1].key != examined[-1].key
    assert (episode.outcome, episode.current_ids) == ("answered", (3,))


def test_three_examinations_in_a_row_leave_a_conversation_with_the_current_masks(paper):
    episode, model = paper(CUPS, CHECK, CHECK, CHECK, select(1), verdicts={3: 0.1})
    assert (episode.outcome, episode.current_ids, len(episode.steps)) == ("answered", (1,), 5)
    main = [talk for talk in model.seen if len(talk[-1].content) <= 2]
    assert [len(talk) for talk in main] == [2, 4, 6, 8, 10]
    assert all(turn.role == "tool" and isinstance(turn.content[-1], Image) for turn in [talk[-1] for talk in main[1:]])


def test_a_reply_without_a_call_takes_neither_the_masks_nor_the_warning_away(paper):
    episode, model = paper(
        call(SegmentPhrase(text_prompt="plate")), CUPS, "I see segment_phrase found cups.", select(1)
    )
    opening, *_, shown = model.seen[3][1:]
    assert "'plate'" in opening.content[1]
    assert [len(pictures) for pictures in model.pictures] == [1, 1, 2, 2]
    assert "no tool" in shown.content[0].lower()
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


# --- 8 and 11: nothing that was found is lost


def test_masks_of_two_phrases_are_one_answer(play):
    cups, tables = Segment(phrases=["red cup"]), Segment(phrases=["table"])
    episode = play(cups, tables, Combine(op="union", a=[1], b=[4]), Answer(ids=[1, 4]))
    assert (episode.outcome, episode.current_ids, episode.answer.phrase) == ("answered", (1, 4), "red cup, table")


def test_a_part_and_its_whole_both_stay_and_their_scores_are_said(play):
    both = play(Segment(phrases=["handle"]), Locate(ids=[1, 2], place="left")).steps[0].observation
    assert both.text == "Found 2 masks for 'handle': 1 and 2 (scores 0.98 to 0.60)."
    assert both.shown == (1, 2)


def test_one_mask_of_a_whole_group_does_not_hide_the_members(kitchen):
    members = [block(60, 100, x, 10, x + 15, 40) for x in (10, 30, 50, 70)]
    found = finds([np.any(members, axis=0), *members], 0.95, 0.9, 0.85, 0.8, 0.75)
    sam3 = Sam3(ScriptedBackend({None: {"cup": found}}))
    planner = ChatPlanner(ScriptedModel([call(Segment(phrases=["cup"])), call(Answer(ids=[2, 3, 4, 5]))]))
    assert run(Task(kitchen, "q"), planner, sam3).answer.areas.tolist() == [450] * 4


# --- 12: masks without pixels, and masks of few


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("height", "width"), [(512, 1024), (4, 4)], ids=["a photo", "a thumbnail"])
def test_an_empty_mask_is_left_out_and_a_small_one_stays_whatever_the_size_of_the_picture(protocol, height, width):
    picture = Image(np.full((height, width, 3), 90, np.uint8))
    empty, full = np.zeros((height, width), bool), np.ones((height, width), bool)
    sam3 = Sam3(ScriptedBackend({None: {"thing": finds([empty, full], 0.9, 0.6)}}))
    model = Onlooker(script(protocol, "thing", answer=1))
    episode = run(Task(picture, "q"), ChatPlanner(model, toolset=parse_toolset(protocol)), sam3)
    assert episode.steps[0].observation.text == "Found 1 mask for 'thing': 1 (score 0.60)."
    assert len(model.pictures[1]) == 2
    assert (episode.outcome, episode.answer.areas.tolist()) == ("answered", [height * width])


# --- 13: photos that a camera stored lying down


def test_a_photo_stored_on_its_side_is_upright_for_sam_3_for_the_model_and_in_the_result(tmp_path, kitchen_sam3):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:, :50, 0] = 200
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).transpose(PIL.Image.Transpose.ROTATE_90).save(tmp_path / "photo.png", exif=exif)
    picture = Image.open(tmp_path / "photo.png")
    model = Onlooker([CUPS, select(1)])
    episode = run(Task(picture, "q"), ChatPlanner(model, toolset=PAPER), kitchen_sam3)
    assert all((one.width, one.height) == (100, 60) for pictures in model.pictures for one in pictures)
    assert (model.pictures[0][0].pixels == pixels).all()
    result = Result.from_episode(episode, seconds=1.0)
    assert (result.image.width, result.image.height, result.masks[0].segmentation.size) == (100, 60, (60, 100))
    assert draw_marks(picture, episode.answer).size == (100, 60)


# --- 15 and 16: files, and many at once


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "phrase", ['what? a/b\\..\\masks_ %41 <*|">', "x" * 200, "../masks_"], ids=["signs", "long", "up"]
)
def test_no_phrase_is_ever_the_name_of_a_file(tmp_path, kitchen, cups, protocol, phrase):
    model = Onlooker(script(protocol, phrase, answer=2))
    planner, sam3 = ChatPlanner(model, toolset=parse_toolset(protocol)), Sam3(ScriptedBackend({None: {phrase: cups}}))
    episode = run(Task(kitchen, phrase), planner, sam3)
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))
    assert max(map(len, model.pictures)) == 3
    out = tmp_path / "masks_" / "out"
    with stage_files(out, ANSWER_FILES) as folder:
        made_by = Provenance(planner="scripted", sam3="scripted", toolset=parse_toolset(protocol))
        write_answer_files(
            episode, Result.from_episode(episode, seconds=1.0), folder, provenance=made_by, source="masks_/a?.png"
        )
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {out / name for name in ANSWER_FILES}


def test_a_phrase_of_a_thousand_letters_is_a_mistake_and_the_episode_goes_on(paper, is_one_sentence):
    episode, _ = paper(Call("segment_phrase", json.dumps({"text_prompt": "x" * 1000})), CUPS, select(1))
    assert episode.steps[0].observation.is_error
    assert is_one_sentence(episode.steps[0].observation.text)
    assert (episode.outcome, episode.current_ids) == ("answered", (1,))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pictures_that_are_asked_the_same_at_the_same_time_do_not_mix(protocol):
    pictures = [Image(np.full((48, 96, 3), 20 * place, np.uint8)) for place in range(8)]
    masks = [block(48, 96, 10 * place, 8, 10 * place + 9, 30) for place in range(8)]
    found = {picture.key: {"cup": finds([mask], 0.9)} for picture, mask in zip(pictures, masks, strict=True)}
    sam3 = Sam3(ScriptedBackend(found))

    def one(picture: Image) -> tuple[list[float], list[list[str]]]:
        """Where the answer is, and every picture that the model saw."""
        model = Onlooker(script(protocol, "cup", answer=1))
        episode = run(Task(picture, "q"), ChatPlanner(model, toolset=parse_toolset(protocol)), sam3)
        return episode.answer.boxes[0].tolist(), [[shown.key for shown in request] for request in model.pictures]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(one, pictures * 2))
    assert together == [one(picture) for picture in pictures] * 2
    assert [answer[0] for answer, _ in together[:8]] == [10 * place for place in range(8)]
    seen = [{key for request in requests for key in request} for _, requests in together[:8]]
    assert all(a.isdisjoint(b) for a, b in combinations(seen, 2))


# --- 17 and 20: what a model is given to look at, and to read


def test_close_ups_of_a_large_object_have_several_times_the_pixels_of_the_published_ones():
    """The published pair of such a picture has 386 x 450 pixels in all."""
    picture = Image(np.full((900, 1600, 3), 90, np.uint8))
    pair = draw_zoom_pair(picture, block(900, 1600, 200, 100, 1400, 800), (200, 100, 1400, 800))
    assert pair.size == (PANEL_SIDE, 2 * (PANEL_SIDE * 900 // 1600) + PANEL_GAP)
    assert pair.width * pair.height > 3.5 * 386 * 450


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_system_prompt_says_nothing_twice(protocol):
    sentences = [
        one.strip()
        for one in re.split(r"(?<=[.:;!?])\s+|\n+", prompts.load_prompt(f"{protocol}/system"))
        if len(one.split()) > 3
    ]
    assert len(sentences) > 20
    assert sorted(sentences) == sorted(set(sentences))


# --- the table of the README


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def file_of(name: str) -> Path:
    """The test file with this path, or the only one with this name."""
    [path] = [path for path in (ROOT / "tests").rglob("test_*.py") if path.as_posix().endswith(f"/{name}")]
    return path


@pytest.mark.parametrize("section", SECTIONS, ids=["README"] * len(SECTIONS))
def test_every_row_of_the_readme_s_table_names_tests_that_exist(section):
    rows = re.findall(r"^\| (\d+) \|(?:[^|\n]+\|){2}([^|\n]+)\|$", section, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 23))
    named = [re.findall(r"`([\w/]+\.py)::(\w+)`", tests) for _, tests in rows]
    assert all(named)
    assert [f"{file}::{test}" for row in named for file, test in row if test not in names_in(file_of(file))] == []
