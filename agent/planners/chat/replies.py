"""A language model's reply becomes a decision: one call, with places in pixels of the whole image."""

from collections.abc import Sequence
from dataclasses import replace

from agent.core.episode import Decision
from agent.core.tools.calls import ValidCall
from agent.core.tools.toolset import Toolset
from agent.models.base import Reply
from agent.planners.chat.coordinates import CoordinateFrame
from agent.planners.chat.messages import to_pixel_call
from agent.tools.segment import MAX_PHRASES, Segment

CUT_OFF_NOTE = "The reply was cut off before it called a tool; think less and call one."


def to_decision(reply: Reply, toolset: Toolset, frame: CoordinateFrame, *, shortened: bool = False) -> Decision:
    """Convert a reply to the decision that it stands for. Calls of `segment` that ask alike become one call.

    `shortened`: whether the model was asked with less history.
    """
    said = Decision("", "", reply.text, reply.usage, reply.reasoning, shortened=shortened)
    if not reply.calls:
        return replace(said, note=CUT_OFF_NOTE if reply.finish_reason == "length" else "")
    # The first of equal calls is the one with what the server wants back.
    different = {(call.tool, call.arguments): call for call in reversed(reply.calls)}
    decisions = [
        replace(said, tool=tool, arguments=arguments, extra=different[tool, arguments].extra)
        for tool, arguments in dict.fromkeys((call.tool, call.arguments) for call in reply.calls)
    ]
    alike = _find_mergeable_calls(decisions, toolset)
    if alike and (len(decisions) > 1 or alike[0].region is not None):
        said = replace(said, extra=decisions[0].extra)
        return _merge_calls(alike, len(decisions), said, toolset, frame)
    return _make_first_call(decisions, toolset, frame)


def _make_first_call(decisions: Sequence[Decision], toolset: Toolset, frame: CoordinateFrame) -> Decision:
    first, note = decisions[0], _note_dropped_calls(len(decisions), len(decisions) - 1)
    match toolset.read_call(first):
        case ValidCall(tool):
            placed, arguments = to_pixel_call(tool, first.arguments, frame)
            return toolset.remember_call(replace(first, arguments=arguments, note=note), ValidCall(placed))
        case invalid:
            return toolset.remember_call(replace(first, note=note), invalid)


def _merge_calls(
    alike: Sequence[Segment], call_count: int, said: Decision, toolset: Toolset, frame: CoordinateFrame
) -> Decision:
    """Make one call with the phrases of all. `call_count`: how many calls the reply had."""
    phrases = list(dict.fromkeys(phrase for call in alike for phrase in call.phrases))
    merged = alike[0].model_copy(update={"phrases": phrases[:MAX_PHRASES]})
    notes = (_note_dropped_calls(call_count, call_count - len(alike)), _note_dropped_phrases(phrases[MAX_PHRASES:]))
    placed, arguments = to_pixel_call(merged, merged.to_decision().arguments, frame)
    made = replace(said, tool=merged.name, arguments=arguments, note=" ".join(filter(None, notes)))
    return toolset.remember_call(made, ValidCall(placed))


def _find_mergeable_calls(decisions: Sequence[Decision], toolset: Toolset) -> list[Segment]:
    """Find the first calls, as far as they are calls of `segment` that differ in their phrases alone."""
    alike: list[Segment] = []
    for decision in decisions:
        match toolset.read_call(decision):
            case ValidCall(Segment() as call) if not alike or _is_same_question(call, alike[0]):
                alike.append(call)
            case _:
                break
    return alike


def _is_same_question(call: Segment, other: Segment) -> bool:
    return call.model_copy(update={"phrases": other.phrases}) == other


def _note_dropped_calls(calls: int, dropped: int) -> str:
    if not dropped:
        return ""
    made = "the first" if calls - dropped == 1 else f"the first {calls - dropped}"
    return f"Of the {calls} calls in that reply only {made} was made; make the rest next if it is still needed."


def _note_dropped_phrases(phrases: Sequence[str]) -> str:
    named = ", ".join(map(repr, phrases))
    return f"One call takes {MAX_PHRASES} phrases, so these were not asked for: {named}." if phrases else ""
