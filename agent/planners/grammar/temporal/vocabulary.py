"""The words for what objects of a video do, and what each of them means to the tools."""

from agent.planners.grammar.plan import Order
from agent.planners.grammar.temporal.verbs import MOVE, OUTSIDE, VerbPhrase
from agent.tools.geometry.terms import Relation
from agent.tools.geometry.time_words import Encounter, Motion, TrackMeasure

_INTO = rf"in(?:to)?(?: {OUTSIDE})?"
_GROWN, _SHRUNK = "(?:bigger|larger|taller|wider)", "(?:smaller|shorter|narrower|tinier)"


_IS_NOT = "(?:(?:is|are|was|were) ?)?(?:not|n't)"
THERE = "there|visible|seen|present|in view|in sight|on screen"
AT_START = r"(?:at|in) the (?:start|beginning|first frame)"
AT_END = r"(?:at|in) the (?:end|last frame)"


def _build_direction(word: str, opposite: str) -> VerbPhrase:
    """Going to the left or to the right; not 'to the left of' something."""
    return VerbPhrase(
        MOVE,
        rf" (?:from (?:the )?{opposite} to (?:the )?{word}"
        rf"|(?:to the |towards? the )?{word}(?:wards?)?(?: side)?(?! of\b))",
    )


MOTION_VERBS: dict[Motion, tuple[VerbPhrase, ...]] = {
    "comes_back": (
        VerbPhrase(("come", "go", "move"), rf" back(?: {_INTO})?"),
        VerbPhrase(("return", "reappear"), rf"(?: {_INTO}| to {OUTSIDE})?"),
    ),
    "enters": (
        VerbPhrase(("enter",), rf"(?: {OUTSIDE})?"),
        VerbPhrase(("come",), rf" {_INTO}"),
        VerbPhrase(MOVE, rf" (?:in|into {OUTSIDE})"),
        VerbPhrase(("arrive",)),
    ),
    "appears": (VerbPhrase(("appear",), rf"(?: (?:in|on) {OUTSIDE})?"), VerbPhrase(("show", "turn", "pop"), " up")),
    "leaves": (
        VerbPhrase(("leave", "exit"), rf"(?: {OUTSIDE})?"),
        VerbPhrase(MOVE, rf" (?:away|off|out)(?: {OUTSIDE})?(?! from\b)"),
    ),
    "disappears": (VerbPhrase(("disappear", "vanish"), rf"(?: (?:from|out of) {OUTSIDE}| from view)?"),),
    "moves_left": (_build_direction("left", "right"),),
    "moves_right": (_build_direction("right", "left"),),
    "moves_up": (VerbPhrase(MOVE, " up(?:wards?)?(?! to\\b)"), VerbPhrase(("rise", "climb", "ascend"))),
    "moves_down": (VerbPhrase(MOVE, " down(?:wards?)?"), VerbPhrase(("fall", "sink", "descend", "drop"), "(?: down)?")),
    "crosses": (VerbPhrase(("cross",), rf" {OUTSIDE}"), VerbPhrase(MOVE, rf" (?:across|through) {OUTSIDE}")),
    "turns": (VerbPhrase(("turn",), " (?:around|round|back)"),),
    "shrinks": (
        VerbPhrase(("get", "become", "grow"), f" {_SHRUNK}"),
        VerbPhrase(("shrink",)),
        VerbPhrase(("decrease",), " in size"),
    ),
    "grows": (
        VerbPhrase(("get", "become", "grow"), f" {_GROWN}"),
        VerbPhrase(("grow", "swell", "expand")),
        VerbPhrase(("increase", "gain"), " in size"),
    ),
    "still": (VerbPhrase(("stand", "stay", "sit", "lie", "remain"), " (?:still|motionless|in place)"),),
    "moves": (VerbPhrase(("move",), "(?: around| about)?"),),
}  # fmt: skip
"""What an object does by itself. Of two that fit, the one that is named first here is meant."""
MOTION_ADJECTIVES: dict[str, Motion] = {
    "rising": "moves_up", "climbing": "moves_up", "ascending": "moves_up", "falling": "moves_down",
    "sinking": "moves_down", "descending": "moves_down", "growing": "grows", "shrinking": "shrinks",
    "moving": "moves", "still": "still", "static": "still", "stationary": "still", "motionless": "still",
    "unmoving": "still", "entering": "enters", "arriving": "enters", "leaving": "leaves", "appearing": "appears",
    "disappearing": "disappears", "vanishing": "disappears", "returning": "comes_back",
}  # fmt: skip
"""Before the noun: 'the rising star'."""
MOTION_PHRASES: dict[str, Motion] = {
    r"(?:do|does|did)(?: not|n't) move|never moves?|not moving|(?:motionless|stationary|static|still)": "still",
    r"in motion": "moves",
    rf"(?:{_IS_NOT}) (?:{THERE}) {AT_START}|(?:absent|missing) {AT_START}": "enters",
    rf"(?:{_IS_NOT}) (?:{THERE}) (?:any ?more )?{AT_END}|(?:gone|absent|missing) {AT_END}": "leaves",
}
"""What is said without a verb of its own; regular expressions."""

ENCOUNTER_VERBS: dict[Encounter | Relation, tuple[VerbPhrase, ...]] = {
    "moving_away_from": (VerbPhrase(MOVE, " away from"),),
    "moving_toward": (
        VerbPhrase(("approach", "near")),
        VerbPhrase(MOVE, r" (?:towards?(?! the (?:left|right)\b)|up to|close to|closer to)"),
    ),
    "passing_over": (VerbPhrase((*MOVE, "jump", "leap"), " over"),),
    "touching": (
        VerbPhrase(("touch", "hit", "strike")),
        VerbPhrase(("bump", "run", "crash"), " (?:into|against)"),
        VerbPhrase(("collide",), " with"),
        VerbPhrase(("come", "get"), " in(?:to)? contact with"),
        VerbPhrase(("make",), " contact with"),
    ),
    "passing": (VerbPhrase(("pass",), "(?: by)?"), VerbPhrase(MOVE, " (?:past|by)"), VerbPhrase(("overtake",))),
    "crossing": (VerbPhrase(("cross",)), VerbPhrase(MOVE, " through")),
}
"""What an object does with another, which is named after it."""

SUPERLATIVES_IN_TIME: dict[str, tuple[TrackMeasure, Order]] = {
    "fastest": ("speed", "descending"),
    "quickest": ("speed", "descending"),
    "slowest": ("speed", "ascending"),
    "faster": ("speed", "descending"),
    "quicker": ("speed", "descending"),
    "slower": ("speed", "ascending"),
}
"""Before the noun, or after the verb 'moves'; 'the faster dog' is of two."""
LENGTHS: dict[str, Order] = {"longest": "descending", "shortest": "ascending"}
"""Of the time for which an object is seen."""
