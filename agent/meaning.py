"""From a query's syntax to a plan: what pronouns stand for, what modifiers belong to, and what applies first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal, cast

from agent.nouns import is_plural, is_singular, singular
from agent.plan import (
    Common,
    Counted,
    Except,
    Located,
    Numbered,
    One,
    Order,
    Phrase,
    Plan,
    Ranked,
    Related,
    Selected,
    Sized,
    Union,
    heads,
    origin,
)
from agent.query import (
    At,
    From,
    IsA,
    Joined,
    Modifier,
    Near,
    Noun,
    OfThem,
    Ranks,
    RelatedTo,
    Selection,
    Term,
    To,
    Unreadable,
    head_phrase,
    parse,
)
from agent.tools.base import MAX_PHRASE
from agent.tools.geometry.terms import Measure, Place, Relation

ANYTHING = "object"
"""The phrase for 'everything', 'the one …' and the like."""

COLOURS = {
    "amber", "aqua", "beige", "black", "blond", "blonde", "blue", "bronze", "brown", "copper", "cream", "crimson",
    "cyan", "gold", "golden", "gray", "green", "grey", "indigo", "ivory", "lavender", "lilac", "lime", "magenta",
    "maroon", "mauve", "navy", "ochre", "olive", "orange", "peach", "pink", "purple", "red", "rose", "scarlet",
    "silver", "tan", "teal", "turquoise", "violet", "white", "yellow",
}  # fmt: skip
ADJECTIVES = COLOURS | {
    "big", "blank", "bright", "checked", "checkered", "clean", "colored", "coloured", "colorful", "colourful", "dark",
    "dirty", "dotted", "dry", "empty", "flat", "floral", "full", "glass", "glossy", "gigantic", "hollow", "huge",
    "large", "leather", "light", "little", "long", "matte", "medium", "metal", "metallic", "narrow", "new", "old",
    "open", "pale", "patterned", "plaid", "plain", "plastic", "polka-dotted", "round", "rectangular", "rusty", "shiny",
    "short", "small", "solid", "spotted", "square", "striped", "stripy", "tall", "thick", "thin", "tiny", "transparent",
    "triangular", "wet", "wide", "wooden", "young",
}  # fmt: skip
"""Words that may stand without their noun: 'red and blue circles', 'squares that are striped'."""

CLOTHES = {
    "armor", "blazer", "boot", "cap", "clothes", "coat", "costume", "dress", "glasses", "hat", "helmet", "hoodie",
    "jacket", "jeans", "jersey", "outfit", "overalls", "pants", "robe", "sandal", "scarf", "shirt", "shoe", "shorts",
    "skirt", "suit", "sunglasses", "sweater", "sweatshirt", "swimsuit", "t-shirt", "tie", "top", "trousers", "tuxedo",
    "uniform", "vest",
}  # fmt: skip

SUPERLATIVES: dict[str, tuple[Measure, Order]] = {
    "LARGEST": ("size", "descending"),
    "SMALLEST": ("size", "ascending"),
    "TALLEST": ("height", "descending"),
    "SHORTEST": ("height", "ascending"),
    "WIDEST": ("width", "descending"),
    "NARROWEST": ("width", "ascending"),
    "LEFTMOST": ("x", "ascending"),
    "RIGHTMOST": ("x", "descending"),
    "TOPMOST": ("y", "ascending"),
    "BOTTOMMOST": ("y", "descending"),
    "NEAREST": ("distance", "ascending"),
    "FARTHEST": ("distance", "descending"),
}
FROM_SIDES = {"left": "LEFTMOST", "right": "RIGHTMOST", "top": "TOPMOST", "bottom": "BOTTOMMOST"}
OUTERMOST = {
    "left_of": "LEFTMOST",
    "right_of": "RIGHTMOST",
    "above": "TOPMOST",
    "below": "BOTTOMMOST",
    "larger": "LARGEST",
    "smaller": "SMALLEST",
}
"""Which one of many decides for 'left of every square': what is left of the leftmost one is left of all."""


SIZES: dict[str, tuple[Measure, Order]] = {
    **dict.fromkeys(("big", "large", "huge", "gigantic"), ("size", "descending")),
    **dict.fromkeys(("small", "little", "tiny"), ("size", "ascending")),
    "tall": ("height", "descending"),
    "short": ("height", "ascending"),
    "wide": ("width", "descending"),
    "narrow": ("width", "ascending"),
}
"""Adjectives that compare masks of an answer with each other: 'the small ones'."""

Change = Literal["new", "choose", "keep", "add", "remove", "count", "stay"]
"""What a query makes of the answer so far: another one, some of what was meant, some of it, more, less, how many it is
or nothing."""


@dataclass(frozen=True)
class Context:
    """What the words of a conversation may point at."""

    now: Plan
    """The current answer: 'them', 'it'."""
    ones: Plan
    """What 'the red one' is one of."""
    everything: Plan
    """What 'the others' are the rest of, beside the current answer."""
    within: Plan | None = None
    """What must also hold what is named: 'keep the cups' keeps those of the answer."""
    masks: int = 0
    """How many numbers there are."""


@dataclass(frozen=True)
class Meaning:
    """What a query means in its context."""

    plan: Plan
    notes: tuple[str, ...] = ()
    counts: bool = False
    refers: bool = False
    """Whether it chooses among what was spoken of before, so that it asks for nothing else."""


@dataclass(frozen=True)
class Reading:
    """How a query was understood."""

    plan: Plan | None
    """None where not even a noun phrase was found."""
    complete: bool = True
    """False where the plan covers the head noun phrase alone."""
    notes: tuple[str, ...] = ()
    """What was assumed: full sentences for the user."""
    change: Change = "new"
    subject: Plan | None = None
    """Of a change: what is added, or removed."""
    chosen: tuple[Plan, ...] = ()
    """What the user said to the questions back that this plan has led to so far, in turn."""
    question: str = ""
    """What has to be asked back before anything else …"""
    options: tuple[str, ...] = ()
    """… and how the user could have put it instead."""


@lru_cache(maxsize=256)
def read(query: str) -> Reading:
    """Never fails: a query that cannot be parsed is read as its head noun phrase, and the reading says so.

    >>> read("the two largest circles").plan
    Ranked(of=Phrase(text='circle'), by='size', order='descending', start=1, take=2, to=None)
    >>> reading = read("the dog wearing a hat")
    >>> reading.plan, reading.complete
    (Phrase(text='dog'), False)
    """
    reader = _Reader()
    try:
        question = parse(query)
        plan = reader.selection(question.selection)
        return Reading(Counted(plan) if question.counts else plan, notes=tuple(dict.fromkeys(reader.notes)))
    except Unreadable:
        head = head_phrase(query)
        return Reading(Phrase(_in_singular(head)) if head else None, complete=False)


@lru_cache(maxsize=256)
def meaning(query: str, context: Context) -> Meaning:
    """What a query, or the part of it that names things, means in a conversation. Raises Unreadable.

    >>> cups = Selected(0, ("cup",))
    >>> meaning("the red ones", Context(cups, cups, Phrase("cup"))).plan
    Common(of=Selected(turn=0, phrases=('cup',)), other=Phrase(text='red cup'))
    """
    reader = _Reader(context)
    question = parse(query, goes_on=True)
    plan = reader.selection(question.selection)
    return Meaning(plan, tuple(dict.fromkeys(reader.notes)), question.counts, reader.refers)


class _Reader:
    """Turns one query's syntax into a plan. Raises Unreadable where the syntax makes no sense."""

    def __init__(self, context: Context | None = None) -> None:
        self.notes: list[str] = []
        self.context = context
        self.refers = False

    def selection(self, selection: Selection) -> Plan:
        first, ranks = _without_superlative(selection, _all_but(selection))
        if self.context is None:
            plan = self.joined(first, None)
        else:
            first = _as_ones(first, articles=self.context.within is not None)
            plan = self.joined(first, self.context.ones, within=self.context.within)
            if _is_everything(first) and self.speaks_of_masks(selection.minus, self.context.now):
                plan = self.context.now
        for minus in selection.minus:
            left_out = self.joined(_as_pronouns(minus), plan)
            if left_out == plan:
                raise Unreadable("all but one")
            plan = Except(plan, left_out)
        return self.ranked(plan, ranks, None, many=False)

    def speaks_of_masks(self, minus: Sequence[Joined], now: Plan) -> bool:
        """Whether what is left out points at masks: 'everything except number 3'."""
        return any(among_masks(self.joined(_as_pronouns(one), now)) for one in minus)

    def joined(self, joined: Joined, antecedent: Plan | None, *, within: Plan | None = None) -> Plan:
        """`antecedent`: what a pronoun, or a noun left out, stands for. `within`: what must hold all that is named."""
        terms = _named_by_neighbours([_reattached(term) for term in _with_alternatives(joined)])
        if len(terms) == 1:
            return self.term(terms[0], antecedent, within=within)
        terms, shared = _factored(terms, alternative=joined.alternative)
        union = Union(tuple(self.term(term, antecedent, within=within) for term in terms))
        return union if shared is None else self.term(shared, union)

    def term(self, term: Term, antecedent: Plan | None, *, within: Plan | None = None) -> Plan:
        """The noun, then whatever filters it, then whatever ranks what is left: 'the largest star above the ring'."""
        if term.noun is None and _is_mutual(term.modifiers[0]):
            raise Unreadable("each other")
        if term.noun is None and self.context is not None:
            term = replace(term, noun=Noun("pronoun", many=True))
        noun, modifiers = _with_adjectives(term)
        noun, sizes = _without_sizes(noun) if self.context else (noun, [])
        plan = self.noun(noun, antecedent)
        if within is not None and noun.kind == "named":
            plan = _narrowed(within, plan)
        for alternatives in _grouped(modifiers):
            plan = _union(self.filtered(plan, modifier) for modifier in alternatives)
        for by, order in sizes:
            plan = Sized(plan, by, order) if noun.many else Ranked(plan, by, order)
        ranks, to = _ranks_of(noun, [modifier.what for modifier in modifiers if not modifier.negated])
        many = _number(noun) == "many" or (self.context is not None and noun.many)
        if many and ranks in _SIZES and among_masks(plan):
            return Sized(plan, *SUPERLATIVES[ranks.superlative])
        plan = self.ranked(plan, ranks, self.object(to, plan) if to else None, many=many)
        return One(plan) if noun.kind in ("rest", "rest_of") and not noun.many else plan

    def noun(self, noun: Noun, antecedent: Plan | None) -> Plan:
        match noun.kind:
            case "numbered" | "them" | "it" | "rest" | "rest_of" if self.context is not None:
                return self.pointed_at(noun, self.context)
            case "among" if noun.among is not None:
                return self.joined(noun.among, antecedent)
            case "pronoun" | "bare" if antecedent is not None:
                self.refers |= self.context is not None and antecedent == self.context.ones
                return self.ones(noun, antecedent)
            case "pronoun" | "bare":
                self.notes.append(f"With no noun to stand for, it was looked for under '{ANYTHING}'.")
                return _phrase((*noun.words, ANYTHING), noun.tail)
            case "everything" if self.context is not None and self.context.within is not None:
                return _of_kind(noun, self.context.now, strictly=True)
            case "everything":
                return _phrase((*noun.words, ANYTHING), noun.tail)
        plan: Plan = _phrase(noun.words, noun.tail)
        for word in noun.non:
            left_out = (word, *_kind(" ".join(noun.words))) if word in ADJECTIVES else (word,)
            plan = Except(plan, _phrase(left_out))
        if self.context is not None and noun.determiner in ("this", "that", "these", "those"):
            self.refers = True
            return _narrowed(self.context.now, plan)
        return plan

    def ones(self, noun: Noun, antecedent: Plan) -> Plan:
        """Where their kind was asked for before, the masks stay the same: 'the red ones' are some of them."""
        if self.context is None:
            return _of_kind(noun, antecedent, strictly=False)
        kinds, known = set(heads(antecedent)), set(heads(self.context.now))
        return _of_kind(noun, antecedent, strictly=among_masks(antecedent) or (bool(kinds) and kinds <= known))

    def pointed_at(self, noun: Noun, context: Context) -> Plan:
        if noun.kind == "numbered" and noun.words and not all(1 <= number <= context.masks for number in noun.numbers):
            return _phrase((*noun.words, "number", *map(str, noun.numbers)))  # 'player number 7'
        self.refers = True
        match noun.kind:
            case "numbered":
                return Numbered(noun.numbers)
            case "it":
                return _of_kind(noun, One(context.now), strictly=True)
            case "rest_of":
                return Except(_phrase(noun.words, noun.tail), context.now)
            case "rest":
                return Except(_of_kind(noun, context.everything, strictly=True), context.now)
        return _of_kind(noun, context.now, strictly=True)

    def filtered(self, plan: Plan, modifier: Modifier) -> Plan:
        match modifier.what:
            case At(place) if modifier.negated or not place.startswith("far "):
                kept: Plan = Located(plan, cast(Place, place.removeprefix("far ")))
            case RelatedTo(relation, to, other):
                kept = self.related(plan, relation, to, other)
            case OfThem() if self.context is not None:
                self.refers = True
                kept = _narrowed(self.context.now, plan)
            case IsA(nouns):
                ones = [_as_pronoun(term) for term in _named_by_neighbours([Term(noun) for noun in nouns])]
                found = _union(self.term(one, plan) for one in ones)
                if modifier.negated:
                    return Except(plan, found)
                ranks_alone = all(noun.kind == "bare" for noun in nouns)
                adjectives_alone = all(noun.kind == "pronoun" for noun in nouns) and plan == _union(heads(plan))
                kept = found if ranks_alone or adjectives_alone else Common(plan, found)
            case _:
                return plan
        return Except(plan, kept) if modifier.negated else kept

    def related(self, plan: Plan, relation: str, to: Term, other: Term | None) -> Plan:
        relation = "inside" if relation == "in" else relation
        if other is not None:  # 'between the leftmost and the rightmost star'
            to, other = _named_by_neighbours([to, other])
        objects = self.object(to, plan)
        if to.noun and relation in OUTERMOST and to.noun.determiner.split(" ")[0] in ("all", "each", "every"):
            objects = Ranked(objects, *SUPERLATIVES[OUTERMOST[relation]])
        return Related(plan, cast(Relation, relation), objects, self.object(other, plan) if other else None)

    def object(self, term: Term, subject: Plan) -> Plan:
        """What something is compared to; a pronoun in it stands for the kind of thing that is compared."""
        refers = self.refers
        plan = self.term(term, _union(heads(subject) or [Phrase(ANYTHING)]))
        self.refers = refers  # 'the plates next to them' are other things than they are
        return plan

    def ranked(self, plan: Plan, ranks: Ranks, to: Plan | None, *, many: bool) -> Plan:
        if (ranks.superlative in ("NEAREST", "FARTHEST")) != (to is not None):
            raise Unreadable("nearest to what is not said")
        if ranks == Ranks():
            return plan
        if ranks.side:
            return self.at_side(plan, ranks, many=many)
        if not ranks.superlative and ranks.ordinal is None and not ranks.last:
            return Ranked(plan, "score", "descending", take=ranks.number or 1)
        if not ranks.superlative:
            self.notes.append("It was counted from the left.")
        by, order = SUPERLATIVES[ranks.superlative or "LEFTMOST"]
        if ranks.last:
            order = "ascending" if order == "descending" else "descending"
        if many and ranks.number is None and ranks.ordinal is None:
            self.notes.append("The query does not say how many, so it is one.")
        ranked = Ranked(plan, by, order, ranks.ordinal or 1, ranks.number or 1, to)
        if to is not None and (ranked.start, ranked.take) == (1, 1):
            return Related(plan, "nearest" if order == "ascending" else "farthest", to)
        return ranked

    def at_side(self, plan: Plan, ranks: Ranks, *, many: bool) -> Plan:
        """'The left cup' is the leftmost one; 'the left cups' are those in the left half."""
        superlative = FROM_SIDES.get(ranks.side.removeprefix("far "))
        if superlative is None or (many and ranks.number is None and not ranks.side.startswith("far ")):
            return Located(plan, cast(Place, ranks.side))
        return self.ranked(plan, replace(ranks, side="", superlative=superlative), None, many=False)


