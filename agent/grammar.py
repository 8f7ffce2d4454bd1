"""A planner without a language model: a grammar reads the query, a plan follows from it, and every run is the same."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from agent.episode import Decision, Episode, Step
from agent.meaning import Reading, read
from agent.plan import Common, Counted, Except, Located, Phrase, Plan, Ranked, Related, Union, heads, phrases
from agent.planner import Verdict
from agent.tools import Tool
from agent.tools.paper import ReportNoMask as ReportNoMaskOnPaper
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.words import masks
from agent.tools.workspace import Answer, Combine, Count, Locate, Rank, Relate, ReportNoMask, Segment
from agent.wording import condition, counted, described, nothing
from sam3_tool import Sam3

PHRASES_PER_CALL = 8
"""As many as `segment` takes."""
PARTS_ONE_BY_ONE = 6
"""A union of more parts is made in one step, so that it fits into an episode's steps."""
REMEDY = "a planner with a multimodal language model (MLLM) can read such queries"
EXPECTED = (
    "No noun phrase was found in the query; name what to look for in English, e.g. 'the two largest circles',"
    " 'cups left of the plate' or 'how many dogs are there?'."
)

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Move:
    """A tool call, and why."""

    tool: Tool
    thought: str

    @property
    def decision(self) -> Decision:
        return self.tool.as_decision(self.thought)


Moves = Generator[Move, Episode, None]
"""Sent the episode as it was after each move."""
Steps = Generator[Move, Episode, Ids]
"""The moves towards one set of masks."""


class GrammarPlanner:
    """Reads a query with the grammar of `agent/query.lark` and answers it with the tools, step by step.

    It understands noun phrases joined by and, or, except and not; relations, places, ordinals, superlatives,
    comparisons and counts, nested in each other. Any other query falls back to its head noun phrase, and the answer
    says so. Every decision follows from the query and the episode alone, so one planner may serve many threads.
    """

    def __init__(self, tools: Literal["workspace", "paper"] = "workspace", *, threshold: float = 0.5) -> None:
        """`tools`: which protocol it speaks, `agent.TOOLS` or `agent.PAPER_TOOLS`.

        `threshold`: in [0, 1), of its `segment` calls; the published protocol has no such argument.
        """
        if tools not in ("workspace", "paper"):
            raise ValueError(f"`tools` must be 'workspace' or 'paper', got {tools!r}")
        self.tools = tools
        self.threshold = threshold

    def decide(self, episode: Episode) -> Decision:
        """The first move of the plan that the episode has not seen yet."""
        reading = read(episode.task.query)
        moves = self._on_paper(reading) if self.tools == "paper" else _moves(reading, self.threshold)
        move = next(moves)
        for done, step in enumerate(episode.steps, start=1):
            if (step.decision.tool, step.decision.arguments) != (move.decision.tool, move.decision.arguments):
                continue  # made by another planner
            if step.observation.is_error:
                return ReportNoMask(reason=step.observation.text).as_decision("The plan cannot go on.")
            move = moves.send(replace(episode, steps=episode.steps[:done]))
        return move.decision

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """By score alone: it cannot look at pictures."""
        scores = [(id, episode.workspace[id].score) for id in ids]
        return [Verdict(id, score >= 0.5, score, "by SAM 3's score") for id, score in scores]

    def _on_paper(self, reading: Reading) -> Moves:
        """The moves in the published protocol, which holds one set of masks: what needs more gets the head phrase."""
        if reading.plan is not None and len(phrases(reading.plan)) > 1:
            note = "The rest of the query needs a second set of masks, and this protocol holds one set only."
            reading = replace(reading, plan=heads(reading.plan)[0], notes=(note,))
        moves = _moves(reading, self.threshold)
        move = next(moves)
        while True:
            match move.tool:
                case Segment(phrases=[phrase]):
                    episode = yield Move(SegmentPhrase(text_prompt=phrase), move.thought)
                    current = episode.shown
                case Answer(ids=ids, message=message):
                    numbers = [current.index(id) + 1 for id in ids]
                    yield Move(SelectMasksAndReturn(final_answer_masks=numbers), message)
                case ReportNoMask(reason=reason):
                    yield Move(ReportNoMaskOnPaper(), reason)
                case tool:
                    # Geometry is no tool of this protocol, so it is worked out here; it never calls SAM 3.
                    observation = tool.run(episode, cast(Sam3, None), self)
                    episode = episode.append(Step(move.decision, observation))
            move = moves.send(episode)


def _moves(reading: Reading, threshold: float) -> Moves:
    """One call for all phrases, one for each step of the plan, and the ending."""
    if reading.plan is None:
        yield Move(ReportNoMask(reason=EXPECTED), "There is no noun phrase to look for.")
        return
    solver = _Solver(threshold)
    yield from solver.look(phrases(reading.plan), complete=reading.complete)
    try:
        ids = yield from solver.needed(reading.plan)
    except _Nothing as reason:
        said = str(reason)
        if isinstance(reading.plan, Counted):
            said = f"{counted(reading.plan.of, 0, solver.size)[:-1]}: {said}"
        yield Move(ReportNoMask(reason=_message(said, reading)), "Nothing is left to answer with.")
        return
    noted = replace(reading, notes=(*reading.notes, *_shortage(reading.plan, len(ids))))
    message = _message(f"{masks(len(ids))}: {described(reading.plan, solver.size)}", noted)
    if isinstance(reading.plan, Counted):
        message = _message(counted(reading.plan.of, len(ids), solver.size)[:-1], noted)
    yield Move(Answer(ids=list(ids), message=message), "That is what the query asks for.")


