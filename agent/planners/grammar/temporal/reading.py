"""A query about a video to a plan: what it says of the course of time, around what the grammar reads."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from agent.planners.grammar.compiler import CompiledPlan
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.plan import (
    Counted,
    Difference,
    Encountered,
    InMotion,
    InSeconds,
    Order,
    Plan,
    Ranked,
    Related,
    TimedByEvent,
    While,
)
from agent.planners.grammar.temporal import patterns
from agent.planners.grammar.temporal.rewording import drop_narrow_words, reword_time
from agent.planners.grammar.temporal.vocabulary import (
    AT_END,
    AT_START,
    ENCOUNTER_VERBS,
    LENGTHS,
    MOTION_ADJECTIVES,
    MOTION_VERBS,
    SUPERLATIVES_IN_TIME,
    THERE,
)
from agent.planners.grammar.text.numerals import read_number, read_ordinal
from agent.tools.geometry.time_words import Encounter, Motion, TrackMeasure

CompileWords = Callable[[str], CompiledPlan]
"""Reads what says nothing of time. Raises QuerySyntaxError for what goes beyond the grammar."""

_HEIGHTS = {r"^(?:higher than|over)\b": "above", r"^(?:lower than|under|underneath|beneath)\b": "below"}
"""In time, 'over' and 'under' are places in the picture; in an image they may mean that things touch."""
_OTHERS = re.compile(
    r"(?:all |any of )?(?:the )?(?:others?|other ones?|other \w+|rest)|(?:everything|anything|all) else"
)
_REQUEST = re.compile(
    r"(?:please |(?:can|could|would) you (?:please )?)?"
    r"(?:segment|find|show|track|follow|select|highlight|mask|get|give|watch)(?: me)?"
    r" (?=(?:the|all|a|an|every|each) )"
)
_QUESTION = re.compile(r"(?:which|what|how many|who)\b")


def read_temporal_query(query: str, compile_words: CompileWords) -> CompiledPlan | None:
    """Read a query that says something of the course of time.

    Args:
        query: Any text.
        compile_words: What reads the parts that do not.

    Returns:
        The plan of all of it; None where the query says nothing of time.

    Raises:
        QuerySyntaxError: A part of it goes beyond the grammar.

    >>> from agent.planners.grammar.interpretation import interpret_query
    >>> interpret_query("the second dog to leave", on_video=True).plan
    ... # doctest: +NORMALIZE_WHITESPACE
    Ranked(of=InMotion(of=Phrase(text='dog'), motion='leaves'), by='last_seen', order='ascending', start=2, take=1,
           to=None)
    """
    text = " ".join(query.strip().rstrip("?.! ").casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    text = reword_time(_REQUEST.sub("", text))
    if drop_narrow_words(text) != text:
        raise QuerySyntaxError(text)
    reader = _TemporalReader(compile_words)
    plan = reader.read(text)
    return CompiledPlan(plan, tuple(reader.notes), reader.refers) if reader.found else None


@dataclass
class _TemporalReader:
    """Reads one query; it notes what was assumed, and whether anything was said of time."""

    compile_words: CompileWords
    notes: list[str] = field(default_factory=list)
    found: bool = False
    refers: bool = False

    def read(self, text: str) -> Plan:
        """Return the plan of a noun phrase with all that is said after it."""
        readers: list[Callable[[str], Plan | None]] = [
            *(self.read_order, self.read_event, self.read_while, self.read_seconds, self.read_exception),
            *(self.read_superlative, self.read_ordinal, self.read_comparison, self.read_speed, self.read_length),
            *(self.read_negation, self.read_acts, self.read_adjective),
        ]
        for read in readers:
            if (plan := read(text)) is not None:
                self.found = True
                return plan
        return self.read_words(text)

    def read_words(self, text: str) -> Plan:
        compiled = self.compile_words(text)
        self.notes += compiled.notes
        self.refers |= compiled.refers
        return compiled.plan

    def read_head(self, text: str) -> Plan:
        """Return the plan of what something is said of. 'Which dog' asks for the dog."""
        return self.read(re.sub(r"^(?:which|what) (?:of )?(?:the )?", "the ", text))

    # when it is meant

    def read_event(self, text: str) -> Plan | None:
        """'Before the cat comes in', 'once it is gone'."""
        for comes in (True, False):
            if said := patterns.compile_event(comes=comes).fullmatch(text):
                side: Literal["before", "after"] = "before" if said["side"][:2] in ("be", "un", "ti", "up") else "after"
                event: Literal["appears", "disappears"] = "appears" if comes else "disappears"
                return TimedByEvent(self.read_head(said["head"]), side, event, self.read(said["to"]))
        return None

    def read_while(self, text: str) -> Plan | None:
        """'While it is above the box', 'when the cat is in view'."""
        said = patterns.compile_while().fullmatch(text)
        if said is None:
            return None
        of = self.read_head(said["head"])
        if said["seen"]:
            return While(of, "seen_with", self.read(said["seen"]))
        relation = said["relation"]
        for pattern, word in _HEIGHTS.items():
            relation = re.sub(pattern, word, relation)
        related = self.read_words(f"the things {relation}")
        if not isinstance(related, Related) or related.relation not in _FRAME_RELATIONS:
            raise QuerySyntaxError(relation)
        return While(of, related.relation, related.to)

    def read_seconds(self, text: str) -> Plan | None:
        """'In the first two seconds', 'after 0:03'."""
        said = patterns.compile_seconds().fullmatch(text)
        if said is None:
            return None
        of = self.read_head(said["head"])
        if said["end"]:
            length = _read_seconds(said["length"] or "1")
            return InSeconds(of, None, length) if said["end"] == "first" else InSeconds(of, length, None, from_end=True)
        if said["time"]:
            time = _read_seconds(said["time"])
            return InSeconds(of, None, time) if said["side"][:2] in ("be", "un", "ti") else InSeconds(of, time, None)
        return InSeconds(of, _read_seconds(said["since"]), _read_seconds(said["until"]))

    # which of several

    def read_order(self, text: str) -> Plan | None:
        """'That comes in before the cat', 'that leaves before all others'."""
        for comes in (True, False):
            said = patterns.compile_order(comes=comes, question=_is_question(text)).fullmatch(text)
            if said is None:
                continue
            of, before = self.read_head(said["head"]), said["side"] in ("before", "earlier than", "sooner than")
            if _OTHERS.fullmatch(said["to"]):
                return _rank_in_time(of, "enters" if comes else "leaves", 1, 1, last=not before)
            encounter = f"{'appearing' if comes else 'disappearing'}_{'before' if before else 'after'}"
            return _meet(of, cast(Encounter, encounter), self.read(said["to"]))
        return None

    def read_exception(self, text: str) -> Plan | None:
        """'The dogs except the one that leaves'; where it is not of time, the grammar reads it."""
        said = patterns.compile_exception().fullmatch(text)
        if said is None:
            return None
        of = self.read_head(said["head"])
        out = self.read_about(of, f"those {said['act']}" if said["act"] else said["out"])
        return None if out is None else Difference(of, out)

    def read_comparison(self, text: str) -> Plan | None:
        """'Which of the two dogs is faster'."""
        said = patterns.compile_comparison().fullmatch(text)
        if said is None:
            return None
        return self.rank_plan(self.read_head(f"the {said['head']}"), *SUPERLATIVES_IN_TIME[said["word"]])

    def read_ordinal(self, text: str) -> Plan | None:
        """'The second dog to come in'."""
        said = patterns.compile_ordinal().fullmatch(text)
        if said is None:
            return None
        motion = next(name.removesuffix("_said") for name in _ORDERED if said[name])
        take = read_number(said["number"]) if said["number"] else 1
        last = said["rank"] == "last"
        return _rank_in_time(self.read_head(said["head"]), motion, _read_place(said["rank"]), take, last=last)

    def read_superlative(self, text: str) -> Plan | None:
        """'The two fastest dogs'."""
        said = patterns.compile_superlative().fullmatch(text)
        if said is None:
            return None
        by, order = SUPERLATIVES_IN_TIME[said["word"]]
        start = _read_place(said["rank"]) if said["rank"] else 1
        take = read_number(said["number"]) if said["number"] else 1
        return self.rank_plan(self.read_head(f"the {said['head']}"), by, order, start, take)

    def read_speed(self, text: str) -> Plan | None:
        """'That moves fastest'."""
        said = patterns.compile_speed().fullmatch(text)
        if said is None:
            return None
        by, order = SUPERLATIVES_IN_TIME[said["word"] or said["other"] or said["third"]]
        return self.rank_plan(self.read_head(said["head"]), by, order)

    def read_length(self, text: str) -> Plan | None:
        """'That stays longest'."""
        said = patterns.compile_length().fullmatch(text)
        return None if said is None else self.rank_plan(self.read_head(said["head"]), "duration", LENGTHS[said["word"]])

    def rank_plan(self, of: Plan, by: TrackMeasure, order: Order, start: int = 1, take: int = 1) -> Plan:
        return _wrap(of, lambda plan: Ranked(plan, by, order, start, take))

    # what it does

    def read_acts(self, text: str) -> Plan | None:
        """Of all that may be said of an object, what is said first; the rest is read after it."""
        if _REMAINING.search(text):
            return None
        question = _is_question(text)
        readings = sorted(self._match_acts(text, question=question), key=lambda reading: len(reading.said["head"]))
        return next((plan for reading in readings if (plan := self._read_act(reading)) is not None), None)

    def _match_acts(self, text: str, *, question: bool) -> Iterator["_Act"]:
        for encounter in ENCOUNTER_VERBS:
            if said := patterns.compile_encounter(encounter, question=question).fullmatch(text):
                yield _Act(said, encounter=cast(Encounter, encounter))
        for motion in MOTION_VERBS:
            if said := patterns.compile_motion(motion, question=question).fullmatch(text):
                yield _Act(said, motion=motion)
        for phrase, motion in patterns.list_motion_phrases().items():
            if said := patterns.compile_motion_phrase(phrase).fullmatch(text):
                yield _Act(said, motion=motion)

    def _read_act(self, act: "_Act") -> Plan | None:
        if act.encounter is not None:
            if _PASSIVE.search(act.said[0]):  # who does it to whom is the other way round
                raise QuerySyntaxError(act.said["to"])
            of, encounter, to = self.read_head(act.said["head"]), act.encounter, self.read(act.said["to"])
            return _meet(of, encounter, to)
        motion, groups = cast(Motion, act.motion), act.said.groupdict()
        more = re.fullmatch(r"(?:,? (?:and|but)(?: then)?) (?P<act>.+)|", groups["rest"])
        if more is None:
            return None
        of = self.read_head(groups["head"])
        if rank := groups.get("rank") or groups.get("place"):
            plan = _rank_in_time(of, motion, _read_place(rank), 1, last=rank == "last")
        else:
            plan = _wrap(of, lambda inner: InMotion(inner, motion))
        return self.read_further_act(plan, more["act"]) if more["act"] else plan

    def read_further_act(self, plan: Plan, act: str) -> Plan:
        """Return the plan with what is said after 'and'."""
        that = "" if act.startswith(("that ", "which ", "who ")) else "that "
        further = self.read_about(plan, f"those {that}{act}")
        if further is None:
            raise QuerySyntaxError(act)
        return further

    def read_negation(self, text: str) -> Plan | None:
        """'The dogs that do not leave'."""
        said = patterns.compile_negation().fullmatch(text)
        if said is None or _STATES.fullmatch(said["act"]):
            return None
        of = self.read_head(said["head"])
        kind = of
        while isinstance(kind, Counted | Ranked):
            kind = kind.of
        out = self.read_about(kind, f"those that {said['act']}")
        return None if out is None else _wrap(of, lambda plan: Difference(plan, out))

    def read_about(self, plan: Plan, text: str) -> Plan | None:
        """Read what is said of 'those', which a plan stands for; None where it is not of time."""
        inner = _TemporalReader(lambda words: CompiledPlan(plan) if words == "those" else self.compile_words(words))
        read = inner.read(text)
        self.notes += inner.notes
        self.refers |= inner.refers
        return read if inner.found else None

    def read_adjective(self, text: str) -> Plan | None:
        """'The rising star'."""
        said = patterns.compile_adjective().fullmatch(text)
        if said is None or (said["start"].split() or ["the"])[-1] in ("of", "with"):
            return None
        motion = MOTION_ADJECTIVES[said["word"]]
        return _wrap(self.read_head(f"{said['start']}{said['noun']}"), lambda plan: InMotion(plan, motion))


@dataclass(frozen=True)
class _Act:
    said: re.Match[str]
    motion: Motion | None = None
    encounter: Encounter | None = None


_ORDERED = tuple(
    f"{motion}{said}" for motion in ("enters", "appears", "leaves", "disappears") for said in ("", "_said")
)
_FRAME_RELATIONS = (
    "left_of",
    "right_of",
    "above",
    "below",
    "inside",
    "on",
    "under",
    "touching",
    "overlapping",
    "next_to",
)
"""Relations that each frame has or has not, whatever else is in the picture."""


_STATES = re.compile(rf"mov(?:e|es|ed|ing)|(?:{THERE}) (?:any ?more )?(?:{AT_START}|{AT_END})")
"""What does not do this is still, enters or leaves."""
_REMAINING = re.compile(r"\b(?:is|are|was|were) left$")
"""What is left is not what leaves."""
_PASSIVE = re.compile(r"\b(?:is|are|was|were|been|being|gets?|got) \w+ by\b")


def _read_seconds(text: str) -> float:
    """Return the seconds that '0:02.5', 'two' or '2.5 s' say.

    >>> _read_seconds("1:02.5"), _read_seconds("two seconds"), _read_seconds("2.5 s")
    (62.5, 2.0, 2.5)
    """
    number = re.sub(r" ?[a-z]+$", "", text) if text[0].isdigit() else text.split(" ")[0]
    if ":" not in number and "." not in number:
        return float(read_number(number))
    return math.fsum(float(part) * 60**place for place, part in enumerate(reversed(number.split(":"))))


def _is_question(text: str) -> bool:
    return _QUESTION.match(text) is not None


def _read_place(rank: str) -> int:
    return 1 if rank == "last" else read_ordinal(rank)


def _rank_in_time(of: Plan, motion: str, start: int, take: int, *, last: bool) -> Plan:
    """Rank those that come (go) by when they do."""
    by: TrackMeasure = "first_seen" if motion in ("enters", "appears") else "last_seen"
    order: Order = "descending" if last else "ascending"
    return _wrap(of, lambda plan: Ranked(InMotion(plan, cast(Motion, motion)), by, order, start, take))


def _meet(of: Plan, encounter: Encounter, to: Plan) -> Plan:
    return _wrap(of, lambda plan: Encountered(plan, encounter, to))


def _wrap(plan: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """Change what is counted or sorted, where a plan does that: 'the largest dog that leaves' is one that leaves."""
    return replace(plan, of=_wrap(plan.of, change)) if isinstance(plan, Counted | Ranked) else change(plan)