_SIZES = [Ranks(superlative=name) for name in ("LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST")]


_ANOTHER = {"extra", "following", "further", "next", "previous"}
"""What is next to be said of is not known."""


def _of_kind(noun: Noun, antecedent: Plan, *, strictly: bool) -> Plan:
    """What a pronoun stands for: all that was meant before, or what its adjectives fit too.

    `strictly`: of what was meant, and not just of its kind.
    """
    if not noun.words and not noun.tail:
        return antecedent
    if {*noun.words} & _ANOTHER:
        raise Unreadable(" ".join(noun.words))
    kinds = heads(antecedent) or [Phrase(ANYTHING)]
    ones = _union(_phrase((*noun.words, *_kind(kind.text)), noun.tail) for kind in kinds)
    return Common(antecedent, ones) if strictly else ones


def among_masks(plan: Plan) -> bool:
    """Whether it chooses among masks that are known, so that no phrase alone can name it."""
    match origin(plan):
        case Selected() | Numbered():
            return True
        case Union(parts):
            return any(among_masks(part) for part in parts)
    return False


def _narrowed(within: Plan, plan: Plan) -> Plan:
    """What both have. Where a noun says no more than what `within` was found by, nothing needs to be looked for."""
    if plan == within or (among_masks(plan) and origin(plan) == within):
        return plan
    known = heads(within) if isinstance(within, Selected) else []
    says_no_more = all(plan in (phrase, Phrase(kind_of(phrase.text))) for phrase in known)
    return within if known and says_no_more else Common(within, plan)