def _shortage(plan: Plan, found: int) -> list[str]:
    """A note where fewer were found than the query asks for."""
    ranked = plan.of if isinstance(plan, Counted) else plan
    if not isinstance(ranked, Ranked) or found >= ranked.take:
        return []
    return [f"The query asks for {ranked.take}; there {'is' if found == 1 else 'are'} only {found}."]


def _message(said: str, reading: Reading) -> str:
    """One sentence for the user, and what was assumed."""
    rest = "" if reading.complete else f"; the rest of the query was not understood, and {REMEDY}"
    return " ".join([f"{said[0].upper()}{said[1:]}{rest}.", *reading.notes])


class _Nothing(Exception):
    """A set that the rest of the plan needs is empty. The message is the reason, no full sentence."""


class _Solver:
    """Works out a plan, one tool call at a time."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.known: dict[Plan, Ids] = {}

    def size(self, plan: Plan) -> int:
        return len(self.known.get(plan, ()))

    def look(self, wanted: Sequence[str], *, complete: bool) -> Moves:
        named = ", ".join(map(repr, wanted))
        thought = (
            f"The query names {named}." if complete else f"The query cannot be parsed; its head phrase is {named}."
        )
        for start in range(0, len(wanted), PHRASES_PER_CALL):
            asked = list(wanted[start : start + PHRASES_PER_CALL])
            episode = yield Move(Segment(phrases=asked, threshold=self.threshold), thought)
            searches = {search.phrase: search.ids for search in episode.workspace.searches}
            self.known |= {Phrase(phrase): searches.get(phrase, ()) for phrase in asked}

    def needed(self, plan: Plan) -> Steps:
        """The objects of a plan. Raises _Nothing where there are none."""
        ids = yield from self.solved(plan)
        if not ids:
            raise _Nothing(nothing(plan, self.size))
        return ids

    def solved(self, plan: Plan) -> Steps:
        if plan not in self.known:
            self.known[plan] = yield from self.worked_out(plan)
        return self.known[plan]

    def worked_out(self, plan: Plan) -> Steps:
        match plan:
            case Phrase():
                return ()  # every phrase was asked for at the start
            case Union(parts):
                return (yield from self.union(parts))
            case Except(of, minus):
                all_of = yield from self.needed(of)
                without = yield from self.optional(minus)
                return (yield from _combined("minus", all_of, without, f"Leave out {described(minus, self.size)}."))
            case Common(of, other):
                all_of = yield from self.needed(of)
                both = yield from self.needed(other)
                return (yield from _combined("intersect", all_of, both, "Keep what is both."))
            case Counted(of):
                move = Move(Count(ids=[*(yield from self.needed(of))]), "The query asks how many there are.")
            case Located(of, place):
                tool = Locate(ids=[*(yield from self.needed(of))], place=place)
                move = Move(tool, f"Keep those {condition(plan, self.size)}.")
            case Related():
                move = yield from self.relation(plan)
            case Ranked():
                move = yield from self.ranking(plan)
        return (yield move).shown

    def relation(self, plan: Related) -> Generator[Move, Episode, Move]:
        ids = yield from self.needed(plan.of)
        to = yield from self.needed(plan.to)
        other = (yield from self.needed(plan.other)) if plan.other else ()
        tool = Relate(ids=[*ids], relation=plan.relation, to=[*to], other=[*other])
        return Move(tool, f"Keep those {condition(plan, self.size)}.")

    def ranking(self, plan: Ranked) -> Generator[Move, Episode, Move]:
        ids = yield from self.needed(plan.of)
        to = (yield from self.needed(plan.to)) if plan.to else ()
        tool = Rank(ids=[*ids], by=plan.by, order=plan.order, start=plan.start, take=plan.take, to=[*to])
        return Move(tool, f"Take {described(plan, self.size)}.")

    def optional(self, plan: Plan) -> Steps:
        """The objects of a plan; () where anything it needs is missing."""
        try:
            return (yield from self.needed(plan))
        except _Nothing:
            return ()

    def union(self, parts: Sequence[Plan]) -> Steps:
        sets: list[Ids] = []
        for part in parts:
            sets.append((yield from self.optional(part)))
        first, *others = [ids for ids in sets if ids] or [()]
        if len(others) > PARTS_ONE_BY_ONE:
            others = [tuple(dict.fromkeys(id for ids in others for id in ids))]
        for other in others:
            first = yield from _combined("union", first, other, "The query asks for both.")
        return first


def _combined(op: Literal["union", "minus", "intersect"], a: Ids, b: Ids, thought: str) -> Steps:
    """`b`: where it is empty, nothing needs to be done."""
    return (yield Move(Combine(op=op, a=[*a], b=[*b]), thought)).shown if b else a
