"""One pass through a video: detections and memory of each frame, joined by the published rules.

A frame goes as `_det_track_one_frame` of the published `Sam3VideoBase` has it: memory says where every object is;
detections are matched with that; memory takes the frame in; what is new begins. All objects of all prompts go through
memory together. Prompts know nothing of each other otherwise, as if each had a session of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sam3_tool.backends.base import Detections, ObjectMemory
from sam3_tool.masks.rle import RleMask
from sam3_tool.tracking.association import Association, associate_detections, select_distinct
from sam3_tool.tracking.holding import HeldFrame, SeenByPrompt, SeenObject
from sam3_tool.tracking.holes import clean_logits
from sam3_tool.tracking.hot_start import HotStart
from sam3_tool.tracking.rules import TrackingRules
from sam3_tool.tracking.suppression import HIDDEN_LOGIT, NEVER_AWAY, REMOVED, find_recently_away

UpsampleFn = Callable[[np.ndarray], list[RleMask]]
"""Low-resolution logits, float32 (N, h, w) -> masks of the video's size."""


@dataclass(eq=False)
class _Session:
    """What is followed for one prompt."""

    phrase: str
    scores: dict[int, float] = field(default_factory=dict)
    """Id -> score of the detection that began it, of all that are followed, in the order in which they began."""
    last_away: dict[int, int] = field(default_factory=dict)
    """Id -> the last frame on which it was not visible."""
    hot_start: HotStart = field(default_factory=HotStart)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a frame changes for one prompt."""

    session: _Session
    detections: Detections
    association: Association
    births: dict[int, int]
    """New id -> detection."""
    removed: frozenset[int]
    hidden: frozenset[int]


@dataclass(frozen=True, eq=False)
class _Propagation:
    """Where memory sees the objects on a frame."""

    rows: dict[int, int]
    """Id -> row of the arrays."""
    logits: np.ndarray
    """float32, (K, h, w), without holes and specks. Masklets that give way are emptied in it."""
    presences: np.ndarray
    """float32, (K,), logits."""

    def find_rows(self, ids: Sequence[int]) -> list[int]:
        return [self.rows[id] for id in ids]


@dataclass(frozen=True, eq=False)
class _Seen:
    """An object on one frame, before its mask has the video's size."""

    logits: np.ndarray
    score: float
    object_score: float


