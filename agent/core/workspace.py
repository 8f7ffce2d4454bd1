"""Every mask found so far, and every phrase that SAM 3 was asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sam3_tool import Instances, Masklet, Masklets
from sam3_tool.masks.rle import RleMask


@dataclass(frozen=True)
class Candidate:
    """One mask of an episode, under its id.

    Example:
        >>> Candidate(1, RleMask((4, 6), "0h0"), (0.0, 0.0, 6.0, 4.0), 0.9, "cup").origin
        'segment'
    """

    id: int
    """Counts from 1; given once, never reused in an episode. A person's correction keeps it."""
    rle: RleMask
    box: tuple[float, float, float, float]
    """x0 y0 x1 y1 in pixels."""
    score: float
    """In [0, 1]."""
    phrase: str
    """The noun phrase that found it."""
    origin: str = "segment"
    """How it came about: 'segment', 'segment in 10,20,200,220', 'merge of 2, 5' …"""
    masklet: Masklet | None = field(default=None, compare=False)
    """In a video: where the object is on every frame. `rle` and `box` are those of the frame where it is largest."""
    probability: float | None = None
    """In [0, 1]: that the mask is right, i.e. that its IoU with an object that was asked for is above 0.5.

    None where SAM 3 is not calibrated for it.
    """
    label: str = ""
    """The class that a person gave it; empty where nobody did. A correction keeps it."""

    @property
    def category(self) -> str:
        """Its class: the one that a person gave it, else the phrase that found it; it may be empty."""
        return self.label or self.phrase

    @classmethod
    def from_masklet(cls, id: int, masklet: Masklet, phrase: str, origin: str = "segment") -> "Candidate":
        """Make the candidate of an object in a video.

        Args:
            id: Its number.
            masklet: Where it is; it must be seen on a frame.
            phrase: The noun phrase that found it.
            origin: How it came about.

        Returns:
            The candidate, with the mask and the box of the frame where it is largest.
        """
        place = masklet.frames.index(masklet.key_frame)
        x0, y0, x1, y1 = masklet.boxes[place].tolist()
        return cls(id, masklet.rles[place], (x0, y0, x1, y1), masklet.score, phrase, origin, masklet)

    @property
    def key_frame(self) -> int:
        """In a video: the frame of `rle` and `box`, where the object is largest."""
        return 0 if self.masklet is None else self.masklet.key_frame


@dataclass(frozen=True)
class SearchRecord:
    """A phrase that SAM 3 was asked for, and the masks that it found."""

    phrase: str
    presence: float
    """In [0, 1]."""
    ids: tuple[int, ...]
    """What it found, best score first."""
    how: str = ""
    """What was asked beside the phrase: JSON of the other arguments. Equal questions have equal answers."""


