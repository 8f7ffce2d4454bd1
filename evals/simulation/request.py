"""What a simulated model takes in of a request: the sample, the masks that are shown, and the words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import sqrt

from agent.core.workspace import Candidate
from agent.models.base import Messages
from agent.planners.chat.views import ShownMasks, find_shown_masks
from evals.simulation.truth import SampleTruth, Truths
from sam3_tool import Image
from sam3_tool.masks.rle import compute_areas

HALF_SEEN = 24.0
"""Pixels of a mask's side at which half of what there is to see is seen."""
CROWDING = {"overlay": 0.06, "sheet": 0.02, "close-up": 0.0}
"""Kind of image -> how much each further mask on it takes away."""


@dataclass(frozen=True, eq=False)
class Request:
    """A request, as far as a simulated model can tell."""

    truth: SampleTruth
    shown: tuple[tuple[ShownMasks, Image], ...]
    """What the images show, in order, the raw ones left out."""
    texts: tuple[str, ...]
    tried: tuple[str, ...]
    """Phrases that were asked for before, as far as the request tells."""
    mask_turns: int
    """Turns of the assistant."""

    @classmethod
    def from_messages(cls, messages: Messages, truths: Truths) -> "Request":
        """Take a request in.

        Raises:
            KeyError: No image is that of a sample: they must be shown as large as they are.
        """
        images = [part for turn in messages for part in turn.content if isinstance(part, Image)]
        noted = [(find_shown_masks(image), image) for image in images]
        shown = tuple((found, image) for found, image in noted if found is not None)
        raws = [image if found is None else found.raw() for found, image in noted]
        truth = next((truths[raw.key] for raw in raws if raw is not None and raw.key in truths), None)
        if truth is None:
            raise KeyError("the request shows no image of the samples that the simulated model knows")
        texts = tuple(part for turn in messages for part in turn.content if isinstance(part, str))
        calls = [call.arguments for turn in messages for call in turn.calls]
        turns = sum(turn.role == "assistant" for turn in messages)
        return cls(truth, shown, texts, _find_phrases(calls, texts), turns)

    @cached_property
    def asking(self) -> str:
        """Digits that stand for the way in which it is asked; equal requests have equal ones."""
        drawn = [f"{found.kind} {found.numbers} {image.width}" for found, image in self.shown]
        return blake2b("|".join((*self.texts, *drawn)).encode(), digest_size=8).hexdigest()

    @property
    def current(self) -> ShownMasks | None:
        """The masks that are drawn over the whole image last."""
        return next((found for found, _ in reversed(self.shown) if found.kind == "overlay"), None)

    def find_candidate(self, number: int) -> Candidate | None:
        """Find the mask that is drawn under a number."""
        pairs = (pair for found, _ in self.shown for pair in zip(found.numbers, found.candidates, strict=True))
        return next((candidate for drawn, candidate in pairs if drawn == number), None)

    def measure_clarity(self, number: int) -> float:
        """In [0, 1]: how well the mask under a number can be seen, on the image that shows it best."""
        return max(
            (_measure_clarity(found, image, number) for found, image in self.shown if number in found.numbers),
            default=0.0,
        )


def _measure_clarity(found: ShownMasks, image: Image, number: int) -> float:
    candidate = found.candidates[found.numbers.index(number)]
    _, width = candidate.rle.size
    match found.kind:
        case "overlay":
            side = sqrt(float(compute_areas([candidate.rle])[0])) * image.width / width
        case "sheet":
            columns = int(sqrt(len(found.numbers) - 1)) + 1
            side = 0.5 * image.width / columns
        case _:
            side = 0.5 * min(image.width, image.height)
    return side / (side + HALF_SEEN) / (1 + CROWDING[found.kind] * (len(found.numbers) - 1))


_TRIED = re.compile(r"phrases were tried before[^:]*: (.*?)\. They may not")
_QUOTED = re.compile(r"'([^']*)'")
_ARGUMENT = re.compile(r'"(?:text_prompt|phrases)": ?(\[[^\]]*\]|"[^"]*")')


def _find_phrases(calls: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    told = [phrase for text in texts for row in _TRIED.findall(text) for phrase in _QUOTED.findall(row)]
    asked = [
        phrase for call in calls for value in _ARGUMENT.findall(call) for phrase in re.findall(r'"([^"]*)"', value)
    ]
    return tuple(dict.fromkeys((*told, *asked)))