def _without_sizes(noun: Noun) -> tuple[Noun, list[tuple[Measure, Order]]]:
    """'The small red ones' are red ones, and small among them."""
    if noun.kind not in ("pronoun", "rest", "them"):
        return noun, []
    sizes = [SIZES[word] for word in noun.words if word in SIZES]
    return replace(noun, words=tuple(word for word in noun.words if word not in SIZES)), sizes


def _phrase(words: Sequence[str], tail: str = "") -> Phrase:
    """Raises Unreadable for more than `segment` takes."""
    phrase = " ".join([*words[:-1], singular(words[-1]), *tail.split()])
    if len(phrase) > MAX_PHRASE:
        raise Unreadable(phrase)
    return Phrase(phrase)


def _in_singular(phrase: str) -> str:
    return _phrase(phrase.split()).text


def _union(plans: Iterable[Plan]) -> Plan:
    parts = tuple(dict.fromkeys(plans))
    return parts[0] if len(parts) == 1 else Union(parts)


def _kind(phrase: str) -> list[str]:
    """The words of a phrase without adjectives that others may take the place of: 'circle' of 'red circle'."""
    words = phrase.split()
    first = next((i for i, word in enumerate(words[:-1]) if word not in ADJECTIVES), len(words) - 1)
    return words[first:]


