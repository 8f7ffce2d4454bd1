"""How long a conversation is for a language model, near enough to plan with."""

import json
from collections.abc import Sequence

from agent.models import Messages, Schema
from sam3_tool import Picture

PATCH = 32
"""Pixels on a side of what one token of a picture stands for in current models."""
LETTERS = 4
"""To a token; English prose has more."""
TURN = 4
"""Tokens that mark the start and the end of a turn."""


def estimate_tokens(conversation: Messages, tools: Sequence[Schema] = ()) -> int:
    """About how many tokens a request is, pictures included."""
    pictures = sum(picture_tokens(part) for turn in conversation for part in turn.content if isinstance(part, Picture))
    texts = [part for turn in conversation for part in turn.content if isinstance(part, str)]
    calls = [text for turn in conversation for call in turn.calls for text in (call.tool, call.arguments)]
    written = sum(map(text_tokens, (*texts, *calls, *map(json.dumps, tools))))
    return pictures + written + TURN * len(conversation)


def text_tokens(text: str) -> int:
    """
    >>> text_tokens("red cup")
    2
    """
    return -(-len(text) // LETTERS)


def picture_tokens(picture: Picture) -> int:
    return -(-picture.width // PATCH) * -(-picture.height // PATCH)
