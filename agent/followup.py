"""What a query means after what was said before: a change of the answer so far, or a question of its own.

A noun phrase of its own is a new question: 'the plates'. Words that name nothing by themselves choose among what was
meant: 'the red ones', 'the largest', 'number 3', 'the others'. 'Only' keeps some of the answer, 'also' adds to it,
'not' takes from it; 'another' adds one that it lacks, 'the next' takes its place; 'no, …' and 'I meant …' take the
place of what was said last. 'The same' asks for all of it again, so that it can be had of another picture.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from agent.core.english import pluralize
from agent.core.episode import EARLY_STOP_OUTCOMES, ConversationContext
from agent.followup_reply import Choice, choice, masks_of, option
from agent.followup_words import Utterance, agrees, asks_for_more, command, repeats, taken_apart
from agent.meaning import ANYTHING, Change, Context, Meaning, Reading, kind_of, meaning, read
from agent.plan import (
    Common,
    Counted,
    Except,
    Numbered,
    One,
    Otherwise,
    Phrase,
    Plan,
    Ranked,
    Related,
    Selected,
    Union,
    children,
    heads,
    origin,
    parts,
    rebuilt,
)
from agent.query import Unreadable, head_phrase

__all__ = ["command", "option", "read_after", "selections", "without_masks"]

MOST_PARTS = 300
"""Of a plan that is made of many turns; what a turn would add beyond that is left out."""
DEPTH = {
    "behind": ("above", "next to"),
    "in the back of": ("above", "next to"),
    "in front of": ("below", "next to"),
}
"""What a picture does not show -> how it may look in the picture plane."""


def read_after(query: str, before: ConversationContext) -> Reading:
    """How a query is understood in a conversation; without one, as it is by itself. Never fails.

    >>> from agent.core.episode import PastTurn
    >>> cups = PastTurn("the cups", "answered", "3 masks: 'cup'.", (1, 2, 3))
    >>> read_after("without number 3", Before(None, (1, 2, 3), (cups,))).plan
    Except(of=Selected(turn=0, phrases=()), minus=Numbered(ids=(3,), phrases=()))
    """
    return _Talk(before).read(len(before.turns), query) if before.turns else read(query)


def selections(before: ConversationContext) -> list[tuple[int, ...]]:
    """The answer's masks after each turn, () where that was about another picture."""
    talk = _Talk(before)
    return [talk.selected(turn) for turn in range(len(before.turns))]


def without_masks(reading: Reading, before: ConversationContext) -> Reading:
    """The same as a question of its own, which speaks of no mask that was found before; no plan where it has to."""
    if reading.plan is None or not before.turns:
        return reading
    plan = _Talk(before).spelled_out(reading.plan, numbers=False)
    return Reading(None if plan is None or _has_numbers(plan) else plan, reading.complete, reading.notes)