@dataclass(frozen=True)
class Workspace:
    """Every mask found so far, by its id. Adding returns a new workspace.

    Example:
        >>> workspace = Workspace(height=60, width=100)
        >>> len(workspace), 1 in workspace
        (0, False)
        >>> mask = np.zeros((1, 60, 100), bool)
        >>> mask[0, :4, :6] = True
        >>> boxes, scores = np.array([[0, 0, 6, 4]], np.float32), np.array([0.5], np.float32)
        >>> grown = workspace.with_search(Instances(mask, boxes, scores, 1.0, "cup"))
        >>> grown[1].box, grown.searches[0].ids
        ((0.0, 0.0, 6.0, 4.0), (1,))
    """

    height: int
    """Of the image, in pixels."""
    width: int
    """Of the image, in pixels."""
    candidates: tuple[Candidate, ...] = ()
    """Candidate k has id k + 1."""
    searches: tuple[SearchRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and 1 <= id <= len(self.candidates)

    def __getitem__(self, id: int) -> Candidate:
        if id not in self:
            raise KeyError(f"no mask {id}; there are {len(self)}")
        return self.candidates[id - 1]

    def pick(self, ids: Sequence[int]) -> list[Candidate]:
        """Return the masks with these ids.

        Args:
            ids: Mask ids, from 1; they may repeat.

        Returns:
            One mask per id, in this order.

        Raises:
            KeyError: There is no mask of an id.
        """
        return [self[id] for id in ids]

    def get_rles(self, ids: Sequence[int]) -> list[RleMask]:
        """Return the compressed masks with these ids.

        Args:
            ids: Mask ids, from 1; they may repeat.

        Returns:
            One compressed mask per id, in this order.

        Raises:
            KeyError: There is no mask of an id.
        """
        return [candidate.rle for candidate in self.pick(ids)]

    def with_search(
        self,
        instances: Instances,
        *,
        origin: str = "segment",
        arguments: str = "",
        probabilities: np.ndarray | None = None,
    ) -> "Workspace":
        """Add what a search found.

        Args:
            instances: The masks that SAM 3 found, best first.
            origin: How they came about, e.g. 'segment in 10,20,200,220'.
            arguments: What was asked beside the phrase, as JSON.
            probabilities: (N,), in [0, 1]: how likely the masks are right. Default: nobody knows.

        Returns:
            A workspace with the masks under new ids, and with the search.
        """
        grown = self.with_instances(instances, origin=origin, probabilities=probabilities)
        ids = tuple(range(len(self) + 1, len(grown) + 1))
        search = SearchRecord(instances.phrase, float(instances.presence), ids, arguments)
        return replace(grown, searches=(*self.searches, search))

    def with_instances(
        self, instances: Instances, *, origin: str, probabilities: np.ndarray | None = None
    ) -> "Workspace":
        """Add masks under new ids.

        Args:
            instances: The masks, in the order in which they get their ids.
            origin: How they came about, e.g. 'merge of 2, 5'.
            probabilities: (N,), in [0, 1]: how likely the masks are right. Default: nobody knows.

        Returns:
            A workspace with these masks after those of this one.
        """
        likely = [None] * len(instances) if probabilities is None else np.round(probabilities, 4).tolist()
        rows = zip(instances.rles, instances.boxes.tolist(), instances.scores.tolist(), likely, strict=True)
        new = tuple(
            Candidate(id, rle, (box[0], box[1], box[2], box[3]), score, instances.phrase, origin, None, probability)
            for id, (rle, box, score, probability) in enumerate(rows, start=len(self) + 1)
        )
        return replace(self, candidates=(*self.candidates, *new))

    def with_correction(self, corrected: Candidate) -> "Workspace":
        """Put a corrected mask in the place of the one with its id.

        Args:
            corrected: The mask, under the id of the one that it corrects.

        Returns:
            A workspace in which it stands for that mask.

        Raises:
            KeyError: There is no mask of its id.
        """
        was = self[corrected.id]
        kept = replace(corrected, label=corrected.label or was.label)
        return replace(self, candidates=(*self.candidates[: was.id - 1], kept, *self.candidates[was.id :]))

    def with_labels(self, labels: Mapping[int, str]) -> "Workspace":
        """Give masks a class.

        Args:
            labels: Mask id -> class; an empty one takes the class away.

        Returns:
            A workspace in which these masks have these classes.

        Raises:
            KeyError: There is no mask of an id.
        """
        self.pick([*labels])
        candidates = (
            replace(candidate, label=labels.get(candidate.id, candidate.label)) for candidate in self.candidates
        )
        return replace(self, candidates=tuple(candidates))

    def with_tracks(self, found: Masklets, *, origin: str = "segment", arguments: str | None = None) -> "Workspace":
        """Add objects of a video under new ids.

        Args:
            found: The objects, in the order in which they get their ids; one that is seen on no frame gets none.
            origin: How they came about.
            arguments: What was asked beside the phrase, as JSON; None = it was no search for a phrase.

        Returns:
            A workspace with these objects, and with the search.
        """
        seen = [masklet for masklet in found.masklets if len(masklet)]
        new = tuple(
            Candidate.from_masklet(id, masklet, found.phrase, origin)
            for id, masklet in enumerate(seen, start=len(self) + 1)
        )
        grown = replace(self, candidates=(*self.candidates, *new))
        if arguments is None:
            return grown
        ids = tuple(candidate.id for candidate in new)
        search = SearchRecord(found.phrase, float(found.presence.max(initial=0.0)), ids, arguments)
        return replace(grown, searches=(*self.searches, search))

    def get_masklets(self, ids: Sequence[int]) -> list[Masklet]:
        """Return the objects of a video with these ids.

        Args:
            ids: Mask ids, from 1; they may repeat.

        Returns:
            One masklet per id, in this order.

        Raises:
            KeyError: There is no mask of an id.
            ValueError: A mask is of an image.
        """
        masklets = [candidate.masklet for candidate in self.pick(ids)]
        found = [masklet for masklet in masklets if masklet is not None]
        if len(found) < len(masklets):
            raise ValueError(f"mask {ids[masklets.index(None)]} is of an image, and here stands a video")
        return found

    def get_instances(self, ids: Sequence[int]) -> Instances:
        """Return the masks with these ids as instances.

        Args:
            ids: Mask ids, from 1; they may repeat.

        Returns:
            One instance per id, in this order. Their phrases are joined; presence is the highest among them.

        Raises:
            KeyError: There is no mask of an id.
        """
        chosen = self.pick(ids)
        phrases = list(dict.fromkeys(candidate.phrase for candidate in chosen))
        presence = max((search.presence for search in self.searches if search.phrase in phrases), default=0.0)
        return Instances.from_rles(
            self.get_rles(ids),
            (self.height, self.width),
            boxes=np.array([candidate.box for candidate in chosen], np.float32).reshape(-1, 4),
            scores=np.array([candidate.score for candidate in chosen], np.float32),
            presence=presence,
            phrase=", ".join(phrases),
        )
