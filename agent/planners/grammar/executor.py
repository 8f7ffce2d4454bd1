"""A plan to tool calls: what is worked out next, and what the user is told at the end."""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Literal

from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.text.english import format_ids
from agent.core.timeline import Timeline
from agent.core.workspace import Workspace
from agent.planners.grammar.descriptions import (
    Ids,
    PlanResults,
    describe_answer,
    describe_condition,
    describe_empty,
    describe_failure,
    describe_missing_plan,
    describe_plan,
    describe_shortfall,
)
from agent.planners.grammar.dialogue.option_replies import describe_option
from agent.planners.grammar.interpretation import Interpretation
from agent.planners.grammar.nouns import split_possessive
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Encountered,
    Fallback,
    Holding,
    InMotion,
    Inscribed,
    InSeconds,
    Intersection,
    Lacking,
    Located,
    MaskIds,
    OddOne,
    Order,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    TimedByEvent,
    Union,
    Unique,
    While,
    list_phrases,
    walk_parts,
)
from agent.planners.grammar.temporal.spans import AnswerSpans, find_event_spans, find_relation_spans, find_second_spans
from agent.planners.grammar.ties import find_holders, measure_candidates, split_ties
from agent.tools import Tool
from agent.tools.finish import MAX_OPTIONS
from agent.tools.geometry.outliers import find_outlier
from agent.tools.geometry.time_words import TRACK_MEASURES
from agent.tools.reading.descriptions import CLOSE_TO, NOT_ENLARGED, describe_none
from agent.tools.segment import MAX_PHRASES
from agent.tools.toolsets import (
    Answer,
    AnswerWithTracks,
    AskUser,
    Combine,
    Count,
    FilterByMotion,
    Locate,
    Rank,
    RankTracks,
    ReadText,
    Relate,
    RelateTracks,
    ReportNoMask,
    Segment,
)
from sam3_tool.errors import MissingPackageError
from sam3_tool.phrases import normalize_phrase

PARTS_ONE_BY_ONE = 6
"""A union of more parts is made in one step, so that it fits into an episode's steps."""


@dataclass(frozen=True)
class Move:
    """A tool call, and why."""

    tool: Tool
    thought: str

    def to_decision(self) -> Decision:
        return self.tool.to_decision(self.thought)


Moves = Generator[Move, Episode, None]
"""Sent the episode as it was after each move."""
Steps = Generator[Move, Episode, Ids]
"""The moves towards one set of masks."""


class EmptySetError(Exception):
    """A set that the rest of the plan needs is empty. The message is the reason, no full sentence."""


class AmbiguityError(Exception):
    """What the plan needs could be several things, which the user has to choose among, or is not there at all."""

    def __init__(self, question: str, options: Sequence[str] = ()) -> None:
        super().__init__(question)
        asks = AskUser(question=question, options=[*options[:MAX_OPTIONS]]) if options else None
        self.tool: Tool = asks or ReportNoMask(reason=question)


def execute(
    interpretation: Interpretation,
    threshold: float,
    start: Episode,
    answers: Sequence[Ids] = (),
    *,
    takes_nearest: bool = True,
) -> Moves:
    """Yield one call for all phrases, one for each step of the plan, and the ending.

    Args:
        interpretation: How the query was understood.
        threshold: In [0, 1), of `segment`.
        start: The episode without steps.
        answers: The answer's masks after each turn of the conversation.
        takes_nearest: Whether what a phrase such as "dog's bowl" does not find may be the bowl nearest to the dog.
    """
    if interpretation.question:
        question = AskUser(question=interpretation.question, options=[*interpretation.options])
        yield Move(question, "Only the user knows.")
        return
    if interpretation.plan is None:
        reason = describe_missing_plan(interpretation, in_conversation=bool(start.task.context.turns))
        yield Move(ReportNoMask(reason=reason), "There is no noun phrase to look for.")
        return
    check_reading(interpretation.plan, start)
    # All phrases are asked for at once: SAM 3 encodes the image once, and decodes them together.
    executor = PlanExecutor(interpretation, threshold, start, answers, takes_nearest=takes_nearest)
    try:
        yield from executor.segment_phrases(list_phrases(interpretation.plan), complete=interpretation.complete)
        ids = yield from executor.require(interpretation.plan)
    except AmbiguityError as unclear:
        yield Move(unclear.tool, "Only the user knows what is meant.")
    except EmptySetError as empty:
        reason = describe_failure(interpretation, str(empty), executor.results)
        yield Move(ReportNoMask(reason=reason), "Nothing is left to answer with.")
    else:
        message = describe_answer(interpretation, ids, executor.results)
        yield Move(executor.build_answer(interpretation.plan, ids, message), "That is what the query asks for.")