class _Talk:
    """What was said so far, read turn by turn. A turn is a number, counting from 0."""

    def __init__(self, before: ConversationContext) -> None:
        self.before = before
        self.turns = before.turns
        self.readings: dict[int, Reading] = {}
        self.plans: dict[int, Plan | None] = {}

    # what was answered

    def selected(self, turn: int) -> tuple[int, ...]:
        """The masks of the answer after a turn."""
        if turn < 0 or self.turns[turn].elsewhere:
            return ()
        said = self.turns[turn]
        if turn == len(self.turns) - 1:
            return self.before.selected
        if said.outcome == "answered" or said.by_hand:
            return said.selected
        stopped = said.outcome in EARLY_STOP_OUTCOMES
        return self.selected(turn - 1) or (said.selected if stopped else ())

    def phrases(self, ids: Sequence[int]) -> tuple[str, ...]:
        """What these masks were found by."""
        workspace = self.before.workspace
        known = workspace.pick([id for id in ids if id in workspace]) if workspace else []
        return tuple(dict.fromkeys(candidate.phrase for candidate in known if candidate.phrase))

    def answer(self, turn: int) -> Plan:
        """What the answer was after a turn: its masks; where there were none, what was asked for."""
        if ids := self.selected(turn):
            return Selected(turn, self.phrases(ids))
        return self.asked(turn) or Phrase(ANYTHING)

    def larger(self, turn: int) -> Plan:
        """What the answer after a turn was chosen among: an earlier answer that held it all, or all of its kind."""
        answer = self.answer(turn)
        if self.selected(turn) and self.began(turn) and _is_all_of_a_kind(self.reading(turn).plan):
            return answer
        return self.holder(turn) or self.kinds(answer)

    def holder(self, turn: int) -> Plan | None:
        """The latest answer since the last new question that held all of the answer after a turn, and more."""
        ids = set(self.selected(turn))
        for earlier in reversed(range(turn + 1)):
            if ids < set(self.selected(earlier)):
                return self.answer(earlier)
            if self.began(earlier):
                break
        return None

    def began(self, turn: int) -> bool:
        """Whether the turn was a question of its own, and answered."""
        return self.reading(turn).change == "new" and self.turns[turn].outcome == "answered"

    def kinds(self, plan: Plan) -> Plan:
        """All of its kind: of some red cups, the cups."""
        return _together([Phrase(kind_of(phrase.text)) for phrase in heads(plan)] or [Phrase(ANYTHING)])

    # what was meant

    def reading(self, turn: int) -> Reading:
        if turn not in self.readings:
            said = self.turns[turn]
            if said.by_hand:
                self.readings[turn] = Reading(None, change="choose")
            else:
                self.readings[turn] = self.read(turn, said.query) if turn else read(said.query)
        return self.readings[turn]

    def asked(self, turn: int) -> Plan | None:
        """All that was asked for up to a turn, as one plan that any picture can be asked for; None if nothing was.

        A turn that brought no answer counts where there was none before it either: whoever asked for cups, and then in
        vain for forks, sees the cups, and means them by 'the same'; whoever found no forks in a picture at all means
        the forks.
        """
        if turn not in self.plans:
            self.plans[turn] = None if turn < 0 else self.asked_then(turn) or self.asked(turn - 1)
        return self.plans[turn]

    def asked_then(self, turn: int) -> Plan | None:
        """The same, where the turn itself asked for something that was understood and counts."""
        said, understood = self.turns[turn], self.reading(turn)
        alone = understood.change == "new" and said.outcome == "no_match" and not said.selected
        return self.in_any_picture(turn) if said.outcome == "answered" or alone else None

    def again(self, turn: int) -> Plan | None:
        """What 'the same' asks for after a turn: what was asked for last, even where that was asked back and left."""
        left_open = turn >= 0 and self.turns[turn].outcome == "asked"
        return (self.in_any_picture(turn) if left_open else None) or self.asked(turn)

    def in_any_picture(self, turn: int) -> Plan | None:
        """What the turn asked for, without earlier answers; None where it cannot do without, or asked for nothing."""
        understood = self.reading(turn)
        if understood.plan is None or understood.change == "stay":
            return None
        plan = self.spelled_out(self.taken(turn, understood.plan), numbers=not self.turns[turn].elsewhere)
        return plan if plan and len(list(islice(parts(plan), MOST_PARTS + 1))) <= MOST_PARTS else None

    def taken(self, turn: int, plan: Plan) -> Plan:
        """The one of two ways that brought the answer."""
        if not isinstance(plan, Otherwise):
            return plan
        earlier = (said.selected for said in reversed(self.turns[:turn]) if said.outcome == "answered" or said.by_hand)
        return plan.of if {*self.turns[turn].selected} <= {*next(earlier, ())} else plan.other

    def left_out(self, turn: int) -> Iterator[str]:
        """Sentences: what was done up to a turn that 'the same' does not ask for."""
        since = list(self.since_new(turn))
        numbered = [self.turns[one] for one in since if (plan := self.reading(one).plan) and _has_numbers(plan)]
        if told := ", ".join(repr(said.query) for said in reversed(numbered) if said.elsewhere):
            yield f"Numbers mean nothing in another picture, so this was left out: {told}."
        if edits := sum(self.turns[one].by_hand for one in since):
            yield f"What was done by hand ({pluralize(edits, 'change')}) is not repeated."

    def since_new(self, turn: int) -> Iterator[int]:
        """The turns from this one back to the latest question of its own, those asked in vain beside an answer too."""
        for earlier in reversed(range(turn + 1)):
            yield earlier
            in_vain = self.turns[earlier].outcome == "no_match" and self.turns[earlier].selected
            if self.reading(earlier).change == "new" and not in_vain:
                return

    def spelled_out(self, plan: Plan, *, numbers: bool) -> Plan | None:
        """The plan with what was asked for in place of earlier answers; None where it cannot do without numbers.

        `numbers`: whether masks by number may stay in it.
        """
        match plan:
            case Selected(turn):
                earlier = self.asked(turn)
                return earlier.of if isinstance(earlier, Counted) else earlier
            case Numbered():
                return plan if numbers else None
            case Except(of, minus) | Otherwise(of, minus):
                first, second = (self.spelled_out(part, numbers=numbers) for part in (of, minus))
                return first if first is None or second is None else type(plan)(first, second)
            case Union(all_parts):
                kept = [part for one in all_parts if (part := self.spelled_out(one, numbers=numbers))]
                return _together(kept) if kept else None
        if any(self.spelled_out(part, numbers=numbers) is None for part in children(plan)):
            return None
        return rebuilt(plan, lambda part: self.spelled_out(part, numbers=numbers) or part)

    # what is said now

    def read(self, turn: int, query: str) -> Reading:
        """What `query` means as this turn."""
        reply = self.reply(turn, query)
        if reply is not None:
            return reply
        if repeats(query):
            plan, notes = self.again(turn - 1), tuple(self.left_out(turn - 1))
            return Reading(plan, notes=notes if plan else (*notes, "There is no question before it to ask again."))
        if agrees(query):
            return self.stays(turn)
        said = taken_apart(query)
        if turn and isinstance(self.reading(turn - 1).plan, Counted) and (more := asks_for_more(query)):
            said = Utterance(f"how many {more}")
        try:
            return self.corrected(turn, said) if said.corrects else self.changed(turn, said)
        except Unreadable:
            return self.beyond(turn, said, query)

    def changed(self, turn: int, said: Utterance) -> Reading:
        """Raises Unreadable."""
        if said.instead_of:
            return self.swapped(turn, said)
        if said.more:
            return self.another(turn, said) if said.change else self.following(turn, said)
        rest = "them" if said.rest in ("all", "both", "everything", "all of it") else said.rest
        match said.change:
            case "count":
                return Reading(Counted(self.answer(turn - 1)), change="count")
            case "keep":
                chosen = self.chosen(turn, rest) if len(self.selected(turn - 1)) == 1 else None
                return chosen if chosen and chosen.change != "new" else self.kept(turn, rest)
            case "add":
                return self.added(turn, rest, self.larger(turn - 1))
            case "remove":
                return self.removed(turn, rest)
        return self.chosen(turn, rest)

    def stays(self, turn: int) -> Reading:
        now = self.answer(turn - 1)
        return Reading(now if isinstance(now, Selected) else None, change="stay")

    def meaning(self, turn: int, words: str, *, ones: Plan | None = None, within: Plan | None = None) -> Meaning:
        """Raises Unreadable. `ones`: what 'the red one' is one of; the current answer, if left out."""
        now, workspace = self.answer(turn - 1), self.before.workspace
        context = Context(now, ones or now, self.larger(turn - 1), within, len(workspace) if workspace else 0)
        return meaning(words, context)

    def chosen(self, turn: int, words: str) -> Reading:
        """'The red ones' are some of the answer; where it has none, or is a single mask, some of what it was among."""
        meant = self.meaning(turn, words)
        if not meant.refers:
            return Reading(Counted(meant.plan) if meant.counts else meant.plan, notes=meant.notes)
        if meant.counts:
            return self.counted(turn, words)
        now = self.answer(turn - 1)
        wider = self.meaning(turn, words, ones=self.larger(turn - 1))
        if len(self.selected(turn - 1)) == 1 or _compares_with(now, meant.plan):
            plan = wider.plan
        else:
            of_them = wider.plan == meant.plan or now in parts(wider.plan)
            plan = meant.plan if of_them else Otherwise(meant.plan, wider.plan)
        return Reading(plan, notes=meant.notes, change="choose")

    def counted(self, turn: int, words: str) -> Reading:
        """Counts in a row are of the same masks: 'how many are red?', 'how many are blue?'"""
        start = turn
        while start and not self.turns[start - 1].elsewhere and self.reading(start - 1).change == "count":
            start -= 1
        meant = self.meaning(start, words)
        return Reading(Counted(meant.plan), notes=meant.notes, change="count")

    def kept(self, turn: int, words: str) -> Reading:
        now = self.answer(turn - 1)
        meant = self.meaning(turn, "one of them" if words == "one" else words, within=now)
        free = isinstance(origin(meant.plan), Phrase) and isinstance(now, Selected) and not meant.refers
        plan = Common(now, meant.plan) if free else meant.plan
        return Reading(plan, notes=meant.notes, change="keep")

    def added(self, turn: int, words: str, ones: Plan) -> Reading:
        """`ones`: what 'the red one' is one of: what the answer was chosen among."""
        meant, now = self.meaning(turn, words, ones=ones), self.answer(turn - 1)
        if now == Phrase(ANYTHING):
            return Reading(meant.plan, notes=meant.notes)
        change: Change = "add" if isinstance(now, Selected) else "new"
        return Reading(Union((now, meant.plan)), notes=meant.notes, change=change, subject=meant.plan)

    def another(self, turn: int, said: Utterance) -> Reading:
        """The answer, and of what is named so many more, the most certain first. Raises Unreadable."""
        now, (others, notes) = self.answer(turn - 1), self.others(turn, said)
        if not self.stands(turn):
            return Reading(others, notes=notes)
        return Reading(Union((now, others)), notes=notes, change="add", subject=others)

    def stands(self, turn: int) -> bool:
        """Whether there was an answer in its picture when the turn was taken."""
        if turn == len(self.turns) or not self.turns[turn].elsewhere:
            return bool(self.selected(turn - 1))
        # of earlier pictures it is not known where they began, but what adds to an answer holds it
        return {*self.turns[turn - 1].selected} <= {*self.turns[turn].selected}

    def following(self, turn: int, said: Utterance) -> Reading:
        """In place of the answer, those that come after it: in its order if it had one, else the most certain.

        Raises Unreadable.
        """
        last = next((one for one in reversed(range(turn)) if self.turns[one].outcome == "answered"), -1)
        over = turn < len(self.turns) and self.turns[turn].elsewhere
        current = last >= 0 and (over or self.selected(last) == self.selected(turn - 1) != ())
        if current and not said.rest and (ranked := self.ranking(last)):
            plan = replace(ranked, start=ranked.start + ranked.take, take=said.more)
            return Reading(plan, change="choose")
        others, notes = self.others(turn, said)
        return Reading(others, notes=notes, change="choose" if self.selected(turn - 1) else "new")

    def ranking(self, turn: int) -> Ranked | None:
        """In which order the turn took its masks, where it said so and nothing had to be asked back."""
        match None if self.reading(turn).chosen else self.reading(turn).plan:
            case Ranked() as plan:
                return plan
            case Related(of, "nearest" | "farthest" as relation, to):
                return Ranked(of, "distance", "ascending" if relation == "nearest" else "descending", to=to)
        return None

    def others(self, turn: int, said: Utterance) -> tuple[Ranked, tuple[str, ...]]:
        """So many of what is named that the answer does not have, and what was assumed. Raises Unreadable."""
        now = self.answer(turn - 1)
        alike = self.holder(turn - 1) or _together(heads(now) or [Phrase(ANYTHING)])
        meant = self.meaning(turn, said.rest, ones=alike) if said.rest else Meaning(alike)
        ranked = meant.plan if isinstance(meant.plan, Ranked) else Ranked(meant.plan, "score", "descending")
        left = Except(ranked.of, now) if self.stands(turn) else ranked.of
        return replace(ranked, of=left, take=said.more), meant.notes

    def removed(self, turn: int, words: str) -> Reading:
        now = self.answer(turn - 1)
        meant = self.meaning(turn, words, within=now)
        return Reading(Except(now, meant.plan), notes=meant.notes, change="remove", subject=meant.plan)

    def swapped(self, turn: int, said: Utterance) -> Reading:
        now = self.answer(turn - 1)
        if said.instead_of in ("it", "them", "these", "those", "that", "this", "all", "all of them", "everything"):
            return self.chosen(turn, said.rest)
        out = self.meaning(turn, said.instead_of, within=now)
        if out.plan == now:
            return self.chosen(turn, said.rest)
        put = self.meaning(turn, said.rest, ones=self.larger(turn - 1))
        plan = Union((Except(now, out.plan), put.plan))
        return Reading(plan, notes=(*out.notes, *put.notes), change="choose")

    def corrected(self, turn: int, said: Utterance) -> Reading:
        """As if these had been the words of the turn before. Raises Unreadable."""
        last, said_last = self.reading(turn - 1), self.turns[turn - 1]
        if said_last.by_hand:
            return self.changed(turn, said)
        if said.more:
            return self.changed(turn, replace(said, change=None))
        if last.change in ("new", "count", "stay") or said_last.elsewhere:
            if said.change or said.instead_of:
                return self.changed(turn, said)
            meant = self.meaning(turn, said.rest, ones=self.larger(turn - 1))
            return Reading(meant.plan, notes=meant.notes, change="choose" if meant.refers else "new")
        if said.change not in (None, last.change):
            return self.changed(turn, said)
        if last.change == "add" and last.subject is not None:
            return self.added(turn - 1, said.rest, self.kinds(last.subject))
        return self.changed(turn - 1, replace(said, change=last.change if last.change != "choose" else None))

    # what was asked back

    def reply(self, turn: int, query: str) -> Reading | None:
        """What the query chooses among the options of a question back; None where it is no reply to one."""
        if not turn or self.turns[turn - 1].outcome != "asked" or self.turns[turn - 1].elsewhere:
            return None
        options, asked = self.turns[turn - 1].options, self.reading(turn - 1)
        match choice(query, options):
            case Choice("none"):
                return self.stays(turn)
            case Choice(_, ids) if ids:
                return replace(asked, chosen=(*asked.chosen, Numbered(ids, self.phrases(ids))))
            case Choice(words=words) if words:
                return self.read(turn - 1, words)
        return self.described(query, options, asked)

    def described(self, query: str, options: Sequence[str], asked: Reading) -> Reading | None:
        """'The red one', 'not the left one', of masks by number."""
        ids, said = tuple(id for one in options for id in masks_of(one)), taken_apart(query)
        if not ids or said.change not in (None, "keep", "remove"):
            return None
        among = Numbered(ids, self.phrases(ids))
        try:
            meant = meaning(said.rest, Context(among, among, among))
        except Unreadable:
            return None
        if not meant.refers or meant.plan == among or not _is_one_of(among, meant.plan):
            return None
        plan = Except(among, meant.plan) if said.change == "remove" else meant.plan
        return replace(asked, chosen=(*asked.chosen, plan))

    # what cannot be read

    def beyond(self, turn: int, said: Utterance, query: str) -> Reading:
        for word, instead in DEPTH.items():
            if re.search(rf"\b{word}\b", said.rest):
                options = [re.sub(rf"\b{word}\b", other, said.rest) for other in instead]
                if self.speaks_of_masks(turn, options[0]):
                    question = f"A picture has no depth, so what is {word} something cannot be told; which is meant?"
                    return Reading(None, question=question, options=tuple(_with_change(said, one) for one in options))
        head = head_phrase(said.rest)
        if not head or _ONES.search(said.rest):
            return Reading(None, complete=False)
        if said.change == "count" or (said.change is None and not said.more):
            return read(query)
        try:
            return replace(self.changed(turn, replace(said, rest=head, instead_of="")), complete=False)
        except Unreadable:
            return Reading(None, complete=False, change=said.change or "choose")

    def speaks_of_masks(self, turn: int, words: str) -> bool:
        try:
            meant = self.meaning(turn, words)
        except Unreadable:
            return False
        return meant.refers or any(isinstance(part, Selected | Numbered) for part in parts(meant.plan))


