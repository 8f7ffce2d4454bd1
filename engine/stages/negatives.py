"""Negatives in stage 2: near to what is verified in an image; those that mislead SAM 3 first, and some easy ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.models.base import ChatModel
from engine.media.images import EngineImage
from engine.pairs import Pair
from engine.phrases.model_proposing import ask_for_look_alikes
from engine.phrases.negatives.adversarial import CheckedNegative, check_candidates, choose_negatives
from engine.phrases.negatives.candidates import (
    NegativeSources,
    Positive,
    hash_text,
    propose_easy_negatives,
    propose_negatives,
)
from engine.phrases.phrase_log import PhraseSource, add_source, list_asked_images
from engine.phrases.readings import read_noun_phrase
from engine.phrases.refusals import PhraseRefusedError
from engine.stages.media import describe_error
from engine.stages.stage import RunContext
from sam3_tool.errors import ImageError
from sam3_tool.image import Image

SOURCE = "negatives"


@dataclass(frozen=True)
class AddedNegatives:
    """What was added.

    >>> AddedNegatives(pairs=8, hard=6).errors
    0
    """

    pairs: int = 0
    hard: int = 0
    """Of them, that mislead SAM 3."""
    errors: int = 0
    """Images that could not be read."""
    left: int = 0
    """Images that wait for the next run."""


def add_negatives(
    context: RunContext, sources: NegativeSources, *, wanted: int, model: ChatModel | None = None
) -> AddedNegatives:
    """Add negatives to every image with verified positives: once, and again when it has other positives.

    Args:
        context: The store, and SAM 3.
        sources: Where they come from.
        wanted: Negatives of one image.
        model: Names look-alikes, if it is given.

    Raises:
        EngineError: Nothing can be written.
    """
    added = AddedNegatives()
    vocabulary = _list_vocabulary(context, sources)
    verified = _find_verified(context)
    for place, (key, pairs) in enumerate(verified.items()):
        if context.is_out_of_time():
            return replace(added, left=len(verified) - place)
        by = f"positives@{hash_text(' '.join(sorted(pairs)))}"
        image = context.store.find_image(key)
        if image is None or key in list_asked_images(context.store, SOURCE, by):
            continue
        try:
            pixels = image.open_pixels()
        except (ImageError, OSError) as error:
            context.on_note(f"{image.path}: {describe_error(error)}")
            added = replace(added, errors=added.errors + 1)
            continue
        chosen = _choose_for_image(context, image, pixels, pairs, sources, vocabulary, wanted, model)
        new = _keep_chosen(context, image, by, chosen, pairs)
        hard = sum(negative.is_hard for negative in chosen)
        added = replace(added, pairs=added.pairs + new, hard=added.hard + hard)
    return added


def _find_verified(context: RunContext) -> dict[str, dict[str, str]]:
    """Return for each image the phrases whose masks are verified, with the keys of their pairs."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for summary in context.store.iterate_summaries(context.policy):
        decision = summary.decision
        masks = decision.accepted if decision.correction is None else decision.correction.masks
        if decision.name in ("ev", "final") and masks:
            found[summary.pair.image][summary.pair.phrase] = summary.pair.key
    return found


def _choose_for_image(
    context: RunContext,
    image: EngineImage,
    pixels: Image,
    pairs: Mapping[str, str],
    sources: NegativeSources,
    vocabulary: Sequence[str],
    wanted: int,
    model: ChatModel | None,
) -> list[CheckedNegative]:
    states = {phrase: context.store.read_state(key, context.policy) for phrase, key in pairs.items()}
    positives = [Positive(phrase, state.masks, pairs[phrase]) for phrase, state in states.items() if state is not None]
    if model is not None:
        sources = replace(sources, look_alikes=_ask_model(model, pixels, list(pairs)))
    known = [pair.phrase for pair in context.store.pairs(image=image.key)]
    near = propose_negatives(positives, sources, known=known)
    checked = check_candidates(context.sam3, pixels, near, positives)
    taken = [*known, *(candidate.phrase for candidate in near)]
    easy = propose_easy_negatives(positives, vocabulary, sources, known=taken, count=wanted, seed=image.key)
    return choose_negatives(checked, easy, wanted=wanted, seed=image.key)


def _ask_model(model: ChatModel, pixels: Image, phrases: Sequence[str]) -> dict[str, list[str]]:
    """Return what a model takes for look-alikes, cleaned; nothing where it gives no answer."""
    found: dict[str, list[str]] = {}
    for phrase, answer in ask_for_look_alikes(model, pixels, phrases).items():
        for text in answer.phrases:
            try:
                found.setdefault(phrase, []).append(read_noun_phrase(text)[0])
            except PhraseRefusedError:
                continue
    return found


def _keep_chosen(
    context: RunContext, image: EngineImage, by: str, chosen: Sequence[CheckedNegative], pairs: Mapping[str, str]
) -> int:
    added = [
        Pair(
            image=image.key,
            phrase=negative.candidate.phrase,
            original=negative.candidate.phrase,
            origin=negative.candidate.origin,
            parent=pairs.get(negative.parent or next(iter(negative.candidate.parents), ""), ""),
        )
        for negative in chosen
    ]
    said = PhraseSource(image.key, SOURCE, by, kept=tuple(pair.phrase for pair in added))
    return add_source(context.store, said, added)


def _list_vocabulary(context: RunContext, sources: NegativeSources) -> list[str]:
    """List what easy negatives are drawn from: phrases of other images, and all of an ontology."""
    phrases = dict.fromkeys(pair.phrase for pair in context.store.pairs())
    return list(phrases | dict.fromkeys(sources.ontology.list_leaves() if sources.ontology else ()))
