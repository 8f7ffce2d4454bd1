"""What an answer took, in words, and the numbers of masks in their colours."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agent.core.text.english import pluralize
from agent.core.usage import Usage
from agent.report.text import format_css_color
from demo.studio.rows import choose_mask_ink
from demo.talk.ways import TurnInfo
from sam3_tool.drawing.outlines import get_mask_color


def describe_cost(usage: Usage, info: TurnInfo | None) -> str:
    """Return what a turn took.

    Args:
        usage: Of the turn.
        info: What else is known of it.

    Example:
        >>> describe_cost(Usage(model_calls=2, prompt_tokens=1150, completion_tokens=50, seconds=3.2), None)
        '3.2 s, 2 calls of the language model, 1,200 tokens'
        >>> describe_cost(Usage(model_calls=1, seconds=12), TurnInfo("m", "tiny", retries=1, cost="0.002"))
        '12 s, 1 call of the language model, sent again once, cost 0.002'
    """
    parts = [format_seconds(usage.seconds)]
    if usage.model_calls:
        parts.append(f"{pluralize(usage.model_calls, 'call')} of the language model")
    parts += filter(None, [describe_tokens(usage)])
    if info is not None and info.retries:
        parts.append(f"sent again {'once' if info.retries == 1 else f'{info.retries} times'}")
    if info is not None and info.cost and usage.model_calls:
        parts.append(f"cost {info.cost}")
    return ", ".join(parts)


def describe_tokens(usage: Usage) -> str:
    """Return how many tokens were read and written; '' for none."""
    tokens = usage.prompt_tokens + usage.completion_tokens
    return f"{tokens:,} tokens" if tokens else ""


def format_seconds(seconds: float) -> str:
    """Return seconds as a person says them.

    >>> format_seconds(0.04), format_seconds(75.3)
    ('0.0 s', '75 s')
    """
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


@lru_cache(maxsize=1024)
def make_chip(mask_id: int) -> Mapping[str, Any]:
    """Return a mask's number in its colour."""
    return {"id": mask_id, "color": format_css_color(mask_id), "ink": choose_mask_ink(get_mask_color(mask_id))}
