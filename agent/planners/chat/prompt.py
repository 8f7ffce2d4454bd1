"""What a language model is told of an episode: a pure function of the episode."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import prompts
from agent.core.english import format_ids
from agent.core.episode import Decision, Episode, SearchRecord, Step
from agent.core.errors import ToolError
from agent.core.text import make_encodable
from agent.core.toolset import Toolset
from agent.models.base import Call, Message, Messages
from agent.models.tokens import estimate_tokens
from agent.planners.chat.coordinates import CoordinateFrame, adapt_schema
from agent.planners.chat.history import MAX_TURNS, format_searches, format_turns
from agent.planners.chat.views import View, draw_overlay, draw_sheet, reduce_image, zoom_to_mask
from agent.tools import WORKSPACE, Tool, parse_call
from agent.tools.search_text import describe_search
from agent.tools.segment import Segment
from sam3_tool import Image
from sam3_tool.drawing.contact_sheet import MAX_MASKS

__all__ = ["View", "build_examination", "build_messages", "build_sheet_examinations"]

MAX_TEXT_LENGTH = 4000
"""Letters of any one text that the model is told; of a longer one, its beginning and its end."""
MAX_NAME_LENGTH = 64
"""Letters of a tool's name: more is no name, and servers refuse it."""
REPLY_TOKENS = 1024
"""Tokens."""
MAX_SHEETS = 3
"""Of close-ups, in one turn."""
SHORT_TURNS = 2
"""What a shortened conversation keeps."""


def build_messages(
    episode: Episode, toolset: Toolset = WORKSPACE, view: View | None = None, *, short: bool = False
) -> Messages:
    """What the model sees next. Equal episodes have equal conversations, down to the last byte.

    Two pictures at most, three where the query goes on with a conversation, and the sheets of close-ups that the last
    call asked for.

    workspace: the query with the raw picture, then every turn, so that a conversation begins as the one before it;
    the last turn alone shows the masks that were found last, under their ids.
    What was said before the query, and the masks of the answer so far, are part of the first turn.
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
    """The text of the set's prompt, and after it what the added tools say of themselves."""
    guidance = [f"- `{tool.name}`: {' '.join(tool.guidance.split())}" for tool in toolset.tools if tool.guidance]
    text = prompts.load_prompt(toolset.prompt)
    return "\n".join([text, "", "# Further tools", "", *guidance]) if guidance else text


def build_schemas(toolset: Toolset, view: View) -> list[dict[str, Any]]:
    """The tools, as they are offered to the model."""
    convention = "pixels" if view.coordinates == "auto" else view.coordinates
    return [adapt_schema(tool.to_planner_schema(), convention) for tool in toolset.tools]


def build_examination(episode: Episode, mask_id: int, toolset: Toolset, view: View) -> Messages:
    """A request to judge one mask: the raw picture, the mask alone over it, and two close-ups."""
    image, candidate, number = (
        episode.task.image,
        episode.workspace[mask_id],
        get_display_number(mask_id, episode, toolset),
    )
    content = (
        reduce_image(image, view.image_side),
        _fill_query_prompt("examine_query", episode),
        draw_overlay(image, [candidate], [number], view.image_side),
        zoom_to_mask(image, candidate, number, view.image_side),
        prompts.fill_prompt("examine_one_mask", number=number),
    )
    return limit_images(
        [Message("system", (prompts.load_prompt("examine_one"),)), Message("user", content)], view.images
    )


def build_sheet_examinations(
    episode: Episode, sheets: Sequence[Sequence[int]], toolset: Toolset, view: View
) -> list[Messages]:
    """Requests to judge many masks, one for each group of ids: all of them over the picture, and a sheet of close-ups.

    The requests differ in their sheet alone, so that a server reads the rest once.
    """
    image, ids = episode.task.image, [id for group in sheets for id in group]
    number_by_id = {id: get_display_number(id, episode, toolset) for id in ids}
    marked = draw_overlay(image, episode.workspace.pick(ids), [number_by_id[id] for id in ids], view.image_side)
    beginning = (marked, _fill_query_prompt("examine_query", episode))
    return [
        limit_images(
            [
                Message("system", (prompts.load_prompt("examine_sheet"),)),
                Message(
                    "user",
                    (*beginning, *_build_sheet_content(episode, group, [number_by_id[id] for id in group], view)),
                ),
            ],
            view.images,
        )
        for group in sheets
    ]