_ONES = re.compile(r"^(?:the |any )?(?:\w+ )?(?:ones?|those|these|them|it)\b")
"""The beginning of what names nothing by itself, so that no other noun in it can be what is meant."""


def _compares_with(now: Plan, plan: Plan) -> bool:
    """Whether something is compared to the current answer, so that it can be no part of it: 'the one next to it'."""
    return any(isinstance(part, Related) and part.to in (now, One(now)) for part in parts(plan))


def _has_numbers(plan: Plan) -> bool:
    return any(isinstance(part, Numbered) for part in parts(plan))


def _is_all_of_a_kind(plan: Plan | None) -> bool:
    """Whether nothing of that kind was left out: 'the cups', but not 'the red cups'."""
    kinds = [] if plan is None else heads(plan)
    return bool(kinds) and plan == _together(kinds) and all(kind_of(kind.text) == kind.text for kind in kinds)


def _is_one_of(among: Plan, plan: Plan) -> bool:
    """Whether a plan chooses among these by what they are and where they lie, not by how they lie to each other."""
    if any(isinstance(part, One) or (isinstance(part, Except) and part.minus == among) for part in parts(plan)):
        return False
    starts = plan.parts if isinstance(plan, Union) else (plan,)
    return all(origin(start) == among for start in starts) and not _compares_with(among, plan)


def _together(plans: Sequence[Plan]) -> Plan:
    different = tuple(dict.fromkeys(plans))
    return different[0] if len(different) == 1 else Union(different)


_OPENING: dict[Change, str] = {"keep": "only ", "add": "also ", "remove": "not "}


def _with_change(said: Utterance, words: str) -> str:
    return f"{_OPENING.get(said.change, '') if said.change else ''}{words}"
