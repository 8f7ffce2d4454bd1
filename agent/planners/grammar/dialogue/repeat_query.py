"""What "the same" means: all that was asked for up to a turn, as one plan that any image can be asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agent.core.text.english import pluralize
from agent.planners.grammar.dialogue.answer_history import AnswerHistory
from agent.planners.grammar.interpretation import Interpretation, drop_count
from agent.planners.grammar.plan import (
    Difference,
    Fallback,
    MaskIds,
    Phrase,
    Plan,
    PreviousAnswer,
    Union,
    has_mask_ids,
    list_children,
    map_children,
    target_phrases,
    unite_plans,
    walk_parts,
)
from agent.planners.grammar.vocabulary import ANYTHING, drop_adjectives

MOST_PARTS = 300
"""A plan made of many turns has at most this many parts; what a turn would add beyond that is left out."""


@dataclass(frozen=True)
class Situation:
    """What a turn finds."""

    turn: int
    ids: tuple[int, ...]
    """The masks of the answer."""
    now: Plan
    """The answer: its masks; where there were none, what was asked for."""
    enclosing: PreviousAnswer | None
    """The latest answer since the last new question that held all of this one, and more."""
    pool: Plan
    """What the answer was chosen among: an earlier answer that held it all, or all of its kind."""
    has_answer: bool
    """Whether there was an answer in its image when the turn was taken."""
    mask_count: int
    """Masks have ids from 1 to this."""
    on_video: bool
    """Whether these are tracks of a video."""


class QueryRepeater:
    """Puts earlier questions in the place of the answers that they led to."""

    def __init__(self, history: AnswerHistory) -> None:
        self.history = history
        # A plan may speak of one turn many times, so what each turn adds up to is worked out once.
        self._accumulated: dict[int, Plan | None] = {}

    def describe_situation(self, turn: int) -> Situation:
        """Return what a turn finds, so that its words can be told what they point at."""
        last = turn - 1
        answer, enclosing = self.history.find_answer(last), self.history.find_enclosing_answer(last)
        now = answer or self.accumulated_plan(last) or Phrase(ANYTHING)
        whole = answer and self.history.is_answered_question(last) and self.history.is_all_of_a_kind(last)
        return Situation(
            turn=turn,
            ids=self.history.selected_ids(last),
            now=now,
            enclosing=enclosing,
            pool=answer if answer and whole else enclosing or generalize_kinds(now),
            has_answer=self.history.has_answer(turn),
            mask_count=self.history.count_masks(),
            on_video=self.history.on_video,
        )

    def repeat_query(self, turn: int) -> Interpretation:
        """Interpret 'the same' after a turn, and say what it does not ask for."""
        # A question back that was never answered is still what was asked for last.
        left_open = turn >= 0 and self.history.turns[turn].outcome == "asked"
        plan = (self.image_independent_plan(turn) if left_open else None) or self.accumulated_plan(turn)
        notes = tuple(self.describe_omissions(turn))
        return Interpretation(plan, notes=notes if plan else (*notes, "There is no question before it to ask again."))

    def accumulated_plan(self, turn: int) -> Plan | None:
        """Return the query accumulated up to `turn` as one plan that is independent of the image; None for none.

        A turn that brought no answer counts where there was none before it either: whoever asked for cups, and then in
        vain for forks, sees the cups, and means them by 'the same'; whoever found no forks in an image at all means
        the forks.
        """
        if turn not in self._accumulated:
            plan = self._plan_of_answered_turn(turn) or self.accumulated_plan(turn - 1) if turn >= 0 else None
            self._accumulated[turn] = plan
        return self._accumulated[turn]

    def _plan_of_answered_turn(self, turn: int) -> Plan | None:
        past, interpretation = self.history.turns[turn], self.history.interpretations[turn]
        alone = interpretation.change == "new" and past.outcome == "no_match" and not past.selected
        return self.image_independent_plan(turn) if past.outcome == "answered" or alone else None

    def image_independent_plan(self, turn: int) -> Plan | None:
        """Return what the turn asked for, without earlier answers.

        None where it cannot do without them, or asked for nothing.
        """
        interpretation = self.history.interpretations[turn]
        if interpretation.plan is None or interpretation.change == "stay":
            return None
        taken = self._choose_taken_way(turn, interpretation.plan)
        plan = self.resolve_references(taken, with_ids=not self.history.turns[turn].elsewhere)
        return plan if plan and len(list(islice(walk_parts(plan), MOST_PARTS + 1))) <= MOST_PARTS else None

    def _choose_taken_way(self, turn: int, plan: Plan) -> Plan:
        """Return the one of two ways that brought the answer."""
        if not isinstance(plan, Fallback):
            return plan
        answered = (past for past in reversed(self.history.turns[:turn]) if past.outcome == "answered" or past.by_hand)
        earlier = next((past.selected for past in answered), ())
        return plan.of if {*self.history.turns[turn].selected} <= {*earlier} else plan.other

    def resolve_references(self, plan: Plan, *, with_ids: bool) -> Plan | None:
        """Return the plan with what was asked for in place of earlier answers; None where it cannot do without ids.

        `with_ids`: whether masks by their ids may stay in it.
        """
        match plan:
            case PreviousAnswer(turn):
                earlier = self.accumulated_plan(turn)
                return None if earlier is None else drop_count(earlier)
            case MaskIds():
                return plan if with_ids else None
            case Difference(of, second) | Fallback(of, second):
                first, other = (self.resolve_references(part, with_ids=with_ids) for part in (of, second))
                return first if first is None or other is None else type(plan)(first, other)
            case Union(parts):
                # a part that speaks of ids alone is left out, and said to be
                known = [part for each in parts if (part := self.resolve_references(each, with_ids=with_ids))]
                return unite_plans(known) if known else None
        if any(self.resolve_references(part, with_ids=with_ids) is None for part in list_children(plan)):
            return None
        return map_children(plan, lambda part: self.resolve_references(part, with_ids=with_ids) or part)

    def describe_omissions(self, turn: int) -> Iterator[str]:
        """Yield sentences: what was done up to a turn that 'the same' does not ask for."""
        since = list(self.history.walk_back_to_question(turn))
        with_ids = [earlier for earlier in since if _has_ids(self.history.interpretations[earlier])]
        queries = [self.history.turns[earlier].query for earlier in with_ids if self.history.turns[earlier].elsewhere]
        if queries:
            named = ", ".join(map(repr, reversed(queries)))
            yield f"Numbers mean nothing in another picture, so this was left out: {named}."
        if edits := sum(self.history.turns[earlier].by_hand for earlier in since):
            yield f"What was done by hand ({pluralize(edits, 'change')}) is not repeated."


def _has_ids(interpretation: Interpretation) -> bool:
    return interpretation.plan is not None and has_mask_ids(interpretation.plan)


def drop_mask_references(interpretation: Interpretation, history: AnswerHistory) -> Interpretation:
    """Return the same as a question of its own, which speaks of no earlier mask; without a plan where it must."""
    if interpretation.plan is None or not history.turns:
        return interpretation
    plan = QueryRepeater(history).resolve_references(interpretation.plan, with_ids=False)
    kept = None if plan is None or has_mask_ids(plan) else plan
    return Interpretation(kept, interpretation.complete, interpretation.notes)


def generalize_kinds(plan: Plan) -> Plan:
    """Return all of its kind: of some red cups, the cups."""
    kinds = [Phrase(drop_adjectives(phrase.text)) for phrase in target_phrases(plan)]
    return unite_plans(kinds or [Phrase(ANYTHING)])
