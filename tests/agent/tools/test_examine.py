"""Masks judged by the planner: kept, rejected or not judged, what that cost, and how it is said."""

import pytest

from agent import PAPER, Episode, ScriptedPlanner, Task, Usage, Verdict, run
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import Answer, Examine, Segment

CUPS = Segment(phrases=["red cup"])
SAID = (
    Verdict(3, accept=False, probability=0.15, reason="It is\n green.", usage=Usage(model_calls=1, prompt_tokens=50)),
    Verdict(1, accept=True, probability=0.9, reason="It is red.", usage=Usage(model_calls=1, images=3)),
)
COST = Usage(model_calls=2, prompt_tokens=50, images=3)


def examined(episode: Episode):
    return episode.steps[1].observation


def test_every_verdict_is_said_with_its_probability_and_reason(play):
    observation = examined(play(CUPS, Examine(ids=[1, 3]), Answer(ids=[1]), verdicts=SAID))
    assert observation.text == "Of 2 masks, 1 matches: 1 (0.90, It is red); 1 does not: 3 (0.15, It is green)."
    assert observation.shown == (1,)


def test_a_mask_without_a_verdict_stays_and_it_is_said(play):
    observation = examined(play(CUPS, Examine(ids=[3, 2, 1]), Answer(ids=[1]), verdicts=SAID))
    assert observation.text.endswith("; not judged, so kept: 2.")
    assert observation.shown == (2, 1)


def test_when_nothing_could_be_judged_all_stay(play):
    observation = examined(play(CUPS, Examine(ids=[1, 2]), Answer(ids=[1]), verdicts=()))
    assert (observation.text, observation.shown) == ("Of 2 masks, not judged, so kept: 1 and 2.", (1, 2))


def test_many_verdicts_are_said_in_the_plural(play):
    observation = examined(play(CUPS, Examine(ids=[1, 2, 3]), Answer(ids=[1]), rejects=(1, 2, 3)))
    assert observation.text == "Of 3 masks, none matches; 3 do not: 1 (0.00), 2 (0.00), 3 (0.00)."
    assert observation.shown == ()


def test_what_the_verdicts_cost_is_what_the_examination_cost(play):
    observation = examined(play(CUPS, Examine(ids=[1, 2, 3]), Answer(ids=[1]), verdicts=SAID))
    assert observation.usage == COST
    assert [(verdict.id, verdict.usage) for verdict in observation.verdicts] == [(1, Usage()), (3, Usage())]


class Careless(ScriptedPlanner):
    """Judges one mask twice, and another that nobody asked about."""

    def examine(self, episode, ids, *, closely=False):
        return [
            Verdict(ids[0], accept=True, probability=0.9, usage=Usage(model_calls=1)),
            Verdict(ids[0], accept=False, probability=0.1, usage=Usage(model_calls=1)),
            Verdict(99, accept=True, probability=1.0, usage=Usage(model_calls=1)),
        ]


def test_the_last_verdict_of_a_mask_counts_and_those_of_others_do_not(kitchen, kitchen_sam3):
    planner = Careless([CUPS, Examine(ids=[1, 2]), Answer(ids=[1])])
    observation = examined(run(Task(kitchen, "q"), planner, kitchen_sam3))
    assert (observation.shown, [verdict.id for verdict in observation.verdicts]) == ((2,), [1])
    assert observation.usage.model_calls == 3


class Attentive(ScriptedPlanner):
    """Accepts what it looks at closely."""

    def examine(self, episode, ids, *, closely=False):
        return [Verdict(id, accept=closely, probability=0.5) for id in ids]


@pytest.mark.parametrize(("closely", "shown"), [(True, (1, 2)), (False, ())])
def test_the_planner_is_told_how_closely_to_look(kitchen, kitchen_sam3, closely, shown):
    planner = Attentive([CUPS, Examine(ids=[1, 2], closely=closely), Answer(ids=[1])])
    assert examined(run(Task(kitchen, "q"), planner, kitchen_sam3)).shown == shown


PUBLISHED = [SegmentPhrase(text_prompt="red cup"), ExamineEachMask(), SelectMasksAndReturn(final_answer_masks=[2])]


def test_the_published_examination_looks_closely(kitchen, kitchen_sam3):
    episode = run(Task(kitchen, "q"), Attentive(PUBLISHED, toolset=PAPER), kitchen_sam3)
    assert examined(episode).shown == (1, 2, 3)


def test_the_published_examination_counts_its_cost_and_names_what_it_did_not_judge(play):
    episode = play(*PUBLISHED, toolset=PAPER, verdicts=SAID)
    assert examined(episode).text == (
        "Kept 2 of 3 masks, with new numbers: 1 is now 1, 2 is now 2; rejected 3 (It is green); not judged, so kept: 2."
    )
    assert (examined(episode).usage, episode.current_ids) == (COST, (2,))


def test_the_published_examination_without_any_verdict_keeps_all_and_says_so(play):
    assert examined(play(*PUBLISHED, toolset=PAPER, verdicts=())).text == (
        "Kept all of 3 masks; the numbers stay as they are; not judged, so kept: 1 to 3."
    )


class InVain(ScriptedPlanner):
    """Asks, and understands no reply."""

    def examine(self, episode, ids, *, closely=False):
        return [Verdict(0, accept=True, probability=0.5, usage=Usage(model_calls=4))]


def test_what_was_spent_in_vain_is_counted(kitchen, kitchen_sam3):
    observation = examined(run(Task(kitchen, "q"), InVain([CUPS, Examine(ids=[1, 2]), Answer(ids=[1])]), kitchen_sam3))
    assert (observation.usage.model_calls, observation.verdicts, observation.shown) == (4, (), (1, 2))
