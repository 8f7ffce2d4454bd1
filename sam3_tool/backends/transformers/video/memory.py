"""What is remembered of the objects of one video, on the network's device, within a budget of bytes."""

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import count
from math import exp
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from sam3_tool.backends.base import LowMasks
from sam3_tool.backends.transformers.hardware.transfers import to_device, to_host
from sam3_tool.backends.transformers.video.attention import MemoryGroup
from sam3_tool.backends.transformers.video.network import (
    DecodedObjects,
    FrameLevels,
    Places,
    VideoNetwork,
)
from sam3_tool.backends.transformers.video.refinement import MAX_GAP, View, to_shares
from sam3_tool.backends.transformers.video.selection import (
    MAX_CONDITIONING,
    MAX_POINTERS,
    MAX_SPATIAL,
    MIN_CONFIDENCE,
    choose_conditioning,
    choose_others,
)
from sam3_tool.cache import ByteCache, SpillOver
from sam3_tool.prompts import VisualPrompt

SPARE_BYTES = 64 * 2**20
"""Room for memories beyond those that the next frame needs. They serve corrections further back."""
HOST_BYTES = 512 * 2**20
"""Room in the host's memory for what leaves a GPU."""
LOGIT_BYTES = 64 * 2**20
"""Room for masks as the network gave them, which a correction starts from: of 200 object-frames of facebook/sam3."""
VIEW_BYTES = 64 * 2**20
"""Room for masks as they were drawn, with their frames: of 250 object-frames."""
MAX_LOGIT = 32.0
"""Logits are cut there before they are corrected, as published."""
MAX_CLICKS = 16
"""Clicks on one frame that go in: of more than that the first and the last half (`max_point_num_in_prompt_enc`)."""
_CPU_TOKENS, _GPU_TOKENS = 2 * 72 * 72, 32 * 72 * 72
"""Image tokens of all objects that go through the network together."""

Item = TypeVar("Item")


class FrameEmbedding(Protocol):
    """A frame as the image backend encodes it."""

    @property
    def trunk(self) -> torch.Tensor:
        """The trunk's last state, (1, tokens, C)."""
        ...

    @property
    def square(self) -> torch.Tensor:
        """What `MaskRefiner` reads of the frame; nothing looks at it where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Memory:
    """One object on one frame."""

    features: torch.Tensor | None
    """bfloat16, (h w, c); None until the frame is remembered."""
    pointer: torch.Tensor
    """float32, (C,)."""

    @property
    def nbytes(self) -> int:
        return self.pointer.nbytes + (0 if self.features is None else self.features.nbytes)


@dataclass
class FollowedObject:
    """Where an object was prompted and where it was found."""

    serial: int
    """Unlike an id, no two objects ever have the same."""
    answers: dict[int, LowMasks] = field(default_factory=dict)
    """Conditioning frame -> the answer to the prompt, of this object alone."""
    pinned: dict[int, Memory] = field(default_factory=dict)
    """Memories of conditioning frames that were asked for by a person, or that made the object: they always stay."""
    tracked: set[int] = field(default_factory=set)
    """Other frames."""
    found: list[int] = field(default_factory=list)
    """Those of them, ascending, on which the object was found with some certainty."""

    @property
    def nbytes(self) -> int:
        answers = sum(answer.logits.nbytes for answer in self.answers.values())
        return answers + sum(memory.nbytes for memory in self.pinned.values())

    def note_tracked(self, frame: int, confidence: float) -> None:
        self.leave_out(frame)
        self.tracked.add(frame)
        if confidence > MIN_CONFIDENCE:
            insort(self.found, frame)

    def note_answer(self, frame: int, answer: LowMasks) -> None:
        self.leave_out(frame)
        self.answers[frame] = answer

    def leave_out(self, frame: int) -> None:
        """Forget that the object was tracked on this frame."""
        self.tracked.discard(frame)
        if frame in self.found:
            self.found.remove(frame)

    def forget_distant(self, *, reverse: bool) -> list[int]:
        """Forget frames that no later frame of the same direction looks at. Return those that were forgotten.

        One conditioning frame more than is attended to stays, for their order depends on whether there are more.
        """
        distant = list(self.answers)[: -(MAX_CONDITIONING + 1)]
        for frame in distant:
            del self.answers[frame]
        self.found = self.found[:MAX_POINTERS] if reverse else self.found[-MAX_POINTERS:]
        latest = sorted(self.tracked, reverse=not reverse)[:MAX_POINTERS]
        passed = self.tracked - {*self.found, *latest}
        self.tracked -= passed
        return [*distant, *passed]


class Recollection(NamedTuple):
    """What one object's memory shows to one frame."""

    ranks: list[int]
    """Of remembered frames; 0 is a conditioning frame, 1 the latest other one."""
    features: list[torch.Tensor]
    """Of these frames, each bfloat16 (h w, c)."""
    offsets: list[int]
    """How far away the object pointers are."""
    pointers: list[torch.Tensor]
    """Each float32 (C,)."""