def kind_of(phrase: str) -> str:
    """
    >>> kind_of("big red cup of coffee")
    'cup of coffee'
    """
    return " ".join(_kind(phrase))


def _number(noun: Noun | None) -> str:
    """'one', 'many', or '' where the noun does not tell."""
    if noun is None or noun.kind != "named" or not noun.words:
        return ""
    word = noun.words[-1]
    return "" if is_plural(word) == is_singular(word) else "many" if is_plural(word) else "one"


def _is_number(ranks: Ranks) -> bool:
    return ranks.number is not None and ranks == Ranks(number=ranks.number)


def _is_adjective(noun: Noun) -> bool:
    """Whether it can only say what something is like: no article, no plural."""
    plain = noun.kind == "named" and not noun.determiner and noun.ranks == Ranks() and not noun.tail
    return plain and (_all_adjectives(noun) or not is_plural(noun.words[-1]))


def _is_description(modifier: Modifier) -> bool:
    """'The woman in red', 'the man in a white shirt': what follows 'in' describes, and is no place."""
    match modifier.what:
        case RelatedTo("in", Term(Noun("named", ranks=ranks, words=words))) if ranks == Ranks():
            return set(words) <= COLOURS or bool({words[-1], singular(words[-1])} & CLOTHES)
    return False


