"""The noun phrases that a simulated model asks for, with their errors."""

from collections.abc import Iterator, Sequence

from evals.simulation.chance import CorrelatedChance, hash_to_share
from evals.simulation.profile import Profile
from evals.simulation.truth import Meaning, SampleTruth
from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, STRANGERS, SYNONYMS


def propose_phrase(
    truth: SampleTruth,
    meaning: Meaning,
    profile: Profile,
    chance: CorrelatedChance,
    *,
    asking: str,
    tried: Sequence[str] = (),
    noun: str = "",
) -> str:
    """Propose a phrase for what the query is taken to mean, right or wrong.

    Args:
        truth: The sample.
        meaning: The objects that the query is taken to mean.
        profile: How often it errs.
        chance: Whether it errs this time.
        asking: The way in which it is asked.
        tried: Phrases that it may not use again.
        noun: What a right phrase would be; default: the noun that covers all that is meant.

    Returns:
        A phrase. Errors about one noun of one sample are alike, however often it is asked for.
    """
    right = noun or truth.find_common_noun(meaning)
    subject = f"{truth.key}|phrase|{right}"
    wrong = chance.has_lapse(profile.get_threshold("phrase"), subject, asking)
    share = hash_to_share(f"{subject}|{asking}|kind")
    row = [_make_wrong_phrase(truth, meaning, right, share), right] if wrong else [right]
    return next(phrase for phrase in (*row, *_list_ways_out(truth, right, share)) if phrase not in tried)


def _make_wrong_phrase(truth: SampleTruth, meaning: Meaning, noun: str, share: float) -> str:
    """Too general, too special, a synonym, or wrong: 30, 30, 20 and 20 of 100."""
    rest = (share * 1000) % 1
    if share < 0.3:
        return _find_wider_word(noun)
    if share < 0.6:
        thing = truth.objects[meaning[0]]
        said = thing.colour if rest < 0.5 and thing.colour else list(COLOURS)[int(rest * len(COLOURS))]
        return f"{said} {noun}" if rest < 0.7 else f"small {noun}"
    if share < 0.8:
        return SYNONYMS.get(noun, (_find_wider_word(noun),))[0]
    others = [thing.noun for index, thing in enumerate(truth.objects) if index not in meaning and thing.noun != noun]
    choices = [*others, *STRANGERS[:3]]
    return choices[int(rest * len(choices))]


def _find_wider_word(noun: str) -> str:
    return next((word for word, nouns in HYPERNYMS.items() if noun in nouns), "object")


def _list_ways_out(truth: SampleTruth, noun: str, share: float) -> Iterator[str]:
    """List what is tried when nothing better is left."""
    yield from (*SYNONYMS.get(noun, ()), _find_wider_word(noun))
    yield from dict.fromkeys(thing.noun for thing in truth.objects)
    start = int(share * len(STRANGERS))
    yield from (*STRANGERS[start:], *STRANGERS[:start])
