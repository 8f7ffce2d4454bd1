"""The syntax of a query: a tree of selections, terms, nouns and modifiers, as they are said."""

from dataclasses import dataclass


class QuerySyntaxError(ValueError):
    """The query goes beyond the grammar. The message names the first words that do not fit."""


@dataclass(frozen=True)
class Ranking:
    """What chooses among many: 'the second largest', 'two', 'the left'."""

    number: int | None = None
    ordinal: int | None = None
    """Counts from 1; from the end where `last`."""
    last: bool = False
    superlative: str = ""
    """A terminal of the grammar: 'LARGEST' … 'BOTTOMMOST', 'NEAREST', 'FARTHEST'."""
    side: str = ""
    """'left', 'top_right', 'middle' …, of a noun that follows."""
    every: tuple[int, int] | None = None
    """'Every other': the first place that is meant, counting from 1, and the step to the next."""


UNRANKED = Ranking()


@dataclass(frozen=True)
class Noun:
    """A noun phrase, as said."""

    kind: str = "named"
    """'named', 'pronoun' (one, those), 'everything', 'bare' (the largest), 'among' (the largest of `among`).

    'mutual' is 'each other'.
    In a conversation also 'numbered' (number 3), 'them', 'it', 'rest' (the others) and 'rest_of' (the other cups).
    """
    determiner: str = ""
    ranking: Ranking = UNRANKED
    """Normalised: everything that ranks, wherever it was said."""
    words: tuple[str, ...] = ()
    """Adjectives and noun, without the pronoun."""
    non: tuple[str, ...] = ()
    """Adjectives after 'non'."""
    tail: str = ""
    """'with a hole', 'of coffee'."""
    among: "Coordination | None" = None
    many: bool = False
    """Whether a pronoun is plural."""
    mask_ids: tuple[int, ...] = ()
    mutual: str = ""
    """'touching' or 'overlapping', of 'the touching cups': how each of them lies to another one."""
    sizes: tuple[str, ...] = ()
    """Normalised: adjectives that compare masks of an answer with each other, as in 'the small red ones'."""


@dataclass(frozen=True)
class Location:
    """A place in the image: 'on the left'."""

    place: str
    """'left', 'top_right', 'middle' …, or 'far left'."""
    is_part: bool = False
    """Whether it names a part of the image: 'in the left half', 'in the corner'."""
    on_top: bool = False
    """Whether it is 'on top', of a pile as it were, and not 'at the top'."""


@dataclass(frozen=True)
class Relationship:
    """How something lies to something else: 'left of the tree'."""

    relation: str
    """A relation of `agent.tools.geometry.terms`, or 'in'."""
    to: "Term"
    other: "Term | None" = None


@dataclass(frozen=True)
class Lack:
    """What something has none of: 'without a lid'."""

    noun: Noun


@dataclass(frozen=True)
class Content:
    """How many of something are in it: 'containing three apples'."""

    noun: Noun
    least: int
    most: int | None


@dataclass(frozen=True)
class Inscription:
    """What something says: 'that says milk'."""

    text: str
    guessed: bool = False
    """Whether it had no quotes and could have been meant to end elsewhere."""


@dataclass(frozen=True)
class Description:
    """What something is: 'that are red', 'is the largest', 'not a star'."""

    nouns: tuple[Noun, ...]
    """Any of them: 'that are red or blue'."""
    adjectives_only: bool = False
    """Normalised: all of it are adjectives, so that the noun with them is all that has to be found."""


@dataclass(frozen=True)
class Proximity:
    """'closest to the tree', 'second farthest from it'."""

    ranking: Ranking
    to: "Term"


@dataclass(frozen=True)
class AnswerMembership:
    """Being among what was spoken of before: 'of them'."""


@dataclass(frozen=True)
class DistanceTarget:
    """What an earlier 'closest' is measured to: 'the closest dog to the tree'."""

    to: "Term"


@dataclass(frozen=True)
class CountingStart:
    """Where counting starts: 'from the left'."""

    side: str
    ordinal: Ranking = UNRANKED


@dataclass(frozen=True)
class Modifier:
    """What is said of a noun, beside its adjectives."""

    what: (
        Location
        | Relationship
        | Lack
        | Content
        | Inscription
        | Description
        | Proximity
        | DistanceTarget
        | CountingStart
        | AnswerMembership
    )
    negated: bool = False
    verb: str = ""
    """'is' or 'are', where the modifier has a verb."""
    main: bool = False
    """The verb has no 'that' or 'which' before it: it is the main verb of a question."""
    alternative: bool = False
    """Joined by 'or' to the modifier before it. Normalised: one of these has to hold, instead of all."""


@dataclass(frozen=True)
class Term:
    """A noun with its modifiers."""

    noun: Noun | None
    """None where only modifiers are said: 'left of the square'. Normalised: never None."""
    modifiers: tuple[Modifier, ...] = ()
    """Normalised: only those that filter; what ranks is in the noun's ranking."""
    distance_to: "Term | None" = None
    """Normalised: what 'nearest' and 'farthest' are measured to."""


@dataclass(frozen=True)
class Coordination:
    """Terms joined by 'and', 'or' or a comma."""

    terms: tuple[Term, ...]
    alternative: bool = False
    """Joined by 'or'."""
    shared: Term | None = None
    """Normalised: what is said of all terms together, as a noun without words: '… left of the tree'."""


@dataclass(frozen=True)
class Selection:
    """A whole query."""

    first: Coordination
    minus: tuple[Coordination, ...] = ()
    """What is left out, in turn."""
    counts: bool = False
    """Whether it asks how many there are."""
    ranking: Ranking = UNRANKED
    """Normalised: what ranks all that is left after the exclusions."""