def _all_adjectives(noun: Noun | None) -> bool:
    if noun is None or noun.kind != "named" or noun.tail:
        return False
    return set(noun.words) <= ADJECTIVES and noun.words[-1] != "square"  # 'the red square' is a shape


def _all_but(selection: Selection) -> Joined:
    """'All but the largest circle' are circles."""
    first = selection.first.terms[0].noun
    left_out = selection.minus[0].terms[0].noun if selection.minus else None
    if first is None or left_out is None or (first.kind, first.determiner) != ("everything", "all") or first.words:
        return selection.first
    if left_out.kind != "named" or left_out.ranks == Ranks():
        return selection.first
    kind = replace(left_out, ranks=Ranks(), determiner="all")
    return replace(selection.first, terms=(replace(selection.first.terms[0], noun=kind), *selection.first.terms[1:]))


def _without_superlative(selection: Selection, first: Joined) -> tuple[Joined, Ranks]:
    """'The largest shape except the star' is the largest of the shapes that are no star; its ranks apart."""
    term = first.terms[0]
    if not selection.minus or len(first.terms) > 1 or term.noun is None or term.noun.kind != "named":
        return first, Ranks()
    ranks = term.noun.ranks
    if ranks.superlative in ("", "NEAREST", "FARTHEST") or (ranks.number or 1) > 1:
        return first, Ranks()
    return replace(first, terms=(replace(term, noun=replace(term.noun, ranks=Ranks())),)), ranks


def _is_mutual(modifier: Modifier) -> bool:
    """'Touching circles' touch each other, not just anything."""
    match modifier.what:
        case RelatedTo("touching" | "overlapping", Term(Noun("named", "") as noun)):
            return _number(noun) == "many"
    return False


