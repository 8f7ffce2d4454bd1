"""The regular expressions that split a query about a video: what is asked for, what happens to it, and with what."""

import re
from functools import cache

from agent.planners.grammar.temporal.verbs import OUTSIDE, Form, VerbPhrase, join_patterns
from agent.planners.grammar.temporal.vocabulary import (
    ENCOUNTER_VERBS,
    LENGTHS,
    MOTION_ADJECTIVES,
    MOTION_PHRASES,
    MOTION_VERBS,
    SUPERLATIVES_IN_TIME,
)
from agent.planners.grammar.vocabulary import NUMERALS, ORDINALS
from agent.tools.geometry.time_words import Motion

_AUXILIARY = r"(?:(?:is|are|was|were|has|have|had|does|do|did|being|has been) )?"
_RELATIVE = rf"(?:(?:that|which|who) {_AUXILIARY}|{_AUXILIARY})"
"""Before a participle: 'that is', 'are' or nothing."""
_CLAUSE = rf"(?:that|which|who) {_AUXILIARY}"
ORDINAL = rf"(?:first|last|{'|'.join(ORDINALS[1:])}|\d+(?:st|nd|rd|th))"
NUMBER = rf"(?:{'|'.join(NUMERALS)}|\d+)"
_PLACE_IN_ORDER = rf"(?: (?P<rank>{ORDINAL}))?"
_COMES = ("enters", "appears")
_GOES = ("leaves", "disappears")
_IN_VIEW = rf"(?:there|visible|in view|in sight|on screen|on {OUTSIDE}|in {OUTSIDE})"
_OUT_OF_VIEW = rf"(?:gone|no longer (?:there|visible|in view)|not (?:there|visible|in view) any ?more|out of {OUTSIDE})"


@cache
def compile_ordinal() -> re.Pattern[str]:
    """'the (second) (two) dog(s) to come in', 'the second dog that enters'."""
    acts = [f"(?P<{motion}>{_join_motion(motion, 'base')})" for motion in (*_COMES, *_GOES)]
    said = [f"(?P<{motion}_said>{_join_motion(motion, 'finite')})" for motion in (*_COMES, *_GOES)]
    return re.compile(
        rf"(?:the )?(?P<rank>{ORDINAL}) (?:(?P<number>{NUMBER}) )?(?P<head>(?!\w+(?:est|most) ).+?)"
        rf" (?:to (?:{'|'.join(acts)})"
        rf"|(?:that|which|who) {_AUXILIARY}(?:{'|'.join(said)}))"
    )


@cache
def compile_motion(motion: Motion, *, question: bool) -> re.Pattern[str]:
    """'the dog that comes in (first)', 'the dogs entering'; in a `question` also 'which dog comes in'."""
    ranked = _PLACE_IN_ORDER if motion in (*_COMES, *_GOES) else ""
    last = rf" (?:which|that|who) (?:is|are) the (?P<place>{ORDINAL}) to (?:{_join_motion(motion, 'base')})|"
    return re.compile(
        rf"(?P<head>.+?),?(?:{last if ranked else ''}"
        rf" (?:{_join_verbs(MOTION_VERBS[motion], question=question)}){ranked})\b(?P<rest>.*)"
    )


@cache
def compile_motion_phrase(phrase: str) -> re.Pattern[str]:
    """'the dog that does not move'."""
    return re.compile(rf"(?P<head>.+?),? {_RELATIVE}(?:(?:stands?|stays?|is|are) )?(?:{phrase})(?P<rest>)")


@cache
def compile_encounter(encounter: str, *, question: bool) -> re.Pattern[str]:
    """'the dog that passes the tree'."""
    return re.compile(
        rf"(?P<head>.+?),? (?:{_join_verbs(ENCOUNTER_VERBS[encounter], question=question)})"  # type: ignore[index]
        r" (?P<to>(?!the (?:left|right)$).+)"
    )


@cache
def compile_order(*, comes: bool, question: bool) -> re.Pattern[str]:
    """'the dog that comes in (leaves) before the cat does'."""
    motions = _COMES if comes else _GOES
    verbs = "|".join(_join_verbs(MOTION_VERBS[motion], question=question) for motion in motions)  # type: ignore[index]
    again = "|".join(_join_motion(motion, "any") for motion in motions)
    return re.compile(
        rf"(?P<head>.+?),? (?:{verbs}) (?P<side>before|earlier than|sooner than|after|later than) (?P<to>.+?)"
        rf"(?: (?:does|did|do|has|have|is|are|{_AUXILIARY}(?:{again})))?"
    )


@cache
def compile_event(*, comes: bool) -> re.Pattern[str]:
    """'the dog before (after) the cat comes in (leaves)'."""
    verbs = "|".join(_join_motion(motion, "any") for motion in (_COMES if comes else _GOES))
    state = _IN_VIEW if comes else _OUT_OF_VIEW
    return re.compile(
        r"(?P<head>.+?),? (?P<side>before|until|till|up to when|up until|up to the moment when|after|once|as soon as"
        r"|since|from when|from the moment(?: when)?)"
        rf" (?P<to>.+?) (?:{_AUXILIARY}(?:{verbs})|(?:is|are|was|were) {state})"
    )