class ConceptTracker:
    """Follows what prompts find. `step` takes the frames of a video one by one, in one direction.

    Args:
        memory: Of the objects; nothing is in it yet.
        upsample: Makes masks of the video's size.
        phrases: One per prompt, "" for boxes alone.
        size: Height and width of the video.
        rules: The published ones or others.
        reverse: Whether frames come backwards.
    """

    def __init__(
        self,
        memory: ObjectMemory,
        upsample: UpsampleFn,
        phrases: Sequence[str],
        *,
        size: tuple[int, int],
        rules: TrackingRules,
        reverse: bool = False,
    ) -> None:
        self.removed: set[int] = set()
        """Ids that were taken back so far."""
        self._memory = memory
        self._upsample = upsample
        self._size = size
        self._rules = rules
        self._reverse = reverse
        self._sessions = [_Session(phrase) for phrase in phrases]
        self._last_id = 0

    def step(self, frame: int, embedding: Any, found: Sequence[Detections | None]) -> HeldFrame:
        """Take in the next frame.

        Args:
            frame: Its number.
            embedding: What the backend's `encode` gave for it.
            found: What the detector says for each prompt; None where it was not asked.

        Returns:
            What is seen on it.
        """
        propagation = self._propagate(frame, embedding)
        plans = self._plan_frame(frame, found, propagation)
        conditioning = self._prompt_anew(frame, embedding, plans, propagation)
        self._remember(frame, embedding, propagation, conditioning)
        begun = self._begin_new(frame, embedding, plans)
        held = self._hold_frame(frame, plans, found, propagation, begun)
        self._forget_removed(plans)
        return held

    def _propagate(self, frame: int, embedding: Any) -> _Propagation:
        if not any(session.scores for session in self._sessions):
            return _Propagation({}, np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))
        low = self._memory.propagate(embedding, frame, reverse=self._reverse, remember=False)
        rows = {id: row for row, id in enumerate(low.ids)}
        return _Propagation(rows, clean_logits(low.logits, most_area=self._rules.hole_area), low.presences)

    def _plan_frame(self, frame: int, found: Sequence[Detections | None], propagation: _Propagation) -> list[_Plan]:
        room = self._rules.most_objects - len(propagation.rows)
        plans = []
        for session, detections in zip(self._sessions, found, strict=True):
            plans.append(self._plan_session(session, frame, detections, propagation, room))
            self._empty_doubles(session, frame, plans[-1].removed, propagation)
            room -= len(plans[-1].births)
        return plans

    def _plan_session(
        self, session: _Session, frame: int, found: Detections | None, propagation: _Propagation, room: int
    ) -> _Plan:
        """Match the detections of a prompt, number what is new, and advance the hot start."""
        rules, ids = self._rules, list(session.scores)
        masklets = propagation.logits[propagation.find_rows(ids)] > 0
        detections = _find_nothing(*masklets.shape[1:]) if found is None else found
        detections = detections[select_distinct(detections.logits > 0, detections.scores, iou=rules.duplicate_iou)]
        association = associate_detections(detections.logits > 0, detections.scores, masklets, ids, rules)
        chosen = _choose_best(association.births, detections.scores, max(room, 0))
        births = dict(enumerate(chosen, start=self._last_id + 1))
        self._last_id += len(births)
        step = session.hot_start.advance(
            frame,
            rules,
            births=births,
            matches=association.matches,
            unmatched=association.unmatched,
            reverse=self._reverse,
        )
        session.hot_start = step.value
        return _Plan(session, detections, association, births, step.removed, step.hidden)

    def _empty_doubles(self, session: _Session, frame: int, removed: frozenset[int], propagation: _Propagation) -> None:
        """Empty the masklets of a prompt whose place another one has, and note which are not visible."""
        ids = list(session.scores)
        rows = propagation.find_rows(ids)
        masks = propagation.logits[rows] > 0
        last_away = [session.last_away.get(id, REMOVED if id in removed else NEVER_AWAY) for id in ids]
        gives_way = find_recently_away(
            masks, np.array(last_away, int), iou=self._rules.occlusion_iou, reverse=self._reverse
        )
        is_away = gives_way | ~masks.any(axis=(1, 2))
        session.last_away = {
            id: frame if away else last for id, away, last in zip(ids, is_away, last_away, strict=True)
        }
        propagation.logits[np.array(rows, int)[gives_way]] = HIDDEN_LOGIT

    def _prompt_anew(self, frame: int, embedding: Any, plans: Sequence[_Plan], propagation: _Propagation) -> list[int]:
        """Prompt masklets with their sure detections, where it is time for that.

        Returns the ids whose memory of this frame counts as that of a prompt. As in the published code these are, with
        each masklet that is prompted anew, all of its prompt that began on the same frame.
        """
        if not self._rules.reprompt_every or frame % self._rules.reprompt_every:
            return []
        conditioning: list[int] = []
        chosen: dict[int, np.ndarray] = {}
        for plan in plans:
            sure = {
                id: plan.detections.logits[index]
                for id, index in plan.association.confirmations.items()
                if propagation.presences[propagation.rows[id]] > self._rules.reprompt_presence
            }
            histories = plan.session.hot_start.masklets
            firsts = {histories[id].first for id in sure if id in histories}
            conditioning += [id for id, history in histories.items() if history.first in firsts]
            chosen |= sure
        if chosen:
            self._memory.begin(embedding, frame, list(chosen), np.stack(list(chosen.values())))
        return conditioning

    def _remember(self, frame: int, embedding: Any, propagation: _Propagation, conditioning: Sequence[int]) -> None:
        """Let memory take the frame in, of all objects at once. Only those of one prompt compete for pixels."""
        if not propagation.rows:
            return
        followed = [(id, group) for group, session in enumerate(self._sessions) for id in session.scores]
        ids, groups = [id for id, _ in followed], [group for _, group in followed]
        logits = propagation.logits[propagation.find_rows(ids)]
        self._memory.remember(embedding, frame, ids, logits, groups=groups, conditioning=conditioning)

    def _hold_frame(
        self,
        frame: int,
        plans: Sequence[_Plan],
        found: Sequence[Detections | None],
        propagation: _Propagation,
        begun: Mapping[int, np.ndarray],
    ) -> HeldFrame:
        """Make the masks of what is seen, of all prompts in one go."""
        seen = [self._list_seen(plan, propagation, begun) for plan in plans]
        logits = [each.logits for objects in seen for each in objects.values()]
        masks = iter(self._upsample(np.stack(logits)) if logits else ())
        prompts = []
        for plan, objects, detections in zip(plans, seen, found, strict=True):
            presence = max((each.score for each in objects.values()), default=0.0)
            prompts.append(
                SeenByPrompt(
                    plan.session.phrase,
                    presence if detections is None else detections.presence,
                    {id: SeenObject(next(masks), each.score, each.object_score) for id, each in objects.items()},
                )
            )
        return HeldFrame(frame, self._size, tuple(prompts))

    def _list_seen(self, plan: _Plan, propagation: _Propagation, begun: Mapping[int, np.ndarray]) -> dict[int, _Seen]:
        """Return what is visible, by id."""
        ids = [id for id in plan.session.scores if id not in plan.births]
        rows = propagation.find_rows(ids)
        scores = 1 / (1 + np.exp(-propagation.presences[rows]))
        seen = {
            id: _Seen(propagation.logits[row], float(score), plan.session.scores[id])
            for id, row, score in zip(ids, rows, scores, strict=True)
        }
        for id, index in plan.births.items():
            [logits] = clean_logits(begun[id][None], most_area=self._rules.hole_area)
            score = float(plan.detections.scores[index])
            seen[id] = _Seen(logits, score, score)
        gone = plan.hidden | plan.removed
        return {id: each for id, each in seen.items() if id not in gone and (each.logits > 0).any()}

    def _begin_new(self, frame: int, embedding: Any, plans: Sequence[_Plan]) -> dict[int, np.ndarray]:
        """Let memory take what is new, and return the masks by id."""
        births = {id: plan.detections.logits[index] for plan in plans for id, index in plan.births.items()}
        for plan in plans:
            plan.session.scores |= {id: float(plan.detections.scores[index]) for id, index in plan.births.items()}
        if not births:
            return {}
        taken = self._memory.begin(embedding, frame, list(births), np.stack(list(births.values())))
        return dict(zip(births, taken, strict=True))

    def _forget_removed(self, plans: Sequence[_Plan]) -> None:
        removed = [id for plan in plans for id in plan.removed]
        if removed:
            self._memory.forget(removed)
        self.removed.update(removed)
        for plan in plans:
            for id in plan.removed:
                del plan.session.scores[id]
                plan.session.last_away.pop(id, None)


def _choose_best(births: np.ndarray, scores: np.ndarray, room: int) -> list[int]:
    """Return the detections that there is room for: if not for all, the best, best first."""
    if len(births) <= room:
        return [int(index) for index in births]
    return [int(index) for index in births[np.argsort(-scores[births], kind="stable")[:room]]]


def _find_nothing(height: int, width: int) -> Detections:
    none = np.zeros(0, np.float32)
    return Detections(np.zeros((0, height, width), np.float32), none, np.zeros((0, 4), np.float32), 0.0)
