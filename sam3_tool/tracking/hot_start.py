"""Which young masklets are removed: those that detections do not confirm, and those that double an older one.

As `_process_hotstart` of the published `Sam3VideoBase` has it. That keeps a list of frames for each masklet and pair
for as long as the video lasts; here they are counted, and what can no longer be removed is forgotten.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sam3_tool.tracking.rules import TrackingRules


@dataclass(frozen=True)
class MaskletHistory:
    """How often detections have confirmed a masklet."""

    first: int
    """The frame on which it began."""
    keep_alive: int
    unmatched: int = 0
    """Frames on which it had a mask that no detection confirmed."""


@dataclass(frozen=True)
class HotStart:
    """The masklets of one phrase after some frames. `advance` gives the next value.

    >>> HotStart().advance(0, TrackingRules(), births=[1]).value.masklets[1].first
    0
    """

    masklets: Mapping[int, MaskletHistory] = field(default_factory=dict)
    """Id -> history, of those that are followed."""
    doubles: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(older, younger) -> frames on which both belonged to one detection."""

    def advance(
        self,
        frame: int,
        rules: TrackingRules,
        *,
        births: Iterable[int] = (),
        matches: Iterable[Sequence[int]] = (),
        unmatched: Iterable[int] = (),
        reverse: bool = False,
    ) -> "HotStartStep":
        """Take in what the detections of a frame said.

        Args:
            frame: Its number; higher than the last one's, or lower if `reverse`.
            rules: The published ones or others.
            births: Ids that begin on it.
            matches: Per detection, the ids of the masklets that it belongs to.
            unmatched: Ids of masklets that have a mask which no detection confirms.
            reverse: Whether the video is followed backwards.

        Returns:
            The next value, and which masklets go.
        """
        matches = [ids for ids in matches if ids]
        masklets = dict(self.masklets) | {id: MaskletHistory(frame, rules.first_keep_alive) for id in births}
        for id in {id for ids in matches for id in ids}:
            count = min(rules.most_keep_alive, masklets[id].keep_alive + 1)
            masklets[id] = replace(masklets[id], keep_alive=count)
        for id in unmatched:
            count = max(rules.least_keep_alive, masklets[id].keep_alive - 1)
            masklets[id] = replace(masklets[id], keep_alive=count, unmatched=masklets[id].unmatched + 1)
        young = {id for id, history in masklets.items() if abs(frame - history.first) < rules.hot_start}
        doubles = {pair: count for pair, count in self.doubles.items() if pair[1] in young}
        for pair in _find_doubles(matches, masklets, reverse=reverse):
            if pair[1] in young:
                doubles[pair] = doubles.get(pair, 0) + 1
        removed = {id for id in young if masklets[id].unmatched >= rules.hot_start_unmatched}
        removed |= {younger for (_, younger), count in doubles.items() if count >= rules.hot_start_duplicates}
        kept = {id: history for id, history in masklets.items() if id not in removed}
        hidden = {id for id, history in kept.items() if history.unmatched and history.keep_alive <= 0}
        return HotStartStep(
            HotStart(kept, {pair: count for pair, count in doubles.items() if removed.isdisjoint(pair)}),
            removed=frozenset(removed),
            hidden=frozenset(hidden if rules.hide_unmatched else ()),
        )


@dataclass(frozen=True)
class HotStartStep:
    """What a frame changed."""

    value: HotStart
    removed: frozenset[int]
    """Ids that are followed no longer, and whose masks are taken back."""
    hidden: frozenset[int]
    """Ids that are followed on, but are not shown on this frame."""


def _find_doubles(
    matches: Iterable[Sequence[int]], masklets: Mapping[int, MaskletHistory], *, reverse: bool
) -> Iterable[tuple[int, int]]:
    """Yield (oldest, other) for the other masklets of each detection."""
    for ids in matches:
        firsts = [masklets[id].first for id in ids]
        oldest = ids[firsts.index(max(firsts) if reverse else min(firsts))]
        yield from ((oldest, id) for id in ids if id != oldest)
