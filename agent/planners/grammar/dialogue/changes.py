"""How an utterance changes the answer: one method for each kind of change."""

import re
from dataclasses import replace

from agent.planners.grammar.compiler import CompiledPlan, ReferenceContext
from agent.planners.grammar.dialogue.answer_history import AnswerHistory
from agent.planners.grammar.dialogue.repeat_query import QueryRepeater, Situation, generalize_kinds
from agent.planners.grammar.dialogue.utterances import Utterance
from agent.planners.grammar.interpretation import Change, Interpretation, compile_phrase, drop_count
from agent.planners.grammar.nouns import is_plural
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.plan import (
    Counted,
    Difference,
    Fallback,
    Intersection,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Union,
    is_compared_to,
    source_set,
    target_phrases,
    unite_plans,
    walk_parts,
)
from agent.planners.grammar.vocabulary import ANYTHING

_BOTH = ("both", "both of them", "both of these", "both of those")
_REST = re.compile(r"^(?:the )?(?:others?|other ones?|rest)$")
"""What is said of the answer as it is, also where it puts something right."""
_OWNED = re.compile(r"(?P<start>(?:and |also )?)(?:its|his|her) (?P<thing>\w+(?: \w+)?)")
_WHOLE_ANSWER = ("all", "both", "everything", "all of it")
_ANSWER = ("it", "them", "these", "those", "that", "this", "all", "all of them", "everything")


