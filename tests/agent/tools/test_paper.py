import pytest

from agent import PAPER, Decision, Episode, ScriptedPlanner, Task, run
from agent.core.context import ConversationContext
from agent.tools.paper import ExamineEachMask, ReportNoMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Segment

CUPS = SegmentPhrase(text_prompt="red cup")
PLATE = SegmentPhrase(text_prompt="plate")
TABLE = SegmentPhrase(text_prompt="table")
END = ReportNoMask()


def select(*numbers: int) -> SelectMasksAndReturn:
    return SelectMasksAndReturn(final_answer_masks=list(numbers))


@pytest.fixture
def texts(play):
    def texts(*calls, rejects=()) -> list[str]:
        return [step.observation.text for step in play(*calls, toolset=PAPER, rejects=rejects).steps]

    return texts


@pytest.fixture
def episode_of(play):
    def episode_of(*calls, rejects=()) -> Episode:
        return play(*calls, toolset=PAPER, rejects=rejects)

    return episode_of


@pytest.mark.parametrize("call", [ExamineEachMask(), select(1)])
def test_masks_are_looked_at_only_after_a_phrase(episode_of, call):
    first, *_ = episode_of(call, END).steps
    assert first.observation.is_error
    assert first.observation.text == "There are no masks yet; call `segment_phrase` with a short noun phrase first."


def test_giving_up_at_once_is_allowed(episode_of):
    episode = episode_of(END)
    assert (episode.outcome, episode.current_ids, episode.message) == (
        "no_match",
        (),
        "Nothing in the picture matches.",
    )


def test_the_answer_is_the_selected_masks_in_ascending_order(episode_of):
    episode = episode_of(CUPS, select(3, 1, 3))
    assert (episode.outcome, episode.current_ids, episode.message) == ("answered", (1, 3), "2 masks.")


def test_the_masks_of_a_phrase_replace_the_current_ones_and_count_from_one_again(episode_of):
    episode = episode_of(CUPS, SegmentPhrase(text_prompt="table"), select(1))
    assert [step.observation.text for step in episode.steps[:2]] == [
        "Found 3 masks for 'red cup': 1 to 3 (scores 0.91 to 0.72).",
        "Found 1 mask for 'table': 1 (score 0.99).",
    ]
    assert episode.answer.phrase == "table"
    assert len(episode.workspace) == 4


def test_a_phrase_that_finds_nothing_leaves_no_masks_to_select(texts):
    assert texts(CUPS, PLATE, select(1), END)[1:3] == [
        "Found nothing for 'plate' (presence 0.00); try another, perhaps more general, noun phrase.",
        "There are no masks left to choose from; call `segment_phrase` with another noun phrase.",
    ]


def test_overlapping_masks_are_removed_and_the_planner_is_told(episode_of):
    episode = episode_of(SegmentPhrase(text_prompt="handle"), select(1))
    assert episode.steps[0].observation.text == (
        "Found 1 mask for 'handle': 1 (score 0.98); 1 mask more overlapped these and did not stay."
    )
    assert episode.answer.areas.tolist() == [20]


@pytest.mark.parametrize("phrase", ["red cup", " Red  CUP ", "RED\tCUP"])
@pytest.mark.parametrize("between", [(), (PLATE,), (TABLE,), (ExamineEachMask(),), (PLATE, TABLE, PLATE)])
def test_the_masks_of_a_known_phrase_are_shown_again_without_asking_sam_3(episode_of, phrase, between):
    episode = episode_of(CUPS, *between, SegmentPhrase(text_prompt=phrase), select(3, 1), rejects=(1,))
    first, again = episode.steps[0].observation, episode.steps[-2].observation
    assert (again.text, again.is_error) == (first.text.replace(").", "), as before."), False)
    assert (again.shown, again.usage.sam_decodes) == (first.shown, 0)
    asked = {call.text_prompt for call in (CUPS, *between) if isinstance(call, SegmentPhrase)}
    assert (episode.outcome, episode.current_ids, episode.usage.sam_decodes) == ("answered", (1, 3), len(asked))


def test_a_phrase_that_found_nothing_finds_nothing_again_without_asking_sam_3(episode_of):
    episode = episode_of(CUPS, PLATE, PLATE, select(1), END)
    assert episode.steps[2].observation.text == (
        "Found nothing for 'plate' (presence 0.00), as before; try another, perhaps more general, noun phrase."
    )
    assert episode.steps[3].observation.text.startswith("There are no masks left to choose from")
    assert (episode.outcome, episode.usage.sam_decodes) == ("no_match", 2)


def test_masks_that_other_tools_found_for_a_phrase_are_not_those_of_this_protocol(kitchen, kitchen_sam3):
    searched = run(Task(kitchen, "q"), ScriptedPlanner([Segment(phrases=["handle"]), Answer(ids=[1])]), kitchen_sam3)
    context = ConversationContext(searched.workspace, (1,))
    planner = ScriptedPlanner([SegmentPhrase(text_prompt="handle"), select(1)], toolset=PAPER)
    episode = run(Task(kitchen, "q", context), planner, kitchen_sam3)
    assert "overlapped these and did not stay" in episode.steps[0].observation.text
    assert (episode.current_ids, episode.usage.sam_decodes) == ((3,), 1)


