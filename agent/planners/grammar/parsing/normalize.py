"""Syntax to syntax: what is left out is filled in, and what is said far from its noun is moved there.

After it, every term names its noun, adjectives stand before it, everything that ranks is in its ranking, modifiers are
in groups that all hold, and what is said of several terms together stands apart. All rewriting of trees is here; each
function takes a tree and returns another one. `tests/agent/planners/grammar/test_normalize.py` has a table for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from agent.planners.grammar.nouns import is_plural, tell_number, to_singular
from agent.planners.grammar.parsing.syntax import (
    UNRANKED,
    Content,
    Coordination,
    CountingStart,
    Description,
    DistanceTarget,
    Lack,
    Location,
    Modifier,
    Noun,
    Proximity,
    QuerySyntaxError,
    Ranking,
    Relationship,
    Selection,
    Term,
)
from agent.planners.grammar.vocabulary import (
    ADJECTIVES,
    CLOTHES,
    COLOURS,
    LEAST_CERTAIN,
    NOUNS_TOO,
    OUTERMOST_BY_SIDE,
    PRINTED,
    SIZES,
    THINGS_TOO,
    drop_adjectives,
)


def normalize(selection: Selection, *, in_conversation: bool = False, of_answer: bool = False) -> Selection:
    """Return the same selection in the form that a plan is compiled from.

    Args:
        selection: As it is parsed.
        in_conversation: Whether the query goes on with an answer, so that 'red' alone means 'the red ones'.
        of_answer: Whether it names some of that answer, so that 'the red' does too.

    Raises:
        QuerySyntaxError: It is not clear what belongs together, e.g. what an 'or' joins.

    >>> from agent.planners.grammar.parsing.lexer import tokenize
    >>> from agent.planners.grammar.parsing.parser import parse
    >>> normalize(parse(tokenize("stars that are red"))).first.terms[0].noun.words
    ('red', 'stars')
    """
    return _Normalizer(in_conversation, of_answer).normalize_selection(selection)


@dataclass(frozen=True)
class _Normalizer:
    """Walks down a tree and rewrites each node before its parts. Its methods only order the rewritings below."""

    in_conversation: bool
    of_answer: bool

    def normalize_selection(self, selection: Selection) -> Selection:
        # "All but the largest circle" has to be about circles before its superlative can be looked at.
        selection = selection if self.in_conversation else choose_exceptions(selection)
        selection = lift_superlative(name_what_exceptions_are_of(selection))
        first, minus = selection.first, tuple(name_ones(coordination) for coordination in selection.minus)
        first = name_answer_ones(first, articles=self.of_answer) if self.in_conversation else first
        return replace(
            selection, first=self.normalize_coordination(first), minus=tuple(map(self.normalize_coordination, minus))
        )

    def normalize_coordination(self, coordination: Coordination) -> Coordination:
        # Alternatives first: "red | or blue" is no second term whose noun could be filled in.
        terms = [attach_modifiers(term) for term in merge_alternatives(coordination).terms]
        check_scope(terms)
        joined = replace(coordination, terms=tuple(name_by_neighbours(terms)))
        joined = factor_shared_modifiers(joined) if len(terms) > 1 else joined
        shared = None if joined.shared is None else self.normalize_term(joined.shared)
        return replace(joined, terms=tuple(map(self.normalize_term, joined.terms)), shared=shared)

    def normalize_term(self, term: Term) -> Term:
        # Adjectives first: "the second star on the left" gets a place to count from, which is a ranking.
        term = absorb_adjectives(name_subject(term, in_conversation=self.in_conversation))
        term = set_sizes_apart(term) if self.in_conversation else term
        term = group_alternatives(collect_rankings(term))
        noun = cast(Noun, term.noun)
        if noun.kind == "among" and noun.among is not None:
            noun = replace(noun, among=self.normalize_coordination(noun.among))
        return Term(
            replace(noun, many=self.is_many(noun)),
            tuple(map(self.normalize_modifier, term.modifiers)),
            None if term.distance_to is None else self.normalize_term(term.distance_to),
        )

    def normalize_modifier(self, modifier: Modifier) -> Modifier:
        match modifier.what:
            case Relationship(_, to, other) as what:
                to, *others = name_by_neighbours([to] if other is None else [to, other])
                second = self.normalize_term(others[0]) if others else None
                return replace(modifier, what=replace(what, to=self.normalize_term(to), other=second))
            case (Lack(noun) | Content(noun)) as what:
                return replace(modifier, what=replace(what, noun=cast(Noun, self.normalize_term(Term(noun)).noun)))
            case Description(nouns) as what:
                named = name_by_neighbours([Term(noun) for noun in nouns])
                terms = [self.normalize_term(name_one(term)) for term in named]
                # before names are filled in: "two red" has a ranking, and is more than an adjective
                adjectives_only = all(noun.kind == "pronoun" for noun in nouns)
                new = Description(tuple(cast(Noun, term.noun) for term in terms), adjectives_only)
                return replace(modifier, what=new)
        return modifier

    def is_many(self, noun: Noun) -> bool:
        """Whether several are meant; without a conversation, a pronoun does not tell."""
        return _tell_number(noun) == "many" or (self.in_conversation and noun.many)


# selections: exclusions


def choose_exceptions(selection: Selection) -> Selection:
    """'All but two dogs' does not say which two: those that are least certain."""
    first = selection.first.terms[0].noun
    if first is not None and first.ranking.superlative:
        return check_exceptions(selection)
    minus = (
        replace(coordination, terms=tuple(map(_choose_least_certain, coordination.terms)))
        for coordination in selection.minus
    )
    return replace(selection, minus=tuple(minus))


def check_exceptions(selection: Selection) -> Selection:
    """Return the selection. Raises QuerySyntaxError where only a number is left out: 'the largest but one'."""
    terms = [term for coordination in selection.minus for term in coordination.terms]
    if any(_choose_least_certain(term) != term for term in terms):
        raise QuerySyntaxError("which ones are left out is not said")
    return selection


def _choose_least_certain(term: Term) -> Term:
    noun = term.noun
    if noun is None or noun.determiner or term.modifiers:
        return term
    alone = noun == Noun("pronoun")  # "all circles but one"
    if not alone and not _is_only_number(noun.ranking):
        return term
    return Term(replace(noun, ranking=Ranking(number=noun.ranking.number or 1, superlative=LEAST_CERTAIN)))


def name_what_exceptions_are_of(selection: Selection) -> Selection:
    """'All but the largest circle' are circles."""
    first = selection.first.terms[0].noun
    left_out = selection.minus[0].terms[0].noun if selection.minus else None
    if first is None or left_out is None or (first.kind, first.determiner) != ("everything", "all") or first.words:
        return selection
    if left_out.kind == "among" and left_out.among is not None:  # "all but two of the circles"
        return replace(selection, first=left_out.among)
    if left_out.kind != "named" or left_out.ranking == UNRANKED:
        return selection
    kind = replace(left_out, ranking=UNRANKED, determiner="all")
    terms = (replace(selection.first.terms[0], noun=kind), *selection.first.terms[1:])
    return replace(selection, first=replace(selection.first, terms=terms))


def lift_superlative(selection: Selection) -> Selection:
    """'The largest shape except the star' is the largest of the shapes that are no star."""
    term = selection.first.terms[0]
    if not selection.minus or len(selection.first.terms) > 1 or term.noun is None or term.noun.kind != "named":
        return selection
    ranking = term.noun.ranking
    if ranking.superlative in ("", "NEAREST", "FARTHEST") or (ranking.number or 1) > 1:
        return selection
    unranked = replace(term, noun=replace(term.noun, ranking=UNRANKED))
    return replace(selection, first=replace(selection.first, terms=(unranked,)), ranking=ranking)


# nouns that are left out


def name_ones(coordination: Coordination) -> Coordination:
    """'Circles, but not red': adjectives alone stand for 'red ones'."""
    return replace(coordination, terms=tuple(name_one(term) for term in coordination.terms))


def name_one(term: Term) -> Term:
    """The same of one term."""
    noun = term.noun
    if noun is None or noun.determiner not in ("", "the") or not _is_all_adjectives(noun):
        return term
    if noun.determiner and {*noun.words} & NOUNS_TOO:
        return term
    return replace(term, noun=replace(noun, kind="pronoun"))


def name_answer_ones(coordination: Coordination, *, articles: bool) -> Coordination:
    """In a conversation, 'red' alone is 'the red ones'; with `articles`, 'the red' is too."""
    terms = list(coordination.terms)
    for i, term in enumerate(terms):
        noun = term.noun
        if noun is None or not _is_all_adjectives(noun) or (not articles and {*noun.words} & THINGS_TOO):
            continue
        if not noun.determiner or articles:
            terms[i] = replace(term, noun=replace(noun, kind="pronoun", many=True))
    return replace(coordination, terms=tuple(terms))


def name_subject(term: Term, *, in_conversation: bool) -> Term:
    """'Left of the square' is everything that is; in a conversation, those that are."""
    if term.noun is not None:
        return term
    if _is_mutual(term.modifiers[0]):
        raise QuerySyntaxError("each other")
    if not in_conversation and _is_like_a_name(term.modifiers[0]):
        raise QuerySyntaxError("a relation without an article after it")
    return replace(term, noun=Noun("pronoun", many=True) if in_conversation else Noun("everything"))


def name_by_neighbours(terms: Sequence[Term]) -> list[Term]:
    """Fill in a noun that was left out with that of a neighbour.

    It stands after ('the largest and the smallest star', 'red and blue stars') or before ('the red star and the blue
    one').
    """
    named = list(terms)
    # From the end, so that a name travels through "red, green and blue stars".
    for i in reversed(range(len(named) - 1)):
        named[i : i + 2] = _name_after(named[i], named[i + 1])
    for i in range(1, len(named)):
        named[i] = _name_before(named[i], named[i - 1])
    return named


def _name_after(term: Term, following: Term) -> tuple[Term, Term]:
    noun, known = term.noun, following.noun
    if noun is None or known is None:
        return term, following
    if noun.kind == "bare" and known.kind == "among":
        return replace(term, noun=replace(known, ranking=noun.ranking)), following
    if known.kind == "pronoun" and known.words and _is_all_adjectives(noun):
        return replace(term, noun=replace(noun, kind="pronoun")), following
    if known.kind != "named" or _is_all_adjectives(known):
        return term, following
    if owned := _find_owned(noun, known):  # "the cat's and the dog's bowls"
        return replace(term, noun=replace(noun, words=(*noun.words, *owned), tail=known.tail)), following
    if noun.kind == "bare" and known.ranking != UNRANKED:
        return _name_ranked(term, following, _rank_alike(noun, known.ranking), known)
    if _is_all_adjectives(noun) and known.words[0] in ADJECTIVES and not term.modifiers:
        words = (*noun.words, *_drop_adjectives(known.words))
        return replace(term, noun=replace(noun, words=words, tail=known.tail)), following
    return term, following


def _find_owned(noun: Noun, known: Noun) -> tuple[str, ...]:
    """Return what a possessive without its noun has: what that of a neighbour has; () where that is not so."""
    owners = [i for i, word in enumerate(known.words[:-1]) if _is_possessive(word)]
    return known.words[owners[-1] + 1 :] if owners and noun.words and _is_possessive(noun.words[-1]) else ()


def _is_possessive(word: str) -> bool:
    return word.endswith(("'s", "s'"))


def _name_ranked(term: Term, following: Term, noun: Noun, known: Noun) -> tuple[Term, Term]:
    """'The first and the third stars' are one each, counted from the same side."""
    # "the two largest stars" stay many
    last = known.words[-1] if known.ranking.number else to_singular(known.words[-1])
    one = replace(known, words=(*known.words[:-1], last))
    named = replace(noun, kind="named", words=one.words, tail=known.tail)
    modifiers = term.modifiers or following.modifiers
    return replace(term, noun=named, modifiers=modifiers), replace(following, noun=one)


def _rank_alike(noun: Noun, ranking: Ranking) -> Noun:
    """'The second and the third largest': the second largest."""
    counted_alone = noun.ranking.ordinal and not noun.ranking.superlative and not noun.ranking.side
    if not counted_alone or ranking.ordinal is None:
        return noun
    return replace(noun, ranking=replace(noun.ranking, superlative=ranking.superlative))


def _name_before(term: Term, previous: Term) -> Term:
    noun, known = term.noun, previous.noun
    if noun is None or known is None or noun.kind not in ("pronoun", "bare"):
        return term
    if known.kind == "bare" and known.ranking.superlative:  # "the second largest and the third"
        return replace(term, noun=_rank_alike(noun, known.ranking))
    if known.kind != "named":
        return term
    words = (*noun.words, *_drop_adjectives(known.words)) if noun.words else known.words
    # "the second largest cup and the third": the third largest
    noun = _rank_alike(noun, known.ranking) if noun.kind == "bare" and known.ranking.superlative else noun
    return replace(term, noun=replace(noun, kind="named", words=words))


# coordination


def merge_alternatives(coordination: Coordination) -> Coordination:
    """'That are red | and striped', 'not a star | or a ring', 'on the mat | or the car' are one term."""
    terms: list[Term] = []
    for term in coordination.terms:
        last = terms[-1].modifiers[-1] if terms and terms[-1].modifiers else None
        extended = None if last is None else _extend_modifier(last, term, alternative=coordination.alternative)
        if extended is None:
            terms.append(term)
        else:
            terms[-1] = replace(terms[-1], modifiers=(*terms[-1].modifiers[:-1], *extended))
    return replace(coordination, terms=tuple(terms))


def check_scope(terms: Sequence[Term]) -> None:
    """Raise QuerySyntaxError where a noun may belong to what is said of the one before it.

    'The man with a hat and a scarf' may have both, and so may 'the cup on the table and chair' be on either; a noun
    with an article of its own, or that more is said of, stands for itself.
    """
    for previous, term in pairwise(terms):
        first, second = previous.noun, term.noun
        if previous.modifiers and _is_between_two(previous.modifiers[-1]) and not term.modifiers:
            raise QuerySyntaxError("between more than two")
        if first is not None and first.mutual and second is not None and _is_plain(second):
            raise QuerySyntaxError("what 'and' joins is not clear")  # "touching circles and squares"
        if first is None or second is None or term.modifiers or not _is_bare_name(second):
            continue
        inner = first.tail.split(" ")[1:2] if first.tail and not previous.modifiers else []
        last = _find_last_term(previous.modifiers[-1]) if previous.modifiers else None
        if last is not None and last.noun is not None:
            inner = [last.noun.determiner]
        two_of_one = second.determiner in ("a", "an") and first.tail != "" and inner in (["a"], ["an"])
        one_article = not second.determiner and inner not in ([], [""])
        one_article = one_article and (bool(first.determiner) or inner[0] in ("a", "an", "the"))
        if two_of_one or one_article or (previous.modifiers and _wears(previous.modifiers[-1], second)):
            raise QuerySyntaxError("what 'and' joins is not clear")


def _is_between_two(modifier: Modifier) -> bool:
    return isinstance(modifier.what, Relationship) and modifier.what.other is not None


def _wears(modifier: Modifier, noun: Noun) -> bool:
    """'The man in a black suit and a white shirt' may wear both."""
    return _is_outfit(modifier) and bool({noun.words[-1], to_singular(noun.words[-1])} & CLOTHES)


def _is_bare_name(noun: Noun) -> bool:
    return noun.kind == "named" and noun.ranking == UNRANKED and not noun.tail


def _extend_modifier(modifier: Modifier, term: Term, *, alternative: bool) -> list[Modifier] | None:
    """Return the modifier with a term that follows it; None where that term stands for itself."""
    if term.noun is None:
        return None
    match modifier.what:
        case Location() | Relationship() if alternative and _is_all_adjectives(term.noun) and not term.noun.determiner:
            description = Modifier(Description((term.noun,)), verb=modifier.verb, alternative=True)
            return [modifier, description, *term.modifiers]
        case Relationship(_, to, None) if to.noun and to.noun.determiner.startswith("both") and not alternative:
            return [modifier, _replace_last_term(modifier, term)]
        case Lack(lacked) if term.noun.determiner in ("", "a", "an") and _is_bare_name(term.noun):
            return _extend_lack(modifier, lacked, term, alternative=alternative)
        case Content() if term.noun.kind == "named" and term.noun.determiner in ("", "a", "an"):
            raise QuerySyntaxError("what 'and' joins is not clear")  # "containing two apples and a banana"
        case Description(nouns):
            return _extend_description(modifier, nouns, term.noun, term.modifiers, alternative=alternative)
        case Relationship() if alternative and term.noun.determiner and _is_related(term):
            return None  # "the cat on the sofa or the dog on the rug"
        case Relationship(_, to, None) | Relationship(_, _, Term() as to) if alternative:
            either = Term(Noun("among", among=Coordination((to, term), alternative=True)))
            return [_replace_last_term(modifier, either)]
    return None


def _is_related(term: Term) -> bool:
    return any(isinstance(modifier.what, Relationship) and not modifier.verb for modifier in term.modifiers)


def _extend_lack(modifier: Modifier, lacked: Noun, term: Term, *, alternative: bool) -> list[Modifier] | None:
    """'Without a lid or a handle' lacks both; what 'without a lid and a handle' lacks is not clear."""
    noun = cast(Noun, term.noun)
    if alternative:
        return [modifier, replace(modifier, what=Lack(noun)), *term.modifiers]
    if noun.determiner or not lacked.determiner:
        raise QuerySyntaxError("what 'and' joins is not clear")
    return None


def _extend_description(
    modifier: Modifier, nouns: tuple[Noun, ...], noun: Noun, modifiers: tuple[Modifier, ...], *, alternative: bool
) -> list[Modifier] | None:
    """Return 'that are red' with 'or blue', or 'and striped', after it."""
    alike = _is_all_adjectives(noun) and not noun.determiner and all(map(_is_adjective, nouns))
    alike_nouns = modifier.negated and not noun.determiner and not nouns[-1].determiner
    if alternative or (modifier.negated and (alike or alike_nouns)):
        return [replace(modifier, what=Description((*nouns, noun))), *modifiers]
    return [modifier, replace(modifier, what=Description((noun,))), *modifiers] if alike else None


def factor_shared_modifiers(coordination: Coordination) -> Coordination:
    """Set apart what is said of all terms: 'dogs and cats | left of the tree', 'the two largest | dogs and cats'.

    That is the case where only the first term has an article or a ranking, and only the last one modifiers.
    """
    first, *others = coordination.terms
    last = coordination.terms[-1].modifiers
    one_phrase = all(_is_plain(term.noun) for term in others)
    of_all = bool(last) and (last[0].main or _is_of_each_other(last[0]))
    if not (one_phrase or of_all) or any(term.modifiers for term in coordination.terms[:-1]):
        return coordination
    ranking = first.noun.ranking if first.noun and one_phrase and first.noun.ranking.superlative else UNRANKED
    if ranking == UNRANKED and not last:
        return coordination
    if ranking != UNRANKED and _tell_number(first.noun) == "one" and not coordination.alternative:
        # 'the largest circle and square' are the largest circle and the largest square
        each = (Term(replace(cast(Noun, term.noun), ranking=ranking), last) for term in coordination.terms)
        return replace(coordination, terms=tuple(each))
    # The ranking and the modifiers are said once, of all terms.
    plain = [replace(term, modifiers=()) for term in coordination.terms]
    if ranking != UNRANKED:
        plain[0] = replace(first, noun=replace(cast(Noun, first.noun), ranking=UNRANKED))
    return replace(coordination, terms=tuple(plain), shared=Term(Noun("bare", ranking=ranking), last))


def _is_plain(noun: Noun | None) -> bool:
    return noun is not None and not noun.determiner and noun.ranking == UNRANKED


# attachment


def attach_modifiers(term: Term) -> Term:
    """A main verb speaks of the outermost noun, and 'that are' of one that is plural, however near another one is."""
    modifiers: list[Modifier] = []
    for modifier in term.modifiers:
        inner = _find_last_term(modifier)
        if inner is None:
            modifiers.append(modifier)
            continue
        inner = attach_modifiers(inner)
        stays = next((i for i, after in enumerate(inner.modifiers) if _belongs_to(term, inner, after)), None)
        if _is_outfit(modifier):  # 'the man in the red shirt to the left of the tree'
            stays = 0
        kept = inner.modifiers[:stays]
        modifiers += [_replace_last_term(modifier, replace(inner, modifiers=kept)), *inner.modifiers[len(kept) :]]
    return replace(term, modifiers=tuple(modifiers))


def _belongs_to(outer: Term, inner: Term, modifier: Modifier) -> bool:
    if inner.noun is None or not modifier.verb:
        return False
    # "circles left of the square that are red": a square cannot be meant by "are"
    number = {"is": "one", "are": "many"}[modifier.verb]
    return modifier.main or (_tell_number(inner.noun) not in ("", number) and _tell_number(outer.noun) in ("", number))


def _find_last_term(modifier: Modifier) -> Term | None:
    match modifier.what:
        case Relationship(_, to, other):
            return other or to
        case Proximity(_, to) | DistanceTarget(to):
            return to
    return None


def _replace_last_term(modifier: Modifier, term: Term) -> Modifier:
    match modifier.what:
        case Relationship(other=Term()) as related:
            return replace(modifier, what=replace(related, other=term))
        case Relationship() | Proximity() | DistanceTarget() as what:
            return replace(modifier, what=replace(what, to=term))
    return modifier


# adjectives


def absorb_adjectives(term: Term) -> Term:
    """'Stars that are red' are red stars.

    'The second star on the left' is the second one from the left, and the last one on the left is the first from there.
    """
    noun = cast(Noun, term.noun)
    counted = (noun.ranking.ordinal or noun.ranking.last) and not noun.ranking.superlative
    counted = counted and not any(isinstance(modifier.what, CountingStart) for modifier in term.modifiers)
    # What is one of two ways to fit cannot become an adjective, which has to fit.
    alternatives = [modifier for pair in pairwise(term.modifiers) if pair[1].alternative for modifier in pair]
    modifiers: list[Modifier] = []
    for modifier in term.modifiers:
        match modifier.what:
            case Location(place) if modifier not in alternatives and _is_outermost(noun, modifier):
                modifiers.append(Modifier(Location(f"far {place}")))
            case Location(place) if counted and place in OUTERMOST_BY_SIDE:
                ranking = replace(noun.ranking, ordinal=noun.ranking.ordinal or 1, last=False)
                noun = replace(noun, ranking=ranking)
                modifiers.append(Modifier(CountingStart(place)))
            case Description((said,)) if not modifier.negated and modifier not in alternatives and _is_adjective(said):
                noun = replace(noun, words=(*said.words, *noun.words))
            case Relationship("in", Term(Noun() as worn, ())) if _is_outfit(modifier):
                noun = replace(noun, tail=" ".join([noun.tail, "in", worn.determiner, *worn.words]))
            case Description(nouns):
                noun, description = _describe_noun(noun, modifier, nouns)
                modifiers.append(description)
            case _:
                modifiers.append(modifier)
    return replace(term, noun=noun, modifiers=tuple(modifiers))


def _is_outermost(noun: Noun, modifier: Modifier) -> bool:
    """'The two cups on the right' are the two rightmost, and 'the cup on top' is the topmost."""
    location = cast(Location, modifier.what)
    if modifier.negated or location.is_part or location.place not in OUTERMOST_BY_SIDE:
        return False
    if _is_only_number(noun.ranking):
        return noun.ranking.number != 1
    one = _tell_number(noun) == "one" or (noun.kind == "pronoun" and not noun.many)
    return location.on_top and one and noun.ranking == UNRANKED


def _describe_noun(noun: Noun, modifier: Modifier, nouns: tuple[Noun, ...]) -> tuple[Noun, Modifier]:
    """Return the noun and what describes it, where that stays apart."""
    if len(nouns) == 1 and nouns[0].kind == "bare" and _is_only_number(noun.ranking) and not modifier.negated:
        # 'Two stars that are the largest' are two, but 'which of the two stars is larger' asks for one.
        ranked = nouns[0]
        ranking = ranked.ranking if modifier.verb == "is" else _merge_rankings(noun.ranking, ranked.ranking)
        description = Description((replace(ranked, ranking=ranking),))
        return replace(noun, ranking=UNRANKED), replace(modifier, what=description)
    if all(map(_is_adjective, nouns)):
        ones = tuple(replace(adjective, kind="pronoun") for adjective in nouns)
        return noun, replace(modifier, what=Description(ones))
    return noun, modifier


def set_sizes_apart(term: Term) -> Term:
    """'The small red ones' are red ones, and small among them."""
    noun = cast(Noun, term.noun)
    if noun.kind not in ("pronoun", "rest", "them"):
        return term
    sizes = tuple(word for word in noun.words if word in SIZES)
    words = tuple(word for word in noun.words if word not in SIZES)
    return replace(term, noun=replace(noun, words=words, sizes=sizes))


# rankings and alternatives


def collect_rankings(term: Term) -> Term:
    """Everything that ranks, wherever it is said, is said before the noun; and what distances are measured to is apart.

    The modifiers stay; `group_alternatives` drops those that say no more than that.
    """
    noun = cast(Noun, term.noun)
    ranking, to = noun.ranking, None
    for what in [modifier.what for modifier in term.modifiers if not modifier.negated]:
        match what:
            case Proximity(near, near_to):
                ranking, to = _merge_rankings(ranking, near), near_to
            case DistanceTarget(target):
                to = target
            case CountingStart(side, ordinal):
                if noun.kind == "bare" and not noun.determiner and _is_only_number(ranking):
                    raise QuerySyntaxError("two, or the second?")  # "2 from left"
                ranking = _count_from(side, _merge_rankings(ranking, ordinal))
            case Location(place) if place.startswith("far "):
                ranking = _merge_rankings(ranking, Ranking(side=place))
    return replace(term, noun=replace(noun, ranking=ranking), distance_to=to)


def _count_from(side: str, ranking: Ranking) -> Ranking:
    """Return the ranking with where it counts from. Raises QuerySyntaxError where nothing is counted."""
    superlative = OUTERMOST_BY_SIDE.get(side.removeprefix("far "), "?")
    ranking = _merge_rankings(ranking, Ranking(superlative=superlative))
    counted = ranking.ordinal or ranking.number or ranking.last or ranking.every
    if superlative == "?" or not counted:
        raise QuerySyntaxError(f"from the {side}")
    return ranking


def _merge_rankings(first: Ranking, second: Ranking) -> Ranking:
    """Return both as one. Raises QuerySyntaxError where they say the same sort of thing."""
    doubled = (first.superlative or first.side) and (second.superlative or second.side)
    if doubled or (first.ordinal and second.ordinal) or (first.every and second.every):
        raise QuerySyntaxError("two ways to rank at once")
    return Ranking(
        number=first.number or second.number,
        ordinal=first.ordinal or second.ordinal,
        last=first.last or second.last,
        superlative=first.superlative or second.superlative,
        side=first.side or second.side,
        every=first.every or second.every,
    )


def group_alternatives(term: Term) -> Term:
    """The modifiers in groups that all hold, each by one of its modifiers: the alternatives to the one before them.

    Raises:
        QuerySyntaxError: It is not clear what an 'or' joins.
    """
    # An "or" reaches as far back as the modifier before it; where more could be meant, nothing is guessed.
    groups: list[list[Modifier]] = []
    for modifier in term.modifiers:
        if not modifier.alternative and not (groups and _are_opposite(groups[-1][-1], modifier)):
            groups.append([modifier])
        elif not groups or modifier.negated or isinstance(modifier.what, Proximity | DistanceTarget | CountingStart):
            raise QuerySyntaxError("or")
        elif groups[-1][-1].negated:  # 'not on the table or under the chair' is neither
            groups.append([replace(modifier, negated=True)])
        else:
            groups[-1].append(modifier)
    *others, last = groups or [[]]
    if any(len(group) > 1 for group in others) or (others and len(last) > 1 and not last[0].verb):
        raise QuerySyntaxError("or")
    # A ranking that is one of two ways to fit stays: it keeps all, which is what the other way is joined with.
    filters = [group for group in groups if len(group) > 1 or not ranks_only(group[0])]
    modifiers = (replace(modifier, alternative=i > 0) for group in filters for i, modifier in enumerate(group))
    return replace(term, modifiers=tuple(modifiers))


def ranks_only(modifier: Modifier) -> bool:
    """Whether a modifier leaves out nothing by itself."""
    match modifier.what:
        case Location(place):
            return place.startswith("far ") and not modifier.negated
        case Proximity() | DistanceTarget() | CountingStart():
            return True
    return False


def _are_opposite(first: Modifier, second: Modifier) -> bool:
    """'On the left and on the right': nothing is at both places, so that either is meant."""
    if not (isinstance(first.what, Location) and isinstance(second.what, Location)) or first.negated or second.negated:
        return False
    sides = {*first.what.place.split("_"), *second.what.place.split("_")}
    return sides >= {"left", "right"} or sides >= {"top", "bottom"}


# what words tell


def _tell_number(noun: Noun | None) -> str:
    """Return 'one', 'many', or '' where the noun does not tell."""
    return tell_number(noun.words[-1]) if noun is not None and noun.kind == "named" and noun.words else ""


def _drop_adjectives(words: Sequence[str]) -> list[str]:
    return drop_adjectives(" ".join(words)).split()


def _is_only_number(ranking: Ranking) -> bool:
    return ranking.number is not None and ranking == Ranking(number=ranking.number)


def _is_adjective(noun: Noun) -> bool:
    """Whether it can only say what something is like: no article, no plural."""
    alone = noun.kind == "named" and _is_plain(noun) and not noun.tail
    return alone and (_is_all_adjectives(noun) or not is_plural(noun.words[-1]))


def _is_all_adjectives(noun: Noun) -> bool:
    if noun.kind != "named" or noun.tail:
        return False
    return set(noun.words) <= ADJECTIVES and noun.words[-1] != "square"  # 'the red square' is a shape


def _is_outfit(modifier: Modifier) -> bool:
    """'The woman in red', 'the man in a white shirt': what follows 'in' describes, and is no place."""
    match modifier.what:
        case Relationship("in", Term(Noun("named", ranking=ranking, words=words))) if ranking == UNRANKED:
            return set(words) <= COLOURS or bool({words[-1], to_singular(words[-1])} & CLOTHES)
    return False


_LIKE_PREFIXES = ("inside", "under", "on", "in", "above", "below", "next_to")


def _is_like_a_name(modifier: Modifier) -> bool:
    """'Inside pocket' is more like a name than like whatever is inside one; 'inside the pocket' is not."""
    match modifier.what:
        case Relationship(relation, Term(Noun("named", "") as noun, ())) if relation in _LIKE_PREFIXES:
            plain = noun.ranking == UNRANKED and not modifier.verb and not modifier.negated
            described = noun.words[0] in ADJECTIVES or noun.words[0].endswith(("ed", "ing"))
            of_two = len(noun.words) > 1 and not described and relation != "next_to"
            return plain and (_tell_number(noun) == "one" or of_two)
        case Relationship(relation, Term(Noun("named", "the", words=words), ())) if relation in _LIKE_PREFIXES:
            # "under the sea poster" is printed, "under the poster" is a place
            return len(words) > 1 and words[0] not in ADJECTIVES and words[-1] in PRINTED - {"sign", "box", "shop"}
    return False


def _is_of_each_other(modifier: Modifier) -> bool:
    inner = _find_last_term(modifier)
    return inner is not None and inner.noun is not None and inner.noun.kind == "mutual"


def _is_mutual(modifier: Modifier) -> bool:
    """'Touching circles' touch each other, not just anything."""
    match modifier.what:
        case Relationship("touching" | "overlapping", Term(Noun("named", "") as noun)):
            return _tell_number(noun) == "many"
    return False
