"""Stage 2: make a pair of each phrase and each image that is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from sys import maxsize

from engine.images import EngineImage
from engine.pairs import Pair
from engine.phrases.hygiene import CleanedPhrases, HygieneRules, clean_phrases
from engine.phrases.ontology import Ontology
from engine.phrases.refusals import CleanPhrase
from engine.project.ontologies import load_engine_ontology
from engine.stages.stage import RunContext, StageName, StageReport


@dataclass(frozen=True)
class ProposeStage:
    """Pairs the phrases of the list with every image that stands for its near-duplicates."""

    name: StageName = "propose"

    def run(self, context: RunContext) -> StageReport:
        """Add the pairs that are not there yet. See `Stage.run`."""
        store = context.store
        cleaned = clean_list(store.read_settings().phrases, load_engine_ontology(store), store.find_blocked_phrases())
        kept = (image for image in store.images() if image.is_kept)
        added = store.add_pairs(_build_pairs(kept, cleaned.kept))
        return StageReport(self.name, added, "new pairs")


def clean_list(phrases: Sequence[str], ontology: Ontology | None = None, flagged: Iterable[str] = ()) -> CleanedPhrases:
    """Clean the phrases that a person gave for all images: there may be any number of pairs of each.

    >>> [one.phrase for one in clean_list(["Red Cups", "cups"]).kept]
    ['red cup', 'cup']
    """
    rules = HygieneRules(flagged=frozenset(flagged), max_pairs=maxsize)
    if ontology is not None:
        rules = HygieneRules(flagged=frozenset(flagged), max_pairs=maxsize, make_key=ontology.make_key)
    return clean_phrases(phrases, rules)


def _build_pairs(images: Iterable[EngineImage], phrases: Sequence[CleanPhrase]) -> Iterator[Pair]:
    """Yield the pairs of the list, image by image."""
    for image in images:
        for one in phrases:
            yield Pair(image=image.key, phrase=one.phrase, original=one.original, origin="list")
