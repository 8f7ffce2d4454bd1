"""Finds out what an endpoint can do, by a few tiny requests."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import prompts
from agent.models import Capabilities, ChatModel, Message, ModelError, Reply
from sam3_tool import Picture

COLOURS = ("red", "green", "blue", "yellow")
SIDE = 64
"""Of the squares, in pixels: small, but more than one patch of every vision encoder."""

_COLOUR = {"type": "string", "enum": list(COLOURS)}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "report_colours",
        "description": "Report the colours of two squares.",
        "parameters": {
            "type": "object",
            "properties": {"left": _COLOUR, "right": _COLOUR},
            "required": ["left", "right"],
            "additionalProperties": False,
        },
    },
}
WIRES = (
    Capabilities(wire="native", strict=True),
    Capabilities(wire="native"),
    Capabilities(wire="schema"),
    Capabilities(wire="tagged"),
)
"""The best first."""


def probe(make: Callable[[Capabilities], ChatModel], *, context: int | None = None) -> Capabilities:
    """The best way that works, how many pictures it takes (up to two), and whether there is a reasoning channel.

    `make`: the model, taken to have these capabilities. At most six requests. What counts is what comes back: tools
    that a server accepts and ignores do not work, and pictures that cost no tokens were not seen. A model that calls
    no tool in any way gets the plainest one, tagged. Raises ModelError, with the server's reason, if nothing is
    answered at all.
    """
    replies: list[Reply] = []
    for able in WIRES:
        replies.append(_ask(make(able)))
        if _is_a_call(replies[-1]):
            break
    else:
        able = WIRES[-1]
    if all(reply.error for reply in replies):
        raise ModelError(replies[-1].error)
    images, looked = _pictures_taken(make(able), replies[-1])
    reasoning = any(reply.reasoning for reply in (*replies, *looked))
    return replace(able, images=images, reasoning=reasoning, context=context)


def describe(capabilities: Capabilities) -> str:
    """In one line, for a person.

    >>> describe(Capabilities("native", strict=True, context=32768))
    'native tools, strict; several pictures; context of 32768 tokens'
    """
    ways = {"native": "native tools", "schema": "one JSON schema for every reply", "tagged": "calls tagged in the text"}
    pictures = {None: "several pictures", 0: "no pictures", 1: "one picture"}
    parts = [
        ways[capabilities.wire] + (", strict" if capabilities.strict else ""),
        pictures.get(capabilities.images, f"{capabilities.images} pictures"),
        "reasoning channel" if capabilities.reasoning else "",
        f"context of {capabilities.context} tokens" if capabilities.context else "",
    ]
    return "; ".join(filter(None, parts))


def _pictures_taken(model: ChatModel, without: Reply) -> tuple[int | None, list[Reply]]:
    """None for two and perhaps more, 1, or 0; and the replies from which that is known."""
    looked: list[Reply] = []
    for number, images in ((2, None), (1, 1)):
        looked.append(_ask(model, number))
        if _seen(looked[-1], without, number):
            return images, looked
    return 0, looked


def _seen(reply: Reply, without: Reply, pictures: int) -> bool:
    """Whether a server that took the pictures let the model see them: they must have cost tokens, if it counts any."""
    before, after = without.usage.prompt_tokens, reply.usage.prompt_tokens
    return not reply.error and (not before or not after or after >= before + pictures)


def _ask(model: ChatModel, pictures: int = 0) -> Reply:
    shown = [_square(colour) for colour in ((214, 38, 40), (44, 84, 214))[:pictures]]
    return model.reply([[Message("user", (*shown, prompts.load("probe")))]], [TOOL])[0]


def _square(colour: tuple[int, int, int]) -> Picture:
    return Picture(np.full((SIDE, SIDE, 3), colour, np.uint8))


def _is_a_call(reply: Reply) -> bool:
    """Whether it is the call that was asked for, with arguments of the right form; the colours may be wrong."""
    if not reply.calls or reply.calls[0].tool != TOOL["function"]["name"]:
        return False
    try:
        arguments = json.loads(reply.calls[0].arguments)
    except (ValueError, RecursionError):
        return False
    return isinstance(arguments, dict) and all(arguments.get(side) in COLOURS for side in ("left", "right"))
