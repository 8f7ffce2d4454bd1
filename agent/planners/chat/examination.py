"""Requests for verdicts on masks: pure functions of the episode."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import prompts
from agent.core.episode import Decision, Episode
from agent.core.tools.toolset import Toolset
from agent.models.base import Call, Message, Messages, Reply
from agent.planners.chat import video_views
from agent.planners.chat.messages import build_turn, fill_query_prompt, limit_images
from agent.planners.chat.video_views import TRACKS_PER_SHEET
from agent.planners.chat.views import View, draw_overlay, draw_sheet, reduce_image, zoom_to_mask
from agent.tools.video.look import MAX_CLOSE_UPS, MAX_FRAMES, Look
from agent.tools.video.track_table import describe_track_table
from sam3_tool import Image
from sam3_tool.drawing.contact_sheet import MAX_MASKS

MAX_TRACKS = MAX_CLOSE_UPS
"""In one request: each has a sheet of close-ups."""
CLOSE_UP_FRAMES = 6
"""Close-ups of a track on its sheet."""
MAX_SINGLE_VERDICTS = 3
"""Masks that are judged one by one, whether that was asked for or not."""


@dataclass(frozen=True, eq=False)
class VerdictRequest:
    """A request for verdicts."""

    messages: Messages
    """The conversation that the model gets, system prompt first."""
    ids_by_number: dict[int, int]
    """The numbers by which the model knows the masks in question -> their ids."""


def build_verdict_requests(
    episode: Episode, ids: Sequence[int], toolset: Toolset, view: View, *, closely: bool = False
) -> list[VerdictRequest]:
    """Build the requests for verdicts on these masks, as a model is sent them first."""
    ids = list(dict.fromkeys(ids))
    number_by_id = {id: get_display_number(id, episode, toolset) for id in ids}
    if toolset.is_for_videos:
        return build_track_requests(episode, ids, view, singly=is_judged_singly(ids, toolset, closely))
    if is_judged_singly(ids, toolset, closely):
        return [VerdictRequest(build_examination(episode, id, toolset, view), {number_by_id[id]: id}) for id in ids]
    sheets = list(_split_evenly(ids, MAX_MASKS))
    conversations = build_sheet_examinations(episode, sheets, toolset, view)
    return [
        VerdictRequest(messages, {number_by_id[id]: id for id in group})
        for messages, group in zip(conversations, sheets, strict=True)
    ]


def build_track_requests(
    episode: Episode, ids: Sequence[int], view: View, *, singly: bool = False, closer: bool = False
) -> list[VerdictRequest]:
    """Build the requests for verdicts on tracks: whole frames with them, and close-ups of each in the course of time.

    `singly`: each track in a request of its own. `closer`: with twice the frames, and the track alone on them.
    """
    groups = [[id] for id in ids] if singly or closer else list(_split_evenly(ids, MAX_TRACKS))
    return [
        VerdictRequest(_build_track_examination(episode, group, view, singly=singly or closer, closer=closer), numbers)
        for group in groups
        for numbers in [{id: id for id in group}]
    ]


def _build_track_examination(
    episode: Episode, ids: Sequence[int], view: View, *, singly: bool, closer: bool
) -> Messages:
    frames = min(MAX_FRAMES, 2 * view.frames) if closer else view.frames
    # alone on the frames, a track is judged by itself; among others, by how it differs from them
    shown = ids if closer or len(episode.current_ids) > TRACKS_PER_SHEET else {*episode.current_ids, *ids}
    whole = video_views.group_tracks(sorted(shown), episode, frames)
    close = Look(ids=[*ids], frames=min(frames, CLOSE_UP_FRAMES * (2 if closer else 1)), close=True)
    words = {"table": describe_track_table(ids, episode)}
    request = (
        prompts.fill_prompt("video/examine_track", number=ids[0], **words)
        if singly
        else prompts.fill_prompt("video/examine_tracks", numbers=", ".join(map(str, ids)), **words)
    )
    content: tuple[str | Image, ...] = (
        *video_views.draw_views(whole, episode, view),
        *video_views.draw_views(close.choose_views(episode), episode, view),
        fill_query_prompt("examine/query", episode),
        request,
    )
    return limit_images(
        [Message("system", (prompts.load_prompt("video/examine"),)), Message("user", content)], view.images
    )


def is_judged_singly(ids: Sequence[int], toolset: Toolset, closely: bool) -> bool:
    return closely or toolset.renumbers_masks or len(set(ids)) <= MAX_SINGLE_VERDICTS


def build_retry(messages: Messages, reply: Reply, complaint: str) -> list[Message]:
    """Build the request once more, after the reply and what is wrong with it."""
    call = reply.calls[0] if reply.calls else Call("", "")
    decision = Decision(call.tool, call.arguments, reply.text, reasoning=reply.reasoning, extra=call.extra)
    return [*messages, *build_turn(decision, call.arguments, (complaint,))]


def _split_evenly(ids: Sequence[int], max_size: int) -> Iterator[list[int]]:
    """Split ids, in order, into as few groups of at most `max_size` as there can be, of nearly equal size.

    >>> [len(group) for group in _split_evenly(range(13), 12)]
    [6, 7]
    """
    groups = ceil(len(ids) / max_size)
    edges = [round(len(ids) * group / groups) for group in range(groups + 1)] if groups else []
    yield from (list(ids[low:high]) for low, high in pairwise(edges))


def build_examination(episode: Episode, mask_id: int, toolset: Toolset, view: View) -> Messages:
    """Build a request to judge one mask: the raw image, the mask alone over it, and two close-ups."""
    image, candidate, number = (
        episode.task.image,
        episode.workspace[mask_id],
        get_display_number(mask_id, episode, toolset),
    )
    content = (
        reduce_image(image, view.image_side),
        fill_query_prompt("examine/query", episode),
        draw_overlay(image, [candidate], [number], view.image_side),
        zoom_to_mask(image, candidate, number, view.image_side),
        prompts.fill_prompt("examine/one_mask", number=number),
    )
    return limit_images(
        [Message("system", (prompts.load_prompt("examine/one"),)), Message("user", content)], view.images
    )


def build_sheet_examinations(
    episode: Episode, sheets: Sequence[Sequence[int]], toolset: Toolset, view: View
) -> list[Messages]:
    """Build requests to judge many masks, one for each group of ids: all over the image, and a sheet of close-ups.

    The requests differ in their sheet alone, so that a server reads the rest once.
    """
    image, ids = episode.task.image, [id for group in sheets for id in group]
    number_by_id = {id: get_display_number(id, episode, toolset) for id in ids}
    marked = draw_overlay(image, episode.workspace.pick(ids), [number_by_id[id] for id in ids], view.image_side)
    beginning = (marked, fill_query_prompt("examine/query", episode))
    return [
        limit_images(
            [
                Message("system", (prompts.load_prompt("examine/sheet"),)),
                Message(
                    "user",
                    (*beginning, *_build_sheet_content(episode, group, [number_by_id[id] for id in group], view)),
                ),
            ],
            view.images,
        )
        for group in sheets
    ]


def _build_sheet_content(episode: Episode, ids: Sequence[int], numbers: Sequence[int], view: View) -> tuple[Image, str]:
    closeups = draw_sheet(episode.task.image, episode.workspace.pick(ids), numbers, view.image_side)
    return closeups, prompts.fill_prompt("examine/sheet_masks", numbers=", ".join(map(str, numbers)))


def get_display_number(mask_id: int, episode: Episode, toolset: Toolset) -> int:
    """Find how the model calls a mask: by its id, or by its place among masks that are counted anew."""
    current = episode.current_ids
    return current.index(mask_id) + 1 if toolset.renumbers_masks and mask_id in current else mask_id
