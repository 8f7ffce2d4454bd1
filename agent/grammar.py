"""A planner without a language model: a grammar reads the query, a plan follows from it, and every run is the same."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from agent.core.english import format_mask_count
from agent.core.episode import Decision, Episode, Step, Verdict
from agent.core.toolset import Toolset
from agent.followup import read_after, without_masks
from agent.meaning import Reading
from agent.plan import Counted, Plan, heads, phrases
from agent.solving import Ids, Move, Moves, Nothing, Solver, Unclear, shortage
from agent.tools.paper import ReportNoMask as ReportNoMaskOnPaper
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import PAPER, WORKSPACE, Answer, AskUser, ReportNoMask, Segment
from agent.wording import changed, counted, described
from sam3_tool import Sam3

REMEDY = "a planner with a multimodal language model (MLLM) can read such queries"
EXPECTED = (
    "No noun phrase was found in the query; name what to look for in English, e.g. 'the two largest circles',"
    " 'cups left of the plate' or 'how many dogs are there?'."
)
NOT_UNDERSTOOD = "That was not understood; name what to look for, or say e.g. 'only the red ones', 'also the plates'."
NOTHING_CHANGED = "Nothing was changed: no mask is selected."


class GrammarPlanner:
    """Reads a query with the grammar of `agent/query.lark` and answers it with the tools, step by step.

    It understands noun phrases joined by and, or, except and not; relations, places, ordinals, superlatives,
    comparisons and counts, nested in each other. Any other query falls back to its head noun phrase, and the answer
    says so. In a conversation it understands what changes the answer so far (`agent/followup.py`), and asks back where
    that could be several. Every decision follows from the query, what was said before it, and the episode alone, so one
    planner may serve many threads.
    """

    def __init__(self, toolset: Toolset = WORKSPACE, *, threshold: float = 0.5) -> None:
        """`toolset`: `WORKSPACE` or `PAPER`; of tools that are added to either it makes no use.

        `threshold`: in [0, 1), of its `segment` calls; the published protocol has no such argument.
        """
        needed = PAPER.tools if toolset.renumbers_masks else WORKSPACE.tools
        if missing := [tool.name for tool in needed if tool not in toolset.tools]:
            raise ValueError(f"the grammar needs the tool {missing[0]!r}, which toolset {toolset.name!r} has not")
        self.toolset = toolset
        self.threshold = threshold

    def decide(self, episode: Episode) -> Decision:
        """The first move of the plan that the episode has not seen yet."""
        reading, start = read_after(episode.task.query, episode.task.context), replace(episode, steps=())
        if self.toolset.renumbers_masks:
            moves = self._on_paper(without_masks(reading, episode.task.context), start)
        else:
            moves = _moves(reading, self.threshold, start)
        move = next(moves)
        for done, step in enumerate(episode.steps, start=1):
            if (step.decision.tool, step.decision.arguments) != (move.decision.tool, move.decision.arguments):
                continue  # made by another planner
            if step.observation.is_error:
                return ReportNoMask(reason=step.observation.text).to_decision("The plan cannot go on.")
            move = moves.send(replace(episode, steps=episode.steps[:done]))
        return move.decision

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """By score alone: it cannot look at pictures."""
        scores = [(id, episode.workspace[id].score) for id in ids]
        return [Verdict(id, score >= 0.5, score, "by SAM 3's score") for id, score in scores]

    def _on_paper(self, reading: Reading, start: Episode) -> Moves:
        """The moves in the published protocol, which holds one set of masks: what needs more gets the head phrase."""
        if reading.plan is not None and len(phrases(reading.plan)) > 1:
            note = "The rest of the query needs a second set of masks, and this protocol holds one set only."
            reading = replace(reading, plan=heads(reading.plan)[0], notes=(note,))
        moves = _moves(reading, self.threshold, start)
        move = next(moves)
        while True:
            match move.tool:
                case Segment(phrases=[phrase]):
                    episode = yield Move(SegmentPhrase(text_prompt=phrase), move.thought)
                    current = episode.current_ids
                case Answer(ids=ids, message=message):
                    numbers = [current.index(id) + 1 for id in ids]
                    yield Move(SelectMasksAndReturn(final_answer_masks=numbers), message)
                case ReportNoMask(reason=reason) | AskUser(question=reason):
                    yield Move(ReportNoMaskOnPaper(), reason)
                case tool:
                    # Geometry is no tool of this protocol, so it is worked out here; it never calls SAM 3.
                    observation = tool.run(episode, cast(Sam3, None), self)
                    episode = episode.append(Step(move.decision, observation))
            move = moves.send(episode)


def _moves(reading: Reading, threshold: float, start: Episode) -> Moves:
    """One call for all phrases, one for each step of the plan, and the ending. `start`: the episode without steps."""
    if reading.question:
        question = AskUser(question=reading.question, options=[*reading.options])
        yield Move(question, "Only the user knows.")
        return
    if reading.plan is None:
        reason = (
            NOTHING_CHANGED if reading.change == "stay" else NOT_UNDERSTOOD if start.task.context.turns else EXPECTED
        )
        yield Move(ReportNoMask(reason=" ".join(reading.notes) or reason), "There is no noun phrase to look for.")
        return
    solver = Solver(reading, threshold, start)
    try:
        yield from solver.look(phrases(reading.plan), complete=reading.complete)
        ids = yield from solver.needed(reading.plan)
    except Unclear as unclear:
        yield Move(unclear.tool, "Only the user knows what is meant.")
    except Nothing as reason:
        said = str(reason)
        if reading.change == "remove":
            said = "that would leave nothing"
        if isinstance(reading.plan, Counted):
            said = f"{counted(reading.plan.of, 0, solver.size)[:-1]}: {said}"
        yield Move(ReportNoMask(reason=_message(said, reading)), "Nothing is left to answer with.")
    else:
        message = _message(_said(reading, ids, solver), _noted(reading, len(ids)))
        yield Move(Answer(ids=list(ids), message=message), "That is what the query asks for.")


def _said(reading: Reading, ids: Ids, solver: Solver) -> str:
    """What the answer is; no full sentence yet."""
    plan = cast(Plan, reading.plan)
    if reading.change != "new":
        return changed(reading, ids, solver.known_as)
    if isinstance(plan, Counted):
        return counted(plan.of, len(ids), solver.size)[:-1]
    return f"{format_mask_count(len(ids))}: {described(plan, solver.size)}"


def _noted(reading: Reading, found: int) -> Reading:
    return replace(reading, notes=(*reading.notes, *shortage(cast(Plan, reading.plan), found)))


def _message(said: str, reading: Reading) -> str:
    """One sentence for the user, and what was assumed."""
    rest = "" if reading.complete else f"; the rest of the query was not understood, and {REMEDY}"
    return " ".join([f"{said[0].upper()}{said[1:]}{rest}.", *reading.notes])