def test_a_phrase_of_an_earlier_turn_is_known(kitchen, kitchen_sam3, episode_of):
    context = ConversationContext(episode_of(CUPS, select(1)).workspace)
    planner = ScriptedPlanner([CUPS, select(2)], toolset=PAPER)
    episode = run(Task(kitchen, "q", context), planner, kitchen_sam3)
    assert (episode.outcome, episode.current_ids, episode.usage.sam_decodes) == ("answered", (2,), 0)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("report_no_mask", '{"reason": "none"}'),
        ("report_no_mask", '{"parameters": {"message": "none", "final_answer_masks": []}}'),
        ("report_no_mask", "[]"),
        ("report_no_mask", '"nothing"'),
        ("report_no_mask", "none"),
        ("no_masks", "{'reason': 'none'}"),
        ("functions.report_no_mask", "null"),
    ],
)
def test_whatever_is_written_beside_the_end_without_masks_is_ignored(episode_of, name, arguments):
    episode = episode_of(Decision(name, arguments))
    assert (episode.outcome, episode.message, len(episode.steps)) == ("no_match", "Nothing in the picture matches.", 1)


@pytest.mark.parametrize("arguments", ['{"masks": [1]}', "[1]", "1", '{"ids": "all", "closely": true}', "all of them"])
def test_an_examination_is_of_all_masks_whatever_is_written_beside_it(episode_of, arguments):
    episode = episode_of(CUPS, Decision("examine_each_mask", arguments), select(1), rejects=(2, 3))
    assert episode.steps[1].observation.text.startswith("Kept 1 of 3 masks")


@pytest.mark.parametrize("beside", ["reason", "confidence", "region", "mask_descriptions"])
def test_arguments_that_the_published_tools_do_not_have_are_ignored(episode_of, beside):
    found = Decision("segment_phrase", f'{{"text_prompt": "red cup", "{beside}": [1, 2]}}')
    chosen = Decision("select_masks_and_return", f'{{"{beside}": {{"1": "x"}}, "final_answer_masks": [2]}}')
    episode = episode_of(found, chosen)
    assert (episode.outcome, episode.current_ids) == ("answered", (2,))


def test_a_slip_in_the_name_of_an_argument_that_is_needed_is_told(texts):
    assert "'txt_promt' is not one of its fields" in texts(Decision("segment_phrase", '{"txt_promt": "cup"}'), END)[0]


def test_survivors_of_an_examination_are_renumbered_and_the_mapping_is_said(episode_of):
    episode = episode_of(CUPS, ExamineEachMask(), select(2), rejects=(2,))
    assert episode.steps[1].observation.text == (
        "Kept 2 of 3 masks, with new numbers: 1 is now 1, 3 is now 2; rejected 2."
    )
    assert episode.current_ids == (3,)


def test_an_examination_that_keeps_all_keeps_the_numbers(episode_of):
    episode = episode_of(CUPS, ExamineEachMask(), ExamineEachMask(), select(3))
    assert episode.steps[2].observation.text == "Kept all of 3 masks; the numbers stay as they are."
    assert episode.current_ids == (3,)


def test_when_all_are_rejected_another_phrase_is_called_for(episode_of):
    episode = episode_of(CUPS, ExamineEachMask(), select(1), rejects=(1, 2, 3))
    assert episode.steps[1].observation.text == "Rejected all of 3 masks: 1, 2, 3; try another noun phrase."
    assert episode.steps[2].observation.is_error
    assert (episode.outcome, episode.current_ids) == ("step_limit", (1, 2, 3))


@pytest.mark.parametrize(("numbers", "said"), [((4,), "4"), ((0, 1), "0"), ((1, 7, 9, -2), "-2, 7 or 9")])
def test_invalid_numbers_are_named_with_the_valid_ones_and_nothing_is_dropped(episode_of, numbers, said):
    observation = episode_of(CUPS, select(*numbers), END).steps[1].observation
    assert observation.is_error
    assert observation.text == f"There is no mask {said}; the valid numbers are 1 to 3."


def test_numbers_are_those_of_the_survivors_after_an_examination(texts):
    assert texts(CUPS, ExamineEachMask(), select(3), END, rejects=(1,))[2] == (
        "There is no mask 3; the valid numbers are 1 and 2."
    )


def test_selecting_nothing_is_a_mistake(episode_of):
    observation = episode_of(CUPS, Decision("select_masks", '{"final_answer_masks": []}'), END).steps[1].observation
    assert observation.is_error
    assert "`final_answer_masks` is [], but it should have at least 1 item" in observation.text


def test_at_the_limit_the_current_masks_are_the_answer(episode_of):
    episode = episode_of(CUPS, ExamineEachMask(), rejects=(1,))
    assert (episode.outcome, episode.current_ids) == ("step_limit", (2, 3))


def test_every_mistake_is_one_sentence(episode_of, is_one_sentence):
    calls = [select(1), CUPS, select(9), PLATE, ExamineEachMask(), Decision("segment", "{}"), Decision("", ""), END]
    errors = [step.observation.text for step in episode_of(*calls).steps if step.observation.is_error]
    assert len(errors) == 5
    assert all(map(is_one_sentence, errors))