def check_reading(plan: Plan, start: Episode) -> None:
    """Check that the texts of a plan can be read. Raises PlannerError where they cannot."""
    texts = [part.text for part in walk_parts(plan) if isinstance(part, Inscribed)]
    if not texts:
        return
    if start.task.timeline is not None:
        raise PlannerError(f"the query asks for the text {texts[0]!r}, and text is read in images, not in videos")
    try:
        ReadText.check_packages()
    except MissingPackageError as error:
        raise PlannerError(f"the query asks for the text {texts[0]!r}; {error}") from error


class PlanExecutor:
    """Works out a plan, one tool call at a time."""

    def __init__(
        self,
        interpretation: Interpretation,
        threshold: float,
        start: Episode,
        answers: Sequence[Ids],
        *,
        takes_nearest: bool,
    ) -> None:
        self.threshold = threshold
        self.results = PlanResults(answers)
        self.workspace = start.workspace
        self.timeline = start.task.timeline
        self.spans: dict[Plan, AnswerSpans] = {}
        """Of what is meant at some times alone: when."""
        self.asks = interpretation.change != "new"
        """Whether it asks back where several masks fit equally well; the first of them is taken otherwise."""
        self.replies = list(interpretation.chosen)
        self.takes_nearest = takes_nearest

    def segment_phrases(self, wanted: Sequence[str], *, complete: bool = True) -> Moves:
        named = ", ".join(map(repr, wanted))
        thought = (
            f"The query names {named}." if complete else f"The query cannot be parsed; its head phrase is {named}."
        )
        for start in range(0, len(wanted), MAX_PHRASES):
            asked = list(wanted[start : start + MAX_PHRASES])
            call = Segment(phrases=asked, threshold=self.threshold)
            self.workspace = (yield Move(call, thought)).workspace
            found = _find_results(call, self.workspace)
            self.results.found |= {Phrase(phrase): found.get(normalize_phrase(phrase), ()) for phrase in asked}

    def build_answer(self, plan: Plan, ids: Ids, message: str) -> Tool:
        """Build the call that ends the episode; with the times that are meant, where the query says when."""
        if plan not in self.spans:
            return Answer(ids=[*ids], message=message)
        return AnswerWithTracks.model_validate({"ids": ids, "message": message, "spans": self.spans[plan]})

    def require(self, plan: Plan) -> Steps:
        """Return the objects of a plan. Raises EmptySetError where there are none."""
        # A part that the plan names twice is worked out once.
        if plan not in self.results.found:
            self.results.found[plan] = yield from self.evaluate(plan)
        if isinstance(plan, Phrase) and not self.results.found[plan] and self.takes_nearest:
            self.results.found[plan] = yield from self.find_possession(plan)
        if not self.results.found[plan]:
            raise EmptySetError(self._explain_empty(plan))
        return self.results.found[plan]

    def find_possession(self, plan: Phrase) -> Steps:
        """Return, for 'dog's bowl', the bowl nearest to the dog; () where the phrase says nothing of that kind."""
        owned = split_possessive(plan.text)
        if owned is None:
            return ()
        owner, thing = owned
        found = yield from self.try_to_find(Related(Phrase(thing), "nearest", Phrase(owner)))
        if found:
            instead = f"the {thing!r} nearest to {owner!r} was taken"
            self.results.notes.append(f'Nothing was found for "{plan.text}", so {instead}.')
        return found

    def _explain_empty(self, plan: Plan) -> str:
        reason, unseen = describe_empty(plan, self.results.count_of), "nothing in the picture was found"
        return reason if self.timeline is None else reason.replace(unseen, unseen.replace("picture", "video"))

    def try_to_find(self, plan: Plan) -> Steps:
        """Return the objects of a plan; () where anything it needs is missing."""
        try:
            return (yield from self.require(plan))
        except EmptySetError:
            return ()

    # one method for each kind of plan

    @singledispatchmethod
    def evaluate(self, plan: Plan) -> Steps:
        """Return the objects of a plan that is not known yet."""
        raise TypeError(f"no plan: {plan!r}")

    @evaluate.register
    def evaluate_phrase(self, plan: Phrase) -> Steps:
        yield from self.segment_phrases([plan.text])
        return self.results.found[plan]

    @evaluate.register
    def evaluate_previous_answer(self, plan: PreviousAnswer) -> Steps:
        yield from ()
        return self.results.answers[plan.turn]

    @evaluate.register
    def evaluate_mask_ids(self, plan: MaskIds) -> Steps:
        missing = [id for id in plan.ids if id not in self.workspace]
        if not missing:
            return plan.ids
        there = (
            f"there is no number {format_ids(missing, 'or')}; there are {format_ids(range(1, len(self.workspace) + 1))}"
        )
        if len(self.workspace) < 2:
            raise AmbiguityError(f"T{there[1:]}.".replace("there are", "there is only"))
        # A choice among one mask would be no choice.
        current = self.results.answers[-1] if self.results.answers and len(self.results.answers[-1]) > 1 else ()
        known = current or range(1, len(self.workspace) + 1)
        instead = yield from self.ask_user(known, f"T{there[1:]}; which is meant?", wanted=len(missing))
        return tuple(dict.fromkeys([*(id for id in plan.ids if id not in missing), *instead]))

    @evaluate.register
    def evaluate_unique(self, plan: Unique) -> Steps:
        ids = yield from self.require(plan.of)
        if len(ids) == 1:
            return ids
        return (yield from self.ask_user(ids, f"Numbers {format_ids(ids)} could be meant; which is it?", wanted=1))

    @evaluate.register
    def evaluate_fallback(self, plan: Fallback) -> Steps:
        first = yield from self.try_to_find(plan.of)
        if first and not describe_shortfall(plan.of, len(first)):
            return first
        return (yield from self.try_to_find(plan.other)) or first

    @evaluate.register
    def evaluate_union(self, plan: Union) -> Steps:
        sets: list[Ids] = []
        for part in plan.parts:
            sets.append((yield from self.try_to_find(part)))
        # What was not found is left out: "dogs and cats" without a dog are the cats.
        first, *others = [ids for ids in sets if ids] or [()]
        if len(others) > PARTS_ONE_BY_ONE:
            others = [tuple(dict.fromkeys(id for ids in others for id in ids))]
        for other in others:
            first = yield from _combine_sets("union", first, other, "The query asks for both.")
        return first

    @evaluate.register
    def evaluate_difference(self, plan: Difference) -> Steps:
        every = yield from self.require(plan.of)
        without = yield from self.try_to_find(plan.minus)
        thought = f"Leave out {describe_plan(plan.minus, self.results.count_of)}."
        return (yield from _combine_sets("minus", every, without, thought))

    @evaluate.register
    def evaluate_intersection(self, plan: Intersection) -> Steps:
        every = yield from self.require(plan.of)
        both = yield from self.require(plan.other)
        return (yield from _combine_sets("intersect", every, both, "Keep what is both."))

    @evaluate.register
    def evaluate_count(self, plan: Counted) -> Steps:
        tool = Count(ids=[*(yield from self.require(plan.of))])
        return (yield Move(tool, "The query asks how many there are.")).current_ids

    @evaluate.register
    def evaluate_location(self, plan: Located) -> Steps:
        tool = Locate(ids=[*(yield from self.require(plan.of))], place=plan.place)
        return (yield Move(tool, f"Keep those {describe_condition(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_inscription(self, plan: Inscribed) -> Steps:
        tool = ReadText(ids=[*(yield from self.require(plan.of))], says=plan.text)
        episode = yield Move(tool, f"Keep those {describe_condition(plan, self.results.count_of)}.")
        read = episode.steps[-1].observation
        if not episode.current_ids:
            self.results.notes.append(f"Of these masks, {read.text.removeprefix(describe_none(plan.text, tool.ids))}")
        elif NOT_ENLARGED in read.text:
            self.results.notes.append(f"Some masks {NOT_ENLARGED}, so small letters may have been missed.")
        self.results.notes += [f"Of mask {id}, {why}." for id, why in read.reasons if CLOSE_TO in why]
        return episode.current_ids

    @evaluate.register
    def evaluate_relation(self, plan: Related) -> Steps:
        ids = yield from self.require(plan.of)
        to = yield from self.require(plan.to)
        other = (yield from self.require(plan.other)) if plan.other else ()
        tool = Relate(ids=[*ids], relation=plan.relation, to=[*to], other=[*other])
        return (yield Move(tool, f"Keep those {describe_condition(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_lack(self, plan: Lacking) -> Steps:
        ids = yield from self.require(plan.of)
        parts = yield from self.try_to_find(plan.part)
        if not parts:
            self.results.notes.append(f"No {describe_plan(plan.part, self.results.count_of)} was found in any place.")
            return ids
        holders = find_holders(ids, parts, self.workspace, self.timeline)
        thought = f"Keep those {describe_condition(plan, self.results.count_of)}."
        return (yield from _combine_sets("minus", ids, tuple(dict.fromkeys([*holders, *parts])), thought))

    @evaluate.register
    def evaluate_content(self, plan: Holding) -> Steps:
        ids = yield from self.require(plan.of)
        parts = yield from self.try_to_find(plan.part)
        held = [find_holders(ids, (part,), self.workspace, self.timeline) for part in parts if part not in ids]
        counts = Counter(holder for holders in held for holder in holders)
        most = len(parts) if plan.most is None else plan.most
        others = tuple(id for id in ids if not plan.least <= counts[id] <= most)
        thought = f"Keep those {describe_condition(plan, self.results.count_of)}."
        return (yield from _combine_sets("minus", ids, others, thought))

    @evaluate.register
    def evaluate_steps(self, plan: Alternating) -> Steps:
        ids = yield from self.require(plan.of)
        tool = Rank(ids=[*ids], by=plan.by, order=plan.order, take=len(ids))
        sorted_ids = (yield Move(tool, f"Sort them to take {describe_plan(plan, self.results.count_of)}.")).current_ids
        return sorted_ids[plan.start - 1 :: plan.step]

    @evaluate.register
    def evaluate_odd_one(self, plan: OddOne) -> Steps:
        ids = yield from self.require(plan.of)
        sizes = measure_candidates("size", ids, (), self.workspace, self.timeline)
        index = find_outlier(sizes)
        if index is None:
            raise EmptySetError(self._explain_empty(plan))
        order: Order = "descending" if sizes[index] == max(sizes) else "ascending"
        tool = Rank(ids=[*ids], by="size", order=order)
        return (yield Move(tool, f"Take {describe_plan(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_relative_size(self, plan: RelativeToMean) -> Steps:
        """Take as many of the sorted ones as are above, or below, the mean."""
        ids = yield from self.require(plan.of)
        sizes = measure_candidates(plan.by, ids, (), self.workspace, self.timeline)
        mean = sum(sizes) / len(sizes)
        take = sum(size > mean if plan.order == "descending" else size < mean for size in sizes)
        if not take:
            raise EmptySetError(self._explain_empty(plan))
        tool = Rank(ids=[*ids], by=plan.by, order=plan.order, take=take)
        return (yield Move(tool, f"Take {describe_plan(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_ranking(self, plan: Ranked) -> Steps:
        ids = yield from self.require(plan.of)
        to = (yield from self.require(plan.to)) if plan.to else ()
        # A first question takes the first of equals, since nobody has seen their numbers yet.
        clear, tied = split_ties(plan, ids, to, self.workspace, self.timeline) if self.asks else ((), ())
        if tied:
            which = f"Numbers {format_ids(tied)} are equally {describe_plan(plan, self.results.count_of)}"
            question = f"{which}, as far as can be told; which is meant?"
            more = yield from self.ask_user(tied, question, wanted=plan.take - len(clear))
            return tuple(sorted({*clear, *more}, key=ids.index))
        kind = RankTracks if plan.by in TRACK_MEASURES else Rank
        tool = kind.model_validate(
            {"ids": ids, "by": plan.by, "order": plan.order, "start": plan.start, "take": plan.take, "to": to}
        )
        return (yield Move(tool, f"Take {describe_plan(plan, self.results.count_of)}.")).current_ids

    # what only a video can tell

    @evaluate.register
    def evaluate_motion(self, plan: InMotion) -> Steps:
        tool = FilterByMotion(ids=[*(yield from self.require(plan.of))], motion=plan.motion)
        return (yield Move(tool, f"Keep those {describe_condition(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_encounter(self, plan: Encountered) -> Steps:
        ids = yield from self.require(plan.of)
        to = yield from self.require(plan.to)
        tool = RelateTracks(ids=[*ids], relation=plan.encounter, to=[*to], when="ever")
        return (yield Move(tool, f"Keep those {describe_condition(plan, self.results.count_of)}.")).current_ids

    @evaluate.register
    def evaluate_while(self, plan: While) -> Steps:
        ids = yield from self.require(plan.of)
        to = yield from self.require(plan.to)
        self.spans[plan] = find_relation_spans(plan, ids, to, self.workspace, self.require_timeline())
        tool = RelateTracks(ids=[*ids], relation=plan.relation, to=[*to], when="ever")
        found = (yield Move(tool, f"Find when they are {describe_condition(plan, self.results.count_of)}.")).current_ids
        return tuple(id for id in found if any(span["id"] == id for span in self.spans[plan]))

    @evaluate.register
    def evaluate_event(self, plan: TimedByEvent) -> Steps:
        ids = yield from self.require(plan.of)
        to = yield from self.require(plan.to)
        tool = FilterByMotion(ids=[*to], motion=plan.event)
        thought = f"Find when {describe_plan(plan.to, self.results.count_of)} {plan.event}."
        events = (yield Move(tool, thought)).current_ids
        self.spans[plan] = find_event_spans(plan, ids, events, self.workspace, self.require_timeline())
        return tuple(id for id in ids if any(span["id"] == id for span in self.spans[plan]))

    @evaluate.register
    def evaluate_seconds(self, plan: InSeconds) -> Steps:
        ids = yield from self.require(plan.of)
        self.spans[plan] = find_second_spans(plan, ids, self.workspace, self.require_timeline())
        return tuple(id for id in ids if any(span["id"] == id for span in self.spans[plan]))

    def require_timeline(self) -> Timeline:
        if self.timeline is None:
            raise EmptySetError("an image does not show when something happens")
        return self.timeline

    def ask_user(self, ids: Sequence[int], question: str, *, wanted: int) -> Steps:
        """Return which `wanted` of these the user means, as was replied before. Raises AmbiguityError if not."""
        while self.replies:
            reply = self.replies.pop(0)
            yield from self.segment_phrases(
                [text for text in list_phrases(reply) if Phrase(text) not in self.results.found]
            )
            chosen = tuple(id for id in (yield from self.try_to_find(reply)) if id in ids)
            if chosen and (len(chosen) <= wanted or isinstance(reply, MaskIds)):
                return chosen
            # A reply that fits several narrows the question that is asked next.
            ids = chosen or ids
        raise AmbiguityError(question, [describe_option(id, self.workspace[id].phrase) for id in ids])


def _combine_sets(op: Literal["union", "minus", "intersect"], first: Ids, second: Ids, thought: str) -> Steps:
    """Where `second` is empty, nothing needs to be done."""
    return (yield Move(Combine(op=op, a=[*first], b=[*second]), thought)).current_ids if second else first


def _find_results(call: Segment, workspace: Workspace) -> dict[str, Ids]:
    """Return what this call's phrases found, by their normal form, now or when the same was asked before.

    The published protocol asks in no particular way.
    """
    how = call.model_dump_json(exclude={"phrases", "close_ups"}, exclude_defaults=True)
    return {normalize_phrase(search.phrase): search.ids for search in workspace.searches if search.how in (how, "")}
