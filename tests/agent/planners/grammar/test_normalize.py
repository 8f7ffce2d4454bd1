"""Example tables of the rewritings: a tree as it is said -> the tree that a plan is compiled from."""

import pytest

from agent.planners.grammar.parsing.lexer import tokenize
from agent.planners.grammar.parsing.normalize import (
    absorb_adjectives,
    attach_modifiers,
    collect_rankings,
    factor_shared_modifiers,
    group_alternatives,
    lift_superlative,
    merge_alternatives,
    name_answer_ones,
    name_by_neighbours,
    name_one,
    name_subject,
    name_what_exceptions_are_of,
    normalize,
    set_sizes_apart,
)
from agent.planners.grammar.parsing.parser import parse
from agent.planners.grammar.parsing.syntax import (
    UNRANKED,
    AnswerMembership,
    Coordination,
    CountingStart,
    Description,
    DistanceTarget,
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


def show_ranking(ranking: Ranking) -> str:
    parts = [ranking.number, ranking.ordinal and f"#{ranking.ordinal}", "last" * ranking.last]
    return " ".join(str(part) for part in (*parts, ranking.superlative, ranking.side) if part)


def show_noun(noun: Noun | None) -> str:
    """A noun on one line: kind (but for 'named'), ranking, words, what it lacks, its tail and the sizes apart."""
    if noun is None:
        return "-"
    kind = "" if noun.kind == "named" else noun.kind
    among = "" if noun.among is None else show_coordination(noun.among)
    lacks = [f"non-{word}" for word in noun.non]
    ranking = f"[{show_ranking(noun.ranking)}]" if noun.ranking != UNRANKED else ""
    sizes = f"<{' '.join(noun.sizes)}>" if noun.sizes else ""
    return " ".join(filter(None, [kind, ranking, *lacks, *noun.words, *noun.tail.split(), sizes, among]))


def show_modifier(modifier: Modifier) -> str:
    sign = "or " * modifier.alternative + "not " * modifier.negated
    match modifier.what:
        case Location(place):
            return f"{sign}at {place}"
        case Relationship(relation, to, other):
            return f"{sign}{relation} {show_term(to)}{'' if other is None else f' and {show_term(other)}'}"
        case Description(nouns):
            return f"{sign}is {' or '.join(map(show_noun, nouns))}"
        case Proximity(ranking, to):
            return f"{sign}[{show_ranking(ranking)}] to {show_term(to)}"
        case DistanceTarget(to):
            return f"{sign}to {show_term(to)}"
        case CountingStart(side, ordinal):
            return f"{sign}[{show_ranking(ordinal)}] from {side}"
        case AnswerMembership():
            return f"{sign}of them"


def show_term(term: Term) -> str:
    to = "" if term.distance_to is None else f" (to {show_term(term.distance_to)})"
    return f"({'; '.join([show_noun(term.noun), *map(show_modifier, term.modifiers)])}){to}"


def show_coordination(coordination: Coordination) -> str:
    terms = (" | " if coordination.alternative else " + ").join(map(show_term, coordination.terms))
    return terms if coordination.shared is None else f"{{{terms}}} {show_term(coordination.shared)}"


def show(selection: Selection) -> str:
    ranking = f"[{show_ranking(selection.ranking)}] of " if selection.ranking != UNRANKED else ""
    minus = "".join(f" - {show_coordination(minus)}" for minus in selection.minus)
    return f"{'count ' * selection.counts}{ranking}{show_coordination(selection.first)}{minus}"


def read(query: str, *, in_conversation: bool = False) -> Selection:
    return parse(tokenize(query, in_conversation=in_conversation))


SELECTIONS = {
    name_what_exceptions_are_of: {
        "all but the largest circle": ("(everything) - ([LARGEST] circle)", "(circle) - ([LARGEST] circle)"),
        "everything but the largest circle": ("(everything) - ([LARGEST] circle)", "(everything) - ([LARGEST] circle)"),
        "all but the circles": ("(everything) - (circles)", "(everything) - (circles)"),
    },
    lift_superlative: {
        "the largest shape except the star": ("([LARGEST] shape) - (star)", "[LARGEST] of (shape) - (star)"),
        "the two largest shapes except the star": ("([2 LARGEST] shapes) - (star)", "([2 LARGEST] shapes) - (star)"),
        "the largest shape": ("([LARGEST] shape)", "([LARGEST] shape)"),
    },
}
COORDINATIONS = {
    merge_alternatives: {
        "not a star or a ring": ("(-; not is star) | (ring)", "(-; not is star or ring)"),
        "cups on the mat or the car": ("(cups; on (mat)) | (car)", "(cups; on (among (mat) | (car)))"),
        "cups on the mat and the car": ("(cups; on (mat)) + (car)", "(cups; on (mat)) + (car)"),
        "left of both the star and the ring": ("(-; left_of (star)) + (ring)", "(-; left_of (star); left_of (ring))"),
        "cups that are on the left or red": ("(cups; at left) | (red)", "(cups; at left; or is red)"),
    },
    factor_shared_modifiers: {
        "dogs and cats left of the tree": (
            "(dogs) + (cats; left_of (tree))",
            "{(dogs) + (cats)} (bare; left_of (tree))",
        ),
        "dogs and the cats left of the tree": (
            "(dogs) + (cats; left_of (tree))",
            "(dogs) + (cats; left_of (tree))",
        ),
        "the two largest dogs and cats": (
            "([2 LARGEST] dogs) + (cats)",
            "{(dogs) + (cats)} (bare [2 LARGEST])",
        ),
        "the largest circle and square": (
            "([LARGEST] circle) + (square)",
            "([LARGEST] circle) + ([LARGEST] square)",
        ),
    },
}
TERMS = {
    name_one: {
        "red": ("(red)", "(pronoun red)"),
        "the red": ("(red)", "(pronoun red)"),
        "the light": ("(light)", "(light)"),
        "square": ("(square)", "(square)"),
    },
    attach_modifiers: {
        "circles left of the square that are red": (
            "(circles; left_of (square; is red))",
            "(circles; left_of (square); is red)",
        ),
        "the circle above the square left of the star": (
            "(circle; above (square; left_of (star)))",
            "(circle; above (square; left_of (star)))",
        ),
        "the man in the red shirt to the left of the tree": (
            "(man; in (red shirt; left_of (tree)))",
            "(man; in (red shirt); left_of (tree))",
        ),
    },
    absorb_adjectives: {
        "stars that are red": ("(stars; is red)", "(red stars)"),
        "stars that are not red": ("(stars; not is red)", "(stars; not is pronoun red)"),
        "the second star on the left": ("([#2] star; at left)", "([#2] star; [] from left)"),
        "the last star on the left": ("([last] star; at left)", "([#1] star; [] from left)"),
        "the woman in red": ("(woman; in (red))", "(woman in red)"),
        "which two stars are the largest": ("([2] stars; is bare [LARGEST])", "(stars; is bare [2 LARGEST])"),
    },
    collect_rankings: {
        "the star second closest to the ring": (
            "(star; [#2 NEAREST] to (ring))",
            "([#2 NEAREST] star; [#2 NEAREST] to (ring)) (to (ring))",
        ),
        "the closest dog to the tree": (
            "([NEAREST] dog; to (tree))",
            "([NEAREST] dog; to (tree)) (to (tree))",
        ),
        "third star from the bottom": (
            "([#3] star; [] from bottom)",
            "([#3 BOTTOMMOST] star; [] from bottom)",
        ),
        "the star on the far left": ("(star; at far left)", "([far left] star; at far left)"),
    },
    group_alternatives: {
        "cups on or under the table": ("(cups; on (table); or under (table))", "(cups; on (table); or under (table))"),
        "cups not on the table or under the chair": (
            "(cups; not on (table); or under (chair))",
            "(cups; not on (table); not under (chair))",
        ),
        "the stars on the left and on the right": ("(stars; at left; at right)", "(stars; at left; or at right)"),
        "third star from the bottom": ("([#3] star; [] from bottom)", "([#3] star)"),
    },
    set_sizes_apart: {
        "the small red ones": ("(pronoun small red)", "(pronoun red <small>)"),
        "the small red cups": ("(small red cups)", "(small red cups)"),
    },
}
NEIGHBOURS = {
    "the largest and the smallest star": (
        ["(bare [LARGEST])", "([SMALLEST] star)"],
        ["([LARGEST] star)", "([SMALLEST] star)"],
    ),
    "red and blue stars": (["(red)", "(blue stars)"], ["(red stars)", "(blue stars)"]),
    "the red star and the blue one": (["(red star)", "(pronoun blue)"], ["(red star)", "(blue star)"]),
    "the first and the third stars from the left": (
        ["(bare [#1])", "([#3] stars; [] from left)"],
        ["([#1] star; [] from left)", "([#3] star; [] from left)"],
    ),
    "the second and the third largest star": (
        ["(bare [#2])", "([#3 LARGEST] star)"],
        ["([#2 LARGEST] star)", "([#3 LARGEST] star)"],
    ),
}
WHOLE = {
    "the star between the red and the blue square": "(star; between (red square) and (blue square))",
    "which star is closest to the ring?": "([NEAREST] star) (to (ring))",
    "the leftmost star above the green square": "([LEFTMOST] star; above (green square))",
    "how many circles left of the square are red?": "count (red circles; left_of (square))",
    "left of the square": "(everything; left_of (square))",
    "the largest of the dogs and cats": "(among [LARGEST] (dogs) + (cats))",
    "circles and squares left of the star": "{(circles) + (squares)} (bare; left_of (star))",
    "circles, but not red": "(circles) - (pronoun red)",
}


@pytest.mark.parametrize("rewrite", SELECTIONS, ids=lambda rewrite: rewrite.__name__)
def test_selections_are_rewritten(rewrite):
    trees = {query: read(query) for query in SELECTIONS[rewrite]}
    assert {query: (show(tree), show(rewrite(tree))) for query, tree in trees.items()} == SELECTIONS[rewrite]


@pytest.mark.parametrize("rewrite", COORDINATIONS, ids=lambda rewrite: rewrite.__name__)
def test_coordinations_are_rewritten(rewrite):
    trees = {query: read(query).first for query in COORDINATIONS[rewrite]}
    found = {query: (show_coordination(tree), show_coordination(rewrite(tree))) for query, tree in trees.items()}
    assert found == COORDINATIONS[rewrite]


@pytest.mark.parametrize("rewrite", TERMS, ids=lambda rewrite: rewrite.__name__)
def test_terms_are_rewritten(rewrite):
    trees = {query: read(query, in_conversation=True).first.terms[0] for query in TERMS[rewrite]}
    assert {query: (show_term(tree), show_term(rewrite(tree))) for query, tree in trees.items()} == TERMS[rewrite]


def test_a_noun_that_is_left_out_is_that_of_a_neighbour():
    found = {query: (terms, name_by_neighbours(terms)) for query in NEIGHBOURS if (terms := read(query).first.terms)}
    shown = {query: tuple([*map(show_term, terms)] for terms in pair) for query, pair in found.items()}
    assert shown == NEIGHBOURS


def test_what_has_no_noun_is_everything_or_in_a_conversation_the_ones_before():
    [term] = read("left of the square").first.terms
    assert show_term(name_subject(term, in_conversation=False)) == "(everything; left_of (square))"
    assert show_term(name_subject(term, in_conversation=True)) == "(pronoun; left_of (square))"


def test_an_adjective_alone_is_some_of_the_answer_in_a_conversation():
    colours, things = read("red").first, read("the olive").first
    assert show_coordination(name_answer_ones(colours, articles=False)) == "(pronoun red)"
    assert show_coordination(name_answer_ones(things, articles=False)) == "(olive)"
    assert show_coordination(name_answer_ones(things, articles=True)) == "(pronoun olive)"


def test_whole_queries_are_normalised():
    assert {query: show(normalize(read(query))) for query in WHOLE} == WHOLE


@pytest.mark.parametrize("query", WHOLE)
def test_no_noun_is_missing_and_no_modifier_only_ranks_afterwards(query):
    for term in normalize(read(query)).first.terms:
        assert term.noun is not None
        assert not any(isinstance(modifier.what, Proximity | CountingStart) for modifier in term.modifiers)


@pytest.mark.parametrize(
    "query",
    [
        "touching circles and squares",
        "circles left of the star and right of the ring or above the square",
        "circles that are red or nearest to the star",
        "the largest star closest to the ring",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(query):
    with pytest.raises(QuerySyntaxError):
        normalize(read(query))
