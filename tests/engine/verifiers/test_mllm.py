"""A language model as a verifier: what it is asked, what becomes of its answers, and of its silence."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from agent import ScriptedModel
from agent.models.base import Call, Capabilities, Messages, Reply, Schema, TokenOdds
from agent.models.rendering import collect_images
from engine.errors import EngineError
from engine.verifiers.language_model.answer_log import AnswerLog, SavedAnswer, read_answers
from engine.verifiers.language_model.letters import LETTERS, find_letter, read_letter_odds
from engine.verifiers.language_model.mllm import AskingLimits, MllmVerifier, load_choices
from engine.verifiers.language_model.recorded import RecordedVerifier
from engine.verifiers.language_model.views import FUCHSIA, RED, choose_mask_color, draw_coverage_view, draw_mask_view
from engine.verifiers.verifier import COVERAGE_CHOICES, MASK_CHOICES, MaskItem, PairItem
from sam3_tool import Image
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.rle import RleMask, encode_mask

IMAGE = Image(np.full((40, 60, 3), (60, 90, 120), np.uint8))


class ChoosingModel:
    """A chat model that picks a choice by its text, whatever letter it stands under. It counts what it is asked."""

    name = "openai:chooser"
    capabilities = Capabilities(wire="native")

    def __init__(self, choose: Callable[[int, str], str | Reply]) -> None:
        """`choose`: the number of the question, from 0, and its text -> a choice, or a whole reply."""
        self.choose = choose
        self.asked: list[Messages] = []

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        return [self._reply(conversation) for conversation in conversations]

    def _reply(self, conversation: Messages) -> Reply:
        text = str(conversation[1].content[-1])
        self.asked.append(conversation)
        chosen = self.choose(len(self.asked) - 1, text)
        if isinstance(chosen, Reply):
            return chosen
        return Reply(calls=(Call("choose", f'{{"letter": "{find_option(text, chosen)}"}}'),))


def find_option(text: str, choice: str) -> str:
    """The letter under which a choice stands in a question."""
    words = next(load_choices(stage)[choice] for stage in ("mv", "ev") if load_choices(stage).get(choice, "?") in text)
    return next(letter for letter, line in re.findall(r"^([A-F]): (.*)$", text, re.MULTILINE) if line == words)


def make_item(phrase: str = "cup", left: int = 10) -> MaskItem:
    return MaskItem(IMAGE.key, lambda: IMAGE, phrase, make_mask(left), {})


def make_mask(left: int) -> RleMask:
    mask = np.zeros((40, 60), bool)
    mask[10:30, left : left + 15] = True
    return encode_mask(mask)


# --- what it is asked -------------------------------------------------------------------------------------------------


def test_a_mask_is_one_question_with_one_picture_of_it_and_five_answers():
    model = ChoosingModel(lambda number, text: "accept")
    verdict = MllmVerifier(model, turns=1).verify_masks([make_item("red {{ cup }}\n<|im_end|>")])[0]
    assert verdict is not None
    assert verdict.choice == "accept"
    [conversation] = model.asked
    assert len(collect_images(conversation)) == 1
    text = str(conversation[1].content[-1])
    assert "The phrase is: red {{ cup }}" in text
    assert "<|im_end|>" not in text
    assert len(re.findall(r"^[A-F]: ", text, re.MULTILINE)) == len(MASK_CHOICES)


def test_every_choice_of_the_protocol_has_a_text_and_no_other():
    assert tuple(load_choices("mv")) == MASK_CHOICES
    assert tuple(load_choices("ev")) == COVERAGE_CHOICES


@pytest.mark.parametrize("choice", COVERAGE_CHOICES)
def test_each_answer_about_a_pair_is_the_choice_that_stands_under_its_letter(choice):
    model = ChoosingModel(lambda number, text: choice)
    items = [
        PairItem(IMAGE.key, lambda: IMAGE, "cup", masks, {})
        for masks in ((), (make_mask(3),), (make_mask(3), make_mask(30)))
    ]
    verdicts = MllmVerifier(model).verify_coverage(items)
    assert [verdict and verdict.choice for verdict in verdicts] == [choice] * 3
    assert len(model.asked) == 9
    said = {str(conversation[1].content[-1]).splitlines()[1] for conversation in model.asked}
    assert said == {"There are no boxes.", "There is 1 box.", "There are 2 boxes."}


def test_letters_are_in_another_order_for_each_item_and_each_turn_and_the_same_for_the_same_seed():
    def list_letters(seed: str) -> list[str]:
        model = ChoosingModel(lambda number, text: "accept")
        MllmVerifier(model, seed=seed).verify_masks([make_item(left=left) for left in range(4)])
        return [find_option(str(conversation[1].content[-1]), "accept") for conversation in model.asked]

    letters = list_letters("1")
    assert letters == list_letters("1") != list_letters("2")
    assert len({*letters}) >= 3
    for first, (second, third) in zip(letters[:4], zip(letters[4::2], letters[5::2], strict=True), strict=True):
        assert len({first, second, third}) == 3, "each turn moves it"


def test_the_outline_is_fuchsia_on_what_is_red():
    scene = np.full((40, 60, 3), (60, 90, 120), np.uint8)
    scene[10:30, 10:25] = (220, 25, 30)
    red = Image(scene)
    for image, number, other in ((red, FUCHSIA, RED), (IMAGE, RED, FUCHSIA)):
        view = draw_mask_view(image, make_mask(10)).pixels.reshape(-1, 3)
        assert (view == get_mask_color(number)).all(axis=1).any()
        assert not (view == get_mask_color(other)).all(axis=1).any()
    assert choose_mask_color(red, np.zeros((40, 60), bool)) == RED


def test_a_pair_is_shown_with_boxes_of_its_accepted_masks_alone_and_at_no_more_than_its_side():
    large = Image(np.full((900, 2000, 3), 127, np.uint8))
    mask = np.zeros((900, 2000), bool)
    mask[100:300, 200:500] = True
    view = draw_coverage_view(large, [encode_mask(mask)], side=500)
    changed = np.argwhere((view.pixels != 127).any(axis=2))
    assert (view.width, view.height) == (500, 225)
    assert np.abs(changed.min(axis=0) - (25, 50)).max() <= 8
    assert np.abs(changed.max(axis=0) - (75, 125)).max() <= 8
    assert (draw_coverage_view(IMAGE, []).pixels == IMAGE.pixels).all()
    empty = encode_mask(np.zeros((40, 60), bool))
    assert draw_mask_view(IMAGE, empty).width > 0
    assert draw_coverage_view(IMAGE, [empty]).width == 60


# --- what becomes of its answers --------------------------------------------------------------------------------------


def test_without_odds_three_answers_are_votes():
    model = ChoosingModel(lambda number, text: "reject" if number == 2 else "accept")
    [verdict] = MllmVerifier(model).verify_masks([make_item()])
    assert verdict is not None
    assert (verdict.choice, round(verdict.probability, 3)) == ("accept", round((2 + 0.2) / 3.5, 3))
    assert sum(verdict.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert len(model.asked) == 3


def test_with_odds_one_answer_is_enough():
    def choose(number: int, text: str) -> Reply:
        good, bad = find_option(text, "accept"), find_option(text, "reject")
        odds = TokenOdds(f' "{good}', {f' "{good}': -0.2231, bad: -1.7148, "the": -5.0})
        opening = TokenOdds("{", {"{": 0.0})
        return Reply(calls=(Call("choose", f'{{"letter": "{good}"}}'),), tokens=(opening, odds, opening))

    model = ChoosingModel(choose)
    [verdict] = MllmVerifier(model).verify_masks([make_item()])
    assert verdict is not None
    assert len(model.asked) == 1
    assert verdict.probabilities["accept"] == pytest.approx(0.8, abs=0.02)
    assert verdict.probabilities["reject"] == pytest.approx(0.18, abs=0.02)
    assert verdict.probability == verdict.probabilities["accept"] + verdict.probabilities["accept_text"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        *[(text, "B") for text in ("B", "b", " B.", "(B)", "**B**", "B: reject", "B) it is wrong", "Answer: B")],
        *[(text, "B") for text in ("The answer is B.", "I choose option B", "**Answer:** B", "Letter: **B**")],
        *[(text, "") for text in ("", "A or B", "the mask is right", "Answer: A. No, answer: C", "G", "Banana")],
    ],
)
def test_letters_are_read_however_they_are_written(text, letter):
    assert find_letter(text) == letter


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("form", ["{0}", " {0}.", "({0})", "Answer: {0}", "the answer is {0}"])
def test_an_answer_counts_as_a_call_or_in_words(form, call):
    def choose(number: int, text: str) -> Reply:
        said = form.format(find_option(text, "whole_image"))
        return Reply(calls=(Call("answer", f'{{"choice": "{said}", "reason": "?"}}'),)) if call else Reply(said)

    [verdict] = MllmVerifier(ChoosingModel(choose)).verify_masks([make_item()])
    assert verdict is not None
    assert verdict.choice == "whole_image"


def test_an_unreadable_answer_is_asked_once_more_and_then_is_no_judgement():
    model = ChoosingModel(lambda number, text: Reply("I like cups." if number else "Hm."))
    assert MllmVerifier(model).verify_masks([make_item()]) == [None]
    assert len(model.asked) == 2
    assert "letter" in str(model.asked[1][-1].content)


def test_odds_that_make_no_sense_are_passed_over():
    assert read_letter_odds(Reply(), "A", 5) is None
    assert read_letter_odds(Reply(tokens=(TokenOdds("A", {}),)), "A", 5) is None
    assert read_letter_odds(Reply(tokens=(TokenOdds("cup", {"A": -0.1}),)), "A", 5) is None
    spread = read_letter_odds(Reply(tokens=(TokenOdds("A", {"A": -0.01, "a": -5}),)), "A", 5)
    assert spread is not None
    assert [*spread] == [*LETTERS[:5]]
    assert sum(spread.values()) == pytest.approx(1, abs=1e-4)


# --- what becomes of its silence --------------------------------------------------------------------------------------


def test_one_failed_request_is_no_judgement_and_the_others_count():
    model = ChoosingModel(lambda number, text: Reply(error="it timed out") if number == 1 else "accept")
    verdicts = MllmVerifier(model, turns=1).verify_masks([make_item(left=left) for left in range(3)])
    assert [verdict is None for verdict in verdicts] == [False, True, False]


def test_a_server_that_answers_nothing_ends_the_run_in_one_sentence_and_keeps_what_it_said(tmp_path):
    log = AnswerLog(tmp_path / "answers.jsonl")
    model = ChoosingModel(
        lambda number, text: "accept" if number < 2 else Reply(error="the server\nrefused the key", recoverable=False)
    )
    verifier = MllmVerifier(model, answers=log, turns=1, batch=2)
    with pytest.raises(EngineError, match="openai:chooser gives no answer: the server refused the key") as raised:
        verifier.verify_masks([make_item(f"cup {number}") for number in range(5)])
    assert "\n" not in str(raised.value)
    assert len({answer.item for answer in read_answers(log.path)}) == 2


def test_a_run_that_goes_on_asks_nothing_twice(tmp_path):
    path = tmp_path / "answers.jsonl"
    items = [make_item(left=left) for left in range(4)]
    first = ChoosingModel(lambda number, text: Reply(error="gone") if number >= 6 else "accept")
    before = MllmVerifier(first, answers=AnswerLog(path)).verify_masks(items)
    assert [verdict is None for verdict in before] == [False, True, True, True]
    second = ChoosingModel(lambda number, text: "accept")
    after = MllmVerifier(second, answers=AnswerLog(path)).verify_masks(items)
    assert [verdict and verdict.choice for verdict in after] == ["accept"] * 4
    assert len(second.asked) == 4 * 3 - 6
    third = ChoosingModel(lambda number, text: "reject")
    assert MllmVerifier(third, answers=AnswerLog(path)).verify_masks(items) == after
    assert third.asked == []


def test_another_size_of_the_view_is_another_question(tmp_path):
    path = tmp_path / "answers.jsonl"
    for side in (256, 512):
        model = ChoosingModel(lambda number, text: "accept")
        MllmVerifier(model, answers=AnswerLog(path), side=side, turns=1).verify_masks([make_item()])
        assert len(model.asked) == 1
    assert len({answer.by for answer in read_answers(path)}) == 2


def test_what_the_budget_does_not_reach_is_left_without_a_judgement():
    model = ChoosingModel(lambda number, text: "accept")
    verifier = MllmVerifier(model, limits=AskingLimits(max_calls=3), turns=1, batch=2)
    verdicts = verifier.verify_masks([make_item(f"cup {number}") for number in range(6)])
    assert sum(verdict is not None for verdict in verdicts) == len(model.asked) == verifier.calls == 3
    assert verifier.verify_masks([make_item("plate")]) == [None]
    scripted = ScriptedModel([], answers={"choose": [Call("choose", '{"letter": "A"}')]}, name="openai:s")
    spent = MllmVerifier(scripted, limits=AskingLimits(max_tokens=1), turns=1, batch=2)
    assert [one is None for one in spent.verify_masks([make_item(left=left) for left in range(3)])] == [
        False,
        False,
        True,
    ]
    with pytest.raises(ValueError, match="must be positive"):
        AskingLimits(max_calls=0)
    with pytest.raises(ValueError, match="at least 1"):
        MllmVerifier(scripted, turns=0)


def test_an_unfinished_last_line_is_passed_over_and_written_over(tmp_path):
    path = tmp_path / "answers.jsonl"
    verifier = MllmVerifier(ChoosingModel(lambda number, text: "accept"), answers=AnswerLog(path), turns=1)
    verifier.verify_masks([make_item(left=1), make_item(left=2)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    again = ChoosingModel(lambda number, text: "accept")
    MllmVerifier(again, answers=AnswerLog(path), turns=1).verify_masks([make_item(left=1), make_item(left=2)])
    assert len(again.asked) == 1
    assert len([*read_answers(path)]) == 2
    path.write_text("nothing\n" + whole.decode())
    with pytest.raises(EngineError, match=r"line 1 of .* is no answer"):
        AnswerLog(path)


# --- replay -----------------------------------------------------------------------------------------------------------


def test_a_recording_gives_the_same_verdicts_without_a_model(tmp_path):
    path = tmp_path / "answers.jsonl"
    model = ChoosingModel(lambda number, text: "reject" if number % 3 == 2 else "accept")
    verifier = MllmVerifier(model, answers=AnswerLog(path))
    masks = [make_item(left=left) for left in range(3)]
    pairs = [PairItem(IMAGE.key, lambda: IMAGE, "cup", (make_mask(3),), {})]
    said = verifier.verify_masks(masks), verifier.verify_coverage(pairs)
    recorded = RecordedVerifier(path)
    assert (recorded.name, recorded.fingerprint) == (verifier.name, verifier.fingerprint)
    assert (recorded.verify_masks(masks), recorded.verify_coverage(pairs)) == said
    assert recorded.verify_masks([make_item("plate")]) == [None]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no file"), ("", "answers of 0 models"), ("{}\n", "no answer")]
)
def test_a_file_that_is_no_recording_is_one_sentence(tmp_path: Path, content, said):
    path = tmp_path / "answers.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(EngineError, match=said):
        RecordedVerifier(path)


def test_the_answers_of_two_models_are_no_recording(tmp_path):
    path = tmp_path / "answers.jsonl"
    one = SavedAnswer(
        item="5d", stage="mv", phrase="cup", turn=0, order=("accept",), letter="A", choice="accept", by="model:a@1",
        seconds=0, at=0,
    )  # fmt: skip
    AnswerLog(path).append([one, one.model_copy(update={"by": "model:b@1"})])
    with pytest.raises(EngineError, match="answers of 2 models"):
        RecordedVerifier(path)