def get_display_number(mask_id: int, episode: Episode, toolset: Toolset) -> int:
    """What the model calls a mask: in the paper's protocol its place among the current ones, else its id."""
    current = episode.current_ids
    return current.index(mask_id) + 1 if toolset.renumbers_masks and mask_id in current else mask_id


def build_turn(
    decision: Decision,
    answer: Sequence[str | Image],
    tools: Sequence[type[Tool]],
    frame: CoordinateFrame,
    *,
    thoughts: bool = True,
) -> list[Message]:
    """A decision and what came of it. What cannot be sent as a call is sent as text: the model should see its slip."""
    thought = decision.thought.strip() if thoughts else ""
    call = _build_history_call(decision, tools, frame)
    if call is not None:
        return [
            Message("assistant", (truncate_text(thought),) if thought else (), (call,)),
            Message("tool", tuple(answer)),
        ]
    text = "\n".join(filter(None, (thought, f"{decision.tool} {decision.arguments}".strip())))
    return [Message("assistant", (truncate_text(text or "(nothing)"),)), Message("user", tuple(answer))]


def truncate_text(text: str) -> str:
    """Text that a model can be told, whoever wrote it: valid, of sane length, without the marks of chat templates.

    >>> truncate_text("<|im_end|>" + "x" * 5000)[:12], len(truncate_text("x" * 5000))
    ('< |im_end|>x', 4000)
    """
    text = _escape_chat_markers(text)
    if len(text) <= MAX_TEXT_LENGTH:
        return text
    end = MAX_TEXT_LENGTH // 4
    return f"{text[: MAX_TEXT_LENGTH - end - 3]} … {text[-end:]}"


def _escape_chat_markers(text: str) -> str:
    return make_encodable(text).replace("<|", "< |")


def limit_images(conversation: Sequence[Message], images: int | None) -> list[Message]:
    """The conversation with at most so many pictures: the last ones."""
    image_count = sum(isinstance(part, Image) for message in conversation for part in message.content)
    surplus = 0 if images is None else max(0, image_count - images)
    kept: list[Message] = []
    for message in conversation:
        own_images = [part for part in message.content if isinstance(part, Image)]
        content = _drop_images(message.content, surplus)
        surplus = max(0, surplus - len(own_images))
        kept.append(Message(message.role, content, message.calls))
    return kept


def _drop_images(content: tuple[str | Image, ...], count: int) -> tuple[str | Image, ...]:
    """Without the first `number_by_id` pictures."""
    places = [place for place, part in enumerate(content) if isinstance(part, Image)][:count]
    return tuple(part for place, part in enumerate(content) if place not in places)


def _assemble_messages(episode: Episode, toolset: Toolset, view: View, *, short: bool) -> list[Message]:
    start = _find_last_search(episode) if toolset.renumbers_masks else 0
    if short:
        start = max(start, len(episode.steps) - SHORT_TURNS)
    frame = view.build_frame(episode.task.image)
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
            _join_texts(truncate_text(words), *current_masks),
            toolset.tools,
            frame,
            thoughts=not short,
        )
    return conversation


def _build_opening(episode: Episode, start: int, toolset: Toolset, view: View, *, short: bool) -> Message:
    """The raw picture, what was said before, the query, and what was tried in the turns before `start`."""
    image = episode.task.image
    drawn = _get_context_ids(episode, toolset)
    query = _fill_query_prompt(
        f"{toolset.prompt}_query", episode, coordinates=view.build_frame(image).describe_convention()
    )
    tried = _list_searches(episode, start)
    words = (*_describe_context(episode, drawn, toolset, short=short), query)
    text = "\n\n".join((*words, _describe_searches(tried, episode, toolset)) if tried else words)
    numbers = list(_get_context_numbers(drawn, toolset))
    marked = [draw_overlay(image, episode.workspace.pick(drawn), numbers, view.image_side)] if drawn else []
    return Message("user", (reduce_image(image, view.image_side), *marked, text))


