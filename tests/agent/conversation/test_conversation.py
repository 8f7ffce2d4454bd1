import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest

from agent import PAPER, WORKSPACE, Budget, ChatPlanner, Decision, Episode, GrammarPlanner, ScriptedPlanner, Toolset
from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from agent.models.base import Call
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.loading import with_model_info
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, AskUser, Count, ReportNoMask, Segment
from sam3_tool import Image, Sam3
from sam3_tool.errors import RecordError


def calls(*script: object, toolset: Toolset = WORKSPACE) -> ScriptedPlanner:
    return ScriptedPlanner(script, toolset=toolset)


RED_CUPS = calls(Segment(phrases=["red cup"]), Answer(ids=[1, 2, 3]))


@pytest.fixture
def begun(kitchen: Image) -> Conversation:
    return Conversation.start(kitchen, "pictures/kitchen.png")


@pytest.fixture
def three_cups(begun: Conversation, kitchen_sam3: Sam3) -> Conversation:
    return begun.say("the red cups", RED_CUPS, kitchen_sam3)


def test_a_turn_starts_from_the_masks_of_the_turns_before_it(three_cups, kitchen_sam3) -> None:
    second = three_cups.say("and the saucer", calls(Segment(phrases=["saucer"]), Answer(ids=[1, 2, 4])), kitchen_sam3)
    assert second.selected == (1, 2, 4)
    assert [candidate.phrase for candidate in second.workspace] == ["red cup"] * 3 + ["saucer"]
    assert second.answer.masks.shape == (3, 60, 100)
    assert [said.query for said in second.context.turns] == ["the red cups", "and the saucer"]
    assert [episode.task.query for episode in second.turns] == ["the red cups", "and the saucer"]


def test_a_phrase_of_an_earlier_turn_keeps_its_numbers_and_costs_nothing(three_cups, kitchen_sam3) -> None:
    again = calls(Segment(phrases=["Red  cup"]), Answer(ids=[3]))
    second = three_cups.say("the last red cup", again, kitchen_sam3)
    assert len(second.workspace) == 3
    assert second.last_turn.usage.sam_decodes == 0
    lower = calls(Segment(phrases=["red cup"], threshold=0.1), Answer(ids=[4]))
    assert len(three_cups.say("any red cup", lower, kitchen_sam3).workspace) == 6, "another question"


def test_a_turn_sees_the_answer_so_far_as_its_own_first_masks(three_cups) -> None:
    episode = Episode(three_cups.build_task("those"))
    assert episode.current_ids == episode.best_ids == (1, 2, 3)
    assert episode.answer.masks.shape == (3, 60, 100)


def test_the_paper_protocol_goes_on_with_the_answer_and_may_use_a_phrase_again(three_cups, kitchen_sam3) -> None:
    left = three_cups.remove([1])
    second = calls(SelectMasksAndReturn(final_answer_masks=[2]), toolset=PAPER)
    chosen = left.say("the second", second, kitchen_sam3)
    assert chosen.selected == (3,)
    script = calls(SegmentPhrase(text_prompt="red cup"), SelectMasksAndReturn(final_answer_masks=[1]), toolset=PAPER)
    assert chosen.say("a red cup", script, kitchen_sam3).outcome == "answered"


NO_ANSWER = {
    "no_match": calls(Segment(phrases=["plate"]), ReportNoMask(reason="There is no plate.")),
    "asked": calls(AskUser(question="Which?", options=["the left one", "the right one"])),
    "failed": calls(Segment(phrases=["cup"])),
    "step_limit": calls(Segment(phrases=["cup"]), Segment(phrases=["saucer"])),
}


@pytest.mark.parametrize("outcome", NO_ANSWER)
def test_a_turn_without_an_answer_leaves_the_answer_as_it_was(outcome, three_cups, kitchen_sam3) -> None:
    second = three_cups.say("…", NO_ANSWER[outcome], kitchen_sam3, budget=Budget(max_steps=2))
    assert second.outcome == outcome
    assert second.selected == (1, 2, 3)
    assert second.message.endswith("The answer before it stays: 1 to 3.") == (outcome != "asked")


def test_a_first_turn_that_is_stopped_has_its_best_answer(begun, kitchen_sam3) -> None:
    stopped = begun.say("cups", NO_ANSWER["step_limit"], kitchen_sam3, budget=Budget(max_steps=1))
    assert (stopped.outcome, stopped.selected) == ("step_limit", (1, 2))


