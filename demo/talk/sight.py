"""What a language model was sent at a step: the texts at once, each image when it is opened."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from agent.core.episode import Episode
from agent.core.text.sanitizing import make_encodable
from agent.models.base import Call
from agent.planners.chat.views import reduce_image
from agent.records.provenance import Provenance
from agent.report.prompt_trace import ImageRef, PromptMessage, PromptTrace, StepPrompt, reconstruct_prompts
from demo.studio.rows import encode_data_url

IMAGE_SIDE = 900
"""Pixels of the long side of an image on the page; a larger one is reduced."""
MAX_TEXT = 20_000
"""Characters of a text; what is longer ends with a note."""
ROLES = {"system": "Instructions", "user": "Told", "assistant": "Its reply", "tool": "Result"}


def describe_sight(episode: Episode, provenance: Provenance, step: int) -> list[dict[str, Any]]:
    """Return what led to a step, and what the step asked about masks.

    Args:
        episode: The turn.
        provenance: Which planner answered, and how it saw the image.
        step: The number of the step, from 0.

    Returns:
        Sections with a `title` and `messages`, each with a `role`, a list of `parts`, each a text or the number of an
        image with its size, and whether it `isOld`: the step before had it too. None where no language model planned.
    """
    steps = _reconstruct(episode, provenance).steps
    return [*_list_sections(steps[step])] if 0 <= step < len(steps) else []


def draw_sight(episode: Episode, provenance: Provenance, image: int) -> str:
    """Return an image that the language model was sent, as a data URL; '' where there is none.

    Args:
        episode: The turn.
        provenance: Which planner answered, and how it saw the image.
        image: Its number, from 1.
    """
    images = _reconstruct(episode, provenance).images
    if not 1 <= image <= len(images):
        return ""
    return encode_data_url(reduce_image(images[image - 1], IMAGE_SIDE), quality=85)


@lru_cache(maxsize=4)
def _reconstruct_cached(episode: Episode, provenance_json: str) -> PromptTrace:
    return reconstruct_prompts(episode, Provenance.model_validate_json(provenance_json))


def _reconstruct(episode: Episode, provenance: Provenance) -> PromptTrace:
    return _reconstruct_cached(episode, provenance.model_dump_json())


def _list_sections(prompt: StepPrompt) -> Iterator[dict[str, Any]]:
    known = [_format_message(message, is_old=True) for message in prompt.known]
    if known or prompt.messages:
        new = [_format_message(message) for message in prompt.messages]
        yield {"title": f"What it was sent: {prompt.summary}", "messages": [*known, *new]}
    if prompt.shorter:
        yield {"title": f"Asked again, shorter: {prompt.shorter_summary}", "messages": _format_all(prompt.shorter)}
    for number, exam in enumerate(prompt.exams, start=1):
        yield {"title": f"A closer look, {number} of {len(prompt.exams)}", "messages": _format_all(exam)}


def _format_all(messages: Sequence[PromptMessage]) -> list[dict[str, Any]]:
    return [_format_message(message) for message in messages]


def _format_message(message: PromptMessage, *, is_old: bool = False) -> dict[str, Any]:
    parts = [_format_part(part) for part in message.parts]
    return {
        "role": ROLES.get(message.role, message.role),
        "parts": [*parts, *(_cut_text(_format_call(call)) for call in message.calls)],
        "isOld": is_old,
    }


def _format_part(part: str | ImageRef) -> str | dict[str, int]:
    if isinstance(part, str):
        return _cut_text(part)
    return {"image": part.number, "width": part.width, "height": part.height}


def _format_call(call: Call) -> str:
    return f"{call.tool} {call.arguments}"


def _cut_text(text: str) -> str:
    text = make_encodable(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … and {len(text) - MAX_TEXT:,} characters more"