class AnswerChanger:
    """Interprets what is said as a change of the answer. Every method raises QuerySyntaxError.

    A `Situation` tells what the words may point at: mostly that of the turn itself, but that of an earlier turn where
    its words are taken back.
    """

    def __init__(self, history: AnswerHistory) -> None:
        self.history = history
        self.repeater = QueryRepeater(history)

    def change_answer(self, turn: int, said: Utterance) -> Interpretation:
        situation = self.repeater.describe_situation(turn)
        if said.instead_of:
            return self.replace_some(situation, said)
        if said.more:
            return self.add_another(situation, said) if said.change else self.take_following(situation, said)
        if said.rest in _BOTH and len(situation.ids) != 2:
            return self.choose_both(situation)
        rest = "them" if said.rest in _WHOLE_ANSWER else _name_owned(situation, said.rest)
        match said.change:
            case "count":
                return Interpretation(Counted(situation.now), change="count")
            case "keep":
                return self.keep_only(situation, rest)
            case "add":
                return self.add_more(situation, rest, situation.pool)
            case "remove":
                return self.remove_some(situation, rest)
        return self.choose_some(situation, rest)

    def choose_both(self, situation: Situation) -> Interpretation:
        """'Both' after one of two was chosen are the two; of any other number it cannot be said."""
        pool = situation.enclosing
        if pool is None or len(self.history.selected_ids(pool.turn)) != 2:
            raise QuerySyntaxError("both")
        return Interpretation(pool, change="choose")

    def choose_some(self, situation: Situation, words: str) -> Interpretation:
        """'The red ones' are some of the answer; where it has none, or is a single mask, some of what it was among."""
        meant = compile_words(situation, words)
        if not meant.refers:
            return Interpretation(meant.plan, notes=meant.notes)
        if isinstance(meant.plan, Counted):
            return self.count_some(situation, words)
        # After "the left one", "the right one" is none of the answer, so that what it was one of is tried too.
        wider = compile_words(situation, words, ones=situation.pool)
        if len(situation.ids) == 1 or is_compared_to(meant.plan, situation.now):
            plan = wider.plan
        else:
            of_them = wider.plan == meant.plan or situation.now in walk_parts(wider.plan)
            plan = meant.plan if of_them else Fallback(meant.plan, wider.plan)
        return Interpretation(plan, notes=meant.notes, change="choose")

    def count_some(self, situation: Situation, words: str) -> Interpretation:
        """Count the same masks as the counts just before: 'how many are red?', then 'how many are blue?'."""
        start, turns = situation.turn, self.history.turns
        while start and not turns[start - 1].elsewhere and self.history.interpretations[start - 1].change == "count":
            start -= 1
        meant = compile_words(self.repeater.describe_situation(start), words)
        return Interpretation(Counted(drop_count(meant.plan)), notes=meant.notes, change="count")

    def keep_only(self, situation: Situation, words: str) -> Interpretation:
        """'Only the right one' after 'the left one' can be none of it, so it is chosen among what that was one of."""
        if len(situation.ids) == 1:
            chosen = self.choose_some(situation, words)
            if chosen.change != "new":
                return chosen
        now = situation.now
        meant = compile_words(situation, "one of them" if words == "one" else words, within=now)
        plan = drop_count(meant.plan)
        unbound = isinstance(source_set(plan), Phrase) and isinstance(now, PreviousAnswer) and not meant.refers
        return Interpretation(Intersection(now, plan) if unbound else plan, notes=meant.notes, change="keep")

    def add_more(self, situation: Situation, words: str, ones: Plan) -> Interpretation:
        """`ones`: what 'the red one' is one of: what the answer was chosen among."""
        meant, now = compile_words(situation, words, ones=ones), situation.now
        plan = drop_count(meant.plan)
        if now == Phrase(ANYTHING):
            return Interpretation(plan, notes=meant.notes)
        change: Change = "add" if isinstance(now, PreviousAnswer) else "new"
        return Interpretation(Union((now, plan)), notes=meant.notes, change=change, subject=plan)

    def add_another(self, situation: Situation, said: Utterance) -> Interpretation:
        """The answer, and of what is named so many more, the most certain first."""
        others, notes = self.rank_others(situation, said)
        if not situation.has_answer:
            return Interpretation(others, notes=notes)
        return Interpretation(Union((situation.now, others)), notes=notes, change="add", subject=others)

    def take_following(self, situation: Situation, said: Utterance) -> Interpretation:
        """In place of the answer, those that come after it: in its order if it had one, else the most certain."""
        turn, turns = situation.turn, self.history.turns
        # "Next" goes on in the order of the answer only while that is still what is shown.
        last = next((earlier for earlier in reversed(range(turn)) if turns[earlier].outcome == "answered"), -1)
        over = turn < len(turns) and turns[turn].elsewhere
        current = last >= 0 and (over or self.history.selected_ids(last) == situation.ids != ())
        if current and not said.rest and (ranked := self.history.find_ranking(last)):
            plan = replace(ranked, start=ranked.start + ranked.take, take=said.more)
            return Interpretation(plan, change="choose")
        others, notes = self.rank_others(situation, said)
        return Interpretation(others, notes=notes, change="choose" if situation.ids else "new")

    def rank_others(self, situation: Situation, said: Utterance) -> tuple[Ranked, tuple[str, ...]]:
        """Return so many of what is named that the answer does not have, and what was assumed."""
        pool = situation.enclosing or unite_plans(target_phrases(situation.now) or [Phrase(ANYTHING)])
        meant = compile_words(situation, said.rest, ones=pool) if said.rest else CompiledPlan(pool)
        plan = drop_count(meant.plan)
        ranked = plan if isinstance(plan, Ranked) else Ranked(plan, "score", "descending")
        left = Difference(ranked.of, situation.now) if situation.has_answer else ranked.of
        return replace(ranked, of=left, take=said.more), meant.notes

    def remove_some(self, situation: Situation, words: str) -> Interpretation:
        meant = compile_words(situation, words, within=situation.now)
        plan = drop_count(meant.plan)
        return Interpretation(Difference(situation.now, plan), notes=meant.notes, change="remove", subject=plan)

    def replace_some(self, situation: Situation, said: Utterance) -> Interpretation:
        if said.instead_of in _ANSWER:
            return self.choose_some(situation, said.rest)
        out = compile_words(situation, said.instead_of, within=situation.now)
        # "The plates instead of them" leaves nothing of the answer, so that it is a choice.
        if drop_count(out.plan) == situation.now:
            return self.choose_some(situation, said.rest)
        put = compile_words(situation, said.rest, ones=situation.pool)
        plan = Union((Difference(situation.now, drop_count(out.plan)), drop_count(put.plan)))
        return Interpretation(plan, notes=(*out.notes, *put.notes), change="choose")

    def correct_last(self, turn: int, said: Utterance) -> Interpretation:
        """As if these had been the words of the turn before."""
        last, past = self.history.interpretations[turn - 1], self.history.turns[turn - 1]
        if past.by_hand:
            return self.change_answer(turn, said)
        if said.more:
            return self.change_answer(turn, replace(said, change=None))
        if last.change in ("new", "count", "stay") or past.elsewhere:
            return self.correct_question(turn, said)
        if said.change not in (None, last.change) or _REST.search(said.rest):
            return self.change_answer(turn, replace(said, change=None) if _REST.search(said.rest) else said)
        if last.change == "add" and last.subject is not None:
            situation = self.repeater.describe_situation(turn - 1)
            return self.add_more(situation, said.rest, generalize_kinds(last.subject))
        return self.change_answer(turn - 1, replace(said, change=last.change if last.change != "choose" else None))

    def correct_question(self, turn: int, said: Utterance) -> Interpretation:
        """'No, the left one' after a question of its own is chosen among what that was of."""
        if said.change or said.instead_of:
            return self.change_answer(turn, said)
        situation = self.repeater.describe_situation(turn)
        meant = compile_words(situation, said.rest, ones=situation.pool)
        change: Change = "choose" if meant.refers else "new"
        return Interpretation(drop_count(meant.plan), notes=meant.notes, change=change)


def _name_owned(situation: Situation, words: str) -> str:
    """'Its cup' is the cup nearest to it, where there is one mask that may have something."""
    owned = _OWNED.fullmatch(words) if len(situation.ids) == 1 else None
    if owned is None or is_plural(owned["thing"].split(" ")[-1]):
        return words
    return f"{owned['start']}the {owned['thing']} closest to it"


def compile_words(
    situation: Situation, words: str, *, ones: Plan | None = None, within: Plan | None = None
) -> CompiledPlan:
    """`ones`: what 'the red one' is one of; the current answer, if left out. `within`: what must hold what is named."""
    now, known = situation.now, situation.mask_count
    context = ReferenceContext(now, ones or now, situation.pool, within, known, on_video=situation.on_video)
    return compile_phrase(words, context)
