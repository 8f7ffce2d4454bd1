"""When the tracks of an answer are meant, for a query that says so: 'while it is above the box'."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from agent.core.timeline import Timeline
from agent.core.workspace import Workspace
from agent.planners.grammar.plan import InSeconds, TimedByEvent, While

AnswerSpans = list[Mapping[str, float]]
"""`id`, and `since` and `until` in seconds, as the tool `answer` takes them."""


def find_relation_spans(
    plan: While, ids: Sequence[int], to: Sequence[int], workspace: Workspace, timeline: Timeline
) -> AnswerSpans:
    """Return when each of these tracks stands in the relation to one of `to`."""
    from agent.tools.geometry.encounters import find_encounters  # loads OpenCV

    masklets = workspace.get_masklets(ids), workspace.get_masklets(to)
    if plan.relation == "seen_with":
        together = sorted({frame for masklet in masklets[1] for frame in masklet.frames})
        return _list_spans(ids, [together] * len(ids), workspace, timeline)
    spans = find_encounters(plan.relation, *masklets, (), timeline, when="ever")
    frames = [[frame for start, stop in found for frame in range(start, stop)] for found in spans]
    return _list_spans(ids, frames, workspace, timeline)


def find_event_spans(
    plan: TimedByEvent, ids: Sequence[int], events: Sequence[int], workspace: Workspace, timeline: Timeline
) -> AnswerSpans:
    """Return when each of these tracks is seen before (after) the first of `events` comes, or the last of them goes."""
    masklets = workspace.get_masklets(events)
    if not masklets:
        return []
    if plan.event == "appears":
        turn = min(masklet.first for masklet in masklets)
    else:
        turn = max(masklet.last for masklet in masklets) + 1
    frames = range(timeline.start, turn) if plan.side == "before" else range(turn, timeline.stop)
    return _list_spans(ids, [frames] * len(ids), workspace, timeline)


def find_second_spans(plan: InSeconds, ids: Sequence[int], workspace: Workspace, timeline: Timeline) -> AnswerSpans:
    """Return when each of these tracks is seen in these seconds."""
    since = timeline.end - (plan.since or 0) if plan.from_end else plan.since
    try:
        part = timeline.cut_part(None if since is None else max(since, timeline.times[timeline.start]), plan.until)
    except ValueError:
        return []
    return _list_spans(ids, [range(part.start, part.stop)] * len(ids), workspace, timeline)


def _list_spans(
    ids: Sequence[int], frames: Sequence[Sequence[int]], workspace: Workspace, timeline: Timeline
) -> AnswerSpans:
    """Return, of each unbroken run of these frames, the part in which a track is seen."""
    spans: AnswerSpans = []
    for id, wanted, masklet in zip(ids, frames, workspace.get_masklets(ids), strict=True):
        runs = groupby(enumerate(wanted), key=lambda place: place[1] - place[0])
        for _, run in runs:
            asked = {frame for _, frame in run}
            seen = [frame for frame in masklet.frames if frame in asked]
            if seen:
                spans.append({"id": id, "since": timeline.times[seen[0]], "until": timeline.times[seen[-1]]})
    return spans
