"""Small questions to a language model: pure functions of the episode."""

from collections.abc import Sequence
from dataclasses import replace

import prompts
from agent.core.episode import Episode
from agent.core.text.english import format_ids
from agent.models.base import Message, Messages
from agent.planners.chat.examination import VerdictRequest
from agent.planners.chat.history import format_searches, format_turns
from agent.planners.chat.messages import fill_query_prompt, limit_images, truncate_text
from agent.planners.chat.views import View, draw_overlay, draw_sheet, reduce_image
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.progress import Progress, is_follow_up
from agent.tools import WORKSPACE
from sam3_tool import Image
from sam3_tool.drawing.contact_sheet import MAX_MASKS

ALTERNATIVES = 4
"""Phrases that are asked for with the strategy 'hypotheses'."""
FIRST_LOOK_SHARE = 0.5
"""Side of the first sheet, as a share of the view's images: a second look is larger."""


def build_proposal(episode: Episode, view: View, strategies: Strategies) -> Messages:
    """Build the question what to look for.

    Args:
        episode: Everything that happened so far.
        view: How the model sees it.
        strategies: With 'hypotheses', several phrases are asked for; else one for each kind of thing.

    Returns:
        The conversation: the raw image, the query, and the phrases that were tried.
    """
    how_many = (
        prompts.fill_prompt("strategies/alternatives", count=ALTERNATIVES)
        if strategies.hypotheses
        else prompts.load_prompt("strategies/one_phrase")
    )
    told = [_fill_place_prompt("strategies/propose_query", episode, view), how_many]
    if episode.searches:
        tried = ", ".join(repr(truncate_text(search.phrase)) for search in episode.searches)
        told.append(prompts.fill_prompt("strategies/tried", phrases=tried))
    shown = [reduce_image(episode.task.image, view.image_side)]
    if is_follow_up(episode):
        told.append(_describe_conversation(episode))
        if selected := episode.task.context.selected:
            shown.append(draw_overlay(episode.task.image, episode.workspace.pick(selected), selected, view.image_side))
    return _build_question("strategies/propose", shown, told, view)


def restate_query(episode: Episode) -> Episode:
    """Return the episode with the query in full, as the proposal read it; itself where no conversation came before.

    Args:
        episode: Everything that happened so far.
    """
    reading = Progress.from_episode(episode).plan.get("reading") if is_follow_up(episode) else None
    if not reading:
        return episode
    query = f"{episode.task.query.strip()} (that is, after what was said before: {reading})"
    return replace(episode, task=replace(episode.task, query=query))


def _describe_conversation(episode: Episode) -> str:
    context = episode.task.context
    known = context.workspace if context.workspace and context.workspace.searches else None
    return prompts.fill_prompt(
        "strategies/follow_up",
        turns=truncate_text(format_turns(context, WORKSPACE)) or "- (nothing)",
        searches=truncate_text(format_searches(known)) if known else "",
        numbers=format_ids(context.selected) if context.selected else "",
    )


def build_look(episode: Episode, ids: Sequence[int], view: View, *, closer: bool = False) -> list[VerdictRequest]:
    """Build the question which of these masks belong to the answer, up to 12 in one request.

    `closer`: on a sheet as large as the view allows, with these masks alone over the image.
    """
    side = view.image_side if closer else max(32, int(view.image_side * FIRST_LOOK_SHARE))
    groups = [ids[start : start + MAX_MASKS] for start in range(0, len(ids), MAX_MASKS)]
    return [_build_sheet_question(episode, group, view, side) for group in groups]


def _build_sheet_question(episode: Episode, ids: Sequence[int], view: View, side: int) -> VerdictRequest:
    words = (
        fill_query_prompt("examine/query", episode),
        prompts.fill_prompt("examine/sheet_masks", numbers=", ".join(map(str, ids))),
    )
    messages = _build_question("examine/sheet", _draw_masks(episode, ids, view, side), words, view)
    return VerdictRequest(messages, {id: id for id in ids})


def build_comparison(episode: Episode, rivals: Sequence[int], view: View) -> Messages:
    """Build the question which of two masks is what the query means."""
    words = (
        fill_query_prompt("examine/query", episode),
        prompts.fill_prompt("strategies/compare_masks", numbers=", ".join(map(str, rivals))),
    )
    return _build_question("strategies/compare", _draw_masks(episode, rivals, view, view.image_side), words, view)


def build_check(episode: Episode, ids: Sequence[int], view: View) -> Messages:
    """Build the question what is missing from an answer and what is too much."""
    image = episode.task.image
    shown = (
        reduce_image(image, view.image_side),
        draw_overlay(image, episode.workspace.pick(ids), ids, view.image_side),
    )
    words = (
        fill_query_prompt("examine/query", episode),
        _fill_place_prompt("strategies/check_masks", episode, view, numbers=", ".join(map(str, ids))),
    )
    return _build_question("strategies/check", shown, words, view)


def _draw_masks(episode: Episode, ids: Sequence[int], view: View, side: int) -> tuple[Image, Image]:
    """The masks over the whole image, and a sheet of close-ups with at most `side` pixels."""
    image, candidates = episode.task.image, episode.workspace.pick(ids)
    return draw_overlay(image, candidates, ids, view.image_side), draw_sheet(image, candidates, ids, side)


def _fill_place_prompt(name: str, episode: Episode, view: View, **values: object) -> str:
    return fill_query_prompt(
        name, episode, coordinates=view.build_frame(episode.task.image).describe_convention(), **values
    )


def _build_question(system: str, images: Sequence[Image], words: Sequence[str], view: View) -> Messages:
    asked = Message("user", (*images, "\n\n".join(words)))
    return limit_images([Message("system", (prompts.load_prompt(system),)), asked], view.images)