def test_a_question_back_shows_the_masks_in_question_and_the_readings(begun, kitchen_sam3) -> None:
    ask = AskUser(question="Which?", options=["the left one", "the right one"])
    asked = begun.say("the cup", calls(Segment(phrases=["cup"]), ask), kitchen_sam3)
    assert (asked.outcome, asked.selected, asked.displayed_ids) == ("asked", (), (1, 2))
    assert asked.options == asked.context.turns[-1].options == ("the left one", "the right one")
    chosen = asked.say("the second", calls(Answer(ids=[2])), kitchen_sam3)
    assert (chosen.options, chosen.displayed_ids) == ((), (2,))


def test_every_step_can_be_undone_and_redone(three_cups, kitchen_sam3) -> None:
    fewer = three_cups.remove([2])
    saucer = fewer.say("the saucer", calls(Segment(phrases=["saucer"]), Answer(ids=[4])), kitchen_sam3)
    states = [saucer, saucer.undo(), saucer.undo().undo(), saucer.undo().undo().undo()]
    assert [state.selected for state in states] == [(4,), (1, 3), (1, 2, 3), ()]
    assert [len(state.workspace) for state in states] == [4, 3, 3, 0]
    assert states[3].redo().redo().redo().selected == (4,)
    with pytest.raises(ConversationError, match="nothing to undo"):
        states[3].undo()
    with pytest.raises(ConversationError, match="nothing to redo"):
        saucer.redo()


def test_what_is_said_after_an_undo_replaces_what_was_undone(three_cups) -> None:
    other = three_cups.remove([2]).undo().remove([1])
    assert other.selected == (2, 3)
    assert not other.can_redo
    assert [turn.task.query for turn in other.turns] == ["the red cups", "remove 1"]


@pytest.mark.parametrize("words", ["undo", " Undo. ", "UNDO!", "go back, please"])
def test_undo_can_be_said(words, three_cups, kitchen_sam3) -> None:
    nobody = calls()
    undone = three_cups.say(words, nobody, kitchen_sam3)
    assert undone.selected == ()
    assert undone.say("redo", nobody, kitchen_sam3).selected == (1, 2, 3)
    assert three_cups.apply_command("undo the knot") is None


def test_masks_are_removed_kept_and_brought_back_by_number(three_cups) -> None:
    assert three_cups.remove([2]).selected == (1, 3)
    assert three_cups.keep([3, 1]).selected == (1, 3)
    assert three_cups.remove([2]).restore([2]).selected == (1, 3, 2)
    assert three_cups.select([3]).selected == (3,)
    nothing = three_cups.remove([1, 2, 3])
    assert (nothing.selected, nothing.outcome, nothing.message) == ((), "no_match", "0 masks; without 1 to 3.")
    assert nothing.restore([2]).selected == (2,)


