"""Queries to tap: what somebody may want next, made from what is in the image."""

from collections import Counter

from agent.conversation.conversation import Conversation
from agent.core.text.sanitizing import make_encodable

MAX_SUGGESTIONS = 3
MAX_PHRASE_LENGTH = 40
"""Characters; a longer phrase makes no button."""
EXAMPLE_QUERIES = {
    "fruit": ("all the watermelons", "the watermelons above the banana except the largest one", "all the cherries"),
    "shapes": ("all the hearts", "the red star", "how many hearts are there?"),
    "cactus": ("all the cacti", "the two largest hats", "the bell"),
    "horses": ("all the horses", "the mushrooms", "the largest horse"),
}
"""What to ask of each example; the first is what the start screen shows."""


def suggest_queries(conversation: Conversation | None) -> list[str]:
    """Return queries that make sense now.

    Args:
        conversation: None before the first image.

    Returns:
        At most `MAX_SUGGESTIONS`, in the order of their worth.
    """
    if conversation is None:
        return []
    asked = {turn.task.query for turn in conversation.turns}
    found = [*_suggest_from_answer(conversation), *_suggest_from_example(conversation)]
    return [query for query in dict.fromkeys(found) if query not in asked][:MAX_SUGGESTIONS]


def _suggest_from_example(conversation: Conversation) -> tuple[str, ...]:
    name, _, suffix = conversation.name.partition(".")
    return EXAMPLE_QUERIES.get(name, ()) if suffix == "webp" else ()


def _suggest_from_answer(conversation: Conversation) -> list[str]:
    """What goes on from the answer: fewer of it, or what was found beside it."""
    if conversation.options:
        return []
    selected = set(conversation.selected)
    chosen = Counter(
        candidate.phrase for candidate in conversation.workspace if candidate.id in selected and candidate.phrase
    )
    beside = Counter(
        candidate.phrase for candidate in conversation.workspace if candidate.id not in selected and candidate.phrase
    )
    more = [f"also the {phrase}" for phrase in beside if phrase not in chosen and len(phrase) <= MAX_PHRASE_LENGTH]
    fewer = ["only the largest one"] if sum(chosen.values()) > 1 else []
    fewer += ["only the two largest"] if sum(chosen.values()) > 2 else []
    return [make_encodable(query) for query in [*fewer[-1:], *more[:1], *fewer[:-1]]]
