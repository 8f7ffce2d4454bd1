"""What the grammar says of a text: the one noun phrase that it is, or why it is none."""

import re
import unicodedata

from agent.planners.grammar.interpretation import Interpretation, interpret_query
from agent.planners.grammar.nouns import split_possessive
from agent.planners.grammar.plan import (
    Counted,
    Difference,
    Inscribed,
    Lacking,
    Located,
    Phrase,
    Plan,
    Ranked,
    Related,
    Union,
    target_phrases,
)
from agent.planners.grammar.vocabulary import ANYTHING
from engine.phrases.languages import find_foreign_word
from engine.phrases.refusals import PhraseRefusedError

MAX_LETTERS = 80
"""Of a phrase. SAM 3 reads 32 tokens, about twice as many letters."""
MAX_WORDS = 10
_INITIALS = re.compile(r"\b((?:[A-Za-z]\.){2,})")
_ITS_WORDS = {"it", "its", "one", "ones", "they", "them", "this", "that", "those", "these", "something", "anything"}


def read_noun_phrase(text: str) -> tuple[str, tuple[str, ...]]:
    r"""Read a text as one noun phrase.

    Args:
        text: Any text, with line breaks, capitals, quotes and the like.

    Returns:
        The phrase as SAM 3 gets it, and what was changed beside its form.

    Raises:
        PhraseRefusedError: It is empty, long, in another language, or more or less than one noun phrase.

    >>> read_noun_phrase("The Red\nCups"), read_noun_phrase("scissors")
    (('red cup', ()), ('scissors', ()))
    >>> read_noun_phrase("my dog's bowl")
    ('bowl', ("its owner 'dog' was left out",))
    >>> read_noun_phrase("3 dogs")
    Traceback (most recent call last):
    engine.phrases.refusals.PhraseRefusedError: it says how many; the phrase without that is 'dog'
    """
    plain = _tidy_text(text)
    if foreign := find_foreign_word(plain):
        raise PhraseRefusedError("language", f"{foreign!r} is not English, and SAM 3 reads English")
    phrase = _take_phrase(plain, interpret_query(plain))
    owned = split_possessive(phrase)
    if owned is None:
        return phrase, ()
    owner, thing = owned
    return thing, (f"its owner {owner!r} was left out",)


def _tidy_text(text: str) -> str:
    """Return the text on one line, without controls. Raise PhraseRefusedError where nothing or too much is left."""
    shown = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)
    plain = " ".join(unicodedata.normalize("NFKC", shown).split())
    plain = _INITIALS.sub(lambda found: found[0].replace(".", ""), plain)
    if not any(letter.isalpha() for letter in plain):
        raise PhraseRefusedError("empty", "it has no letters")
    if len(plain) > MAX_LETTERS or len(plain.split()) > MAX_WORDS:
        raise PhraseRefusedError(
            "too_long",
            f"it has {len(plain)} letters in {len(plain.split())} words; a phrase has at most {MAX_LETTERS} in"
            f" {MAX_WORDS}",
        )
    return plain


def _take_phrase(text: str, read: Interpretation) -> str:
    plan = read.plan
    if plan is None:
        pronoun = {*re.findall(r"\w+", text.casefold())} <= _ITS_WORDS
        raise PhraseRefusedError("pronoun" if pronoun else "sentence", "it names no kind of thing")
    if not read.complete:
        raise PhraseRefusedError("sentence", f"it is more than a noun phrase; {_name_rest(plan)}")
    if not isinstance(plan, Phrase):
        raise _explain_plan(plan)
    if plan.text == ANYTHING and ANYTHING not in text.casefold():
        raise PhraseRefusedError("pronoun", "it names no kind of thing")
    if len(plan.text) < 2:
        raise PhraseRefusedError("empty", f"of it, only the letter {plan.text!r} would be left")
    return plan.text


def _explain_plan(plan: Plan) -> PhraseRefusedError:
    """Return why a plan is more than a noun phrase."""
    rest = _name_rest(plan)
    match plan:
        case Ranked(by="score") | Counted():
            return PhraseRefusedError("count", f"it says how many; {rest}")
        case Ranked(Phrase(text), by=("x" | "y")) if text == ANYTHING:
            return PhraseRefusedError("position", f"it says where, not what; {rest}")
        case Ranked():
            return PhraseRefusedError("rank", f"it chooses among several; {rest}")
        case Located():
            return PhraseRefusedError("position", f"it says where; {rest}")
        case Related() | Lacking():
            return PhraseRefusedError("relation", f"it relates things to each other; {rest}")
        case Inscribed():
            return PhraseRefusedError("text", f"it names a text to be read; {rest}")
        case Union():
            named = ", ".join(repr(phrase.text) for phrase in target_phrases(plan)[:4])
            return PhraseRefusedError("several", f"it names several kinds of things: {named}")
        case Difference():
            return PhraseRefusedError("exclusion", f"it leaves something out; {rest}")
        case _:
            return PhraseRefusedError("condition", f"it sets a condition; {rest}")


def _name_rest(plan: Plan) -> str:
    heads = [phrase.text for phrase in target_phrases(plan) if phrase.text != ANYTHING]
    return f"the phrase without that is {heads[0]!r}" if heads else "without that it names no kind of thing"
