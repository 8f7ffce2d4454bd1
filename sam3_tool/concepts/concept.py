"""A concept: what SAM 3 has read of examples, in numbers that can be taken to other images and other machines."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from sam3_tool.errors import ConceptError

MAX_EXAMPLES = 64
"""In one concept."""


@dataclass(frozen=True, eq=False)
class Concept:
    """What a network has read of examples: one row of numbers for each, and one for each image that they lie in.

    `Sam3.describe` makes one, and `Sam3.segment` looks for it in any image. It belongs to the weights that made it. It
    holds no pixels, and nothing that an image could be drawn from; it does tell what the examples look like.

    Raises:
        ValueError: The arrays do not fit together, a number is not finite, or there are too many examples.

    >>> from sam3_tool import Image, Sam3
    >>> from sam3_tool.synthetic.scenes import draw_scene
    >>> sam3, scene = Sam3.load("tiny"), draw_scene(6)
    >>> concept = sam3.describe(Image(scene.pixels), boxes=[tuple(scene.boxes[0].tolist())])
    >>> len(concept), concept.labels, concept.width
    (1, (1,), 128)
    """

    examples: np.ndarray
    """float32, (N, width): the features of the examples."""
    labels: tuple[int, ...]
    """1 = like this, 0 = not like this, one per example. The features say so, too: a label cannot be changed."""
    surroundings: np.ndarray
    """float32, (M, width): the features of the images that the examples lie in, with these in mind."""
    phrase: str | None
    """The noun phrase that is looked for along with the examples, if there is one."""
    fingerprint: str
    """SHA-256 of the weights, in hexadecimal; empty for weights that no file holds."""
    weights: str
    """What the weights are called: 'tiny', 'facebook/sam3'."""
    dtype: str
    """The number format of the network that read the examples, e.g. 'bfloat16'."""

    def __post_init__(self) -> None:
        for name, rows in (("examples", self.examples), ("surroundings", self.surroundings)):
            if rows.ndim != 2 or rows.dtype != np.float32 or not rows.size or not np.isfinite(rows).all():
                raise ValueError(f"`{name}` must be finite float32 (N, width), got {rows.dtype} {rows.shape}")
        if len(self.labels) != len(self.examples) or not set(self.labels) <= {0, 1}:
            raise ValueError(f"{len(self.examples)} examples need as many labels out of 0 and 1, got {self.labels}")
        if len(self.examples) > MAX_EXAMPLES or len(self.surroundings) > len(self.examples):
            raise ValueError(
                f"a concept has at most {MAX_EXAMPLES} examples, and no more images than examples;"
                f" got {len(self.examples)} examples of {len(self.surroundings)} images"
            )
        if self.surroundings.shape[1] != self.width:
            raise ValueError(f"examples of width {self.width}, but surroundings of width {self.surroundings.shape[1]}")

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.examples)

    @property
    def width(self) -> int:
        """Numbers in a row: the width of the network."""
        return int(self.examples.shape[1])

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that an answer depends on, in hexadecimal."""
        digest = sha256(repr((self.phrase, self.labels, self.fingerprint)).encode())
        for rows in (self.examples, self.surroundings):
            digest.update(struct.pack("<2q", *rows.shape) + np.ascontiguousarray(rows, "<f4").tobytes())
        return digest.hexdigest()

    def with_phrase(self, phrase: str | None) -> "Concept":
        """Return the same examples beside another noun phrase.

        Args:
            phrase: A short noun phrase; None for the examples alone.

        Returns:
            A new concept.
        """
        return replace(self, phrase=(phrase or "").strip() or None)

    @classmethod
    def combine(cls, concepts: "Sequence[Concept]", *, average: bool = False) -> "Concept":
        """Join the examples of several concepts, e.g. from several images, in one.

        Args:
            concepts: One or more, of the same weights. Those that have a phrase have the same one.
            average: Put the mean of the examples "like this" in their place. That finds less else where they look
                alike, and fewer of them where they do not: `docs/how-to/reuse-a-concept.md` has the numbers.

        Returns:
            A new concept with all examples, in order; or with the mean first, and then those "not like this".

        Raises:
            ValueError: There is none, or they have too many examples together.
            ConceptError: They are of different weights, or have different phrases.

        >>> one = Concept(np.ones((1, 4), np.float32), (1,), np.ones((1, 4), np.float32), None, "", "mine", "float32")
        >>> len(Concept.combine([one, one]))
        2
        """
        if not concepts:
            raise ValueError("there is no concept to combine; give at least one")
        first, phrases = concepts[0], sorted({concept.phrase for concept in concepts if concept.phrase})
        for concept in concepts:
            concept.check_weights(first.fingerprint, first.weights, width=first.width)
        if len(phrases) > 1:
            raise ConceptError(
                f"the concepts have different phrases, {' and '.join(map(repr, phrases[:3]))}; combine those of one"
                " phrase, or take the phrases away with `with_phrase(None)`"
            )
        joined = replace(
            first,
            examples=np.concatenate([concept.examples for concept in concepts]),
            labels=tuple(label for concept in concepts for label in concept.labels),
            surroundings=np.concatenate([concept.surroundings for concept in concepts]),
            phrase=phrases[0] if phrases else None,
        )
        return joined._average_examples() if average else joined

    def _average_examples(self) -> "Concept":
        is_like = np.array(self.labels, bool)
        mean = self.examples[is_like].mean(axis=0, keepdims=True, dtype=np.float32)[: int(is_like.any())]
        return replace(
            self,
            examples=np.concatenate([mean, self.examples[~is_like]]),
            labels=(1,) * len(mean) + (0,) * int((~is_like).sum()),
            surroundings=self.surroundings.mean(axis=0, keepdims=True, dtype=np.float32),
        )

    def check_weights(self, fingerprint: str, name: str, *, width: int | None = None) -> None:
        """Check that these weights are those that made the concept.

        Args:
            fingerprint: SHA-256 of the weights, as `Sam3.fingerprint` gives it.
            name: What they are called.
            width: The width of their network, if it is known.

        Raises:
            ConceptError: They are not.
        """
        if self.fingerprint == fingerprint and width in (None, self.width):
            return
        ours, theirs = (text[:12] or "none" for text in (self.fingerprint, fingerprint))
        raise ConceptError(
            f"the concept was made with the weights {self.weights!r} (fingerprint {ours}), and these are {name!r}"
            f" (fingerprint {theirs}); load the weights that made it, or describe the examples again with these"
        )

    def save(self, path: str | Path) -> None:
        """Write the concept into a small file: a kilobyte or so for each example.

        Args:
            path: The file. One that is there is replaced.

        Raises:
            ConceptError: It cannot be written, or the weights have no fingerprint, so that nobody could tell later
                where the file is of use.

        >>> import tempfile
        >>> rows = np.ones((1, 4), np.float32)
        >>> file = Path(tempfile.mkdtemp(), "cup.concept")
        >>> Concept(rows, (1,), rows, "cup", "0123abcd", "mine", "float32").save(file)
        >>> Concept.load(file).phrase
        'cup'
        """
        from sam3_tool.concepts.file import write_concept

        write_concept(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Concept":
        """Read what `save` wrote. Nothing in the file is run.

        Args:
            path: The file.

        Returns:
            The concept, to the last bit.

        Raises:
            ConceptError: The file is missing, foreign, cut off, damaged, too large, or of a later version.
        """
        from sam3_tool.concepts.file import read_concept

        return read_concept(Path(path))

    def to_bytes(self) -> bytes:
        """Return what `save` writes, e.g. to send it to a server.

        Returns:
            The content of the file.

        Raises:
            ConceptError: The weights have no fingerprint.

        >>> rows = np.ones((1, 4), np.float32)
        >>> concept = Concept(rows, (1,), rows, "cup", "0123abcd", "mine", "float32")
        >>> Concept.from_bytes(concept.to_bytes()).key == concept.key
        True
        """
        from sam3_tool.concepts.file import encode_concept

        return encode_concept(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Concept":
        """Read the content of a file that `save` wrote. Nothing in it is run.

        Args:
            content: All bytes of the file.

        Returns:
            The concept, to the last bit.

        Raises:
            ConceptError: The content is foreign, cut off, damaged, too large, or of a later version.
        """
        from sam3_tool.concepts.file import decode_concept

        return decode_concept(content)
