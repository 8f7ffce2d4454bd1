"""What was answered: the masks after each turn of a conversation, and how each turn was understood."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.core.context import ConversationContext, PastTurn
from agent.core.outcome import EARLY_STOP_OUTCOMES
from agent.planners.grammar.interpretation import Interpretation
from agent.planners.grammar.plan import PreviousAnswer, Ranked, Related, target_phrases, unite_plans
from agent.planners.grammar.vocabulary import drop_adjectives


@dataclass(frozen=True)
class AnswerHistory:
    """The turns of a conversation. A turn is a number, counting from 0; turn -1 is before the first one."""

    context: ConversationContext
    interpretations: tuple[Interpretation, ...] = ()
    """Those of the first turns, as many as are known."""
    on_video: bool = False
    """Whether the conversation is about a video."""

    @property
    def turns(self) -> tuple[PastTurn, ...]:
        return self.context.turns

    def with_next(self, interpretation: Interpretation) -> "AnswerHistory":
        """Return the history in which one more turn is understood."""
        return replace(self, interpretations=(*self.interpretations, interpretation))

    # masks

    def selected_ids(self, turn: int) -> tuple[int, ...]:
        """Return the masks of the answer after a turn; () where that was about another image."""
        if turn < 0 or self.turns[turn].elsewhere:
            return ()
        past = self.turns[turn]
        if turn == len(self.turns) - 1:
            return self.context.selected
        if past.outcome == "answered" or past.by_hand:
            return past.selected
        # a turn that was stopped counts only where nothing better stood before
        return self.selected_ids(turn - 1) or (past.selected if past.outcome in EARLY_STOP_OUTCOMES else ())

    def find_phrases(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return what these masks were found by."""
        workspace = self.context.workspace
        known = workspace.pick([id for id in ids if id in workspace]) if workspace else []
        return tuple(dict.fromkeys(candidate.phrase for candidate in known if candidate.phrase))

    def count_masks(self) -> int:
        """Return how many masks are known in this image."""
        return len(self.context.workspace) if self.context.workspace else 0

    def find_answer(self, turn: int) -> PreviousAnswer | None:
        """Return the answer after a turn; None where it has no masks."""
        ids = self.selected_ids(turn)
        return PreviousAnswer(turn, self.find_phrases(ids)) if ids else None

    def has_answer(self, turn: int) -> bool:
        """Whether there was an answer in its image when a turn was taken."""
        if turn == len(self.turns) or not self.turns[turn].elsewhere:
            return bool(self.selected_ids(turn - 1))
        # of earlier images it is not known where they began, but what adds to an answer holds it
        return {*self.turns[turn - 1].selected} <= {*self.turns[turn].selected}

    # turns

    def is_answered_question(self, turn: int) -> bool:
        """Whether the turn was a question of its own, and answered."""
        return self.interpretations[turn].change == "new" and self.turns[turn].outcome == "answered"

    def is_all_of_a_kind(self, turn: int) -> bool:
        """Whether the turn asked for all of its kind: 'the cups', but not 'the red cups'."""
        plan = self.interpretations[turn].plan
        kinds = [] if plan is None else target_phrases(plan)
        whole = all(drop_adjectives(kind.text) == kind.text for kind in kinds)
        return bool(kinds) and plan == unite_plans(kinds) and whole

    def find_enclosing_answer(self, turn: int) -> PreviousAnswer | None:
        """Return the latest answer since the last new question that held all of the answer after a turn, and more."""
        ids = set(self.selected_ids(turn))
        for earlier in reversed(range(turn + 1)):
            # "only the left one", "no, the right one": the right one is among what the left one was one of
            if ids < set(self.selected_ids(earlier)):
                return self.find_answer(earlier)
            if self.is_answered_question(earlier):
                break
        return None

    def walk_back_to_question(self, turn: int) -> Iterator[int]:
        """Yield the turns from this one back to the latest question, those asked in vain beside an answer too."""
        for earlier in reversed(range(turn + 1)):
            yield earlier
            in_vain = self.turns[earlier].outcome == "no_match" and self.turns[earlier].selected
            if self.interpretations[earlier].change == "new" and not in_vain:
                return

    def find_ranking(self, turn: int) -> Ranked | None:
        """Return in which order a turn took its masks, where it said so and nothing had to be asked back."""
        interpretation = self.interpretations[turn]
        match None if interpretation.chosen else interpretation.plan:
            case Ranked() as plan:
                return plan
            case Related(of, "nearest" | "farthest" as relation, to):
                return Ranked(of, "distance", "ascending" if relation == "nearest" else "descending", to=to)
        return None


def list_selections(context: ConversationContext) -> list[tuple[int, ...]]:
    """Return the answer's masks after each turn, () where that was about another image."""
    history = AnswerHistory(context)
    return [history.selected_ids(turn) for turn in range(len(context.turns))]
