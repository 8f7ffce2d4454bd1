"""Works out a plan with the tools, one call at a time."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.core.english import format_ids
from agent.core.episode import Decision, Episode, Workspace
from agent.followup import option, selections
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
    phrases,
)
from agent.ties import clear_and_tied, measured
from agent.tools import Tool
from agent.tools.finish import MAX_OPTIONS
from agent.tools.segment import MAX_PHRASES
from agent.tools.toolsets import AskUser, Combine, Count, Locate, Rank, Relate, ReportNoMask, Segment
from agent.wording import condition, described, nothing
from sam3_tool.backends.scripted import normalize_phrase

PARTS_ONE_BY_ONE = 6
"""A union of more parts is made in one step, so that it fits into an episode's steps."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Move:
    """A tool call, and why."""

    tool: Tool
    thought: str

    @property
    def decision(self) -> Decision:
        return self.tool.to_decision(self.thought)


Moves = Generator[Move, Episode, None]
"""Sent the episode as it was after each move."""
Steps = Generator[Move, Episode, Ids]
"""The moves towards one set of masks."""


class Nothing(Exception):
    """A set that the rest of the plan needs is empty. The message is the reason, no full sentence."""


class Unclear(Exception):
    """What the plan needs could be several things, which the user has to choose among, or is not there at all."""

    def __init__(self, question: str, options: Sequence[str] = ()) -> None:
        super().__init__(question)
        asks = AskUser(question=question, options=[*options[:MAX_OPTIONS]]) if options else None
        self.tool: Tool = asks or ReportNoMask(reason=question)


class Solver:
    """Works out a plan, one tool call at a time."""

    def __init__(self, reading: Reading, threshold: float, start: Episode) -> None:
        self.threshold = threshold
        self.known: dict[Plan, Ids] = {}
        self.workspace = start.workspace
        self.answers = selections(start.task.context)
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
        for start in range(0, len(wanted), MAX_PHRASES):
            asked = list(wanted[start : start + MAX_PHRASES])
            call = Segment(phrases=asked, threshold=self.threshold)
            self.workspace = (yield Move(call, thought)).workspace
            found = _found(call, self.workspace)
            self.known |= {Phrase(phrase): found.get(normalize_phrase(phrase), ()) for phrase in asked}

    def needed(self, plan: Plan) -> Steps:
        """The objects of a plan. Raises Nothing where there are none."""
        ids = yield from self.solved(plan)
        if not ids:
            raise Nothing(nothing(plan, self.size))
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
        return (yield move).current_ids

    def relation(self, plan: Related) -> Generator[Move, Episode, Move]:
        ids = yield from self.needed(plan.of)
        to = yield from self.needed(plan.to)
        other = (yield from self.needed(plan.other)) if plan.other else ()
        tool = Relate(ids=[*ids], relation=plan.relation, to=[*to], other=[*other])
        return Move(tool, f"Keep those {condition(plan, self.size)}.")

    def ranking(self, plan: Ranked) -> Steps:
        ids = yield from self.needed(plan.of)
        to = (yield from self.needed(plan.to)) if plan.to else ()
        clear, tied = clear_and_tied(plan, ids, to, self.workspace) if self.asks else ((), ())
        if tied:
            which = f"{_numbers(tied)} are equally {described(plan, self.size)}"
            question = f"{which}, as far as can be told; which is meant?"
            more = yield from self.reply(tied, question, wanted=plan.take - len(clear))
            return tuple(sorted({*clear, *more}, key=ids.index))
        tool = Rank(ids=[*ids], by=plan.by, order=plan.order, start=plan.start, take=plan.take, to=[*to])
        return (yield Move(tool, f"Take {described(plan, self.size)}.")).current_ids

    def sizing(self, plan: Sized) -> Generator[Move, Episode, Move]:
        """Those above or below the mean are the first so many, sorted."""
        ids = yield from self.needed(plan.of)
        sizes = measured(plan.by, ids, (), self.workspace)
        mean = sum(sizes) / len(sizes)
        take = sum(size > mean if plan.order == "descending" else size < mean for size in sizes)
        if not take:
            raise Nothing(nothing(plan, self.size))
        return Move(Rank(ids=[*ids], by=plan.by, order=plan.order, take=take), f"Take {described(plan, self.size)}.")

    def numbered(self, ids: Ids) -> Steps:
        missing = [id for id in ids if id not in self.workspace]
        if not missing:
            return ids
        there = (
            f"there is no number {format_ids(missing, 'or')}; there are {format_ids(range(1, len(self.workspace) + 1))}"
        )
        if len(self.workspace) < 2:
            raise Unclear(f"T{there[1:]}.".replace("there are", "there is only"))
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
        """Which of these the user means, `wanted` of them, if that was asked before. Raises Unclear if not."""
        while self.replies:
            reply = self.replies.pop(0)
            yield from self.look([phrase for phrase in phrases(reply) if Phrase(phrase) not in self.known])
            chosen = tuple(id for id in (yield from self.optional(reply)) if id in ids)
            if chosen and (len(chosen) <= wanted or isinstance(reply, Numbered)):
                return chosen
            ids = chosen or ids
        raise Unclear(question, [option(id, self.workspace[id].phrase) for id in ids])

    def otherwise(self, of: Plan, other: Plan) -> Steps:
        first = yield from self.optional(of)
        if first and not shortage(of, len(first)):
            return first
        return (yield from self.optional(other)) or first

    def optional(self, plan: Plan) -> Steps:
        """The objects of a plan; () where anything it needs is missing."""
        try:
            return (yield from self.needed(plan))
        except Nothing:
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
    return (yield Move(Combine(op=op, a=[*a], b=[*b]), thought)).current_ids if b else a


def _found(call: Segment, workspace: Workspace) -> dict[str, Ids]:
    """What this call's phrases found, by their normal form, now or when the same was asked before.

    The published protocol asks in no particular way.
    """
    how = call.model_dump_json(exclude={"phrases", "close_ups"}, exclude_defaults=True)
    return {normalize_phrase(search.phrase): search.ids for search in workspace.searches if search.how in (how, "")}


def _numbers(ids: Sequence[int]) -> str:
    return f"Numbers {format_ids(ids)}"


def shortage(plan: Plan, found: int) -> list[str]:
    """A note where fewer were found than the query asks for."""
    ranked = plan.of if isinstance(plan, Counted | Otherwise) else plan
    if not isinstance(ranked, Ranked) or found >= ranked.take:
        return []
    return [f"The query asks for {ranked.take}; there {'is' if found == 1 else 'are'} only {found}."]
