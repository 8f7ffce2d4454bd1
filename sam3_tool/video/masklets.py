"""Objects through a clip: for each, the run lengths of its masks on the frames where it is seen."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.masks.checks import check_size, is_number, shorten_value
from sam3_tool.masks.rle import RleMask


@dataclass(frozen=True, eq=False)
class Masklet:
    """One object through a clip. Only the frames on which it is seen are kept.

    Raises:
        ValueError: The frames do not increase, a mask is empty or of another size, or a score is not in [0, 1].

    >>> dot = rle.encode_mask(np.eye(4, 6, dtype=bool))
    >>> ball = Masklet((0, 1, 4), (dot, dot, dot), (0.9, 0.8, 0.7), 0.85)
    >>> ball.spans, ball.at(1) == dot, ball.at(2)
    (((0, 2), (4, 5)), True, None)
    """

    frames: tuple[int, ...]
    """Indices of the frames on which it is seen, from 0, increasing. It may be none."""
    rles: tuple[RleMask, ...]
    """Its mask on each of these frames, at the clip's own resolution; none is empty."""
    scores: tuple[float, ...]
    """How sure SAM 3 is of it on each of these frames, in [0, 1]."""
    score: float
    """Of the object as a whole, in [0, 1]."""

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.rles) == len(self.scores):
            raise ValueError(
                f"{len(self.frames)} frames, but {len(self.rles)} masks and {len(self.scores)} scores; expected one of"
                " each a frame"
            )
        if any(later <= frame for frame, later in pairwise((-1, *self.frames))):
            raise ValueError(f"frames must increase from 0 or later, found {shorten_value(self.frames)}")
        if len(sizes := {mask.size for mask in self.rles}) > 1:
            raise ValueError(f"masks of one object must have one size, found {shorten_value(sorted(sizes))}")
        for score in (self.score, *self.scores):
            _check_score(score)
        if not self.areas.all():
            frame = self.frames[int(np.flatnonzero(self.areas == 0)[0])]
            raise ValueError(f"the mask on frame {frame} is empty; leave out frames on which the object is not seen")

    @classmethod
    def from_masks(
        cls, masks: Iterable[np.ndarray], *, scores: Sequence[float] | None = None, score: float = 1.0
    ) -> "Masklet":
        """Compress masks of all frames of a clip. Empty ones are left out.

        Args:
            masks: bool, (height, width), one for each frame of the clip, in order.
            scores: One for each frame of the clip, in [0, 1]. Default: `score` on each.
            score: Of the object as a whole, in [0, 1].

        Returns:
            The object, on the frames where its mask has a pixel.

        Raises:
            ValueError: Sizes differ, or a score is not in [0, 1].

        >>> Masklet.from_masks([np.zeros((4, 6), bool), np.ones((4, 6), bool)]).frames
        (1,)
        """
        seen = {frame: rle.encode_mask(mask) for frame, mask in enumerate(masks) if mask.any()}
        chosen = tuple(score if scores is None else float(scores[frame]) for frame in seen)
        return cls(tuple(seen), tuple(seen.values()), chosen, score)

    def __len__(self) -> int:
        """Count the frames on which it is seen."""
        return len(self.frames)

    @property
    def first(self) -> int:
        """The first frame on which it is seen. An object that is seen on none has no such frame: ValueError."""
        return self._get_end(0)

    @property
    def last(self) -> int:
        """The last frame on which it is seen. An object that is seen on none has no such frame: ValueError."""
        return self._get_end(-1)

    def _get_end(self, place: int) -> int:
        if not self.frames:
            raise ValueError("the object is seen on no frame")
        return self.frames[place]

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Unbroken runs of frames on which it is seen, each (first, one past the last), in order."""
        frames = np.array(self.frames, np.int64)
        cuts = np.flatnonzero(np.diff(frames) > 1) + 1
        return tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(frames, cuts) if len(run))

    @cached_property
    def areas(self) -> np.ndarray:
        """int64, (F,): pixels of the mask on each of `frames`."""
        return rle.compute_areas(self.rles)

    @cached_property
    def boxes(self) -> np.ndarray:
        """float32, (F, 4): tight x0 y0 x1 y1 in pixels around the mask on each of `frames`."""
        return rle.compute_boxes(self.rles)

    @property
    def key_frame(self) -> int:
        """The frame on which its mask is largest; the first of equals. An object seen on none has none: ValueError."""
        return self._get_end(int(self.areas.argmax()) if self.frames else 0)

    def find_place(self, frame: int) -> int | None:
        """Find a frame among `frames`.

        Args:
            frame: Index of a frame of the clip.

        Returns:
            Where its mask, its score and its box stand in `rles`, `scores` and `boxes`; None if it is not seen there.

        >>> dot = rle.encode_mask(np.eye(2, dtype=bool))
        >>> Masklet((5, 7), (dot, dot), (1.0, 1.0), 1.0).find_place(7)
        1
        """
        place = bisect_left(self.frames, frame)
        return place if place < len(self.frames) and self.frames[place] == frame else None

    def at(self, frame: int) -> RleMask | None:
        """Return its mask on a frame.

        Args:
            frame: Index of a frame of the clip.

        Returns:
            The mask; None if the object is not seen there.
        """
        place = self.find_place(frame)
        return None if place is None else self.rles[place]

    def slice(self, start: int, stop: int) -> "Masklet":
        """Cut a part of the clip out.

        Args:
            start: First frame of the part, 0 or more.
            stop: The frame after its last one.

        Returns:
            The object on these frames, which count from 0 anew. It may be seen on none of them.

        >>> dot = rle.encode_mask(np.eye(2, dtype=bool))
        >>> Masklet((5, 7), (dot, dot), (1.0, 1.0), 1.0).slice(6, 9).frames
        (1,)
        """
        low, high = bisect_left(self.frames, start), bisect_left(self.frames, stop)
        frames = tuple(frame - start for frame in self.frames[low:high])
        return Masklet(frames, self.rles[low:high], self.scores[low:high], self.score)

    def to_dict(self) -> dict[str, Any]:
        """Convert to what JSON can hold. The size of the masks is the clip's, and not in it.

        Returns:
            `score`, and `frames`, `scores` and `counts` (run lengths as COCO writes them), which are equally long.
        """
        return {
            "score": float(self.score),
            "frames": [int(frame) for frame in self.frames],
            "scores": [float(score) for score in self.scores],
            "counts": [mask.counts for mask in self.rles],
        }

    @classmethod
    def from_dict(cls, content: Any, size: tuple[int, int]) -> "Masklet":
        """Convert from what `to_dict` made. What a file says is checked before native code sees it.

        Args:
            content: What JSON held.
            size: Height and width of the clip, in pixels.

        Returns:
            The same object.

        Raises:
            ValueError: It is something else, with what was found and what was expected.

        >>> dot = Masklet.from_masks([np.eye(2, dtype=bool)])
        >>> Masklet.from_dict(dot.to_dict(), (2, 2)).rles == dot.rles
        True
        """
        frames, scores, counts = (_get_entry(content, name, list) for name in ("frames", "scores", "counts"))
        for frame in frames:
            _check_whole_number(frame, "a frame")
        masks = tuple(RleMask(size, runs) for runs in counts)
        for mask in masks:
            rle.check_runs(mask)
        return cls(tuple(frames), masks, tuple(scores), _get_entry(content, "score", float | int))


@dataclass(frozen=True, eq=False)
class Masklets:
    """N objects that one phrase found in a clip, or that clicks marked.

    Raises:
        ValueError: An id is below 1 or occurs twice, a mask has another size than the clip or lies after its last
            frame, or presence is not one number in [0, 1] for each frame.

    >>> ball = Masklet.from_masks([np.zeros((4, 6), bool), np.ones((4, 6), bool)], score=0.75)
    >>> balls = Masklets((ball,), (3,), (4, 6), 2, "ball", np.array([0, 1], np.float32))
    >>> len(balls), balls.ids_at(0), balls.ids_at(1), balls.at(1).scores.tolist()
    (1, (), (3,), [0.75])
    """

    masklets: tuple[Masklet, ...]
    """The objects."""
    ids: tuple[int, ...]
    """Their track ids, from 1. An id is unique in a session and never used again."""
    size: tuple[int, int]
    """Height and width of the clip, in pixels."""
    length: int
    """Frames of the clip."""
    phrase: str
    """The noun phrase that found them; empty when clicks or boxes alone did."""
    presence: np.ndarray
    """float32, (length,), in [0, 1]: how sure SAM 3 is that the concept is on each frame at all."""

    def __post_init__(self) -> None:
        if len(self.masklets) != len(self.ids):
            raise ValueError(f"{len(self.masklets)} objects, but {len(self.ids)} ids")
        if len(set(self.ids)) < len(self.ids) or min(self.ids, default=1) < 1:
            raise ValueError(f"ids must be 1 or more, each of them once, found {shorten_value(self.ids)}")
        for track_id, masklet in zip(self.ids, self.masklets, strict=True):
            self._check_masklet(track_id, masklet)
        presence = np.asarray(self.presence, np.float32).view()
        if presence.shape != (self.length,):
            raise ValueError(f"presence must be {self.length} numbers, one a frame, found shape {presence.shape}")
        if not ((presence >= 0) & (presence <= 1)).all():  # NaN is not
            raise ValueError(f"presence must be in [0, 1], found {shorten_value(presence.tolist())}")
        presence.flags.writeable = False
        object.__setattr__(self, "presence", presence)

    def _check_masklet(self, track_id: int, masklet: Masklet) -> None:
        if not masklet.frames:
            return
        if masklet.rles[0].size != self.size:
            raise ValueError(f"object {track_id} has masks of {masklet.rles[0].size}, expected {self.size}")
        if masklet.last >= self.length:
            raise ValueError(f"object {track_id} is on frame {masklet.last}, but the clip has {self.length} frames")

    @classmethod
    def empty(cls, height: int, width: int, length: int, *, phrase: str = "") -> "Masklets":
        """Make the result of a search that found nothing.

        Args:
            height: Height of the clip in pixels.
            width: Width of the clip in pixels.
            length: Frames of the clip.
            phrase: What was searched for.

        Returns:
            No objects, and presence 0 on all frames.

        >>> Masklets.empty(4, 6, 10).at(9).masks.shape
        (0, 4, 6)
        """
        return cls((), (), (height, width), length, phrase, np.zeros(length, np.float32))

    @classmethod
    def join(cls, parts: Sequence["Masklets"]) -> "Masklets":
        """Put parts of a clip one after another, as `slice` cut them. An object goes on under its id.

        Args:
            parts: One or more, in order of time, of one size and one phrase.

        Returns:
            The objects of all parts, in the order in which their ids come. The score of an object is the highest of
            its parts.

        Raises:
            ValueError: There is no part, or sizes or phrases differ.

        >>> ball = Masklet.from_masks([np.ones((4, 6), bool)] * 3)
        >>> balls = Masklets((ball,), (1,), (4, 6), 3, "ball", np.ones(3))
        >>> Masklets.join([balls.slice(0, 2), balls.slice(2, 3)]).masklets[0].frames
        (0, 1, 2)
        """
        if len(kinds := {(part.size, part.phrase) for part in parts}) != 1:
            raise ValueError(f"parts must have one size and one phrase, found {shorten_value(sorted(kinds))}")
        pieces: dict[int, list[tuple[int, Masklet]]] = {}
        length = 0
        for part in parts:
            for track_id, masklet in zip(part.ids, part.masklets, strict=True):
                pieces.setdefault(track_id, []).append((length, masklet))
            length += part.length
        masklets = tuple(_join_pieces(its_pieces) for its_pieces in pieces.values())
        ((size, phrase),) = kinds
        return cls(masklets, tuple(pieces), size, length, phrase, np.concatenate([part.presence for part in parts]))

    def __len__(self) -> int:
        return len(self.masklets)

    def __getitem__(self, keep: Sequence[int] | np.ndarray) -> "Masklets":
        """Return the objects at these indices, or where a bool (N,) array is true."""
        every = np.arange(len(self))
        chosen = every[np.asarray(keep, dtype=bool if np.asarray(keep).dtype == bool else int)].tolist()
        return replace(
            self,
            masklets=tuple(self.masklets[index] for index in chosen),
            ids=tuple(self.ids[index] for index in chosen),
        )

    def select(self, ids: Sequence[int]) -> "Masklets":
        """Return the objects with these track ids, in this order.

        Args:
            ids: Track ids.

        Returns:
            These objects alone.

        Raises:
            KeyError: No object has such an id.

        >>> Masklets.empty(4, 6, 10).select([]).ids
        ()
        """
        places = {track_id: index for index, track_id in enumerate(self.ids)}
        return self[[places[track_id] for track_id in ids]]

    def at(self, frame: int) -> Instances:
        """Return the objects that are seen on a frame. Their pixels are decoded when somebody asks for them.

        Args:
            frame: Index of a frame of the clip.

        Returns:
            Their masks there, in the order of `ids` and not of scores, with tight boxes; `ids_at` says whose they are.

        Raises:
            IndexError: The clip has no such frame.
        """
        seen = self._find_seen(frame)
        return Instances.from_rles(
            [masklet.rles[place] for _, masklet, place in seen],
            self.size,
            boxes=np.array([masklet.boxes[place] for _, masklet, place in seen], np.float32).reshape(-1, 4),
            scores=np.array([masklet.scores[place] for _, masklet, place in seen], np.float32),
            presence=float(self.presence[frame]),
            phrase=self.phrase,
        )

    def ids_at(self, frame: int) -> tuple[int, ...]:
        """Return the track ids of the objects that are seen on a frame.

        Args:
            frame: Index of a frame of the clip.

        Returns:
            One id for each of the instances of `at`.

        Raises:
            IndexError: The clip has no such frame.
        """
        return tuple(track_id for track_id, _, _ in self._find_seen(frame))

    def _find_seen(self, frame: int) -> list[tuple[int, Masklet, int]]:
        """Return (id, object, place of the frame in it)."""
        if not 0 <= frame < self.length:
            raise IndexError(f"no frame {frame}: the clip has {self.length}")
        places = (
            (track_id, each, each.find_place(frame)) for track_id, each in zip(self.ids, self.masklets, strict=True)
        )
        return [(track_id, each, place) for track_id, each, place in places if place is not None]

    def slice(self, start: int, stop: int) -> "Masklets":
        """Cut a part of the clip out.

        Args:
            start: First frame of the part.
            stop: The frame after its last one.

        Returns:
            The objects that are seen in it, under their ids. Its frames count from 0 anew.

        Raises:
            ValueError: The part reaches beyond the clip, or has no frame.

        >>> ball = Masklet.from_masks([np.ones((4, 6), bool)] * 3)
        >>> balls = Masklets((ball,), (1,), (4, 6), 3, "ball", np.ones(3))
        >>> balls.slice(1, 3).length, balls.slice(1, 3).masklets[0].frames
        (2, (0, 1))
        """
        if not 0 <= start < stop <= self.length:
            raise ValueError(f"no part from frame {start} to before {stop}: the clip has {self.length} frames")
        cut = [(track_id, each.slice(start, stop)) for track_id, each in zip(self.ids, self.masklets, strict=True)]
        seen = [(track_id, part) for track_id, part in cut if part.frames]
        return replace(
            self,
            masklets=tuple(part for _, part in seen),
            ids=tuple(track_id for track_id, _ in seen),
            length=stop - start,
            presence=self.presence[start:stop],
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to what JSON can hold.

        Returns:
            `size`, `length`, `phrase`, `presence`, and `tracks`: for each object its `id` and what `Masklet.to_dict`
            gives.
        """
        return {
            "size": list(self.size),
            "length": self.length,
            "phrase": self.phrase,
            "presence": self.presence.tolist(),
            "tracks": [
                {"id": int(track_id), **each.to_dict()} for track_id, each in zip(self.ids, self.masklets, strict=True)
            ],
        }

    @classmethod
    def from_dict(cls, content: Any) -> "Masklets":
        """Convert from what `to_dict` made. What a file says is checked.

        Args:
            content: What JSON held.

        Returns:
            The same objects: all numbers and masks are equal.

        Raises:
            ValueError: It is something else, with what was found and what was expected.

        >>> Masklets.from_dict(Masklets.empty(4, 6, 10, phrase="ball").to_dict()).phrase
        'ball'
        """
        pair = _get_entry(content, "size", list)
        if len(pair) != 2:
            raise ValueError(f"a size is a height and a width, found {shorten_value(pair)}")
        size = check_size(*pair)
        tracks, presence = _get_entry(content, "tracks", list), _get_entry(content, "presence", list)
        for value in presence:
            _check_score(value)
        return cls(
            tuple(Masklet.from_dict(track, size) for track in tracks),
            tuple(_check_whole_number(_get_entry(track, "id", int), "an id") for track in tracks),
            size,
            _check_whole_number(_get_entry(content, "length", int), "a length"),
            _get_entry(content, "phrase", str),
            np.array(presence, np.float32),
        )


def _join_pieces(pieces: Sequence[tuple[int, Masklet]]) -> Masklet:
    """`pieces`: parts of one object, each with the frame at which its part of the clip begins."""
    return Masklet(
        tuple(offset + frame for offset, piece in pieces for frame in piece.frames),
        tuple(mask for _, piece in pieces for mask in piece.rles),
        tuple(score for _, piece in pieces for score in piece.scores),
        max(piece.score for _, piece in pieces),
    )


def _check_score(score: Any) -> None:
    if not is_number(score) or not 0 <= score <= 1:  # NaN is not
        raise ValueError(f"a score must be a number in [0, 1], found {shorten_value(score)}")


def _check_whole_number(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, found {shorten_value(value)}")
    return value


def _get_entry(content: Any, name: str, kind: Any) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get(name), kind):
        raise ValueError(f"expected an object with {name!r} in it, found {shorten_value(content)}")
    return content[name]
