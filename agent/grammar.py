"""A planner without a language model: a grammar reads the query, a plan follows from it, and every run is the same."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from agent.episode import Decision, Episode, Step, Verdict, Workspace
from agent.followup import option, read_after, selections, without_masks
from agent.meaning import Reading
from agent.plan import (
    Common,
    Counted,
    Except,
    Located,
    Numbered,
    One,
    Otherwise,
    Phrase,
    Plan,
    Ranked,
    Related,
    Selected,
    Sized,
    Union,
    heads,
    phrases,
)
from agent.tools import Tool
from agent.tools.paper import ReportNoMask as ReportNoMaskOnPaper
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.relations import Measure
from agent.tools.words import listed, masks
from agent.tools.workspace import Answer, AskUser, Combine, Count, Locate, Rank, Relate, ReportNoMask, Segment
from agent.wording import changed, condition, counted, described, nothing
from sam3_tool import Sam3
from sam3_tool.backends.scripted import plain

PHRASES_PER_CALL = 8
"""As many as `segment` takes."""
PARTS_ONE_BY_ONE = 6
"""A union of more parts is made in one step, so that it fits into an episode's steps."""
REMEDY = "a planner with a multimodal language model (MLLM) can read such queries"
EXPECTED = (
    "No noun phrase was found in the query; name what to look for in English, e.g. 'the two largest circles',"
    " 'cups left of the plate' or 'how many dogs are there?'."
)

NOT_UNDERSTOOD = "That was not understood; name what to look for, or say e.g. 'only the red ones', 'also the plates'."
NOTHING_CHANGED = "Nothing was changed: no mask is selected."
MOST_OPTIONS = 6
"""As many as `ask_user` takes."""

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
    says so. In a conversation it understands what changes the answer so far (`agent/followup.py`), and asks back where
    that could be several. Every decision follows from the query, what was said before it, and the episode alone, so one
    planner may serve many threads.
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
        reading, start = read_after(episode.task.query, episode.task.before), replace(episode, steps=())
        if self.tools == "paper":
            moves = self._on_paper(without_masks(reading, episode.task.before), start)
        else:
            moves = _moves(reading, self.threshold, start)
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
                    current = episode.shown
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
            NOTHING_CHANGED if reading.change == "stay" else NOT_UNDERSTOOD if start.task.before.turns else EXPECTED
        )
        yield Move(ReportNoMask(reason=reason), "There is no noun phrase to look for.")
        return
    solver = _Solver(reading, threshold, start)
    try:
        yield from solver.look(phrases(reading.plan), complete=reading.complete)
        ids = yield from solver.needed(reading.plan)
    except _Unclear as unclear:
        yield Move(unclear.tool, "Only the user knows what is meant.")
    except _Nothing as reason:
        said = str(reason)
        if reading.change == "remove":
            said = "that would leave nothing"
        if isinstance(reading.plan, Counted):
            said = f"{counted(reading.plan.of, 0, solver.size)[:-1]}: {said}"
        yield Move(ReportNoMask(reason=_message(said, reading)), "Nothing is left to answer with.")
    else:
        message = _message(_said(reading, ids, solver), _noted(reading, len(ids)))
        yield Move(Answer(ids=list(ids), message=message), "That is what the query asks for.")


def _said(reading: Reading, ids: Ids, solver: "_Solver") -> str:
    """What the answer is; no full sentence yet."""
    plan = cast(Plan, reading.plan)
    if reading.change != "new":
        return changed(reading, ids, solver.known_as)
    if isinstance(plan, Counted):
        return counted(plan.of, len(ids), solver.size)[:-1]
    return f"{masks(len(ids))}: {described(plan, solver.size)}"


def _noted(reading: Reading, found: int) -> Reading:
    return replace(reading, notes=(*reading.notes, *_shortage(cast(Plan, reading.plan), found)))


def _shortage(plan: Plan, found: int) -> list[str]:
    """A note where fewer were found than the query asks for."""
    ranked = plan.of if isinstance(plan, Counted | Otherwise) else plan
    if not isinstance(ranked, Ranked) or found >= ranked.take:
        return []
    return [f"The query asks for {ranked.take}; there {'is' if found == 1 else 'are'} only {found}."]


