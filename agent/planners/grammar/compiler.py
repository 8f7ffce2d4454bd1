"""Normalised syntax to a plan: which phrases are asked for, and what is done with them. No tree is rewritten."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from agent.planners.grammar.nouns import tell_number, to_singular
from agent.planners.grammar.parsing.syntax import (
    UNRANKED,
    AnswerMembership,
    Content,
    Coordination,
    Description,
    Inscription,
    Lack,
    Location,
    Modifier,
    Noun,
    QuerySyntaxError,
    Ranking,
    Relationship,
    Selection,
    Term,
)
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Holding,
    Inscribed,
    Intersection,
    Lacking,
    Located,
    MaskIds,
    OddOne,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    Union,
    Unique,
    selects_known_masks,
    source_set,
    target_phrases,
    unite_plans,
)
from agent.planners.grammar.vocabulary import (
    ADJECTIVES,
    ANYTHING,
    LEAST_CERTAIN,
    OF_SIZE,
    OUTERMOST_BY_RELATION,
    OUTERMOST_BY_SIDE,
    SIZES,
    SUPERLATIVES,
    THINGS_TOO,
    drop_adjectives,
)
from agent.tools.base import MAX_PHRASE
from agent.tools.geometry.terms import Place, Relation


@dataclass(frozen=True)
class ReferenceContext:
    """What the words of a conversation may point at."""

    now: Plan
    """The current answer: 'them', 'it'."""
    ones: Plan
    """What 'the red one' is one of."""
    everything: Plan
    """What 'the others' are the rest of, beside the current answer."""
    within: Plan | None = None
    """What must also hold what is named: 'keep the cups' keeps those of the answer."""
    mask_count: int = 0
    """Masks have ids from 1 to this."""
    on_video: bool = False
    """Whether they are tracks of a video, so that words may say what these do in the course of time."""


@dataclass(frozen=True)
class CompiledPlan:
    """A plan, and what came up while it was made."""

    plan: Plan
    notes: tuple[str, ...] = ()
    """What was assumed: full sentences for the user."""
    refers: bool = False
    """Whether it chooses among what was spoken of before, so that it asks for nothing else."""


def compile_plan(selection: Selection, context: ReferenceContext | None = None) -> CompiledPlan:
    """Compile a selection into a plan.

    Args:
        selection: Normalised.
        context: What pronouns stand for; None where nothing was said before.

    Returns:
        The plan, with what was assumed for it.

    Raises:
        QuerySyntaxError: The syntax makes no sense, e.g. 'nearest' without what it is measured to.

    >>> from agent.planners.grammar.parsing.lexer import tokenize
    >>> from agent.planners.grammar.parsing.normalize import normalize
    >>> from agent.planners.grammar.parsing.parser import parse
    >>> compile_plan(normalize(parse(tokenize("the two largest circles")))).plan
    Ranked(of=Phrase(text='circle'), by='size', order='descending', start=1, take=2, to=None)
    """
    compiler = PlanCompiler(context)
    plan = compiler.compile_selection(selection)
    return CompiledPlan(
        Counted(plan) if selection.counts else plan, tuple(dict.fromkeys(compiler.notes)), compiler.refers
    )


class PlanCompiler:
    """Walks down one selection. It notes what had to be assumed, and whether anything refers to an earlier answer."""

    def __init__(self, context: ReferenceContext | None) -> None:
        self.context = context
        self.notes: list[str] = []
        self.refers = False

    def compile_selection(self, selection: Selection) -> Plan:
        if self.context is None:
            plan = self.compile_coordination(selection.first, None)
        else:
            plan = self.compile_coordination(selection.first, self.context.ones, within=self.context.within)
            # "Everything except number 3" leaves out one of the answer, not of all that is in the image.
            if _is_everything(selection.first) and self.leaves_out_masks(selection, self.context.now):
                plan = self.context.now
        for minus in selection.minus:
            left_out = self.compile_coordination(minus, plan)
            # "All but one" would leave nothing: how many are left out is all that it says.
            if left_out == plan:
                raise QuerySyntaxError("all but one")
            plan = Difference(plan, left_out)
        return self.compile_ranking(plan, selection.ranking, None, many=False)

    def leaves_out_masks(self, selection: Selection, answer: Plan) -> bool:
        """Whether what is left out points at masks: 'everything except number 3'."""
        return any(selects_known_masks(self.compile_coordination(minus, answer)) for minus in selection.minus)

    def compile_coordination(
        self, coordination: Coordination, antecedent: Plan | None, *, within: Plan | None = None
    ) -> Plan:
        """`antecedent`: what a pronoun, or a noun left out, stands for. `within`: what must hold all that is named."""
        plans = [self.compile_term(term, antecedent, within=within) for term in coordination.terms]
        if antecedent is None and _is_half_named(coordination):  # "which is larger, the dog or the cat"
            raise QuerySyntaxError("a ranking without a noun")
        alone = [isinstance(plan, Phrase) and _is_adjective_alone(plan) for plan in plans]
        if any(alone) and not all(alone):  # "the cup, red"
            raise QuerySyntaxError("an adjective without a noun")
        plan = plans[0] if len(plans) == 1 else Union(tuple(plans))
        return plan if coordination.shared is None else self.compile_term(coordination.shared, plan)

    def compile_term(self, term: Term, antecedent: Plan | None, *, within: Plan | None = None) -> Plan:
        """The noun, then whatever filters it, then whatever ranks what is left: 'the largest star above the ring'."""
        noun = cast(Noun, term.noun)
        plan = self.compile_noun(noun, antecedent)
        plan = Related(plan, cast(Relation, noun.mutual), plan) if noun.mutual else plan
        if within is not None and noun.kind == "named":
            plan = _narrow_to(within, plan)
        for alternatives in _group_alternatives(term.modifiers):
            plan = unite_plans([self.compile_modifier(plan, modifier) for modifier in alternatives])
        # "Small ones" is relative: of several, those below the mean; of one, the smallest.
        for by, order in (SIZES[word] for word in noun.sizes):
            plan = RelativeToMean(plan, by, order) if noun.many else Ranked(plan, by, order)
        if noun.many and _is_only_size(noun.ranking) and selects_known_masks(plan):
            return RelativeToMean(plan, *SUPERLATIVES[noun.ranking.superlative])
        # Distances are measured last, since a pronoun in them stands for what is left.
        if term.distance_to is not None and _is_part_of_image(cast(Noun, term.distance_to.noun), _VIEWERS):
            raise QuerySyntaxError("an image has no depth")
        to = None if term.distance_to is None else self.compile_object(term.distance_to, plan)
        if to is not None and cast(Noun, cast(Term, term.distance_to).noun).kind == "mutual":
            return self.compile_nearest_pair(plan, noun.ranking)
        plan = self.compile_ranking(plan, noun.ranking, to, many=noun.many)
        return Unique(plan) if noun.kind in ("rest", "rest_of") and not noun.many else plan

    # nouns

    def compile_noun(self, noun: Noun, antecedent: Plan | None) -> Plan:
        match noun.kind:
            case "numbered" | "them" | "it" | "rest" | "rest_of" if self.context is not None:
                return self.resolve_mask_reference(noun, self.context)
            case "mutual":
                raise QuerySyntaxError("each other")
            case "among" if noun.among is not None:
                return self.compile_coordination(noun.among, antecedent)
            case "pronoun" | "bare" if antecedent is not None:
                self.refers |= self.context is not None and antecedent == self.context.ones
                return self.compile_pronoun(noun, antecedent)
            case "pronoun" | "bare":
                self.notes.append(f"With no noun to stand for, it was looked for under '{ANYTHING}'.")
                return _build_phrase((*noun.words, ANYTHING), noun.tail)
            case "everything" if self.context is not None and self.context.within is not None:
                return _keep_kind(noun, self.context.now, strictly=True)
            case "everything":
                return _build_phrase((*noun.words, ANYTHING), noun.tail)
        return self.compile_named(noun)

    def compile_named(self, noun: Noun) -> Plan:
        """'Non-red squares' are squares without red ones; in a conversation, 'these cups' are some of the answer."""
        # "Non-red squares" lack red squares, and "non-circle objects" circles, but "non-stick pan" is a name.
        said_of_name = () if to_singular(noun.words[-1]) in _KINDS_OF_ANYTHING else noun.non
        names = [word for word in said_of_name if word not in ADJECTIVES]
        plan: Plan = _build_phrase((*(f"non-{word}" for word in names), *noun.words), noun.tail)
        for word in (word for word in noun.non if word not in names):
            left_out = (word, *drop_adjectives(" ".join(noun.words)).split()) if word in ADJECTIVES else (word,)
            plan = Difference(plan, _build_phrase(left_out))
        if self.context is not None and noun.determiner in ("this", "that", "these", "those"):
            self.refers = True
            return _narrow_to(self.context.now, plan)
        return plan

    def compile_pronoun(self, noun: Noun, antecedent: Plan) -> Plan:
        """Where their kind was asked for before, the masks stay the same: 'the red ones' are some of them."""
        if self.context is None:
            return _keep_kind(noun, antecedent, strictly=False)
        kinds, known = set(target_phrases(antecedent)), set(target_phrases(self.context.now))
        asked_before = bool(kinds) and kinds <= known
        return _keep_kind(noun, antecedent, strictly=selects_known_masks(antecedent) or asked_before)

    def resolve_mask_reference(self, noun: Noun, context: ReferenceContext) -> Plan:
        if noun.kind == "numbered" and noun.words and not all(1 <= id <= context.mask_count for id in noun.mask_ids):
            return _build_phrase((*noun.words, "number", *map(str, noun.mask_ids)))  # 'player number 7'
        self.refers = True
        match noun.kind:
            case "numbered":
                return MaskIds(noun.mask_ids)
            case "it":
                return _keep_kind(noun, Unique(context.now), strictly=True)
            case "rest_of":
                return Difference(_build_phrase(noun.words, noun.tail), context.now)
            case "rest":
                return Difference(_keep_kind(noun, context.everything, strictly=True), context.now)
        return _keep_kind(noun, context.now, strictly=True)

    # modifiers

    def compile_modifier(self, plan: Plan, modifier: Modifier) -> Plan:
        """Return what of a plan a modifier keeps. What only ranks keeps all."""
        match modifier.what:
            case Location(place) if modifier.negated or not place.startswith("far "):
                kept: Plan = Located(plan, cast(Place, place.removeprefix("far ")))
            case Relationship() as relationship:
                kept = self.compile_relationship(plan, relationship)
            case Lack(noun):
                kept = Lacking(plan, self.compile_object(Term(noun), plan))
            case Content(noun, least, most):
                kept = Holding(plan, self.compile_object(Term(noun), plan), least, most)
            case Inscription(text, guessed):
                if guessed:
                    self.notes.append(f"The text to look for was taken to be {text!r}; quotes say where one ends.")
                kept = Inscribed(plan, text)
            case AnswerMembership() if self.context is not None:
                self.refers = True
                kept = _narrow_to(self.context.now, plan)
            case Description() as description:
                kept = self.compile_description(plan, description, negated=modifier.negated)
            case _:
                return plan
        return Difference(plan, kept) if modifier.negated else kept

    def compile_description(self, plan: Plan, description: Description, *, negated: bool) -> Plan:
        """'Shapes that are circles' are both, but 'those that are red' are just red ones of their kind."""
        found = unite_plans([self.compile_term(Term(noun), plan) for noun in description.nouns])
        ranks_only = all(noun.kind == "bare" for noun in description.nouns)
        names_all = description.adjectives_only and plan == unite_plans(target_phrases(plan))
        return found if negated or ranks_only or names_all else Intersection(plan, found)

    def compile_relationship(self, plan: Plan, relationship: Relationship) -> Plan:
        relation = "inside" if relationship.relation == "in" else relationship.relation
        noun = cast(Noun, relationship.to.noun)
        if self.context is None and _is_quantity(noun, relation):
            raise QuerySyntaxError(f"{relation} {noun.ranking.number}")
        # "Left of every square" is left of the leftmost one.
        objects = self.compile_object(relationship.to, plan)
        if relation in OUTERMOST_BY_RELATION and noun.determiner.split(" ")[0] in ("all", "each", "every"):
            objects = Ranked(objects, *SUPERLATIVES[OUTERMOST_BY_RELATION[relation]])
        if relation == "same_size":
            return self.compile_same_size(plan, noun, objects)
        if relation.endswith(_NEIGHBOUR):
            beside = Related(plan, cast(Relation, relation.removesuffix(_NEIGHBOUR)), objects)
            return Related(beside, "nearest", objects)
        other = None if relationship.other is None else self.compile_object(relationship.other, plan)
        return Related(plan, cast(Relation, relation), objects, other)

    def compile_same_size(self, plan: Plan, noun: Noun, to: Plan) -> Plan:
        """What is neither larger nor smaller, and not what it is compared to itself."""
        if noun.many or noun.mutual or (noun.words and tell_number(noun.words[-1]) == "many"):
            raise QuerySyntaxError("the same size as each of several")
        others = Difference(plan, to)
        not_larger = Difference(others, Related(others, "larger", to))
        return Difference(not_larger, Related(not_larger, "smaller", to))

    def compile_nearest_pair(self, plan: Plan, ranking: Ranking) -> Plan:
        """'The circles closest to each other' are two: both have the least distance to another one."""
        if ranking not in (Ranking(superlative="NEAREST"), Ranking(number=2, superlative="NEAREST")):
            raise QuerySyntaxError("nearest to each other, of more than two")
        return Ranked(plan, "distance", "ascending", take=2, to=plan)

    def compile_object(self, term: Term, subject: Plan) -> Plan:
        """What something is compared to; a pronoun in it stands for the kind of thing that is compared."""
        if cast(Noun, term.noun).kind == "mutual":
            if term.modifiers:
                raise QuerySyntaxError("each other")
            return subject
        if not term.modifiers and _is_part_of_image(cast(Noun, term.noun), _PARTS_OF_IMAGE):
            raise QuerySyntaxError("a part of the image")
        refers = self.refers
        plan = self.compile_term(term, unite_plans(target_phrases(subject) or [Phrase(ANYTHING)]))
        self.refers = refers  # 'the plates next to them' are other things than they are
        if any(_is_adjective_alone(phrase) for phrase in target_phrases(plan)):  # "left of the red and blue cups"
            raise QuerySyntaxError("an adjective without a noun")
        return plan

    # rankings

    def compile_ranking(self, plan: Plan, ranking: Ranking, to: Plan | None, *, many: bool) -> Plan:
        if (ranking.superlative in ("NEAREST", "FARTHEST")) != (to is not None):
            raise QuerySyntaxError("nearest to what is not said")
        if ranking == UNRANKED:
            return plan
        if ranking.every is not None:
            return self.compile_every(plan, ranking, *ranking.every)
        if ranking.side:
            return self.compile_side(plan, ranking, many=many)
        if not ranking.superlative and ranking.ordinal is None and not ranking.last:
            return Ranked(plan, "score", "descending", take=ranking.number or 1)
        return self.compile_superlative(plan, ranking, to, many=many)

    def compile_every(self, plan: Plan, ranking: Ranking, start: int, step: int) -> Plan:
        """'Every other cup from the right'; without a side, counting is from the left."""
        side = next((side for side, word in OUTERMOST_BY_SIDE.items() if word == ranking.superlative), "")
        if ranking.number or ranking.ordinal or ranking.last or ranking.side or (ranking.superlative and not side):
            raise QuerySyntaxError("two ways to rank at once")
        by, order = SUPERLATIVES[ranking.superlative or "LEFTMOST"]
        places = ", ".join(str(start + i * step) for i in range(3))
        self.notes.append(f"It was counted from the {side or 'left'}, and numbers {places} and so on were taken.")
        return Alternating(plan, by, order, start, step)

    def compile_odd_one(self, plan: Plan, ranking: Ranking) -> Plan:
        if replace(ranking, superlative="", number=None) != UNRANKED or (ranking.number or 1) > 1:
            raise QuerySyntaxError("the odd ones")
        self.notes.append("The odd one out was looked for by size alone; colours and forms were not compared.")
        return OddOne(plan)

    def compile_superlative(self, plan: Plan, ranking: Ranking, to: Plan | None, *, many: bool) -> Plan:
        """'The second largest', 'the last one'; without a superlative, counting is from the left."""
        if ranking.superlative == "ODDEST":
            return self.compile_odd_one(plan, ranking)
        if ranking.superlative == LEAST_CERTAIN:
            self.notes.append("The query does not say which are left out, so the least certain are.")
            return Ranked(plan, "score", "ascending", take=ranking.number or 1)
        if not ranking.superlative:
            self.notes.append("It was counted from the left.")
        if not ranking.superlative and _are_rows(plan):
            raise QuerySyntaxError("which way rows are counted")
        by, order = SUPERLATIVES[ranking.superlative or "LEFTMOST"]
        if ranking.last:
            order = "ascending" if order == "descending" else "descending"
        # "The largest circles" may be any number; one is the least that is right.
        if many and ranking.number is None and ranking.ordinal is None:
            self.notes.append("The query does not say how many, so it is one.")
        if to is not None and ((ranking.ordinal or 1), (ranking.number or 1)) == (1, 1):
            return Related(plan, "nearest" if order == "ascending" else "farthest", to)
        return Ranked(plan, by, order, ranking.ordinal or 1, ranking.number or 1, to)

    def compile_side(self, plan: Plan, ranking: Ranking, *, many: bool) -> Plan:
        """'The left cup' is the leftmost one; 'the left cups' are those in the left half."""
        superlative = OUTERMOST_BY_SIDE.get(ranking.side.removeprefix("far "))
        if superlative is None and ranking.number is not None:  # "the middle two": no measure says which
            raise QuerySyntaxError(f"{ranking.number} at the {ranking.side}")
        if superlative is None or (many and ranking.number is None and not ranking.side.startswith("far ")):
            return Located(plan, cast(Place, ranking.side))
        return self.compile_ranking(plan, replace(ranking, side="", superlative=superlative), None, many=False)


_NEIGHBOUR = "_neighbour"
"""How the relation of a neighbour ends; the side comes before it."""
_PARTS_OF_IMAGE = {
    "back", "background", "border", "corner", "distance", "edge", "end", "foreground", "front", "margin", "rear",
    "side",
}  # fmt: skip
"""They are no objects where they are not said to be of one: 'people in the background'."""
_VIEWERS = {"camera", "lens", "observer", "photographer", "viewer"}
"""What is nearest to them is in front, and an image has no depth."""
_KINDS_OF_ANYTHING = {"animal", "item", "object", "shape", "thing", ANYTHING}
_UNKNOWN_ORDER = {"extra", "following", "further", "next", "previous"}
"""What is next to be said of is not known."""


def _keep_kind(noun: Noun, antecedent: Plan, *, strictly: bool) -> Plan:
    """Return what a pronoun stands for: all that was meant before, or what its adjectives fit too.

    `strictly`: of what was meant, and not just of its kind.
    """
    if not noun.words and not noun.tail:
        return antecedent
    if {*noun.words} & _UNKNOWN_ORDER:
        raise QuerySyntaxError(" ".join(noun.words))
    # "The red ones" after "blue cups" are red cups: their adjectives take the place of those before.
    kinds = [drop_adjectives(kind.text).split() for kind in target_phrases(antecedent) or [Phrase(ANYTHING)]]
    ones = unite_plans([_build_phrase((*noun.words, *kind), noun.tail) for kind in kinds])
    return Intersection(antecedent, ones) if strictly else ones


def _narrow_to(within: Plan, plan: Plan) -> Plan:
    """Return what both have. Where a noun says no more than what `within` was found by, nothing is looked for."""
    if plan == within or (selects_known_masks(plan) and source_set(plan) == within):
        return plan
    known = target_phrases(within) if isinstance(within, PreviousAnswer) else []
    says_no_more = all(plan in (phrase, Phrase(drop_adjectives(phrase.text))) for phrase in known)
    return within if known and says_no_more else Intersection(within, plan)


def build_head_phrase(words: str) -> Phrase:
    """Return the phrase of a noun as it was said. Raises QuerySyntaxError for more than `segment` takes."""
    return _build_phrase(words.removesuffix("'s").removesuffix("'").split())


def _are_rows(plan: Plan) -> bool:
    """Whether things are ranked that lie across the image, so that nobody counts them from the left."""
    return any(
        phrase.text.split(" of ")[0].split(" ")[-1] in ("row", "floor", "storey") for phrase in target_phrases(plan)
    )


def _is_half_named(coordination: Coordination) -> bool:
    """Whether a ranking without a noun stands beside nouns of other terms."""
    return {cast(Noun, term.noun).kind for term in coordination.terms} == {"bare", "named"}


def _is_part_of_image(noun: Noun, parts: Set[str]) -> bool:
    said = noun.kind == "named" and not noun.tail and noun.determiner not in ("a", "an")
    return said and len(noun.words) == 1 and to_singular(noun.words[0]) in parts


def _is_adjective_alone(phrase: Phrase) -> bool:
    return set(phrase.text.split()) <= ADJECTIVES - THINGS_TOO


def _is_quantity(noun: Noun, relation: str) -> bool:
    """Whether a relation is to a number: 'under 5', 'larger than 100 pixels'; 'left of the two cups' is to things."""
    only_number = noun.ranking.number is not None and noun.ranking == Ranking(number=noun.ranking.number)
    return only_number and not noun.determiner and (noun.kind == "bare" or relation in ("larger", "smaller"))


def _build_phrase(words: Sequence[str], tail: str = "") -> Phrase:
    if words[-1].endswith(("'s", "s'")) and not tail:  # "the dog's": what it has is left out
        raise QuerySyntaxError(words[-1])
    phrase = " ".join([*words[:-1], to_singular(words[-1]), *tail.split()])
    if len(phrase) > MAX_PHRASE:
        raise QuerySyntaxError(phrase)
    return Phrase(phrase)


def _group_alternatives(modifiers: Sequence[Modifier]) -> list[list[Modifier]]:
    starts = [i for i, modifier in enumerate(modifiers) if not modifier.alternative]
    return [list(modifiers[start:end]) for start, end in pairwise([*starts, len(modifiers)])]


def _is_only_size(ranking: Ranking) -> bool:
    return ranking.superlative in OF_SIZE and ranking == Ranking(superlative=ranking.superlative)


def _is_everything(coordination: Coordination) -> bool:
    [term, *others] = coordination.terms
    return term == Term(Noun("everything", "everything")) and not others
