"""Stage 2: make a pair of each phrase and each image that is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from sys import maxsize

from engine.chat_models import load_chat_model
from engine.images import EngineImage
from engine.pairs import Pair
from engine.phrases.hygiene import MAX_PAIRS, CleanedPhrases, HygieneRules, clean_phrases
from engine.phrases.negatives.candidates import NegativeSources
from engine.phrases.ontology import Ontology
from engine.phrases.refusals import CleanPhrase
from engine.project.ontologies import load_engine_ontology
from engine.stages.negatives import AddedNegatives, add_negatives
from engine.stages.phrase_sources import PhraseCollector
from engine.stages.stage import RunContext, StageName, StageReport


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
        ontology, flagged = load_engine_ontology(store), store.find_blocked_phrases()
        cleaned = clean_list(store.read_settings().phrases, ontology, flagged)
        kept = (image for image in store.images() if image.is_kept)
        added = store.add_pairs(_build_pairs(kept, cleaned.kept))
        collector = PhraseCollector(context, build_rules(ontology, flagged))
        collector.read_alt_texts()
        planner = str(context.options.get("planner") or "")
        model = load_chat_model(planner, context.options) if planner else None
        if model is not None:
            collector.ask_model(model)
        found = AddedNegatives()
        if wanted := int(context.options.get("negatives") or 0):
            found = add_negatives(context, NegativeSources(ontology, flagged=flagged), wanted=wanted, model=model)
            context.on_note(f"{found.hard:,} of {found.pairs:,} new negatives mislead SAM 3")
        return StageReport(
            self.name,
            added + collector.added + found.pairs,
            "new pairs",
            collector.left + found.left,
            collector.errors + found.errors,
        )


def build_rules(ontology: Ontology | None, flagged: Iterable[str], *, max_pairs: int = MAX_PAIRS) -> HygieneRules:
    """Build the rules by which phrases of this engine are cleaned.

    >>> build_rules(None, ["old man"]).max_pairs
    1000
    """
    rules = HygieneRules(flagged=frozenset(flagged), max_pairs=max_pairs)
    return rules if ontology is None else replace(rules, make_key=ontology.make_key)


def clean_list(phrases: Sequence[str], ontology: Ontology | None = None, flagged: Iterable[str] = ()) -> CleanedPhrases:
    """Clean the phrases that a person gave for all images: there may be any number of pairs of each.

    >>> [one.phrase for one in clean_list(["Red Cups", "cups"]).kept]
    ['red cup', 'cup']
    """
    return clean_phrases(phrases, build_rules(ontology, flagged, max_pairs=maxsize))


def _build_pairs(images: Iterable[EngineImage], phrases: Sequence[CleanPhrase]) -> Iterator[Pair]:
    """Yield the pairs of the list, image by image."""
    for image in images:
        for one in phrases:
            yield Pair(image=image.key, phrase=one.phrase, original=one.original, origin="list")
