"""Stage 3: ask SAM 3 for the masks of every pair that has none, or none by these weights."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic, time

from annotate.progress import ProgressMeter
from engine.errors import EngineError, EngineInterruptedError
from engine.pairs import Pair, Proposal
from engine.proposing import (
    FIND_NO_PARENT,
    ParentFn,
    SignalFn,
    describe_maker,
    describe_recipe,
    get_recipe,
    propose_masks,
)
from engine.stages.media import describe_error
from engine.stages.stage import RunContext, StageName, StageReport
from engine.states import StatePolicy
from engine.store.files import mark_image
from engine.store.store import NO_POLICY, EngineStore
from sam3_tool.errors import ImageError
from sam3_tool.image import Image
from sam3_tool.sam3 import Sam3
from sam3_tool.system.interruptions import defer_interruptions

MAX_KEPT_PAIRS, MAX_KEPT_SECONDS = 512, 20.0
"""What is proposed and not yet on the disk: that is what a kill may cost."""
MAX_FAILURES = 32
"""Images that cannot be read, one after the other, until it is not the images."""


def measure_nothing(
    sam3: Sam3, image: Image, pairs: Sequence[Pair], proposals: Sequence[Proposal]
) -> Sequence[Proposal]:
    """Add no signals."""
    return proposals


@dataclass(frozen=True)
class MasksStage:
    """Proposes masks image by image. What people have finished is never proposed again."""

    name: StageName = "masks"
    measure_signals: SignalFn = measure_nothing
    measure_mirrored: SignalFn = measure_nothing
    """Called besides where `RunContext.options` has "mirrored"."""
    find_parent: ParentFn = FIND_NO_PARENT

    def run(self, context: RunContext) -> StageReport:
        """Propose masks for every open pair. See `Stage.run`."""
        store = context.store
        if not any(True for _ in store.pairs()):
            return StageReport(self.name, what="pairs proposed")
        is_mirrored = bool(context.options.get("mirrored"))
        recipe = describe_recipe(context.sam3, is_mirrored=is_mirrored)
        work = find_open_pairs(context, recipe)
        meter, began = ProgressMeter(work.images, work.images - len(work.pairs)), monotonic()
        done = errors = failures = 0
        with ProposalBuffer(store, work.again, context.policy).keep_at_the_end() as buffer:
            for key, keys in work.pairs.items():
                if context.is_out_of_time():
                    break
                try:
                    proposals = self._propose_image(context, key, keys)
                except (ImageError, OSError) as error:
                    errors, failures = errors + len(keys), failures + 1
                    _report_failure(context, key, error, failures)
                    meter.add_images(1, {"ImageError": 1})
                    continue
                buffer.add_proposals(proposals)
                done, failures = done + len(proposals), 0
                meter.add_images(1, {})
                context.report_progress(self.name, meter)
        if changed := buffer.changed:
            context.on_note(f"{changed:,} of {len(work.again):,} pairs that were proposed again have other masks now")
        if finished := buffer.finished:
            context.on_note(f"{finished:,} pairs that people finished meanwhile stay as they are")
        report = StageReport(self.name, done - finished, "pairs proposed", work.count - done - errors, errors)
        device = context.sam3.device_name or context.sam3.name
        return replace(report, seconds=monotonic() - began, device=device, made_by=recipe)

    def _propose_image(self, context: RunContext, key: str, keys: Sequence[str]) -> list[Proposal]:
        """Propose masks for pairs of one image. Raises ImageError."""
        image = context.store.find_image(key)
        assert image is not None
        pixels = image.open_pixels()
        if image.error:
            mark_image(context.store.database, key, "")
        pairs = [pair for pair in context.store.pairs(image=key) if pair.key in keys]
        [proposals] = propose_masks(context.sam3, [(pixels, pairs)], find_parent=self.find_parent)
        measured = self.measure_signals(context.sam3, pixels, pairs, proposals)
        if not context.options.get("mirrored"):
            return [*measured]
        made_by = describe_maker(describe_recipe(context.sam3, is_mirrored=True))
        again = self.measure_mirrored(context.sam3, pixels, pairs, measured)
        return [proposal.model_copy(update={"made_by": made_by}) for proposal in again]


@dataclass(frozen=True)
class OpenPairs:
    """Pairs that need masks."""

    pairs: Mapping[str, Sequence[str]]
    """Key of an image -> keys of its pairs."""
    images: int
    """That have any pair at all."""
    again: frozenset[str]
    """Pairs that other weights have proposed before."""

    @property
    def count(self) -> int:
        """How many pairs need masks."""
        return sum(map(len, self.pairs.values()))


def find_open_pairs(context: RunContext, recipe: str) -> OpenPairs:
    """Find the pairs without masks by this recipe, but for those that people have finished; tell what will change.

    What has signals of the mirrored image besides keeps them, whether or not they are wanted now.
    """
    found: dict[str, list[str]] = defaultdict(list)
    earlier, finished, again = Counter[str](), 0, set[str]()
    images = set()
    richer = describe_recipe(context.sam3, is_mirrored=True)
    for summary in context.store.iterate_summaries(context.policy):
        images.add(summary.pair.image)
        before = get_recipe(summary.made_by)
        if before in (recipe, richer) or summary.decision.blocked:
            continue
        if summary.decision.is_human_end:
            finished += bool(before)
            continue
        found[summary.pair.image].append(summary.pair.key)
        if before:
            earlier[before] += 1
            again.add(summary.pair.key)
    for before, count in earlier.items():
        context.on_note(f"{count:,} pairs were proposed by {before}; they are proposed again by {recipe}")
    if earlier and finished:
        context.on_note(f"{finished:,} pairs that people have finished stay as they are")
    return OpenPairs(found, len(images), frozenset(again))


def _report_failure(context: RunContext, key: str, error: ImageError | OSError, failures: int) -> None:
    """Keep why an image cannot be read now; raise EngineError where that is so of one after the other."""
    said = describe_error(error)
    if failures >= MAX_FAILURES:
        raise EngineInterruptedError(f"{failures} images in a row cannot be read, the last one with: {said}") from error
    mark_image(context.store.database, key, said)
    context.on_note(said)


@dataclass(eq=False)
class ProposalBuffer:
    """Proposals that are not on the disk yet: some hundred, or those of some seconds."""

    store: EngineStore
    again: frozenset[str] = frozenset()
    """Pairs that have masks already."""
    policy: StatePolicy = NO_POLICY
    changed: int = field(default=0, init=False)
    """Pairs whose masks are others than before."""
    finished: int = field(default=0, init=False)
    """Pairs that were not written, since people had finished them meanwhile."""
    _waiting: list[Proposal] = field(default_factory=list, init=False)
    _since: float = field(default=0.0, init=False)

    def add_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Take proposals; write them with those that wait, if these are many or old. Raises EngineError."""
        if not self._waiting:
            self._since = monotonic()
        self._waiting += proposals
        if len(self._waiting) >= MAX_KEPT_PAIRS or monotonic() - self._since >= MAX_KEPT_SECONDS:
            self.write_all()

    def write_all(self) -> None:
        """Write all that waits. Raises EngineError."""
        with defer_interruptions():
            waiting, self._waiting = self._waiting, []
            with self.store.database.write():  # nobody finishes a pair between the look at it and the writing
                kept = [proposal for proposal in waiting if not self._is_finished(proposal.pair)]
                self.changed += self.store.add_proposals(kept, at=time())
            self.finished += len(waiting) - len(kept)

    def _is_finished(self, pair: str) -> bool:
        """Whether people have finished a pair since it was chosen for other masks."""
        if pair not in self.again:
            return False
        decision = self.store.read_decision(pair, self.policy)
        return decision is None or decision.is_human_end

    @contextmanager
    def keep_at_the_end(self) -> "Iterator[ProposalBuffer]":
        """Write what waits when the block ends, also where somebody interrupts it. Raises EngineError."""
        try:
            yield self
        except EngineError:
            raise
        except BaseException:
            self.write_all()
            raise
        self.write_all()
