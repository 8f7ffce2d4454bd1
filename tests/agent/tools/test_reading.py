"""Reading: words are found, bound to masks, and masks are chosen by what stands on them."""

import sys
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from agent import (
    WORKSPACE,
    Budget,
    Episode,
    GrammarPlanner,
    Observation,
    PlannerError,
    ScriptedPlanner,
    Task,
    parse_toolset,
    run,
)
from agent.planners.chat.prompt import build_messages, build_schemas
from agent.planners.chat.views import View
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.tools.reading.binding import find_holders
from agent.tools.reading.lines import TextWord
from agent.tools.reading.recognition import MAX_SIDE, fit_pixels, load_text_reader, read_text_lines
from agent.tools.reading.tool import ReadText
from agent.tools.toolsets import Answer, Segment
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.errors import MissingPackageError
from sam3_tool.masks.rle import encode_mask

WORDS = ("milk", "112", "")
READING = WORKSPACE.with_tools(ReadText)
Play = Callable[[ReadText], Observation]


@pytest.fixture(scope="module")
def shelf() -> Image:
    """Three boxes side by side: one says 'milk', one '112', one nothing."""
    picture = PIL.Image.new("RGB", (180, 60), "white")
    draw = PIL.ImageDraw.Draw(picture)
    for place, (word, colour) in enumerate(zip(WORDS, ("maroon", "navy", "green"), strict=True)):
        draw.rectangle((5 + 60 * place, 5, 54 + 60 * place, 54), fill=colour)
        draw.text((30 + 60 * place, 30), word, fill="white", anchor="mm", font=PIL.ImageFont.load_default(18))
    return Image(np.asarray(picture))


@pytest.fixture(scope="module")
def boxes_sam3() -> Sam3:
    masks = np.zeros((3, 60, 180), bool)
    for place in range(3):
        masks[place, 5:55, 5 + 60 * place : 55 + 60 * place] = True
    corners = np.array([[5 + 60 * place, 5, 55 + 60 * place, 55] for place in range(3)], np.float32)
    found = Instances(masks, corners, np.array([0.9, 0.8, 0.7], np.float32), 0.9, "")
    return Sam3(ScriptedBackend({None: {"box": found, "blue box": found[[1]]}}))


@pytest.fixture
def play(shelf: Image, boxes_sam3: Sam3) -> Play:
    """What comes of a call after a search for the boxes."""

    def play(call: ReadText) -> Observation:
        planner = ScriptedPlanner([Segment(phrases=["box"]), call, Answer(ids=[1])], toolset=READING)
        return run(Task(shelf, "q"), planner, boxes_sam3).steps[1].observation

    return play


def ask(query: str, shelf: Image, sam3: Sam3) -> Episode:
    return run(Task(shelf, query), GrammarPlanner(), sam3)


# the tool


def test_lines_are_found_with_boxes_and_lie_on_masks(shelf: Image, play: Play) -> None:
    text = play(ReadText()).text
    assert text.startswith("Found 2 lines of text: 'milk' at ")
    assert "on mask 1); '112' at " in text
    assert text.endswith("on mask 2).")
    [milk, number] = read_text_lines(shelf)
    assert 5 <= milk.box[0] < milk.box[2] <= 55 < 65 <= number.box[0] < number.box[2] <= 115
    assert min(milk.score, number.score) > 0.8


def test_masks_are_read_one_by_one(play: Play) -> None:
    read = play(ReadText(ids=[3, 1]))
    assert read.shown == (3, 1)
    assert read.text.startswith("Of 2 masks: 1 says 'milk' (")
    assert read.text.endswith("; nothing was read on 3.")


def test_masks_are_chosen_by_their_text_with_a_reason(play: Play) -> None:
    read = play(ReadText(says="MILK"))
    assert (read.shown, read.reasons) == ((1,), ((1, "it says 'milk'"),))
    assert play(ReadText(ids=[1], says="MILK", match="exact")).shown == ()


def test_a_number_is_no_part_of_another(play: Play) -> None:
    assert play(ReadText(says="112")).shown == (2,)
    assert play(ReadText(ids=[2], says="12")).shown == ()


def test_a_mistake_is_told(play: Play) -> None:
    read = play(ReadText(ids=[1], says="milky"))
    assert read.shown == (1,)
    assert read.text.startswith("1 of 1 mask says this, which is close to 'milky': 1 ('milk', ")
    assert read.reasons == ((1, "it says 'milk', which is close to 'milky'"),)


def test_a_region_is_read_in_pixels_of_the_image(play: Play) -> None:
    read = play(ReadText(region=[60, 0, 120, 60])).text
    assert read.startswith("Found 1 line of text: '112' at ")
    assert read.endswith("on mask 2).")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (ReadText(says="..."), "`says` is '...', which has no letter and no digit; give what has to be read."),
        (ReadText(ids=[9], says="milk"), "There is no mask 9; the valid numbers are 1 to 3."),
        (ReadText(region=[0, 0, 2, 2]), "The region [0.0, 0.0, 2.0, 2.0] is too small in a picture 180 wide and 60"),
    ],
)
def test_a_wrong_call_is_one_sentence(call: ReadText, complaint: str, play: Play) -> None:
    observation = play(call)
    assert observation.is_error
    assert observation.text.startswith(complaint)