def _message(said: str, reading: Reading) -> str:
    """One sentence for the user, and what was assumed."""
    rest = "" if reading.complete else f"; the rest of the query was not understood, and {REMEDY}"
    return " ".join([f"{said[0].upper()}{said[1:]}{rest}.", *reading.notes])


class _Nothing(Exception):
    """A set that the rest of the plan needs is empty. The message is the reason, no full sentence."""


class _Unclear(Exception):
    """What the plan needs could be several things, which the user has to choose among, or is not there at all."""

    def __init__(self, question: str, options: Sequence[str] = ()) -> None:
        super().__init__(question)
        asks = AskUser(question=question, options=[*options[:MOST_OPTIONS]]) if options else None
        self.tool: Tool = asks or ReportNoMask(reason=question)


class _Solver:
    """Works out a plan, one tool call at a time."""

    def __init__(self, reading: Reading, threshold: float, start: Episode) -> None:
        self.threshold = threshold
        self.known: dict[Plan, Ids] = {}
        self.workspace = start.workspace
        self.answers = selections(start.task.before)
        self.asks = reading.change != "new"
        """Whether it asks back where several masks fit equally well; the first of them is taken otherwise."""
        self.replies = list(reading.chosen)

    def size(self, plan: Plan) -> int:
        return len(self.known_as(plan))

    def known_as(self, plan: Plan) -> Ids:
        return self.answers[plan.turn] if isinstance(plan, Selected) else self.known.get(plan, ())

    def look(self, wanted: Sequence[str], *, complete: bool = True) -> Moves:
        named = ", ".join(map(repr, wanted))
        thought = (
            f"The query names {named}." if complete else f"The query cannot be parsed; its head phrase is {named}."
        )
        for start in range(0, len(wanted), PHRASES_PER_CALL):
            asked = list(wanted[start : start + PHRASES_PER_CALL])
            call = Segment(phrases=asked, threshold=self.threshold)
            self.workspace = (yield Move(call, thought)).workspace
            found = _found(call, self.workspace)
            self.known |= {Phrase(phrase): found.get(plain(phrase), ()) for phrase in asked}

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
            case Phrase(text):
                yield from self.look([text])
                return self.known[plan]
            case Selected(turn):
                return self.answers[turn]
            case Numbered(ids):
                return (yield from self.numbered(ids))
            case One(of):
                return (yield from self.one(of))
            case Otherwise(of, other):
                return (yield from self.otherwise(of, other))
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
            case Sized():
                move = yield from self.sizing(plan)
            case Ranked():
                return (yield from self.ranking(plan))
        return (yield move).shown

    def relation(self, plan: Related) -> Generator[Move, Episode, Move]:
        ids = yield from self.needed(plan.of)
        to = yield from self.needed(plan.to)
        other = (yield from self.needed(plan.other)) if plan.other else ()
        tool = Relate(ids=[*ids], relation=plan.relation, to=[*to], other=[*other])
        return Move(tool, f"Keep those {condition(plan, self.size)}.")

    def ranking(self, plan: Ranked) -> Steps:
        ids = yield from self.needed(plan.of)
        to = (yield from self.needed(plan.to)) if plan.to else ()
        clear, tied = _clear_and_tied(plan, ids, to, self.workspace) if self.asks else ((), ())
        if tied:
            which = f"{_numbers(tied)} are equally {described(plan, self.size)}"
            question = f"{which}, as far as can be told; which is meant?"
            more = yield from self.reply(tied, question, wanted=plan.take - len(clear))
            return tuple(sorted({*clear, *more}, key=ids.index))
        tool = Rank(ids=[*ids], by=plan.by, order=plan.order, start=plan.start, take=plan.take, to=[*to])
        return (yield Move(tool, f"Take {described(plan, self.size)}.")).shown

    def sizing(self, plan: Sized) -> Generator[Move, Episode, Move]:
        """Those above or below the mean are the first so many, sorted."""
        ids = yield from self.needed(plan.of)
        sizes = _measured(plan.by, ids, (), self.workspace)
        mean = sum(sizes) / len(sizes)
        take = sum(size > mean if plan.order == "descending" else size < mean for size in sizes)
        if not take:
            raise _Nothing(nothing(plan, self.size))
        return Move(Rank(ids=[*ids], by=plan.by, order=plan.order, take=take), f"Take {described(plan, self.size)}.")

    def numbered(self, ids: Ids) -> Steps:
        missing = [id for id in ids if id not in self.workspace]
        if not missing:
            return ids
        there = f"there is no number {listed(missing, 'or')}; there are {listed(range(1, len(self.workspace) + 1))}"
        if len(self.workspace) < 2:
            raise _Unclear(f"T{there[1:]}.".replace("there are", "there is only"))
        current = self.answers[-1] if self.answers and len(self.answers[-1]) > 1 else ()
        known = current or range(1, len(self.workspace) + 1)
        instead = yield from self.reply(known, f"T{there[1:]}; which is meant?", wanted=len(missing))
        return tuple(dict.fromkeys([*(id for id in ids if id not in missing), *instead]))

    def one(self, of: Plan) -> Steps:
        ids = yield from self.needed(of)
        if len(ids) == 1:
            return ids
        return (yield from self.reply(ids, f"{_numbers(ids)} could be meant; which is it?", wanted=1))

    def reply(self, ids: Sequence[int], question: str, *, wanted: int) -> Steps:
        """Which of these the user means, `wanted` of them, if that was asked before. Raises _Unclear if not."""
        while self.replies:
            reply = self.replies.pop(0)
            yield from self.look([phrase for phrase in phrases(reply) if Phrase(phrase) not in self.known])
            chosen = tuple(id for id in (yield from self.optional(reply)) if id in ids)
            if chosen and (len(chosen) <= wanted or isinstance(reply, Numbered)):
                return chosen
            ids = chosen or ids
        raise _Unclear(question, [option(id, self.workspace[id].phrase) for id in ids])

    def otherwise(self, of: Plan, other: Plan) -> Steps:
        first = yield from self.optional(of)
        if first and not _shortage(of, len(first)):
            return first
        return (yield from self.optional(other)) or first

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


