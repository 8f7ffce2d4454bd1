"""What the routes of the review share."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from demo.studio.rows import build_studio_rows
from demo.studio.value import StudioMask
from engine.pairs import Correction
from engine.review.desk import ReviewDesk
from engine.review.entries import REFUSALS, parse_number
from engine.review.fitting_anew import VerifierFitter
from engine.review.queue.opinions import MAX_BATCH
from engine.review.queue.tables import Answer, QueueItem, simplify_choice
from engine.review.team.estimate import Estimate, estimate_rest
from engine.review.team.machine import describe_machine_rest, read_machine_rest
from engine.review.team.people import People, Person
from engine.review.views import ImageViews, build_view, classify_size
from engine.states import list_standing_entries
from sam3_tool import Sam3
from sam3_tool.masks.rle import compute_ious, encode_masks
from serve.http.errors import ApiError
from serve.http.services import BackgroundModel
from serve.http.settings import ServeSettings

REFRESH_SECONDS = 5.0
"""How old the numbers on top of the page may be: they read every answer."""
SAME_IOU = 0.5
"""From which on two masks are of one object."""
MACHINE_SECONDS = 60.0
"""How old the words about machines may be: they read every pair."""


@dataclass(eq=False)
class ReviewServices:
    """The desk, the people, the images and SAM 3."""

    settings: ServeSettings
    people: People
    desk: ReviewDesk
    sam3: BackgroundModel[Sam3]
    wage: float | None = None
    guidelines: str = ""
    fitter: VerifierFitter | None = None
    """None where the verifier stays as it is."""
    draining: bool = False
    views: ImageViews = field(default_factory=ImageViews)
    _answers: tuple[float, list[Answer]] = (-REFRESH_SECONDS, [])
    _estimate: tuple[float, Estimate | None] = (-REFRESH_SECONDS, None)
    _open: Mapping[str, int] = field(default_factory=dict)
    _machines: tuple[float, str] = (-MACHINE_SECONDS, "")

    def find_failure(self) -> BaseException | None:
        """Return why the server cannot go on: nothing; without SAM 3 only clicks fail, and say why."""
        return None

    def describe_items(self, items: Iterable[QueueItem]) -> list[dict[str, Any]]:
        """Return what a page draws of items; those that were removed from the project meanwhile are left out."""
        items = list(items)
        numbers = {item.id: parse_number(item.version) for item in items}
        proposals = self.desk.store.read_numbered_proposals({*numbers.values()})
        described, sizes = [], {}
        for item in items:
            proposal, image = proposals.get(numbers[item.id]), self.desk.find_image(item)
            if proposal is None or image is None:
                self.desk.queue.forget_pairs([item.pair])
                continue
            view = build_view(item, proposal, image)
            rles = [proposal.masks[mask["index"]] for mask in view["masks"]]
            sizes[item.id] = classify_size(rles, image)
            described.append(view)
        self.desk.queue.set_sizes(sizes)
        return described

    def take_grid(self, person: Person, page: str, held: Sequence[int]) -> list[QueueItem]:
        """Return up to 24 masks of one phrase."""
        queue = self.desk.queue
        first = queue.take_items(person.name, "mv", count=1, page=page, held=held)
        if not first:
            return []
        held = [*held, first[0].id]
        others = queue.take_items(person.name, "mv", count=MAX_BATCH - 1, page=page, held=held, phrase=first[0].phrase)
        return [*first, *others]

    def tell_afterwards(self, item_number: int, choice: str) -> dict[str, Any]:
        """Return what a person may know of an item once they have answered it."""
        item = self.desk.queue.find_item(item_number)
        if item is None:
            return {}
        said = self.desk.find_model_opinion(item)
        told: dict[str, Any] = {} if said is None else {"model": vars(said)}
        if item.gold is not None:
            is_right = simplify_choice(choice) == simplify_choice(item.gold)
            told["gold"] = {"expected": item.gold, "right": is_right}
        return told

    def refine_mask(
        self, item: QueueItem, id: int, points: Sequence[Sequence[float]], box: Sequence[float] | None
    ) -> list[dict[str, Any]]:
        """Return the mask of the one object that clicks and a box show, as a page edits it; none where nothing is.

        Args:
            item: Of the image.
            id: That the mask gets.
            points: x and y in pixels, and whether the pixel is on the object.
            box: x0 y0 x1 y1 in pixels.

        Raises:
            ApiError: SAM 3 is being loaded or cannot follow clicks, or they lie outside the image.
        """
        sam3 = self.sam3.get()
        _, image = self.desk.find_subject(item)
        clicks = [(x, y) for x, y, _ in points]
        labels = [int(label) for *_, label in points]
        is_single = len(clicks) == 1 and box is None
        try:
            found = sam3.refine(
                self.views.open_image(image),
                clicks,
                labels,
                box=None if box is None else (box[0], box[1], box[2], box[3]),
                multimask=is_single,
                tidy=True,
            )
        except ValueError as error:
            raise ApiError(422, "invalid", str(error)) from error
        return build_studio_rows([StudioMask.from_array(id, mask) for mask in found.masks[:1]])

    def find_alike(
        self, item: QueueItem, id: int, box: Sequence[float], known: Sequence[StudioMask]
    ) -> list[dict[str, Any]]:
        """Return masks of what looks like the object in a box, as a page edits them, without those that are there.

        Args:
            item: Of the image and the phrase.
            id: That the first mask gets; the others get the next ones.
            box: x0 y0 x1 y1 in pixels.
            known: The masks that are there.

        Raises:
            ApiError: SAM 3 is being loaded or takes no examples, the box lies outside the image, or a known mask has
                another size.
        """
        sam3 = self.sam3.get()
        _, image = self.desk.find_subject(item)
        example = (box[0], box[1], box[2], box[3])
        if any(mask.size != (image.height, image.width) for mask in known):
            raise ApiError(422, "invalid", "a mask has another size than the image; load the page again")
        try:
            found = sam3.segment(self.views.open_image(image), item.phrase, boxes=[example], box_labels=[1])
        except ValueError as error:
            raise ApiError(422, "invalid", str(error)) from error
        there = [mask.rle for mask in known]
        rles = encode_masks(found.masks)
        new = [rle for rle in rles if not there or compute_ious([rle], there).max() <= SAME_IOU]
        return build_studio_rows([StudioMask.from_rle(id + place, rle) for place, rle in enumerate(new)])

    def list_answers(self, *, is_fresh: bool = False) -> list[Answer]:
        """Return all answers: at most 5 s old, or those of this moment."""
        read_at, answers = self._answers
        if is_fresh or monotonic() - read_at > REFRESH_SECONDS:
            answers = self.desk.queue.list_answers()
            self._answers = monotonic(), answers
        return answers

    def estimate_rest(self) -> Estimate:
        """Return what is left, at most 5 s old."""
        read_at, found = self._estimate
        if found is None or monotonic() - read_at > REFRESH_SECONDS:
            pairs, waiting = self.desk.queue.count_pairs()
            self._open = self.desk.queue.count_open()
            found = estimate_rest(pairs, self._open, waiting, self.list_answers(), self.wage)
            self._estimate = monotonic(), found
        return found

    def count_open(self) -> Mapping[str, int]:
        """Return how many opinions each stage lacks now, at most 5 s old."""
        self.estimate_rest()
        return self._open

    def describe_machines(self) -> str:
        """Say what is left for machines, at most a minute old."""
        read_at, words = self._machines
        if monotonic() - read_at > MACHINE_SECONDS:
            words = describe_machine_rest(read_machine_rest(self.desk.store, self.desk.policy))
            self._machines = monotonic(), words
        return words

    def describe_fits(self) -> str:
        """Say what was last done about the verifier's fit, or why nothing is."""
        return "it stays as it is in this review (--no-refit)" if self.fitter is None else self.fitter.told

    def list_double_corrections(self) -> list[list[Correction]]:
        """Return, for each pair that several people have corrected, each one's latest correction."""
        people: dict[str, set[str]] = defaultdict(set)
        for answer in self.list_answers():
            if answer.choice not in REFUSALS and answer.choice == "corrected":
                people[answer.pair].add(answer.person)
        found = []
        for pair, names in people.items():
            if len(names) >= 2:
                entries = list_standing_entries(self.desk.store.entries(pair))
                latest = {entry.by: entry for entry in entries if isinstance(entry, Correction)}
                found.append(list(latest.values()))
        return found
