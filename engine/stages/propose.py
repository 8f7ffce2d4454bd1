"""Stage 2: make a pair of each phrase and each image that is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from engine.chat_models.loading import load_chat_model
from engine.media.images import EngineImage
from engine.pairs import Pair
from engine.phrases.hygiene import HygieneRules
from engine.phrases.negatives.candidates import NegativeSources
from engine.phrases.phrase_log import LIST, add_source, build_source
from engine.phrases.refusals import CleanPhrase
from engine.project.ontologies import load_engine_ontology
from engine.project.rules import clean_list, load_engine_rules
from engine.stages.negatives import AddedNegatives, add_negatives
from engine.stages.phrase_sources import PhraseCollector
from engine.stages.stage import RunContext, StageName, StageReport
from engine.store.store import EngineStore

PAGE_PAIRS = 10_000
"""Pairs that are written together."""


@dataclass(frozen=True)
class ProposeStage:
    """Makes pairs of phrases and images that stand for their near-duplicates.

    Phrases come from the list, for all images; from the alternative text of an image; and from a language model that
    looks at it, where the option `planner` names one. With the option `negatives`, so many are added to each image with
    verified positives.
    """

    name: StageName = "propose"

    def run(self, context: RunContext) -> StageReport:
        """Add the pairs that are not there yet. See `Stage.run`."""
        store = context.store
        ontology, rules = load_engine_ontology(store), load_engine_rules(store)
        added = _add_list(store, rules)
        collector = PhraseCollector(context, rules)
        collector.read_alt_texts()
        planner = str(context.options.get("planner") or "")
        model = load_chat_model(planner, context.options) if planner else None
        if model is not None:
            collector.ask_model(model)
        found = AddedNegatives()
        if wanted := int(context.options.get("negatives") or 0):
            sources = NegativeSources(ontology, flagged=rules.flagged)
            found = add_negatives(context, sources, wanted=wanted, model=model)
            context.on_note(f"{found.hard:,} of {found.pairs:,} new negatives mislead SAM 3")
        return StageReport(
            self.name,
            added + collector.added + found.pairs,
            "new pairs",
            collector.left + found.left,
            collector.errors + found.errors,
        )


def _add_list(store: EngineStore, rules: HygieneRules) -> int:
    """Add the pairs of the phrases for all images, and keep why others are not asked; return how many are new."""
    phrases = store.read_settings().phrases
    if not phrases:
        return 0
    cleaned = clean_list(phrases, rules)
    pairs = _build_pairs((image for image in store.images() if image.is_kept), cleaned.kept)
    added = 0
    while page := [*islice(pairs, PAGE_PAIRS)]:  # people who review wait for a transaction to end
        added += store.add_pairs(page)
    return added + add_source(store, build_source("", LIST, LIST, cleaned), ())


def _build_pairs(images: Iterable[EngineImage], phrases: Sequence[CleanPhrase]) -> Iterator[Pair]:
    """Yield the pairs of the list, image by image."""
    for image in images:
        for phrase in phrases:
            yield Pair(image=image.key, phrase=phrase.phrase, original=phrase.original, origin="list")