class VideoMemory:
    """An `ObjectMemory`. Not safe between threads but for the lock in `run_safely`.

    Objects do not know of each other: each has conditioning frames of its own. While nobody has prompted an object,
    all of them were begun by detections, which come in one direction, and nothing is corrected: then only what later
    frames look at is kept, and memory is the same after 100 frames and after 10,000.
    """

    def __init__(
        self,
        network: VideoNetwork,
        size: tuple[int, int],
        length: int,
        *,
        read_frame: Callable[[torch.Tensor], FrameLevels],
        run_safely: Callable[[], AbstractContextManager[None]],
        spare_bytes: int = SPARE_BYTES,
        host_bytes: int = HOST_BYTES,
    ) -> None:
        """Make room for a video of `length` frames of this size, (height, width).

        `read_frame`: turns the trunk's last state into what the tracker reads. `run_safely`: keeps other threads out of
        the network.
        """
        self._network, self._size, self._length = network, size, length
        self._read_frame, self._run_safely = read_frame, run_safely
        self._objects: dict[int, FollowedObject] = {}
        self._serials = count()
        self._spare_bytes = spare_bytes
        self._is_prompted = False
        self._memories = _build_cache(network.memory_places.device, spare_bytes, host_bytes)
        self._logits: ByteCache[tuple[int, int], np.ndarray] = ByteCache(LOGIT_BYTES, size=lambda kept: kept.nbytes)
        self._views: ByteCache[tuple[int, int], View] = ByteCache(VIEW_BYTES, size=lambda view: view.nbytes)
        """What was drawn of an object on a frame, where masks are refined."""
        self._frame: tuple[FrameEmbedding, FrameLevels] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._objects)

    @property
    def nbytes(self) -> int:
        objects = sum(item.nbytes for item in self._objects.values())
        return self._memories.nbytes + self._logits.nbytes + self._views.nbytes + objects

    def prompt(self, embedding: FrameEmbedding, frame: int, object_id: int, prompt: VisualPrompt) -> LowMasks:
        with self._run_safely():
            self._is_prompted = True
            levels = self._get_levels(embedding)
            if prompt.mask is not None and not prompt.points and prompt.box is None:
                found = self._network.take_masks(
                    levels, *self._network.shrink_video_masks(self._upload(prompt.mask[None]))
                )
            else:
                places, earlier = self._build_places(prompt), self._get_earlier_logits(frame, object_id, prompt)
                found = self._network.decode(levels, self._network.forget_past(levels), places, earlier)
                found = found._replace(logits=self._refine_masks(embedding, found.logits, [None]))
            self._store_answers(embedding, frame, [object_id], found, pin=True)
            return _to_low_masks([object_id], found)

    def begin(self, embedding: FrameEmbedding, frame: int, ids: Sequence[int], logits: np.ndarray) -> np.ndarray:
        taken = [logits[:0]]
        with self._run_safely():
            levels = self._get_levels(embedding)
            for rows in self._split_passes(range(len(ids))):
                fine = self._refine_masks(embedding, self._upload(logits[list(rows)]), [None] * len(rows))
                found = self._network.take_masks(levels, *self._network.adopt_logits(fine, self._size))
                self._store_answers(embedding, frame, [ids[row] for row in rows], found, pin=False)
                taken.append(fine.cpu().numpy())
        return np.concatenate(taken)

    def propagate(
        self, embedding: FrameEmbedding, frame: int, *, reverse: bool = False, remember: bool = True
    ) -> LowMasks:
        with self._run_safely():
            self._make_room()
            found = {
                object_id: item.answers[frame] for object_id, item in self._objects.items() if frame in item.answers
            }
            followed = [object_id for object_id in self._objects if object_id not in found]
            for ids in self._split_passes(followed):
                for low in self._track_pass(embedding, frame, ids, reverse, remember):
                    found[low.ids[0]] = low
            return _join_low_masks([found[object_id] for object_id in self._objects], self._network.answer_size)

    def remember(
        self,
        embedding: FrameEmbedding,
        frame: int,
        ids: Sequence[int],
        logits: np.ndarray,
        *,
        groups: Sequence[int] | None = None,
        conditioning: Sequence[int] = (),
    ) -> None:
        if not ids:
            return
        with self._run_safely():
            levels = self._get_levels(embedding)
            masks, presences = self._separate_groups(self._upload(logits), groups or [0] * len(ids))
            for rows in self._split_passes(range(len(ids))):
                features = self._network.remember(levels, masks[list(rows)], presences[list(rows)])
                for row, made in zip(rows, features, strict=True):
                    self._update_features(frame, self._objects[ids[row]], made.clone())
            for object_id in conditioning:
                self._promote_frame(object_id, frame, logits[list(ids).index(object_id)])

    def forget(self, ids: Sequence[int]) -> None:
        for item in [self._objects.pop(object_id) for object_id in ids if object_id in self._objects]:
            self._forget_frames(item, (*item.tracked, *item.answers))

    # Following

    def _track_pass(
        self, embedding: FrameEmbedding, frame: int, ids: Sequence[int], reverse: bool, remember: bool
    ) -> Iterator[LowMasks]:
        """Follow objects that were not prompted on this frame."""
        levels = self._get_levels(embedding)
        shapes: dict[tuple[int, int], list[tuple[int, Recollection]]] = defaultdict(list)
        for object_id in ids:
            recollection = self._recollect(self._objects[object_id], frame, reverse)
            shapes[len(recollection.ranks), len(recollection.offsets)].append((object_id, recollection))
        groups = [self._build_group([recollection for _, recollection in rows]) for rows in shapes.values()]
        order = [object_id for rows in shapes.values() for object_id, _ in rows]
        decoded = self._network.decode(levels, self._network.recall(levels, groups))
        earlier = [self._find_view(self._objects[object_id], frame, reverse) for object_id in order]
        found = decoded._replace(logits=self._refine_masks(embedding, decoded.logits, earlier))
        masks = self._network.soften_tracked(found.logits) if remember else None
        features = None if masks is None else self._network.remember(levels, masks, found.presences)
        low = _to_low_masks(order, found)
        for row, (object_id, single) in enumerate(zip(order, _split_low_masks(low), strict=True)):
            item = self._objects[object_id]
            item.note_tracked(frame, compute_confidence(single))
            # clones, because a view would keep all objects of the frame
            made = None if features is None else features[row].clone()
            self._memories[item.serial, frame] = Memory(made, found.pointers[row].clone())
            self._note_view(embedding, frame, item, found.logits[row])
            if self._is_prompted:
                self._logits[item.serial, frame] = decoded.logits[row].cpu().numpy()[None].copy()
            else:
                self._forget_frames(item, item.forget_distant(reverse=reverse))
                self._views.drop_value((item.serial, frame + MAX_GAP if reverse else frame - MAX_GAP))
            yield single

    def _recollect(self, item: FollowedObject, frame: int, reverse: bool) -> Recollection:
        memories = {other: memory for other in item.answers if (memory := self._get_memory(item, other)) is not None}
        for other in item.answers.keys() - memories.keys():  # there was no room for them any more
            del item.answers[other]
        chosen = choose_conditioning(memories.keys(), frame)
        others = choose_others(item.found, frame, self._length, reverse=reverse)
        latest = [
            (rank, memory)
            for rank, other in enumerate(reversed(others), start=1)
            if other not in chosen and (memory := self._get_memory(item, other)) is not None
        ]
        seen = [(0, memories[other]) for other in chosen] + [pair for pair in latest if pair[0] <= MAX_SPATIAL]
        past = [other for other in chosen if (other >= frame if reverse else other <= frame)]
        pointed = [(abs(frame - other), memories[other]) for other in past]
        pointed += [pair for pair in latest if pair[0] < min(len(others), self._length, MAX_POINTERS)]
        shown = [(rank, memory.features) for rank, memory in seen if memory.features is not None]
        return Recollection(
            [rank for rank, _ in shown],
            [features for _, features in shown],
            [offset for offset, _ in pointed],
            [memory.pointer for _, memory in pointed],
        )

    def _build_group(self, rows: Sequence[Recollection]) -> MemoryGroup:
        """Stack the memories of objects that have as many of each kind."""
        network = self._network
        features = torch.stack([tokens for row in rows for tokens in row.features]).float()
        values = features.view(len(rows), -1, features.shape[-1])
        keys = values + network.place_memories([row.ranks for row in rows])
        if not rows[0].pointers:
            return MemoryGroup(values, keys, 0)
        pointers = torch.stack([pointer for row in rows for pointer in row.pointers])
        tokens = network.split_pointers(pointers.view(len(rows), -1, pointers.shape[-1]))
        places = network.place_pointers([row.offsets for row in rows], min(self._length, MAX_POINTERS))
        return MemoryGroup(
            torch.cat((values, tokens), dim=1), torch.cat((keys, tokens + places), dim=1), tokens.shape[1]
        )

    # Refining

    def _refine_masks(
        self, embedding: FrameEmbedding, logits: torch.Tensor, earlier: Sequence[View | None]
    ) -> torch.Tensor:
        """Return logits (K, *answer_size), of (K, h, w); the same where this checkpoint refines nothing."""
        refiner = self._network.refiner
        return logits if refiner is None else refiner.refine(embedding.square, logits, earlier)

    def _find_view(self, item: FollowedObject, frame: int, reverse: bool) -> View | None:
        """Return what was drawn of an object on the frame before, or on the one before that."""
        for gap in range(1, MAX_GAP + 1):
            view = self._views.get((item.serial, frame + gap if reverse else frame - gap))
            if view is not None:
                return view
        return None

    def _note_view(self, embedding: FrameEmbedding, frame: int, item: FollowedObject, logits: torch.Tensor) -> None:
        if self._network.refiner is not None and bool((logits > 0).any()):
            self._views[item.serial, frame] = View(embedding.square, to_shares(logits))

    # Keeping

    def _store_answers(
        self, embedding: FrameEmbedding, frame: int, ids: Sequence[int], found: DecodedObjects, *, pin: bool
    ) -> None:
        levels = self._get_levels(embedding)
        features = self._network.remember(levels, self._network.harden_prompted(found.logits), found.presences)
        for row, single in enumerate(_split_low_masks(_to_low_masks(ids, found))):
            object_id = single.ids[0]
            is_new = object_id not in self._objects
            item = self._objects.setdefault(object_id, FollowedObject(next(self._serials)))
            item.note_answer(frame, single)
            self._note_view(embedding, frame, item, found.logits[row])
            memory = Memory(features[row].clone(), found.pointers[row].clone())
            if pin or is_new or frame in item.pinned:
                item.pinned[frame] = memory
            else:
                self._memories[item.serial, frame] = memory

    def _forget_frames(self, item: FollowedObject, frames: Sequence[int]) -> None:
        for frame in frames:
            self._memories.drop_value((item.serial, frame))
            self._logits.drop_value((item.serial, frame))
            self._views.drop_value((item.serial, frame))

    def _update_features(self, frame: int, item: FollowedObject, features: torch.Tensor) -> None:
        memory = self._get_memory(item, frame)
        if memory is None:
            raise ValueError(f"frame {frame} cannot be remembered before the object was looked for there")
        changed = replace(memory, features=features)
        if frame in item.pinned:
            item.pinned[frame] = changed
        else:
            self._memories[item.serial, frame] = changed

    def _separate_groups(self, logits: torch.Tensor, groups: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Do `separate_associated` for each group, and return the rows in their order."""
        rows = [[row for row, other in enumerate(groups) if other == group] for group in dict.fromkeys(groups)]
        parts = [self._network.separate_associated(logits[members]) for members in rows]
        order = torch.tensor([row for members in rows for row in members], device=logits.device).argsort()
        masks, presences = (torch.cat(part)[order] for part in zip(*parts, strict=True))
        return masks, presences

    def _promote_frame(self, object_id: int, frame: int, logits: np.ndarray) -> None:
        """Let a frame on which an object was followed count as one on which it was prompted."""
        item = self._objects[object_id]
        if frame not in item.answers:
            presences = np.full(1, 10 if (logits > 0).any() else -10, np.float32)
            answer = LowMasks((object_id,), logits[None].copy(), presences, np.ones(1, np.float32))
            item.note_answer(frame, answer)

    def _get_memory(self, item: FollowedObject, frame: int) -> Memory | None:
        return item.pinned.get(frame) or self._memories.get((item.serial, frame))

    def _make_room(self) -> None:
        """Let the budget hold what the next frame needs of every object."""
        places, channels = self._network.memory_places, self._network.channels
        memory_bytes = 2 * places.numel() + 4 * channels
        self._memories.budget = self._spare_bytes + memory_bytes * len(self._objects) * (
            MAX_CONDITIONING + MAX_POINTERS
        )

    def _get_levels(self, embedding: FrameEmbedding) -> FrameLevels:
        """Return what the tracker reads of a frame; that of the latest one is kept."""
        if self._frame is None or self._frame[0] is not embedding:
            self._frame = embedding, self._read_frame(embedding.trunk)
        return self._frame[1]

    # Prompts

    def _build_places(self, prompt: VisualPrompt) -> Places:
        """Return clicks as the prompt encoder takes them, the corners of the box first."""
        corners = [] if prompt.box is None else [prompt.box[:2], prompt.box[2:]]
        points, labels = [*corners, *prompt.points], [2, 3][: len(corners)] + list(prompt.labels)
        if len(points) > MAX_CLICKS:
            half = MAX_CLICKS // 2
            points, labels = points[:half] + points[-half:], labels[:half] + labels[-half:]
        height, width = self._size
        step = torch.tensor([self._network.side / width, self._network.side / height])
        device = self._network.memory_places.device
        return Places((torch.tensor([points]) * step).to(device), torch.tensor([labels], device=device))

    def _get_earlier_logits(self, frame: int, object_id: int, prompt: VisualPrompt) -> torch.Tensor | None:
        """Return what the clicks are to mend, float32, (1, 1, h, w)."""
        if prompt.mask is not None:
            masks, _ = self._network.shrink_video_masks(self._upload(prompt.mask[None]))
            mended: torch.Tensor = self._network.weights.mask_downsample(masks)
            return mended
        item = self._objects.get(object_id)
        if item is None:
            return None
        answer = item.answers.get(frame)
        if answer is not None:
            return self._network.shrink_answers(self._upload(answer.logits)).clamp(-MAX_LOGIT, MAX_LOGIT)[None]
        logits = self._logits.get((item.serial, frame))
        return None if logits is None else self._upload(logits).clamp(-MAX_LOGIT, MAX_LOGIT)[None]

    def _upload(self, array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, device=self._network.memory_places.device)

    def _split_passes(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        height, width = self._network.grid
        is_on_gpu = self._network.memory_places.device.type == "cuda"
        most = max(1, (_GPU_TOKENS if is_on_gpu else _CPU_TOKENS) // (height * width))
        for start in range(0, len(items), most):
            yield items[start : start + most]


def compute_confidence(low: LowMasks) -> float:
    """Compute how sure the network was to have found one object, in [0, 1] (`cal_mem_score`)."""
    presence = float(low.presences[0])
    return (2 / (1 + exp(-presence)) - 1) * float(low.scores[0]) if presence > 0 else 0.0


def _to_low_masks(ids: Sequence[int], found: DecodedObjects) -> LowMasks:
    return LowMasks(
        tuple(ids), *(tensor.float().cpu().numpy() for tensor in (found.logits, found.presences, found.scores))
    )


def _split_low_masks(low: LowMasks) -> Iterator[LowMasks]:
    for row, object_id in enumerate(low.ids):
        # copies, because a view would keep all objects of the frame
        part = slice(row, row + 1)
        yield LowMasks((object_id,), low.logits[part].copy(), low.presences[part].copy(), low.scores[part].copy())


def _join_low_masks(parts: Sequence[LowMasks], size: tuple[int, int]) -> LowMasks:
    if not parts:
        return LowMasks((), np.zeros((0, *size), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    return LowMasks(
        tuple(part.ids[0] for part in parts),
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.presences for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def _build_cache(device: torch.device, budget: int, host_bytes: int) -> ByteCache[tuple[int, int], Memory]:
    """Make a cache of memories; what leaves a GPU goes to the host."""
    spill_over = SpillOver[tuple[int, int], Memory](
        ByteCache(host_bytes, size=lambda memory: memory.nbytes),
        evict=lambda memory: _copy_memory(memory, to_host),
        restore=lambda memory: _copy_memory(memory, lambda tensor: to_device(tensor, device)),
    )
    return ByteCache(
        budget, size=lambda memory: memory.nbytes, spill_over=spill_over if device.type == "cuda" else None
    )


def _copy_memory(memory: Memory, copy_tensor: Callable[[torch.Tensor], torch.Tensor]) -> Memory:
    features = None if memory.features is None else copy_tensor(memory.features)
    return Memory(features, copy_tensor(memory.pointer))
