import pytest

from agent import PAPER, Decision, Episode
from agent.tools.paper import ExamineEachMask, ReportNoMask, SegmentPhrase, SelectMasksAndReturn

CUPS = SegmentPhrase(text_prompt="red cup")
PLATE = SegmentPhrase(text_prompt="plate")
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
def test_a_repeated_phrase_is_refused_and_the_current_masks_stay(episode_of, phrase):
    episode = episode_of(PLATE, CUPS, SegmentPhrase(text_prompt=phrase), select(2))
    refusal = episode.steps[2].observation
    assert refusal.is_error
    assert refusal.text == (
        f"The phrase {phrase.strip()!r} was used before; use another than 'plate', 'red cup', or go on:"
        " masks 1 to 3 are still valid."
    )
    assert (episode.outcome, episode.current_ids, episode.usage.sam_decodes) == ("answered", (2,), 2)


def test_a_repeated_phrase_that_found_nothing_says_that_there_are_no_masks(texts):
    assert texts(PLATE, PLATE, END)[1].endswith("use another than 'plate', or go on: there are no masks now.")


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
    calls = [select(1), CUPS, CUPS, select(9), Decision("examine", "[]"), PLATE, Decision("segment", "{}"), END]
    errors = [step.observation.text for step in episode_of(*calls).steps if step.observation.is_error]
    assert len(errors) == 5
    assert all(map(is_one_sentence, errors))
