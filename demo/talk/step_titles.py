"""What a step did, in a visitor's words: 'Looked for watermelon, banana: 4 and 1'."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.core.episode import Episode, Step
from agent.core.text.english import format_ids

SUPERLATIVES: Mapping[tuple[str, str], str] = {
    ("size", "descending"): "largest",
    ("size", "ascending"): "smallest",
    ("x", "ascending"): "leftmost",
    ("x", "descending"): "rightmost",
    ("y", "ascending"): "topmost",
    ("y", "descending"): "lowest",
    ("height", "descending"): "tallest",
    ("height", "ascending"): "lowest in height",
    ("width", "descending"): "widest",
    ("width", "ascending"): "narrowest",
    ("score", "descending"): "surest",
    ("score", "ascending"): "least sure",
    ("distance", "ascending"): "nearest",
    ("distance", "descending"): "farthest",
}
"""How `rank` is said, by its measure and its order."""
TALKING_TOOLS = ("answer", "ask_user", "report_no_mask")
"""Tools whose text is the answer itself, which stands below the steps."""


def is_talk(step: Step) -> bool:
    """Whether a step only says the answer, so that it needs no line of its own."""
    decision = step.decision
    return decision.tool in TALKING_TOOLS and not step.observation.is_error and not decision.reasoning.strip()


def describe_step(step: Step, episode: Episode) -> str:
    """Return what a step did, in one line.

    Args:
        step: One of the episode's steps.
        episode: With the masks that the step is about.

    Returns:
        Plain text. Names and phrases in it may be anybody's.
    """
    tool = step.decision.tool
    if step.observation.is_error:
        return f"Tried to {get_intention(tool)}, which did not work" if tool else "Found no next step"
    describe = DESCRIPTIONS.get(tool)
    if describe is None:
        return f"Used {tool.replace('_', ' ')}"
    return describe(parse_arguments(step.decision.arguments), step, episode)


def parse_arguments(arguments: str) -> dict[str, Any]:
    """Return a call's arguments; empty where they are no JSON object.

    >>> parse_arguments('{"ids": [1]}'), parse_arguments("[")
    ({'ids': [1]}, {})
    """
    try:
        held = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def get_intention(tool: str) -> str:
    """Return what a planner wants with a tool, as an infinitive.

    >>> get_intention("rank"), get_intention("a_new_one")
    ('put them in order', 'use a new one')
    """
    return INTENTIONS.get(tool, f"use {tool.replace('_', ' ')}")


def _count_shown(step: Step) -> int:
    return len(step.observation.shown or ())


def _describe_search(arguments: dict[str, Any], step: Step, episode: Episode) -> str:
    phrases = [str(phrase) for phrase in _list_values(arguments, "phrases", "phrase")]
    if not phrases:
        return f"Looked for what resembles the example: {_count_shown(step)}"
    found = Counter(candidate.phrase for candidate in episode.workspace.pick(step.observation.shown or ()))
    counts = [found[phrase] for phrase in phrases]
    if sum(counts) != _count_shown(step):  # a phrase was written otherwise than it was searched for
        return f"Looked for {', '.join(phrases)}: {_count_shown(step)}"
    return f"Looked for {', '.join(phrases)}: {_join_words([str(count) if count else 'none' for count in counts])}"


def _describe_relation(arguments: dict[str, Any], step: Step, episode: Episode) -> str:
    relation = str(arguments.get("relation", "")).replace("_", " ")
    return f"Kept {_count_shown(step)} that are {relation} {_name_masks(arguments, 'to', episode)}"


def _describe_place(arguments: dict[str, Any], step: Step, _: Episode) -> str:
    return f"Kept {_count_shown(step)} at the {str(arguments.get('place', '')).replace('_', ' ')}"


def _describe_ranking(arguments: dict[str, Any], step: Step, _: Episode) -> str:
    measure = str(arguments.get("by", "size")), str(arguments.get("order", "descending"))
    superlative = SUPERLATIVES.get(measure, f"first by {measure[0]}")
    start, count = arguments.get("start", 1), _count_shown(step)
    if start != 1:
        return f"Took number {start} of the {superlative}"
    return f"Took the {superlative}" if count == 1 else f"Took the {count} {superlative}"


def _describe_combination(arguments: dict[str, Any], step: Step, _: Episode) -> str:
    count = _count_shown(step)
    match arguments.get("op"):
        case "minus":
            return f"Left out {_format_numbers(arguments, 'b')}: {count} stay"
        case "intersect":
            return f"Kept what is in both: {count}"
        case "merge":
            return "Joined them into one"
    return f"Put them together: {count}"


def _describe_count(_: dict[str, Any], step: Step, __: Episode) -> str:
    return f"Counted: {_count_shown(step)}"


def _describe_examination(_: dict[str, Any], step: Step, __: Episode) -> str:
    verdicts = step.observation.verdicts
    return f"Looked closely at {len(verdicts)}: kept {sum(verdict.accept for verdict in verdicts)}"


def _describe_refinement(arguments: dict[str, Any], step: Step, _: Episode) -> str:
    mask_id = arguments.get("id")
    return "Outlined what is there" if mask_id is None else f"Corrected the outline of {mask_id}"


def _describe_reading(_: dict[str, Any], step: Step, __: Episode) -> str:
    return f"Read the text: {_count_shown(step)} match"


def _describe_end(_: dict[str, Any], step: Step, __: Episode) -> str:
    return {"ask_user": "Decided to ask", "report_no_mask": "Found nothing that matches"}.get(
        step.decision.tool, "Decided on the answer"
    )


Description = Callable[[dict[str, Any], Step, Episode], str]
DESCRIPTIONS: Mapping[str, Description] = {
    "segment": _describe_search,
    "segment_phrase": _describe_search,
    "relate": _describe_relation,
    "locate": _describe_place,
    "rank": _describe_ranking,
    "combine": _describe_combination,
    "count": _describe_count,
    "examine": _describe_examination,
    "examine_each_mask": _describe_examination,
    "refine": _describe_refinement,
    "read_text": _describe_reading,
    "answer": _describe_end,
    "select_masks_and_return": _describe_end,
    "ask_user": _describe_end,
    "report_no_mask": _describe_end,
}
"""By a tool's name, those of the paper's protocol too."""
INTENTIONS: Mapping[str, str] = {
    "segment": "look for something",
    "segment_phrase": "look for something",
    "relate": "compare where they are",
    "locate": "choose by place",
    "rank": "put them in order",
    "combine": "put them together",
    "examine": "look closely",
    "examine_each_mask": "look closely",
    "refine": "correct an outline",
    "answer": "answer",
}


def _list_values(arguments: dict[str, Any], *names: str) -> Sequence[Any]:
    """The argument of the first of these names that is there, as a list."""
    value: Any = next((arguments[name] for name in names if arguments.get(name)), [])
    return value if isinstance(value, list) else [value]


def _format_numbers(arguments: dict[str, Any], name: str) -> str:
    ids = [id for id in _list_values(arguments, name) if isinstance(id, int)]
    return format_ids(ids) if ids else "some"


def _name_masks(arguments: dict[str, Any], name: str, episode: Episode) -> str:
    """What masks are called: their phrase where there is one alone, else their numbers."""
    ids = [id for id in _list_values(arguments, name) if isinstance(id, int) and id in episode.workspace]
    phrases = {candidate.phrase for candidate in episode.workspace.pick(ids) if candidate.phrase}
    return f"the {phrases.pop()}" if len(phrases) == 1 else _format_numbers(arguments, name)


def _join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence.

    >>> _join_words(["4", "1", "none"]), _join_words(["4"])
    ('4, 1 and none', '4')
    """
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
