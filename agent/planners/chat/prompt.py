"""The conversation with a language model: a pure function of the episode."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import prompts
from agent.core.episode import Decision, Episode
from agent.core.text.english import format_ids
from agent.core.tools.calls import ValidCall
from agent.core.tools.toolset import Toolset
from agent.core.workspace import SearchRecord
from agent.models.base import Message, Messages
from agent.models.tokens import estimate_tokens
from agent.planners.chat import video_views
from agent.planners.chat.coordinates import adapt_schema
from agent.planners.chat.examination import get_display_number
from agent.planners.chat.history import MAX_TURNS, format_searches, format_turns
from agent.planners.chat.messages import (
    build_turn,
    fill_query_prompt,
    join_texts,
    limit_images,
    to_model_arguments,
    truncate_text,
)
from agent.planners.chat.views import View, draw_overlay, draw_sheet, reduce_image
from agent.tools import WORKSPACE
from agent.tools.search_text import describe_search
from agent.tools.segment import Segment
from agent.tools.video.segment import describe_search as describe_tracked_search
from sam3_tool import Image
from sam3_tool.drawing.contact_sheet import MAX_MASKS

REPLY_TOKENS = 1024
"""Tokens."""
MAX_SHEETS = 3
"""Of close-ups, in one turn."""
SHORT_TURNS = 2
"""What a shortened conversation keeps."""


def build_messages(
    episode: Episode, toolset: Toolset = WORKSPACE, view: View | None = None, *, short: bool = False
) -> Messages:
    """Build what the model sees next. Equal episodes have equal conversations, down to the last byte.

    Two images at most, three where the query goes on with a conversation, and the sheets of close-ups that the last
    call asked for.

    workspace: the query with the raw image, then every turn, so that a conversation begins as the one before it;
    the last turn alone shows the masks that were found last, under their ids.
    What was said before the query, and the masks of the answer so far, are part of the first turn.
    video: as workspace, with a sheet of frames in the place of each image.
    paper: the published rule. The query, with the phrases that did not satisfy, and the turns since the last phrase
    that SAM 3 was given; the current masks are drawn in the turn that changed them last, numbered from 1.

    `short`: only the last two turns, without what the model said beside its calls, and the phrases of all others. That
    is also done, asked or not, where the whole would not fit into `view.context`.
    """
    view = view or View()
    conversation = _assemble_messages(episode, toolset, view, short=short)
    if not short and view.context is not None:
        tokens = estimate_tokens(conversation, build_schemas(toolset, view)) + REPLY_TOKENS
        conversation = (
            conversation if tokens <= view.context else _assemble_messages(episode, toolset, view, short=True)
        )
    return limit_images(conversation, view.images)


def build_system_prompt(toolset: Toolset) -> str:
    """Build the system prompt: the text of the set's prompt, then the guidance of the tools that have some."""
    text = prompts.load_prompt(f"{toolset.prompt}/system")
    guidance = [f"- `{tool.name}`: {' '.join(tool.guidance.split())}" for tool in toolset.tools if tool.guidance]
    return "\n\n".join([text, prompts.fill_prompt("further_tools", tools="\n".join(guidance))]) if guidance else text


def build_schemas(toolset: Toolset, view: View) -> list[dict[str, Any]]:
    """Describe the tools as they are offered to the model."""
    convention = "pixels" if view.coordinates == "auto" else view.coordinates
    return [adapt_schema(tool.to_planner_schema(), convention) for tool in toolset.tools]


def _assemble_messages(episode: Episode, toolset: Toolset, view: View, *, short: bool) -> list[Message]:
    start = _find_last_search(episode) if toolset.renumbers_masks else 0
    if short:
        start = max(start, len(episode.steps) - SHORT_TURNS)
    frame = view.build_frame(episode.task.image, is_video=toolset.is_for_videos)
    drawn = _find_drawn_step(episode, toolset)
    conversation = [
        Message("system", (build_system_prompt(toolset),)),
        _build_opening(episode, start, toolset, view, short=short),
    ]
    for index, step in enumerate(episode.steps[start:], start=start):
        words = "\n".join(filter(None, (frame.rewrite_coordinates(step.observation.text), step.decision.note)))
        current_masks = _show_current_masks(episode, toolset, view) if index == drawn else ()
        conversation += build_turn(
            step.decision,
            to_model_arguments(step.decision, toolset, frame),
            join_texts(truncate_text(words), *current_masks),
            thoughts=not short,
        )
    return conversation


def _build_opening(episode: Episode, start: int, toolset: Toolset, view: View, *, short: bool) -> Message:
    """The raw image, what was said before, the query, and what was tried in the turns before `start`."""
    image = episode.task.image
    drawn = _get_context_ids(episode, toolset)
    query = (
        video_views.describe_opening(episode, view)
        if toolset.is_for_videos
        else fill_query_prompt(
            f"{toolset.prompt}/query", episode, coordinates=view.build_frame(image).describe_convention()
        )
    )
    tried = _list_searches(episode, start)
    words = (*_describe_context(episode, drawn, toolset, short=short), query)
    text = "\n\n".join((*words, _describe_searches(tried, episode, toolset)) if tried else words)
    if toolset.is_for_videos:
        return Message("user", (*video_views.show_opening(episode, drawn, view), text))
    numbers = list(_get_context_numbers(drawn, toolset))
    marked = [draw_overlay(image, episode.workspace.pick(drawn), numbers, view.image_side)] if drawn else []
    return Message("user", (reduce_image(image, view.image_side), *marked, text))