def _opposite(one: Modifier, other: Modifier) -> bool:
    """'On the left and on the right': nothing is at both places, so that either is meant."""
    if not (isinstance(one.what, At) and isinstance(other.what, At)) or one.negated or other.negated:
        return False
    sides = {*one.what.place.split("_"), *other.what.place.split("_")}
    return sides >= {"left", "right"} or sides >= {"top", "bottom"}


def _grouped(modifiers: Sequence[Modifier]) -> list[list[Modifier]]:
    """The modifiers in groups: all groups hold, each by one of its modifiers, which 'or' joins.

    Raises Unreadable where it is not clear what an 'or' joins.
    """
    groups: list[list[Modifier]] = []
    for modifier in modifiers:
        if not modifier.alternative and not (groups and _opposite(groups[-1][-1], modifier)):
            groups.append([modifier])
        elif not groups or modifier.negated or isinstance(modifier.what, Near | To | From):
            raise Unreadable("or")
        elif groups[-1][-1].negated:  # 'not on the table or under the chair' is neither
            groups.append([replace(modifier, negated=True)])
        else:
            groups[-1].append(modifier)
    *others, last = groups or [[]]
    if any(len(group) > 1 for group in others) or (others and len(last) > 1 and not last[0].verb):
        raise Unreadable("or")
    return groups


def _is_everything(joined: Joined) -> bool:
    [term, *others] = joined.terms
    return term.noun == Noun("everything", "everything") and not term.modifiers and not others


def _as_pronouns(minus: Joined) -> Joined:
    """'Circles, but not red': adjectives alone stand for 'red ones'."""
    return replace(minus, terms=tuple(_as_pronoun(term) for term in minus.terms))


NOUNS_TOO = {
    "amber",
    "copper",
    "glass",
    "gold",
    "lavender",
    "leather",
    "lime",
    "olive",
    "orange",
    "peach",
    "rose",
    "violet",
}
"""Adjectives that ask for a thing where they stand alone."""


def _as_ones(joined: Joined, *, articles: bool) -> Joined:
    """In a conversation, 'red' alone is 'the red ones'; with `articles`, 'the red' is too."""
    terms = list(joined.terms)
    for i, term in enumerate(terms):
        noun = term.noun
        if noun is None or not _all_adjectives(noun) or (not articles and {*noun.words} & {"square", *NOUNS_TOO}):
            continue
        if not noun.determiner or articles:
            terms[i] = replace(term, noun=replace(noun, kind="pronoun", many=True))
    return replace(joined, terms=tuple(terms))


def _as_pronoun(term: Term) -> Term:
    if term.noun is None or term.noun.determiner or not _all_adjectives(term.noun):
        return term
    return replace(term, noun=replace(term.noun, kind="pronoun"))


def _with_alternatives(joined: Joined) -> list[Term]:
    """The terms, where 'that are red | and striped', 'not a star | or a ring', 'on the mat | or the car' are one."""
    terms: list[Term] = []
    for term in joined.terms:
        last = terms[-1].modifiers[-1] if terms and terms[-1].modifiers else None
        extended = None if last is None else _extended(last, term, alternative=joined.alternative)
        if extended is None:
            terms.append(term)
        else:
            terms[-1] = replace(terms[-1], modifiers=(*terms[-1].modifiers[:-1], *extended))
    return terms


def _extended(modifier: Modifier, term: Term, *, alternative: bool) -> list[Modifier] | None:
    """The modifier with a term that follows it; None where that term stands for itself."""
    if term.noun is None:
        return None
    match modifier.what:
        case At() | RelatedTo() if alternative and _all_adjectives(term.noun) and not term.noun.determiner:
            return [modifier, Modifier(IsA((term.noun,)), verb=modifier.verb, alternative=True), *term.modifiers]
        case RelatedTo(_, to, None) if to.noun and to.noun.determiner.startswith("both") and not alternative:
            return [modifier, _with_last_term(modifier, term)]
        case IsA(nouns):
            alike = _all_adjectives(term.noun) and not term.noun.determiner and all(map(_is_adjective, nouns))
            alike_nouns = modifier.negated and not term.noun.determiner and not nouns[-1].determiner
            if alternative or (modifier.negated and (alike or alike_nouns)):
                return [replace(modifier, what=IsA((*nouns, term.noun))), *term.modifiers]
            return [modifier, replace(modifier, what=IsA((term.noun,))), *term.modifiers] if alike else None
        case RelatedTo(_, to, None) | RelatedTo(_, _, Term() as to) if alternative:
            either = Term(Noun("among", among=Joined((to, term), alternative=True)))
            return [_with_last_term(modifier, either)]
    return None


