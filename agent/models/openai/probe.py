"""A probe finds out by a few tiny requests what an endpoint can do."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import prompts
from agent.models.base import NO_ANSWER, Capabilities, ChatModel, Message, ModelError, Reply
from sam3_tool import Image

COLOURS = ("red", "green", "blue", "yellow")
SQUARE_COLOURS = ((214, 38, 40), (44, 84, 214))
"""RGB, in [0, 255]."""
SHOWN_COLOURS = ("red", "blue")
"""Their names."""
SQUARE_SIDE = 64
"""Pixels: small, but more than one patch of every vision encoder."""

_COLOUR_SCHEMA = {"type": "string", "enum": list(COLOURS)}
COLOUR_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "report_colours",
        "description": "Report the colours of two squares.",
        "parameters": {
            "type": "object",
            "properties": {"left": _COLOUR_SCHEMA, "right": _COLOUR_SCHEMA},
            "required": ["left", "right"],
            "additionalProperties": False,
        },
    },
}
CAPABILITIES_BEST_FIRST = (
    Capabilities(wire="native", strict=True),
    Capabilities(wire="native"),
    Capabilities(wire="schema"),
    Capabilities(wire="tagged"),
)
"""The best first. The first one that works is taken."""


def probe_capabilities(make_model: Callable[[Capabilities], ChatModel], *, context: int | None = None) -> Capabilities:
    """Find the best wire that works, whether images are seen, and whether there is a reasoning channel.

    What comes back counts. Tools that a server accepts and ignores do not work, and images that cost no tokens were not
    seen, unless the model names their colours without having been told. A model that calls no tool in any way gets the
    plainest wire, "tagged".

    Args:
        make_model: Makes the model as if it had these capabilities. It is asked at most eight times.
        context: Tokens that the model takes, where they are known; the result repeats them.

    Returns:
        What the model can do. `images` is 0, 1, or None for two and perhaps more.

    Raises:
        ModelError: No request was answered. The message is the server's reason.
    """
    replies: list[Reply] = []
    for capabilities in CAPABILITIES_BEST_FIRST:
        replies.append(_ask_model(make_model(capabilities)))
        if _is_expected_call(replies[-1]):
            break
        if replies[-1].finish_reason == NO_ANSWER and all(reply.error for reply in replies):
            break  # a server that says nothing has no other way to say it
    else:
        capabilities = CAPABILITIES_BEST_FIRST[-1]
    if all(reply.error for reply in replies):
        raise ModelError(replies[-1].error)
    images, image_replies = _probe_image_limit(make_model(capabilities), replies[-1])
    reasoning = any(reply.reasoning for reply in (*replies, *image_replies))
    return replace(capabilities, images=images, reasoning=reasoning, context=context)


def format_capabilities(capabilities: Capabilities) -> str:
    """Describe capabilities in one line, for a person.

    >>> format_capabilities(Capabilities("native", strict=True, context=32768))
    'native tools, strict; several pictures; context of 32768 tokens'
    """
    ways = {"native": "native tools", "schema": "one JSON schema for every reply", "tagged": "calls tagged in the text"}
    image_limits = {None: "several pictures", 0: "no pictures", 1: "one picture"}
    parts = [
        ways[capabilities.wire] + (", strict" if capabilities.strict else ""),
        image_limits.get(capabilities.images, f"{capabilities.images} pictures"),
        "reasoning channel" if capabilities.reasoning else "",
        f"context of {capabilities.context} tokens" if capabilities.context else "",
    ]
    return "; ".join(filter(None, parts))


def _probe_image_limit(model: ChatModel, text_reply: Reply) -> tuple[int | None, list[Reply]]:
    """Return None for two images and perhaps more, 1, or 0; and the replies from which that is known."""
    replies: list[Reply] = []
    for image_count, limit in ((2, None), (1, 1)):
        replies.append(_ask_model(model, image_count))
        if replies[-1].error:
            continue
        if _has_charged_images(replies[-1], text_reply, image_count):
            return limit, replies
        replies.append(_ask_model(model, image_count, "probe_blind"))
        if _names_colours(replies[-1], image_count):
            return limit, replies
    return 0, replies


def _has_charged_images(reply: Reply, text_reply: Reply, image_count: int) -> bool:
    """Whether the images have cost tokens, if the server counts any. Some count text alone, or what is not cached."""
    before, after = text_reply.usage.prompt_tokens, reply.usage.prompt_tokens
    return not before or not after or after >= before + image_count


def _names_colours(reply: Reply, image_count: int) -> bool:
    """Whether the model names the colours of the squares, which nobody has told it."""
    shown = SHOWN_COLOURS[:image_count]
    expected = {"left": shown[0], "right": shown[-1]}
    if _is_expected_call(reply):
        named = json.loads(reply.calls[0].arguments)
        return named["left"] == expected["left"] and (image_count == 1 or named["right"] == expected["right"])
    words = re.findall("|".join(COLOURS), reply.text.lower())
    return not reply.error and list(dict.fromkeys(words)) == list(shown)


def _ask_model(model: ChatModel, image_count: int = 0, prompt: str = "probe") -> Reply:
    squares = [_draw_square(colour) for colour in SQUARE_COLOURS[:image_count]]
    return model.generate_replies([[Message("user", (*squares, prompts.load_prompt(prompt)))]], [COLOUR_TOOL])[0]


def _draw_square(colour: tuple[int, int, int]) -> Image:
    return Image(np.full((SQUARE_SIDE, SQUARE_SIDE, 3), colour, np.uint8))


def _is_expected_call(reply: Reply) -> bool:
    """Whether the reply is the call that was asked for; its arguments must have the right form only."""
    if not reply.calls or reply.calls[0].tool != COLOUR_TOOL["function"]["name"]:
        return False
    try:
        arguments = json.loads(reply.calls[0].arguments)
    except (ValueError, RecursionError):
        return False
    return isinstance(arguments, dict) and all(arguments.get(side) in COLOURS for side in ("left", "right"))
