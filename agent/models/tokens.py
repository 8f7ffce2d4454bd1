"""How long a conversation is for a language model, near enough to plan with."""

import json
from collections.abc import Sequence

from agent.models.base import Messages, Schema
from sam3_tool import Image

PIXELS_PER_TOKEN_SIDE = 32
"""Pixels on a side of the patch that one token stands for in current models."""
LETTERS_PER_TOKEN = 4
"""Letters of one token; English prose has more."""
TOKENS_PER_TURN = 4
"""Tokens that mark the start and the end of a turn."""


def estimate_tokens(conversation: Messages, tools: Sequence[Schema] = ()) -> int:
    """Estimate how many tokens a request is, images included."""
    image_tokens = sum(
        estimate_image_tokens(part) for turn in conversation for part in turn.content if isinstance(part, Image)
    )
    texts = [part for turn in conversation for part in turn.content if isinstance(part, str)]
    calls = [text for turn in conversation for call in turn.calls for text in (call.tool, call.arguments)]
    written = sum(map(estimate_text_tokens, (*texts, *calls, *map(json.dumps, tools))))
    return image_tokens + written + TOKENS_PER_TURN * len(conversation)


def estimate_text_tokens(text: str) -> int:
    """Estimate the tokens of a text.

    >>> estimate_text_tokens("red cup")
    2
    """
    return -(-len(text) // LETTERS_PER_TOKEN)


def estimate_image_tokens(image: Image) -> int:
    """Estimate the tokens of an image, whose sides are rounded up to whole patches."""
    return -(-image.width // PIXELS_PER_TOKEN_SIDE) * -(-image.height // PIXELS_PER_TOKEN_SIDE)