def _reattached(term: Term) -> Term:
    """A main verb speaks of the outermost noun, and 'that are' of one that is plural, however near another one is."""
    modifiers: list[Modifier] = []
    for modifier in term.modifiers:
        inner = _last_term(modifier)
        if inner is None:
            modifiers.append(modifier)
            continue
        inner = _reattached(inner)
        stays = next((i for i, one in enumerate(inner.modifiers) if _belongs_to(term, inner, one)), None)
        if _is_description(modifier):  # 'the man in the red shirt to the left of the tree'
            stays = 0
        kept = inner.modifiers[:stays]
        modifiers += [_with_last_term(modifier, replace(inner, modifiers=kept)), *inner.modifiers[len(kept) :]]
    return replace(term, modifiers=tuple(modifiers))


def _belongs_to(outer: Term, inner: Term, modifier: Modifier) -> bool:
    if inner.noun is None or not modifier.verb:
        return False
    number = {"is": "one", "are": "many"}[modifier.verb]
    return modifier.main or (_number(inner.noun) not in ("", number) and _number(outer.noun) in ("", number))


def _last_term(modifier: Modifier) -> Term | None:
    match modifier.what:
        case RelatedTo(_, to, other):
            return other or to
        case Near(_, to) | To(to):
            return to
    return None


def _with_last_term(modifier: Modifier, term: Term) -> Modifier:
    match modifier.what:
        case RelatedTo(other=Term()) as related:
            return replace(modifier, what=replace(related, other=term))
        case RelatedTo() | Near() | To() as what:
            return replace(modifier, what=replace(what, to=term))
    return modifier


def _named_by_neighbours(terms: list[Term]) -> list[Term]:
    """A noun left out is that of the term after ('the largest and the smallest star', 'red and blue stars') or before
    ('the red star and the blue one')."""
    named = list(terms)
    for i in reversed(range(len(named) - 1)):
        named[i : i + 2] = _named_after(named[i], named[i + 1])
    for i in range(1, len(named)):
        named[i] = _named_before(named[i], named[i - 1])
    return named


def _named_after(term: Term, following: Term) -> tuple[Term, Term]:
    noun, known = term.noun, following.noun
    if noun is None or known is None:
        return term, following
    if noun.kind == "bare" and known.kind == "among":
        return replace(term, noun=replace(known, ranks=noun.ranks)), following
    if known.kind == "pronoun" and known.words and _all_adjectives(noun):
        return replace(term, noun=replace(noun, kind="pronoun")), following
    if known.kind != "named" or _all_adjectives(known):
        return term, following
    if noun.kind == "bare" and known.ranks != Ranks():
        noun = _ranked_after(noun, known.ranks)
        # 'The first and the third stars' are one each, counted from the same side.
        one = known if known.ranks.number else replace(known, words=(*known.words[:-1], singular(known.words[-1])))
        counted = tuple(one for one in following.modifiers if isinstance(one.what, From) and noun.ranks.ordinal)
        named = replace(noun, kind="named", words=one.words, tail=known.tail)
        return replace(term, noun=named, modifiers=term.modifiers or counted), replace(following, noun=one)
    if _all_adjectives(noun) and known.words[0] in ADJECTIVES and not term.modifiers:
        words = (*noun.words, *_kind(" ".join(known.words)))
        return replace(term, noun=replace(noun, words=words, tail=known.tail)), following
    return term, following


def _ranked_after(noun: Noun, ranks: Ranks) -> Noun:
    """'The second and the third largest': the second largest."""
    counted_alone = noun.ranks.ordinal and not noun.ranks.superlative and not noun.ranks.side
    if not counted_alone or ranks.ordinal is None:
        return noun
    return replace(noun, ranks=replace(noun.ranks, superlative=ranks.superlative))


def _named_before(term: Term, previous: Term) -> Term:
    noun, known = term.noun, previous.noun
    if noun is None or known is None or noun.kind not in ("pronoun", "bare") or known.kind != "named":
        return term
    words = (*noun.words, *_kind(" ".join(known.words))) if noun.words else known.words
    return replace(term, noun=replace(noun, kind="named", words=tuple(words)))