def _describe_context(episode: Episode, drawn: Sequence[int], toolset: Toolset, *, short: bool) -> Iterator[str]:
    """Describe the conversation before the query, and the masks that it found."""
    context = episode.task.context
    if context.turns:
        max_turns = SHORT_TURNS if short else MAX_TURNS
        yield prompts.fill_prompt(
            f"{toolset.prompt}/before", turns=truncate_text(format_turns(context, toolset, max_turns=max_turns))
        )
    if context.workspace and context.workspace.searches and not toolset.renumbers_masks:
        found = format_searches(context.workspace, timeline=episode.task.timeline)
        yield prompts.fill_prompt("workspace/before_found", searches=truncate_text(found))
    if drawn:
        yield prompts.fill_prompt(
            f"{toolset.prompt}/before_drawn", numbers=format_ids(_get_context_numbers(drawn, toolset))
        )


def _get_context_ids(episode: Episode, toolset: Toolset) -> tuple[int, ...]:
    """The masks of the answer so far; in the paper's protocol while they are the current ones, as numbers change."""
    changed = any(step.observation.shown is not None for step in episode.steps)
    return () if toolset.renumbers_masks and changed else episode.task.context.selected


def _get_context_numbers(drawn: Sequence[int], toolset: Toolset) -> Sequence[int]:
    return range(1, len(drawn) + 1) if toolset.renumbers_masks else drawn


def _describe_searches(searches: Sequence[SearchRecord], episode: Episode, toolset: Toolset) -> str:
    if toolset.renumbers_masks:
        phrases = dict.fromkeys(truncate_text(search.phrase) for search in searches)
        return prompts.fill_prompt("paper/tried", phrases=", ".join(map(repr, phrases)))
    timeline = episode.task.timeline
    described = [
        describe_search(search, episode.workspace)
        if timeline is None
        else describe_tracked_search(search, episode.workspace, timeline)
        for search in searches
    ]
    lines = [f"- {truncate_text(words)}" for words in described]
    return prompts.fill_prompt("workspace/tried", searches="\n".join(lines))


def _show_current_masks(episode: Episode, toolset: Toolset, view: View) -> tuple[str | Image, ...]:
    """Tell the model which masks it may choose from now, and draw them."""
    if toolset.is_for_videos and (looked := video_views.show_look(episode.steps[-1].decision, episode, toolset, view)):
        return looked
    ids = episode.current_ids if toolset.renumbers_masks else episode.best_ids
    if not toolset.renumbers_masks and not any(step.observation.shown for step in episode.steps):
        return ()  # what was there before is drawn at the beginning
    if not ids:
        return (fill_query_prompt("paper/none", episode),) if toolset.renumbers_masks else ()
    if toolset.is_for_videos:
        return video_views.show_tracks(ids, episode, view)
    numbers = [get_display_number(id, episode, toolset) for id in ids]
    words = fill_query_prompt(f"{toolset.prompt}/drawn", episode, numbers=format_ids(numbers))
    marked = draw_overlay(episode.task.image, episode.workspace.pick(ids), numbers, view.image_side)
    return (
        words,
        marked,
        *(_build_close_ups(ids, episode, view) if _is_close_up_request(episode.steps[-1].decision, toolset) else ()),
    )


def _is_close_up_request(decision: Decision, toolset: Toolset) -> bool:
    match toolset.read_call(decision):
        case ValidCall(Segment(close_ups=close_ups)):
            return close_ups
        case _:
            return False


def _build_close_ups(ids: Sequence[int], episode: Episode, view: View) -> tuple[str | Image, ...]:
    """Sheets of the masks, and what they are. Coarser than those of an examination: they stand beside an image."""
    ids = ids[: MAX_SHEETS * MAX_MASKS]
    sheets = [ids[start : start + MAX_MASKS] for start in range(0, len(ids), MAX_MASKS)]
    side = view.image_side * 3 // 4
    words = prompts.fill_prompt("workspace/close_ups", numbers=format_ids(ids))
    return words, *(draw_sheet(episode.task.image, episode.workspace.pick(group), group, side) for group in sheets)


def _find_drawn_step(episode: Episode, toolset: Toolset) -> int:
    """The step whose turn shows the masks: the last one; in the paper's protocol, the one that changed them last."""
    if not toolset.renumbers_masks:
        return len(episode.steps) - 1
    changed = [index for index, step in enumerate(episode.steps) if step.observation.shown is not None]
    return changed[-1] if changed else -1


def _find_last_search(episode: Episode) -> int:
    """The last step that gave SAM 3 a phrase; 0 where there is none."""
    made = [len(_list_searches(episode, step_count)) for step_count in range(len(episode.steps) + 1)]
    searches = [index for index, (before, after) in enumerate(pairwise(made)) if after > before]
    return searches[-1] if searches else 0


def _list_searches(episode: Episode, step_count: int) -> tuple[SearchRecord, ...]:
    """Made in the first so many steps."""
    return Episode(episode.task, episode.steps[:step_count]).searches