@cache
def compile_while() -> re.Pattern[str]:
    """'the dog while it is above the box'."""
    return re.compile(
        r"(?P<head>.+?),? (?:while|when|whenever|as long as|during the time (?:that|when|in which))"
        r" (?:(?P<seen>.+?) (?:is|are|was|were) "
        rf"(?:{_IN_VIEW})|(?:(?:it|they|he|she|being)(?: is| are| was| were)? |it's |they're )?(?P<relation>.+))"
    )


_TIME = rf"(?:(?:\d+:)?\d+:\d+(?:\.\d+)?|(?:{NUMBER}|\d+\.\d+))"
_UNIT = r"(?: ?(?:s|sec|secs|seconds?))"


@cache
def compile_seconds() -> re.Pattern[str]:
    """'the dog in the first two seconds', 'between 0:02 and 0:04', 'after 3 seconds'."""
    ends = rf"in|during|within|for|over) the (?P<end>first|last)(?: (?P<length>{_TIME}))?{_UNIT}"
    both = (
        rf"(?:from|between)(?: second)? (?P<since>{_TIME}){_UNIT}? (?:to|and|until|till)(?: second)? (?P<until>{_TIME})"
    )
    one = rf"(?P<side>after|from|since|before|until|till) (?P<time>\d+:[\d:.]+|{_TIME}{_UNIT})(?: on(?:wards?)?)?"
    return re.compile(rf"(?P<head>.+?),? (?:(?:{ends}|{both}{_UNIT}?|{one})")


@cache
def compile_negation() -> re.Pattern[str]:
    """'the dogs that do not leave'."""
    return re.compile(
        r"(?P<head>.+?),? (?:(?:that|which|who) )?"
        r"(?:(?:do|does|did|is|are|was|were|has|have)(?: not|n't)|never) (?P<act>.+)"
    )


@cache
def compile_exception() -> re.Pattern[str]:
    """'the dogs except the one that leaves'."""
    return re.compile(
        r"(?P<head>.+?),? (?:except(?: for)?|but not|other than|apart from|excluding|without)"
        r" (?P<out>(?:the )?(?:ones?|those) (?P<act>.+)|.+)"
    )


@cache
def compile_comparison() -> re.Pattern[str]:
    """'which of the two dogs is faster'."""
    return re.compile(
        rf"which (?:of )?(?:the )?(?:{NUMBER} )?(?P<head>.+?) (?:is|moves?|runs?|goes|drives?) (?:the )?"
        rf"(?P<word>{'|'.join(SUPERLATIVES_IN_TIME)})"
    )


@cache
def compile_superlative() -> re.Pattern[str]:
    """'the (two) fastest dogs', 'the second fastest dog'."""
    return re.compile(
        rf"(?:the |which )?(?:(?P<rank>{ORDINAL}) |(?P<number>{NUMBER}) )?(?P<word>{'|'.join(SUPERLATIVES_IN_TIME)})"
        r"(?:[ -]moving)? (?P<head>.+)"
    )


@cache
def compile_speed() -> re.Pattern[str]:
    """'the dog that moves fastest', 'the dog with the slowest movement'."""
    words = "|".join(SUPERLATIVES_IN_TIME)
    moves = VerbPhrase(("move", "go", "run", "walk", "drive", "fly", "swim", "travel"))
    return re.compile(
        rf"(?P<head>.+?),? (?:(?:{_CLAUSE}(?:{moves.to_pattern('finite')})|(?:{moves.to_pattern('any')})) (?:the )?"
        rf"(?P<word>{words})|with the (?P<other>{words}) (?:movement|motion|speed)|(?:that|which) is (?:the )?"
        rf"(?P<third>{words}))"
    )


@cache
def compile_length() -> re.Pattern[str]:
    """'the dog that stays (in view) longest'."""
    verbs = r"(?:stays?|stayed|is|are|was|were|remains?|appears?|lasts?|can be)"
    return re.compile(
        rf"(?P<head>.+?),? (?:(?:that|which|who) {verbs}(?: (?:be )?(?:seen|visible|shown|there|present|{_IN_VIEW}))?"
        rf"|(?:seen|visible|shown|present|{_IN_VIEW}))"
        rf" (?:for )?(?:the )?(?P<word>{'|'.join(LENGTHS)})(?: (?:time|while))?(?: {_IN_VIEW})?"
    )


@cache
def compile_adjective() -> re.Pattern[str]:
    """'the rising star'."""
    return re.compile(rf"(?P<start>.*?\b)(?P<word>{'|'.join(MOTION_ADJECTIVES)}) (?P<noun>\w.*)")


def list_motion_phrases() -> dict[str, Motion]:
    """Return what says a motion without a verb of its own: regular expression -> motion."""
    return MOTION_PHRASES


def _join_verbs(phrases: tuple[VerbPhrase, ...], *, question: bool) -> str:
    """Return a clause or a participle; in a question also the verb alone, for it needs no 'that'."""
    alone = f"|{_AUXILIARY}(?:{join_patterns(phrases, 'finite')})" if question else ""
    return rf"{_CLAUSE}(?:{join_patterns(phrases, 'any')})|{_RELATIVE}(?:{join_patterns(phrases, 'ing')}){alone}"


def _join_motion(motion: str, form: Form) -> str:
    return join_patterns(MOTION_VERBS[motion], form)  # type: ignore[index]