def _factored(terms: list[Term], *, alternative: bool) -> tuple[list[Term], Term | None]:
    """What is said of all terms together, apart: 'dogs and cats | left of the tree', 'the two largest | dogs and cats'.

    That is the case where only the first term has an article or ranks, and only the last one modifiers.
    """
    first, *others = terms
    last = terms[-1].modifiers
    one_phrase = not any(term.noun is None or term.noun.determiner or term.noun.ranks != Ranks() for term in others)
    if not (one_phrase or (last and last[0].main)) or any(term.modifiers for term in terms[:-1]):
        return terms, None
    ranks = first.noun.ranks if first.noun and one_phrase and first.noun.ranks.superlative else Ranks()
    if ranks == Ranks() and not last:
        return terms, None
    plain = [replace(term, modifiers=()) for term in terms]
    if ranks == Ranks():
        return plain, Term(Noun("bare"), last)
    if _number(first.noun) == "one" and not alternative:
        return [Term(replace(cast(Noun, term.noun), ranks=ranks), last) for term in terms], None
    plain[0] = replace(first, noun=replace(cast(Noun, first.noun), ranks=Ranks()))
    return plain, Term(Noun("bare", ranks=ranks), last)


def _with_adjectives(term: Term) -> tuple[Noun, list[Modifier]]:
    """The noun with the adjectives that follow it ('stars that are red' are red stars), and the other modifiers.

    'The second star on the left' is the second one from the left, and the last one on the left is the first from there.
    """
    noun = term.noun or Noun("everything")
    counted = (noun.ranks.ordinal or noun.ranks.last) and not noun.ranks.superlative
    counted = counted and not any(isinstance(modifier.what, From) for modifier in term.modifiers)
    alternatives = [one for pair in pairwise(term.modifiers) if pair[1].alternative for one in pair]
    modifiers: list[Modifier] = []
    for modifier in term.modifiers:
        match modifier.what:
            case At(place) if counted and place in FROM_SIDES:
                noun = replace(noun, ranks=replace(noun.ranks, ordinal=noun.ranks.ordinal or 1, last=False))
                modifiers.append(Modifier(From(place)))
            case IsA((adjective,)) if not (modifier.negated or modifier in alternatives) and _is_adjective(adjective):
                noun = replace(noun, words=(*adjective.words, *noun.words))
            case RelatedTo("in", Term(Noun() as worn, ())) if _is_description(modifier):
                noun = replace(noun, tail=" ".join([noun.tail, "in", worn.determiner, *worn.words]))
            case IsA((Noun("bare") as ranked,)) if _is_number(noun.ranks) and not modifier.negated:
                # 'Two stars that are the largest' are two, but 'which of the two stars is larger' asks for one.
                ranks = ranked.ranks if modifier.verb == "is" else _both(noun.ranks, ranked.ranks)
                modifiers.append(replace(modifier, what=IsA((replace(ranked, ranks=ranks),))))
                noun = replace(noun, ranks=Ranks())
            case IsA(nouns) if all(_is_adjective(one) for one in nouns):
                ones = tuple(replace(one, kind="pronoun") for one in nouns)
                modifiers.append(replace(modifier, what=IsA(ones)))
            case _:
                modifiers.append(modifier)
    return noun, modifiers


def _ranks_of(noun: Noun, said: Sequence[object]) -> tuple[Ranks, Term | None]:
    """Everything that ranks, wherever it is said, as if it were said before the noun; and what distances are to."""
    ranks, to = noun.ranks, None
    for what in said:
        match what:
            case Near(near, to_):
                ranks, to = _both(ranks, near), to_
            case To(to_):
                to = to_
            case From(side, ordinal):
                ranks = _both(_both(ranks, ordinal), Ranks(superlative=FROM_SIDES.get(side.removeprefix("far "), "?")))
                if ranks.superlative == "?" or ((ranks.ordinal or ranks.number) is None and not ranks.last):
                    raise Unreadable(f"from the {side}")
            case At(place) if place.startswith("far "):
                ranks = _both(ranks, Ranks(side=place))
    return ranks, to


def _both(a: Ranks, b: Ranks) -> Ranks:
    """Raises Unreadable where both say the same sort of thing."""
    if ((a.superlative or a.side) and (b.superlative or b.side)) or (a.ordinal and b.ordinal):
        raise Unreadable("two ways to rank at once")
    return Ranks(
        a.number or b.number, a.ordinal or b.ordinal, a.last or b.last, a.superlative or b.superlative, a.side or b.side
    )