def _found(call: Segment, workspace: Workspace) -> dict[str, Ids]:
    """What this call's phrases found, by their normal form, now or when the same was asked before.

    The published protocol asks in no particular way.
    """
    how = call.model_dump_json(exclude={"phrases", "close_ups"}, exclude_defaults=True)
    return {plain(search.phrase): search.ids for search in workspace.searches if search.how in (how, "")}


MARGIN = 0.02
"""Places, gaps: how far apart they must be to be told apart, as a share of the picture's width, height or diagonal."""
SIZE_MARGIN = 1.05
"""Sizes, widths, heights: their least ratio."""


def _clear_and_tied(plan: Ranked, ids: Ids, to: Ids, workspace: Workspace) -> tuple[Ids, Ids]:
    """Who belongs to a ranking's result beyond doubt; and, of those who might, all where they are too many to tell."""
    if plan.by == "score" or len(ids) < plan.start:
        return (), ()
    values = dict(zip(ids, _measured(plan.by, ids, to, workspace), strict=True))
    ranked = sorted(ids, key=lambda id: values[id] if plan.order == "ascending" else -values[id])
    taken, others = ranked[plan.start - 1 : plan.start - 1 + plan.take], {*ranked[: plan.start - 1]}
    others |= {*ranked[plan.start - 1 + plan.take :]}
    tied = [id for id in taken if any(_alike(plan.by, values[id], values[other], workspace) for other in others)]
    rivals = [id for id in others if any(_alike(plan.by, values[id], values[other], workspace) for other in taken)]
    return tuple(id for id in taken if id not in tied), tuple(sorted([*tied, *rivals]))


def _alike(by: str, a: float, b: float, workspace: Workspace) -> bool:
    match by:
        case "x":
            return abs(a - b) < MARGIN * workspace.width
        case "y":
            return abs(a - b) < MARGIN * workspace.height
        case "distance":
            return abs(a - b) < MARGIN * float((workspace.width**2 + workspace.height**2) ** 0.5)
        case _:
            return max(a, b) < SIZE_MARGIN * min(a, b)


def _measured(by: Measure, ids: Ids, to: Ids, workspace: Workspace) -> list[float]:
    from agent.tools.geometry import measure  # loads OpenCV

    scores = np.array([candidate.score for candidate in workspace.pick(ids)], np.float32)
    return [float(value) for value in measure(by, workspace.rles(ids), scores, workspace.rles(to))]


def _numbers(ids: Sequence[int]) -> str:
    return f"Numbers {listed(ids)}"
