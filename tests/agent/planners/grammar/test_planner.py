import numpy as np
import pytest

from agent import PAPER, Budget, Decision, Episode, Observation, Step, Task, run
from agent.planners.grammar.descriptions import EXPECTED, REMEDY
from agent.planners.grammar.planner import GrammarPlanner
from agent.planners.loading import load_planner
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend

HEIGHT, WIDTH = 100, 200
BOXES = {
    "red circle": [(10, 10, 30, 30), (60, 60, 70, 70)],
    "blue circle": [(110, 20, 120, 30), (150, 50, 190, 90)],
    "green square": [(85, 40, 101, 56)],
    "star": [(90, 45, 95, 50), (120, 80, 128, 88)],
}
"""What is in the picture: x0, y0, x1, y1 of everything a phrase names."""
BOXES |= {
    "circle": BOXES["red circle"] + BOXES["blue circle"],
    "square": BOXES["green square"],
    "shape": BOXES["red circle"] + BOXES["blue circle"] + BOXES["green square"] + BOXES["star"],
}


def found(boxes: list[tuple[int, int, int, int]], scores: list[float] | None = None) -> Instances:
    """Rectangles; the first is the most certain one."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    masks = [(columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1) for x0, y0, x1, y1 in boxes]
    certain = [0.95 - 0.02 * place for place in range(len(boxes))] if scores is None else scores
    return Instances(np.array(masks), np.array(boxes, np.float32), np.array(certain, np.float32), 0.9, "")


@pytest.fixture(scope="module")
def shapes() -> Image:
    return Image(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


@pytest.fixture(scope="module")
def sam3() -> Sam3:
    return Sam3(ScriptedBackend({None: {phrase: found(boxes) for phrase, boxes in BOXES.items()}}))


@pytest.fixture(scope="module")
def ask(shapes, sam3):
    def ask(query: str, **options: object) -> Episode:
        return run(Task(shapes, query), GrammarPlanner(), sam3, **options)

    return ask


@pytest.fixture(scope="module")
def ask_on_paper(shapes, sam3):
    def ask(query: str) -> Episode:
        return run(Task(shapes, query), GrammarPlanner(PAPER), sam3)

    return ask


def calls(episode: Episode) -> list[str]:
    return [step.decision.tool for step in episode.steps]


def boxes(episode: Episode) -> list[tuple[int, ...]]:
    return sorted(tuple(map(int, box)) for box in episode.answer.boxes)


R1, R2 = BOXES["red circle"]
B1, B2 = BOXES["blue circle"]
[SQUARE] = BOXES["square"]
ON_SQUARE, STAR = BOXES["star"]


@pytest.mark.parametrize(
    ("query", "answer", "message"),
    [
        ("the circles", [R1, R2, B1, B2], "4 masks: 'circle'."),
        ("the red circles and the square", [R1, R2, SQUARE], "3 masks: 'red circle' and 'square'."),
        ("circles that are not red", [B1, B2], "2 masks: 'circle' other than 'red circle'."),
        ("circles left of the square", [R1, R2], "2 masks: 'circle' left of 'square'."),
        ("circles not left of the square", [B1, B2], "2 masks: 'circle' not left of 'square'."),
        ("the circle in the top left corner", [R1], "1 mask: 'circle' in the top left quarter."),
        ("circles in the bottom half", [R2, B2], "2 masks: 'circle' in the bottom half."),
        ("the shape in the middle", [R2, SQUARE, ON_SQUARE], "3 masks: 'shape' in the middle."),
        ("the two largest circles", [R1, B2], "2 masks: the two largest of 4 'circle'."),
        ("second circle from the left", [R2], "1 mask: the second from the left of 4 'circle'."),
        ("the third smallest circle", [R1], "1 mask: the third smallest of 4 'circle'."),
        ("the star on the square", [ON_SQUARE], "1 mask: 'star' on 'square'."),
        ("the star nearest to the largest circle", [STAR], "1 mask: 'star' nearest to the largest of 4 'circle'."),
        (
            "the two circles closest to the square",
            [R2, B1],
            "2 masks: the two nearest to 'square' of 4 'circle'.",
        ),
        (
            "the square between the red circle and the blue circle",
            [SQUARE],
            "1 mask: 'square' between 'red circle' and 'blue circle'.",
        ),
        ("circles larger than the square", [R1, B2], "2 masks: 'circle' larger than 'square'."),
        (
            "the smallest circle that is not blue left of the square",
            [R2],
            "1 mask: the smallest of 2 'circle' other than 'blue circle' left of 'square'.",
        ),
        (
            "all shapes except the stars and the largest circle",
            [R1, R2, B1, SQUARE],
            "4 masks: 'shape' other than 'star' and the largest of 4 'circle'.",
        ),
        ("shapes that are circles", [R1, R2, B1, B2], "4 masks: 'shape' that are 'circle' too."),
    ],
)
def test_queries_are_answered_with_the_right_masks_and_one_sentence(ask, query, answer, message):
    episode = ask(query)
    assert (episode.outcome, boxes(episode), episode.message) == ("answered", sorted(answer), message)


@pytest.mark.parametrize(
    ("query", "number", "message"),
    [
        ("how many circles are there?", 4, "There are 4 circles."),
        ("count the red circles", 2, "There are 2 red circles."),
        ("number of squares", 1, "There is 1 square."),
        ("how many circles are right of the square?", 2, "There are 2 circles right of 'square'."),
    ],
)
def test_counting_gives_the_masks_and_the_number(ask, query, number, message):
    episode = ask(query)
    assert (episode.outcome, len(episode.answer), episode.message) == ("answered", number, message)
    assert "count" in calls(episode)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("the dog", "Nothing in the picture was found for 'dog'."),
        ("circles left of the dog", "Nothing in the picture was found for 'dog'."),
        ("squares in the top right corner", "None of 1 'square' is in the top right quarter."),
        ("the 22nd star from the right", "There are only 2 'star', so there is no 22nd from the right."),
        ("the fifth largest circle", "There are only 4 'circle', so there is no fifth largest."),
        ("the third square from the left", "There are only 1 'square', so there is no third from the left."),
        ("circles except the shapes", "None of 4 'circle' is left without 'shape'."),
        ("circles that contain a square", "None of 4 'circle' has 'square' in it."),
        ("dogs or cats", "Nothing in the picture was found for 'dog'; nothing in the picture was found for 'cat'."),
        ("how many dogs are there?", "There are no dogs: nothing in the picture was found for 'dog'."),
    ],
)
def test_where_nothing_matches_the_reason_names_what_was_not_found(ask, query, message):
    episode = ask(query)
    assert (episode.outcome, len(episode.answer), episode.message) == ("no_match", 0, message)


def test_what_is_missing_may_be_missing_from_a_union_and_an_exclusion(ask):
    assert boxes(ask("the dogs and the squares")) == [SQUARE]
    assert boxes(ask("squares except the dogs")) == [SQUARE]
    assert boxes(ask("squares that are not left of the dog")) == [SQUARE]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("the dogs and the squares", "1 mask: 'square'. Nothing was found for 'dog'."),
        ("dog . square . cat .", "1 mask: 'square'. Nothing was found for 'dog'. Nothing was found for 'cat'."),
        ("how many squares and dogs are there?", "There is 1 square. Nothing was found for 'dog'."),
        (
            "the largest circle and the third square from the left",
            "1 mask: the largest of 4 'circle'. There are only 1 'square', so there is no third from the left.",
        ),
        ("the lower of the two stars", "1 mask: the bottommost of the two most certain of 2 'star'."),
    ],
)
def test_an_answer_names_only_what_was_found_and_tells_what_was_not(ask, query, message):
    assert ask(query).message == message


def test_all_phrases_are_asked_at_once(ask):
    episode = ask("the largest red circle left of the green square and the stars")
    assert calls(episode) == ["segment", "relate", "rank", "combine", "answer"]
    assert (episode.usage.sam_encodes <= 1, episode.usage.sam_decodes) == (True, 3)
    assert all(step.decision.thought for step in episode.steps)


def test_more_phrases_than_one_call_takes_are_asked_in_several_and_fit_into_the_steps(ask):
    episode = ask("dogs, cats, birds, cows, pigs, hens, cars, cups, stars, squares, red circles and blue circles")
    assert calls(episode)[:2] == ["segment", "segment"]
    assert episode.outcome == "answered"
    assert len(episode.answer) == 7


def test_a_long_union_is_made_in_one_step(sam3, shapes):
    many = {f"thing{chr(97 + i)}": found([(20 * i, 0, 20 * i + 10, 10)]) for i in range(9)}
    episode = run(Task(shapes, ", ".join(many)), GrammarPlanner(), Sam3(ScriptedBackend({None: many})))
    assert (episode.outcome, len(episode.answer), len(episode.steps)) == ("answered", 9, 4)


def test_a_step_that_is_needed_twice_is_made_once(ask):
    episode = ask("circles left of the square but not left of the square")
    assert calls(episode) == ["segment", "relate", "relate", "combine", "report_no_mask"]
    assert calls(ask("the largest circle and the largest circle")) == ["segment", "rank", "combine", "answer"]


def test_a_query_beyond_the_grammar_gets_its_head_phrase_and_the_remedy(ask):
    episode = ask("the star wearing a hat")
    assert boxes(episode) == sorted(BOXES["star"])
    assert episode.message == f"2 masks: 'star'; the rest of the query was not understood, and {REMEDY}."
    assert "MLLM" in REMEDY


def test_a_head_phrase_that_is_not_there_names_the_remedy_too(ask):
    episode = ask("the dog wearing a hat")
    assert episode.outcome == "no_match"
    assert episode.message.endswith(f"'dog'; the rest of the query was not understood, and {REMEDY}.")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("the three largest stars", "2 masks: the two largest of 2 'star'. The query asks for 3; there are only 2."),
        ("two squares", "1 mask: the most certain of 1 'square'. The query asks for 2; there is only 1."),
    ],
)
def test_fewer_than_asked_for_are_not_passed_off_as_all(ask, query, message):
    assert ask(query).message == message


def test_what_was_assumed_is_said(ask):
    assert ask("the second square").message.endswith("It was counted from the left.")
    episode = ask("the first star")
    assert (boxes(episode), episode.message[-30:]) == ([ON_SQUARE], " It was counted from the left.")


@pytest.mark.parametrize("query", ["", "???", "🙏", "赤い車", "the of and", "a" * 5000])
def test_a_query_without_a_noun_phrase_ends_with_what_is_expected(ask, ask_on_paper, query):
    episode = ask(query)
    assert (episode.outcome, episode.message, calls(episode)) == ("no_match", EXPECTED, ["report_no_mask"])
    assert (ask_on_paper(query).outcome, calls(ask_on_paper(query))) == ("no_match", ["report_no_mask"])


def test_decisions_follow_from_the_query_and_the_episode_alone(ask):
    episode = ask("the leftmost star above the largest circle")
    for done, step in enumerate(episode.steps):
        again = GrammarPlanner().decide(Episode(episode.task, episode.steps[:done]))
        assert again == step.decision


def test_steps_of_others_are_passed_over(shapes, sam3):
    planner = GrammarPlanner()
    task = Task(shapes, "the largest star")
    mine = run(task, planner, sam3)
    foreign = Step(Decision("count", '{"ids": []}'), Observation("0 masks."))
    assert planner.decide(Episode(task, (foreign, *mine.steps[:2]))) == mine.steps[2].decision


def test_a_refused_call_ends_the_episode_with_the_reason(shapes):
    planner = GrammarPlanner()
    task = Task(shapes, "the star")
    refused = Step(planner.decide(Episode(task)), Observation("SAM 3 is busy.", is_error=True))
    decision = planner.decide(Episode(task, (refused,)))
    assert (decision.tool, decision.arguments) == ("report_no_mask", '{"reason":"SAM 3 is busy."}')


def test_a_budget_leaves_the_best_answer_so_far(ask):
    episode = ask("the largest circle left of the square", budget=Budget(max_steps=2))
    assert (episode.outcome, boxes(episode)) == ("step_limit", [R1, R2])


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("the circles", [R1, R2, B1, B2]),
        ("the two largest circles", [R1, B2]),
        ("the second circle from the left", [R2]),
        ("circles in the top half", [R1, B1]),
        ("circles except the largest one", [R1, R2, B1]),
        ("the circle nearest to the leftmost circle", [R2]),
        ("how many circles are there?", [R1, R2, B1, B2]),
    ],
)
def test_the_published_protocol_is_enough_for_one_noun_phrase(ask_on_paper, query, answer):
    episode = ask_on_paper(query)
    assert calls(episode) == ["segment_phrase", "select_masks_and_return"]
    assert (episode.outcome, boxes(episode)) == ("answered", sorted(answer))


def test_the_published_protocol_gets_the_head_phrase_of_a_query_with_more(ask_on_paper):
    episode = ask_on_paper("circles left of the square")
    assert (episode.outcome, boxes(episode)) == ("answered", sorted(BOXES["circle"]))
    assert "one set only" in episode.steps[-1].decision.thought


def test_the_published_protocol_reports_what_is_not_there(ask_on_paper):
    assert calls(ask_on_paper("the dog")) == ["segment_phrase", "report_no_mask"]
    assert calls(ask_on_paper("the ninth largest circle")) == ["segment_phrase", "report_no_mask"]


def test_masks_are_judged_by_their_score(shapes):
    doubtful = Sam3(ScriptedBackend({None: {"star": found(BOXES["star"], [0.9, 0.6])}}))
    episode = run(Task(shapes, "the stars"), GrammarPlanner(), doubtful)
    verdicts = GrammarPlanner().examine(episode, [1, 2])
    assert [(verdict.id, verdict.accept) for verdict in verdicts] == [(1, True), (2, True)]
    assert [verdict.probability for verdict in verdicts] == pytest.approx([0.9, 0.6])


def test_planners_are_made_by_name():
    assert load_planner("grammar", toolset=PAPER).toolset is PAPER
    with pytest.raises(ValueError, match="magic"):
        load_planner("grammar", toolset="magic")
