"""Doubtful masks: left out or asked about after the planner, and never lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent import Conversation, DoubtPolicy, Episode, ScriptedPlanner, Task, apply_doubt, load_episode, read_doubt, run
from agent.core.errors import ConversationError, UsageError
from agent.doubt.calibration import check_calibration
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from agent.report.coverage import Coverage
from agent.report.html import to_html
from agent.report.result import Result
from agent.report.text import to_text
from agent.tools.toolsets import Answer, Combine, Refine, Segment
from sam3_tool import Image, ProbabilityCurve, ProbabilityEstimator, Sam3, ScriptedBackend
from tests.agent.conftest import TABLE, rectangles

BY_SCORE = ProbabilityCurve(score=1.0, high_score=0.0, presence=0.0, size=0.0, bias=0.0)
"""The probability is the score: 0.91, 0.85 and 0.72 for the red cups."""
FOUND = Segment(phrases=["red cup"])
ALL = Answer(ids=[1, 2, 3])


@pytest.fixture
def calibrated(kitchen: Image) -> Sam3:
    estimator = ProbabilityEstimator({"phrase": BY_SCORE}, fitted_on="nothing", weights="")
    whole = {phrase: rectangles(rows) for phrase, rows in TABLE.items()}
    script = {None: whole, kitchen.crop(50, 0, 100, 60).key: {"cup": rectangles([(10, 40, 20, 50, 0.8)], 60, 50)}}
    return Sam3(ScriptedBackend(script, probability_estimator=estimator))


def answer(kitchen: Image, sam3: Sam3, *calls: object) -> Episode:
    return run(Task(kitchen, "the red cups"), ScriptedPlanner(calls or (FOUND, ALL)), sam3)


def likely(episode: Episode) -> list[float | None]:
    return [candidate.probability for candidate in episode.workspace]


def test_each_mask_has_the_probability_of_what_found_it(kitchen: Image, calibrated: Sam3) -> None:
    assert likely(answer(kitchen, calibrated)) == [0.91, 0.85, 0.72]
    by_click = answer(kitchen, calibrated, FOUND, Refine(id=1, points=[[8, 25]]), ALL)
    assert likely(by_click)[3] is None, "clicks are not calibrated here"


def test_merged_masks_are_as_likely_right_as_the_least_likely_part(kitchen: Image, calibrated: Sam3) -> None:
    merged = answer(kitchen, calibrated, FOUND, Combine(op="merge", a=[1], b=[3]), ALL)
    assert likely(merged)[3] == 0.72
    unknown = answer(kitchen, calibrated, FOUND, Refine(id=1, points=[[8, 25]]), Combine(op="merge", a=[1], b=[4]), ALL)
    assert likely(unknown)[4] is None


def test_a_concept_in_the_place_of_a_phrase_has_no_probability(tiny: Sam3, picture: Image) -> None:
    concept = tiny.describe(picture, boxes=[(30.0, 60.0, 150.0, 180.0)])
    named = tiny.with_concepts({"circle": concept})
    task = Task(picture, "q")
    episodes = [run(task, ScriptedPlanner([Segment(phrases=["circle"])]), sam3) for sam3 in (tiny, named)]
    known, unknown = (likely(episode) for episode in episodes)
    assert len(known) > 0
    assert None not in known
    assert {*unknown} == {None}


def test_doubtful_masks_leave_the_answer_and_stay_known(kitchen: Image, calibrated: Sam3) -> None:
    before = answer(kitchen, calibrated)
    after = apply_doubt(before, DoubtPolicy(min_probability=0.8))
    assert (after.outcome, after.current_ids, len(after.workspace)) == ("answered", (1, 2), 3)
    assert after.steps[:-1] == before.steps, "the planner's own answer stays readable"
    assert read_doubt(after).left_out == (3,)
    result = Result.from_episode(after, seconds=1.0)
    assert ([mask.id for mask in result.masks], [mask.id for mask in result.in_doubt]) == ([1, 2], [3])
    assert "3 (red cup, 0.72), left out" in result.coverage.lines[0]
    assert apply_doubt(after, DoubtPolicy(min_probability=0.8)) is after


def test_where_all_is_doubtful_nothing_matches(kitchen: Image, calibrated: Sam3) -> None:
    after = apply_doubt(answer(kitchen, calibrated), DoubtPolicy(min_probability=1.0))
    assert (after.outcome, after.current_ids, read_doubt(after).left_out) == ("no_match", (), (1, 2, 3))


def test_a_question_shows_the_doubtful_masks_by_number(kitchen: Image, calibrated: Sam3) -> None:
    asked = apply_doubt(answer(kitchen, calibrated), DoubtPolicy(ask_below=0.9))
    assert (asked.outcome, asked.current_ids) == ("asked", (2, 3))
    assert "2 (red cup, 0.85) and 3 (red cup, 0.72)" in asked.message
    result = Result.from_episode(asked, seconds=1.0)
    assert result.options == ["keep all", "keep 2", "keep 3", "drop all"]
    assert ([mask.id for mask in result.masks], [mask.id for mask in result.in_doubt]) == ([1], [2, 3])


def test_with_both_numbers_the_worst_are_left_out_and_the_next_asked_about(kitchen: Image, calibrated: Sam3) -> None:
    both = apply_doubt(answer(kitchen, calibrated), DoubtPolicy(min_probability=0.8, ask_below=0.9))
    doubt = read_doubt(both)
    assert (doubt.certain, doubt.asked, doubt.left_out) == ((1,), (2,), (3,))


def test_masks_without_a_probability_are_never_doubtful(kitchen: Image, kitchen_sam3: Sam3) -> None:
    episode = answer(kitchen, kitchen_sam3)
    assert likely(episode) == [None, None, None]
    assert apply_doubt(episode, DoubtPolicy(min_probability=1.0, ask_below=None)) is episode
    assert Coverage.from_episode(episode).uncalibrated == [1, 2, 3]


@pytest.mark.parametrize(("least", "below"), [(-0.1, None), (None, 1.5), (float("nan"), None), (0.5, 0.5), (0.9, 0.2)])
def test_a_policy_that_makes_no_sense_is_one_sentence(least: float | None, below: float | None) -> None:
    with pytest.raises(UsageError) as error:
        DoubtPolicy(least, below)
    assert "\n" not in str(error.value)


def test_a_policy_needs_a_calibrated_sam3(kitchen_sam3: Sam3, calibrated: Sam3) -> None:
    with pytest.raises(UsageError, match="'scripted' is not calibrated; fit it with"):
        check_calibration(kitchen_sam3, DoubtPolicy(min_probability=0.5))
    check_calibration(kitchen_sam3, DoubtPolicy())
    check_calibration(calibrated, DoubtPolicy(ask_below=0.5))


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("yes", (1, 2, 3)),
        ("Keep all of them, please.", (1, 2, 3)),
        ("keep 3", (1, 3)),
        ("number 2", (1, 2)),
        ("2 and 3", (1, 2, 3)),
        ("not 3", (1, 2)),
        ("all but 2", (1, 3)),
        ("no", (1,)),
        ("drop all", (1,)),
        ("no, keep 2", (1, 2)),
        ("drop all, keep 3", (1, 3)),
        ("drop 1", (2, 3)),
    ],
)
def test_a_reply_settles_it(kitchen: Image, calibrated: Sam3, reply: str, kept: tuple[int, ...]) -> None:
    start = Conversation.start(kitchen).say(
        "the red cups", ScriptedPlanner([FOUND, ALL]), calibrated, doubt=DoubtPolicy(ask_below=0.9)
    )
    assert (start.outcome, start.selected, start.displayed_ids) == ("asked", (1,), (2, 3))
    settled = start.say(reply, ScriptedPlanner([]), calibrated)
    assert (settled.outcome, settled.selected) == ("answered", kept)
    assert settled.undo().selected == (1,)


def test_a_reply_about_other_masks_is_refused_and_other_words_go_to_the_planner(
    kitchen: Image, calibrated: Sam3
) -> None:
    start = Conversation.start(kitchen).say(
        "the red cups", ScriptedPlanner([FOUND, ALL]), calibrated, doubt=DoubtPolicy(ask_below=0.9)
    )
    with pytest.raises(ConversationError, match="mask 9 is none of those in question, which are 2 and 3"):
        start.apply_command("keep 9")
    assert start.apply_command("the red cups on the left") is None
    assert start.apply_command("") is None


def test_a_saved_conversation_keeps_probabilities_and_the_question(
    kitchen: Image, calibrated: Sam3, tmp_path: Path
) -> None:
    start = Conversation.start(kitchen).say(
        "the red cups", ScriptedPlanner([FOUND, ALL]), calibrated, doubt=DoubtPolicy(ask_below=0.9)
    )
    start.save(tmp_path / "talk.json")
    opened = Conversation.open(tmp_path / "talk.json")
    assert [candidate.probability for candidate in opened.workspace] == [0.91, 0.85, 0.72]
    settled = opened.apply_command("keep 2")
    assert settled is not None
    assert settled.selected == (1, 2)


def test_files_of_masks_without_a_probability_are_as_they_were(
    kitchen: Image, kitchen_sam3: Sam3, calibrated: Sam3, tmp_path: Path
) -> None:
    for name, sam3 in (("without", kitchen_sam3), ("with", calibrated)):
        save_episode(answer(kitchen, sam3), tmp_path / name)
    plain, likely_ones = (json.loads((tmp_path / name).read_text("utf-8")) for name in ("without", "with"))
    assert "probability" not in json.dumps(plain)
    assert [one["probability"] for one in likely_ones["steps"][0]["added"]["candidates"]] == [0.91, 0.85, 0.72]
    assert likely(load_episode(tmp_path / "with").episode) == [0.91, 0.85, 0.72]


def test_pages_and_text_say_what_is_in_doubt(kitchen: Image, calibrated: Sam3) -> None:
    after = apply_doubt(answer(kitchen, calibrated), DoubtPolicy(min_probability=0.8))
    assert "in doubt: 3" in to_text(after)
    page = to_html(after, Provenance(planner="grammar", sam3="tiny"))
    assert "What it covers" in page
    assert "3 (red cup, 0.72): left out" in page


def test_coverage_says_what_was_not_looked_at(tiny: Sam3, picture: Image) -> None:
    from agent import GrammarPlanner

    episode = run(Task(picture, "the red circle wearing a hat"), GrammarPlanner(), tiny)
    coverage = Coverage.from_episode(episode)
    assert [search.phrase for search in coverage.searched] == ["red circle"]
    assert any("'hat'" in sentence for sentence in coverage.not_looked_at)
    whole = Coverage.from_episode(run(Task(picture, "the red circle"), GrammarPlanner(), tiny))
    assert whole.not_looked_at == []


def test_a_search_in_a_part_of_the_image_is_said(kitchen: Image, calibrated: Sam3) -> None:
    part = answer(kitchen, calibrated, Segment(phrases=["cup"], region=[50, 0, 100, 60]), Answer(ids=[1]))
    coverage = Coverage.from_episode(part)
    assert coverage.searched[0].region == (50, 0, 100, 60)
    assert coverage.not_looked_at == ["Only parts of the image were searched, not all of it."]


def test_an_unfinished_doubt_changes_no_other_ending(kitchen: Image, calibrated: Sam3) -> None:
    stopped = replace(answer(kitchen, calibrated, FOUND, ALL), outcome="failed")
    assert apply_doubt(stopped, DoubtPolicy(min_probability=1.0)) is stopped