def _describe_context(episode: Episode, drawn: Sequence[int], toolset: Toolset, *, short: bool) -> Iterator[str]:
    """What was said before in the conversation, and what was found."""
    context = episode.task.context
    if context.turns:
        max_turns = SHORT_TURNS if short else MAX_TURNS
        yield prompts.fill_prompt(
            f"{toolset.prompt}_before", turns=truncate_text(format_turns(context, toolset, max_turns=max_turns))
        )
    if context.workspace and context.workspace.searches and not toolset.renumbers_masks:
        yield prompts.fill_prompt("workspace_before_found", searches=truncate_text(format_searches(context.workspace)))
    if drawn:
        yield prompts.fill_prompt(
            f"{toolset.prompt}_before_drawn", numbers=format_ids(_get_context_numbers(drawn, toolset))
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
        return prompts.fill_prompt("paper_tried", phrases=", ".join(map(repr, phrases)))
    lines = [f"- {truncate_text(describe_search(search, episode.workspace))}" for search in searches]
    return prompts.fill_prompt("workspace_tried", searches="\n".join(lines))


def _show_current_masks(episode: Episode, toolset: Toolset, view: View) -> tuple[str | Image, ...]:
    """What the model is told of the masks it may choose from now, and their picture."""
    ids = episode.current_ids if toolset.renumbers_masks else episode.best_ids
    if not toolset.renumbers_masks and not any(step.observation.shown for step in episode.steps):
        return ()  # what was there before is drawn at the beginning
    if not ids:
        return (_fill_query_prompt("paper_none", episode),) if toolset.renumbers_masks else ()
    numbers = [get_display_number(id, episode, toolset) for id in ids]
    words = _fill_query_prompt(f"{toolset.prompt}_drawn", episode, numbers=format_ids(numbers))
    marked = draw_overlay(episode.task.image, episode.workspace.pick(ids), numbers, view.image_side)
    return words, marked, *(_build_close_ups(ids, episode, view) if _is_close_up_request(episode.steps[-1]) else ())


def _is_close_up_request(step: Step) -> bool:
    with suppress(ToolError):
        call = parse_call(step.decision, [Segment])
        return isinstance(call, Segment) and call.close_ups
    return False


def _build_close_ups(ids: Sequence[int], episode: Episode, view: View) -> tuple[str | Image, ...]:
    """Sheets of the masks, and what they are. Coarser than those of an examination: they stand beside a picture."""
    ids = ids[: MAX_SHEETS * MAX_MASKS]
    sheets = [ids[start : start + MAX_MASKS] for start in range(0, len(ids), MAX_MASKS)]
    side = view.image_side * 3 // 4
    words = prompts.fill_prompt("workspace_close_ups", numbers=format_ids(ids))
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


def _build_sheet_content(episode: Episode, ids: Sequence[int], numbers: Sequence[int], view: View) -> tuple[Image, str]:
    closeups = draw_sheet(episode.task.image, episode.workspace.pick(ids), numbers, view.image_side)
    return closeups, prompts.fill_prompt("examine_sheet_masks", numbers=", ".join(map(str, numbers)))


def _fill_query_prompt(prompt_name: str, episode: Episode, **values: object) -> str:
    return prompts.fill_prompt(prompt_name, query=truncate_text(episode.task.query.strip()), **values)


def _join_texts(words: str, *content: str | Image) -> tuple[str | Image, ...]:
    """The texts as one, before the pictures, which some servers take in a turn of their own only."""
    texts = [words, *(part for part in content if isinstance(part, str))]
    return "\n".join(filter(None, texts)), *(part for part in content if isinstance(part, Image))


def _build_history_call(decision: Decision, tools: Sequence[type[Tool]], frame: CoordinateFrame) -> Call | None:
    """The call as the model wrote it; None for what no server would take in a history."""
    arguments = _sanitize_arguments(_to_model_arguments(decision, tools, frame))
    name = make_encodable(decision.tool.strip())
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH or arguments is None:
        return None
    return Call(name, arguments)


def _to_model_arguments(decision: Decision, tools: Sequence[type[Tool]], frame: CoordinateFrame) -> str:
    """The arguments with places as the model writes them; a decision holds pixels of the whole picture."""
    return decision.arguments if frame.is_plain else convert_coordinates(decision, tools, frame.to_model_units)


def convert_coordinates(
    decision: Decision, tools: Sequence[type[Tool]], convert: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> str:
    """The arguments of a call with `convert` applied to the places in them; as they are where there is none."""
    with suppress(ToolError):
        arguments = parse_call(decision, tools).model_dump(mode="json", exclude_defaults=True)
        if convert(arguments) != arguments:
            return json.dumps(convert(arguments), ensure_ascii=False)
    return decision.arguments


def _sanitize_arguments(arguments: str) -> str | None:
    """A JSON object as text, untouched where it can be; None for anything else, or more than a model should be told."""
    if len(arguments) > MAX_TEXT_LENGTH:
        return None
    try:
        value = json.loads(arguments.strip() or "{}")
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    safe = _escape_chat_markers(written)
    return safe if safe != written else arguments.strip() or "{}"
