"""The rules by which phrases of an engine are cleaned: the lists that ship, its user's own, and what people flagged."""

from collections.abc import Sequence
from dataclasses import replace
from sys import maxsize

from engine.phrases.hygiene import CleanedPhrases, HygieneRules, clean_phrases
from engine.phrases.word_lists import read_block_list, read_groundable_words
from engine.project.ontologies import load_engine_ontology
from engine.store.store import EngineStore


def load_engine_rules(store: EngineStore) -> HygieneRules:
    """Load the rules of an engine.

    Raises:
        EngineError: A list, or the ontology, is gone from the engine's folder or was changed to something else.
    """
    settings, ontology = store.read_settings(), load_engine_ontology(store)
    rules = HygieneRules(flagged=frozenset(store.find_blocked_phrases()))
    if settings.blocked:
        rules = replace(rules, blocked=rules.blocked.extend(read_block_list(store.folder / settings.blocked)))
    if settings.not_groundable:
        words = read_groundable_words(store.folder / settings.not_groundable)
        rules = replace(rules, groundable=rules.groundable.extend(words))
    return rules if ontology is None else replace(rules, make_key=ontology.make_key)


def clean_list(phrases: Sequence[str], rules: HygieneRules) -> CleanedPhrases:
    """Clean the phrases that a person gave for all images: there may be any number of pairs of each.

    >>> [entry.phrase for entry in clean_list(["Red Cups", "cups"], HygieneRules()).kept]
    ['red cup', 'cup']
    """
    return clean_phrases(phrases, replace(rules, max_pairs=maxsize))