def test_there_has_to_be_a_mask_to_choose_from(shelf: Image, boxes_sam3: Sam3) -> None:
    planner = ScriptedPlanner([ReadText(says="milk")], toolset=READING)
    episode = run(Task(shelf, "q"), planner, boxes_sam3, budget=Budget(max_steps=1))
    assert "none was found so far; call `segment` first" in episode.steps[0].observation.text


# binding


def make_word(x0: float, y0: float, x1: float, y1: float) -> TextWord:
    return TextWord("x", 1.0, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def test_a_word_lies_on_the_smallest_mask_that_holds_most_of_it() -> None:
    masks = np.zeros((4, 40, 60), bool)
    masks[0] = True
    masks[1, 10:30, 10:50] = masks[2, 10:30, 10:50] = True  # equally large
    words = [make_word(12, 12, 30, 20), make_word(44, 12, 54, 20), make_word(46, 12, 60, 20), make_word(-9, -9, -2, -2)]
    rles = [encode_mask(mask) for mask in masks]
    assert find_holders(words, rles) == [1, 1, 0, None]
    assert find_holders(words[2:], rles[1:]) == [None, None]
    assert find_holders(words, []) == [None] * 4


# what reads


def test_an_image_of_the_same_content_is_read_once(shelf: Image) -> None:
    assert read_text_lines(Image(shelf.pixels.copy())) is read_text_lines(shelf)
    assert load_text_reader() is load_text_reader()


@pytest.mark.parametrize("size", [(1, 1), (1, 40_000), (40_000, 1), (9000, 3)])
def test_no_size_is_more_than_what_reads_can_take(size: tuple[int, int]) -> None:
    fitted, scale = fit_pixels(np.zeros((*size, 3), np.uint8))
    assert 64 <= min(fitted.shape[:2]) <= max(fitted.shape[:2]) <= MAX_SIDE
    assert min(scale) > 0


# the grammar


@pytest.mark.parametrize(
    ("query", "ids", "message"),
    [
        ("the box that says milk", (1,), "1 mask: 'box' with the text 'milk'."),
        ("the boxes that do not say milk", (2, 3), "2 masks: 'box' without the text 'milk'."),
        ("the box with number 112 on it", (2,), "1 mask: 'box' with the text '112'."),
        ("the boxes left of the box that says '112'", (1,), "1 mask: 'box' left of 'box' with the text '112'."),
        ("how many boxes say 'milk' or '112'", (1, 2), "There are 2 boxes with the text 'milk' and boxes"),
    ],
)
def test_a_query_is_answered_by_what_is_read(
    query: str, ids: tuple[int, ...], message: str, shelf: Image, boxes_sam3: Sam3
) -> None:
    episode = ask(query, shelf, boxes_sam3)
    assert (episode.outcome, tuple(sorted(episode.current_ids))) == ("answered", ids)
    assert episode.message.startswith(message)


def test_what_is_read_instead_is_told(shelf: Image, boxes_sam3: Sam3) -> None:
    episode = ask("the box that says 12", shelf, boxes_sam3)
    assert episode.outcome == "no_match"
    assert episode.message.startswith("None of 3 'box' has the text '12'. Of these masks, 1 says 'milk' (")
    close = ask("the boxes that say milky", shelf, boxes_sam3)
    assert close.message.endswith("Of mask 1, it says 'milk', which is close to 'milky'.")


def test_a_saved_episode_holds_the_reading_and_is_replayed(shelf: Image, boxes_sam3: Sam3, tmp_path) -> None:
    episode = ask("the box that says milk", shelf, boxes_sam3)
    made_by = Provenance(planner="grammar", sam3="scripted", toolset=GrammarPlanner().toolset)
    assert made_by.model_dump(mode="json")["protocol"] == "workspace"
    save_episode(episode, tmp_path / "e.json", provenance=made_by)
    opened = load_episode(tmp_path / "e.json")
    assert [step.decision.tool for step in opened.episode.steps] == ["segment", "read_text", "answer"]
    toolset = opened.made_by.toolset
    assert toolset.read_call(opened.episode.steps[1].decision).tool == ReadText(ids=[1, 2, 3], says="milk")
    again = run(episode.task, ScriptedPlanner([step.decision for step in episode.steps], toolset=toolset), boxes_sam3)
    assert again.current_ids == (1,)


def test_no_language_model_is_told_of_it_unasked(shelf: Image) -> None:
    episode = Episode(Task(shelf, "q"))
    for toolset in (GrammarPlanner().toolset, WORKSPACE):
        assert "read_text" not in str(build_messages(episode, toolset)[0].content)
    assert "read_text" not in str(build_schemas(GrammarPlanner().toolset, View()))
    [system] = build_messages(episode, parse_toolset("workspace+read_text"))[0].content
    assert "- `read_text`: Where a query turns on words" in system


def test_without_the_extra_one_sentence_says_what_to_install(
    shelf: Image, boxes_sam3: Sam3, play: Play, monkeypatch, is_one_sentence
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)  # as where it is not installed
    with pytest.raises(
        PlannerError, match=r"the query asks for the text 'milk'; to read text .*agent\[ocr\]"
    ) as raised:
        ask("the dogs and the box that says milk", shelf, boxes_sam3)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(MissingPackageError, match="pip install"):
        parse_toolset("workspace+read_text")
    refused = play(ReadText(says="milk"))
    assert refused.is_error
    assert is_one_sentence(refused.text)
    assert ask("the blue box", shelf, boxes_sam3).current_ids == (1,)