WRONG: dict[str, Callable[[Conversation], object]] = {
    r"mask 4 is not in the answer, which has 1 to 3": lambda talk: talk.remove([4]),
    r"mask 1 is not in the answer, which has 2 and 3": lambda talk: talk.remove([1]).keep([1]),
    r"there is no mask 9; the known ones are 1 to 3": lambda talk: talk.restore([9]),
    r"300, 5 lies outside the image, which has 100 x 60 pixels": lambda talk: talk.mask_at(300, 5),
    r"the box 5, 5, 5, 9 holds nothing of the image": lambda talk: talk.apply_box(5, 5, 5, 9, None),
    r"there is no mask at 1, 1 to take anything from": lambda talk: talk.click(1, 1, None, positive=False),
    r"a threshold is at least 0 and below 1, not 1": lambda talk: talk.filter_by_score(1),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_done_is_said_in_one_line(said, three_cups) -> None:
    with pytest.raises(ConversationError, match=said):
        WRONG[said](three_cups)


def test_an_edit_is_an_episode_over_the_same_tools(three_cups, kitchen_sam3) -> None:
    edited = three_cups.edit([Segment(phrases=["saucer"])], kitchen_sam3, "look for saucers")
    assert edited.selected == (4,)
    assert [step.decision.tool for step in edited.last_turn.steps] == ["segment", "answer"]
    assert edited.last_turn.task.by_hand
    assert edited.context.turns[-1].by_hand
    assert edited.context.turns[-1].query == "look for saucers"


def test_an_edit_that_a_tool_refuses_changes_nothing(three_cups, kitchen_sam3) -> None:
    with pytest.raises(ConversationError, match="There is no mask 9; the valid numbers are 1 to 3"):
        three_cups.edit([Count(ids=[9])], kitchen_sam3)


def test_a_turn_that_finds_nothing_is_remembered_with_the_answer_that_stays(three_cups, kitchen_sam3) -> None:
    stays = three_cups.say("the forks", calls(ReportNoMask(reason="There is no fork.")), kitchen_sam3)
    assert (stays.outcome, stays.context.turns[-1].selected) == ("no_match", (1, 2, 3))
    nothing = three_cups.remove([1, 2, 3])
    assert (nothing.outcome, nothing.context.turns[-1].selected) == ("no_match", ())


def test_a_threshold_that_is_moved_is_one_turn(three_cups) -> None:
    assert [f"{candidate.score:.2f}" for candidate in three_cups.workspace] == ["0.91", "0.85", "0.72"]
    higher = three_cups.filter_by_score(0.8)
    assert higher.selected == (1, 2)
    assert higher.filter_by_score(0.9).filter_by_score(0.5).selected == (1, 2, 3)
    assert higher.filter_by_score(0.9).undo().selected == (1, 2, 3)


def test_a_threshold_that_is_moved_back_to_where_it_was_leaves_no_turn(three_cups) -> None:
    back = three_cups.filter_by_score(0.8).filter_by_score(0.9).filter_by_score(0)
    assert (len(back.turns), back.selected, back.message) == (1, (1, 2, 3), three_cups.message)
    assert len(three_cups.filter_by_score(0).turns) == 1
    fewer = three_cups.remove([1]).filter_by_score(0.8).filter_by_score(0)
    assert [turn.task.query for turn in fewer.turns] == ["the red cups", "remove 1"]
    assert fewer.selected == (2, 3)


def test_the_mask_under_a_pixel_is_the_smallest_of_the_answer(begun, kitchen_sam3) -> None:
    script = calls(Segment(phrases=["cup", "handle"]), Answer(ids=[1, 3, 4]))
    talk = begun.say("everything", script, kitchen_sam3)
    assert talk.mask_at(14.5, 25) == 3, "the handle lies on the cup"
    assert talk.mask_at(6, 25) in (1, 4)
    assert talk.mask_at(85, 10) is None, "mask 2 is no part of the answer"
    assert talk.mask_at(85, 10, candidate_ids=[2]) == 2


def test_another_picture_begins_at_mask_1_and_what_was_said_is_kept(three_cups, kitchen_sam3) -> None:
    darker = Image(three_cups.image.pixels // 2)
    moved = three_cups.show(darker, "darker.png")
    assert (moved.selected, len(moved.workspace), moved.name) == ((), 0, "darker.png")
    assert moved.last_turn is None
    (said,) = moved.context.turns
    assert (said.query, said.elsewhere) == ("the red cups", True)
    same = moved.say(said.query, RED_CUPS, kitchen_sam3)
    assert (same.selected, same.last_turn.task.image) == ((1, 2, 3), darker)
    assert [turn.elsewhere for turn in same.context.turns] == [True, False]
    back = same.undo().undo()
    assert (back.image.key, back.selected) == (three_cups.image.key, (1, 2, 3))


def test_a_turn_may_be_watched_and_taken_in(three_cups, kitchen_sam3) -> None:
    *_, episode = three_cups.watch("saucer", calls(Segment(phrases=["saucer"]), Answer(ids=[4])), kitchen_sam3)
    assert three_cups.append(episode).selected == (4,)
    with pytest.raises(ValueError, match="began elsewhere"):
        three_cups.remove([1]).append(episode)
    with pytest.raises(ValueError, match="no outcome yet, after 0 steps"):
        three_cups.append(Episode(three_cups.build_task("x")))


def test_reasons_are_those_of_the_turn_that_gave_them_last(begun, kitchen_sam3) -> None:
    why = Answer(ids=[1, 2], reasons=[{"id": 1, "reason": "red"}, {"id": 2, "reason": "round"}])
    talk = begun.say("cups", calls(Segment(phrases=["cup"]), why), kitchen_sam3)
    again = talk.say("one", calls(Answer(ids=[2], reasons=[{"id": 2, "reason": "the right one"}])), kitchen_sam3)
    assert again.reasons == {1: "red", 2: "the right one"}


def taken_back(talk: Conversation) -> list[tuple[object, ...]]:
    """What the conversation was at each of its steps, latest first."""
    states = [talk]
    while states[-1].can_undo:
        states.append(states[-1].undo())
    return [(state.context, state.displayed_ids, state.message, state.image.key) for state in states]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_done_in_whatever_order_it_holds_together(seed, begun, kitchen_sam3, tmp_path: Path) -> None:
    chance, talk = Random(seed), begun
    words = ("the red cups", "and the saucer", "not number 2", "only the left one", "the others", "plates", "undo")
    for _ in range(30):
        ids = chance.sample(range(1, 6), 2)
        do: list[Callable[[Conversation], Conversation]] = [
            lambda talk: talk.say(chance.choice(words), GrammarPlanner(), kitchen_sam3),
            lambda talk, ids=ids: chance.choice([talk.remove, talk.keep, talk.restore, talk.select])(ids),
            lambda talk: talk.filter_by_score(chance.random()),
            lambda talk: chance.choice([talk.undo, talk.redo])(),
            lambda talk: talk.show(Image(begun.image.pixels // chance.choice([1, 3]))),
        ]
        with suppress(ConversationError):
            talk = chance.choice(do)(talk)
    assert all(id in talk.workspace for id in talk.selected)
    assert talk.answer.masks.shape == (len(talk.selected), 60, 100)
    talk.save(tmp_path / "a.json")
    again = Conversation.open(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert taken_back(again) == taken_back(talk)


def test_a_language_model_follows_up_and_its_page_shows_what_it_was_told(three_cups, kitchen_sam3) -> None:
    rank = Call("rank", '{"ids": [1, 2, 3], "by": "x", "order": "descending"}')
    planner = ChatPlanner(ScriptedModel([rank, Call("answer", '{"ids": [3], "message": "This one."}')]))
    talk = three_cups.remove([2]).say("the rightmost", planner, kitchen_sam3)
    assert (talk.selected, talk.message) == ((3,), "This one.")
    page = to_html(talk.last_turn, with_model_info(Provenance(planner="openai:scripted", sam3="scripted"), planner))
    assert "This goes on with a conversation about the picture" in page
    assert "by hand: &#39;remove 2&#39;; answer: 1 and 3 (&#39;red cup&#39;)" in page


# the file


@pytest.fixture
def long_talk(three_cups: Conversation, kitchen_sam3: Sam3) -> Conversation:
    """Two pictures, one of them twice, a turn by hand, two turns undone."""
    darker = Image(three_cups.image.pixels // 2)
    asked = three_cups.say("the cup …", NO_ANSWER["asked"], kitchen_sam3).remove([2]).show(darker, "darker.png")
    same = asked.say("the red cups", RED_CUPS, kitchen_sam3).show(three_cups.image, "again.png")
    return same.say("redder", RED_CUPS, kitchen_sam3).undo().undo()


def test_an_opened_conversation_is_the_one_that_was_saved(long_talk, tmp_path: Path) -> None:
    long_talk.save(tmp_path / "talk.json")
    again = Conversation.open(tmp_path / "talk.json")
    assert again.context == long_talk.context
    assert [turn.steps for turn in again.turns] == [turn.steps for turn in long_talk.turns]
    assert (again.answer.masks == long_talk.answer.masks).all()
    assert (again.name, again.image.key) == ("darker.png", long_talk.image.key)
    for talk in (long_talk.redo().redo(), again.redo().redo()):
        assert (talk.name, talk.selected, talk.can_redo) == ("again.png", (1, 2, 3), False)
    assert again.undo().undo().undo().options == ("the left one", "the right one")


def test_opening_and_saving_changes_no_byte_and_holds_each_picture_once(long_talk, tmp_path: Path) -> None:
    long_talk.save(tmp_path / "a.json")
    Conversation.open(tmp_path / "a.json").save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    held = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert len(held["pictures"]) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_conversation_of_the_grammar_can_be_saved(picture, tiny, tmp_path: Path) -> None:
    talk = Conversation.start(picture).say("the red circle", GrammarPlanner(), tiny)
    talk.save(tmp_path / "talk.json")
    assert Conversation.open(tmp_path / "talk.json").message == talk.message


def edited(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        held = json.loads(content)
        change(held)
        return json.dumps(held).encode()

    return changed


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "is not a saved conversation: it is not JSON, or cut off": lambda content: content[: len(content) // 2],
    "is not a saved conversation: it does not say format": lambda content: b'{"format": "sam3-agent episode"}',
    "has version 0 of the format; expected 1": edited(lambda held: held.update(version=0)),
    "is damaged: events.1": edited(lambda held: held["events"][1].pop("query")),
    "is damaged: of 8 events between 1 and all can count, not 99": edited(lambda held: held.update(cursor=99)),
    "is damaged: a conversation begins with an image": edited(lambda held: held.update(events=[])),
    "is damaged: at event 1: a turn was taken before any image": edited(lambda held: held["events"].pop(0)),
    "is damaged: at event 1: it shows an image 'x'": edited(lambda held: held["events"][0].update(picture="x")),
    "is damaged: at event 2: it shows masks": edited(lambda held: held["events"].pop(1)),
    "is damaged: its image is damaged": edited(lambda held: held["pictures"][0].update(png="AAAA")),
    "is damaged: pictures.0.width": edited(lambda held: held["pictures"][0].update(width=-10_000)),
    "is damaged: the pixels of the image \\w+ are not": edited(
        lambda held: held["pictures"][0].update(png=held["pictures"][1]["png"])
    ),
}


@pytest.mark.parametrize("said", DAMAGE)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(said, long_talk, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    long_talk.save(path)
    path.write_bytes(DAMAGE[said](path.read_bytes()))
    with pytest.raises(RecordError, match=said) as refused:
        Conversation.open(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_of_a_stranger_may_be_limited_in_size(long_talk, tmp_path: Path) -> None:
    long_talk.save(tmp_path / "talk.json")
    assert Conversation.open(tmp_path / "talk.json", max_pixels=12_000).selected == long_talk.selected
    with pytest.raises(RecordError, match=r"too large: its images have 0.0 megapixels together, and 0.011999"):
        Conversation.open(tmp_path / "talk.json", max_pixels=11_999)


def test_very_many_pictures_in_a_row_are_opened(three_cups, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    three_cups.save(path)
    many = edited(lambda held: held.update(events=held["events"] + 3000 * held["events"][:1], cursor=3002))
    path.write_bytes(many(path.read_bytes()))
    again = Conversation.open(path)
    assert [(turn.query, turn.elsewhere) for turn in again.context.turns] == [("the red cups", True)]
    assert again.selected == ()


def test_a_missing_file_is_refused_and_a_folder_is_not_written_over(three_cups, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*none\.json: No such file"):
        Conversation.open(tmp_path / "none.json")
    with pytest.raises(OSError, match=str(tmp_path)):
        three_cups.save(tmp_path)


def test_one_turn_can_be_saved_as_an_episode_with_what_was_before_it(long_talk, tmp_path: Path) -> None:
    turn = long_talk.turns[2]
    save_episode(turn, tmp_path / "episode.json", provenance=Provenance(planner="grammar", sam3="tiny"))
    again = load_episode(tmp_path / "episode.json").episode
    assert again.task.context == turn.task.context
    assert (again.task.query, again.task.by_hand, again.current_ids) == ("remove 2", True, (1, 3))


def test_half_a_character_and_no_decision_at_all_can_be_saved(three_cups, kitchen_sam3, tmp_path: Path) -> None:
    silent = three_cups.say("red \ud83d ball", calls(Decision("", "", "hm \ud83d")), kitchen_sam3)
    silent.save(tmp_path / "a.json")
    again = Conversation.open(tmp_path / "a.json")
    assert again.turns[-1].task.query == "red ? ball"
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_mask_is_in_the_file_once(three_cups, tmp_path: Path) -> None:
    talk = three_cups
    for _ in range(5):
        talk = talk.remove([2]).restore([2])
    talk.save(tmp_path / "talk.json")
    counts = talk.workspace[3].rle.counts
    assert (tmp_path / "talk.json").read_text("utf-8").count(json.dumps(counts)) == 1


def test_a_conversation_begins_with_a_picture() -> None:
    with pytest.raises(ValueError, match="begins with an image"):
        Conversation((), 1)
    picture = Image(np.zeros((4, 4, 3), np.uint8))
    assert Conversation.start(picture).selected == ()
