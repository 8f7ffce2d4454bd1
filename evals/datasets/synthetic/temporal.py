"""Queries about what happens in a clip, each with the masklets that answer it.

An example: "the second dog to come in", "the red circle that goes past the star", "the cat after the horse has left".

`generate_temporal_queries` stages a clip for each query and measures the answer on its exact paths and masks. KINDS
says what each kind means; where a clip does not answer the query beyond doubt, another one is staged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from evals.datasets.synthetic import stages
from evals.datasets.synthetic import temporal_truth as truth
from evals.datasets.synthetic.choreography import Actor, StagedClip, draw_actors
from evals.datasets.synthetic.scenes import format_concept
from evals.datasets.synthetic.stages import LENGTH, Part, Stage
from evals.datasets.synthetic.temporal_truth import Answer, ClipView
from evals.datasets.synthetic.temporal_wordings import list_wordings
from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, SHAPES, THING_COLOURS, THINGS
from sam3_tool.synthetic.phrases import Concept
from sam3_tool.synthetic.scenes import HELD_OUT, Stamp, draw_object

FRAME_RATE = 8.0
SIZES = ((192, 144), (192, 192), (224, 160))
"""(width, height) in pixels of the clips."""
FIRST_SEED = HELD_OUT + 10**13
"""Beyond all seeds of scenes."""


@dataclass(frozen=True, eq=False)
class TemporalQuery:
    """A query about a clip, and its answer."""

    clip: StagedClip
    kind: str
    """One of KINDS."""
    text: str
    targets: tuple[int, ...]
    """Indices of the objects that are meant."""
    frames: np.ndarray
    """bool, (T,): the frames in which they are meant; all, but for a query that says when."""
    seed: int

    def get_target_masks(self, index: int) -> np.ndarray:
        """bool, (T, H, W): the masklet of one of the objects that are meant."""
        return np.asarray(self.clip.get_masks(index) & self.frames[:, None, None])

    @property
    def target(self) -> np.ndarray:
        """bool, (T, H, W): all masklets in one."""
        return np.asarray(np.isin(self.clip.ids, np.array(self.targets) + 1) & self.frames[:, None, None])


def generate_temporal_queries(
    number: int, *, seed: int = 0, kinds: Sequence[str] | None = None
) -> Iterator[TemporalQuery]:
    """`number` queries, all `kinds` in turn (all there are, if left out), each about a clip of its own."""
    asked = list(kinds or KINDS)
    next_seed = FIRST_SEED + 1_000_000 * seed
    for place in range(number):
        query = None
        while query is None:
            query, next_seed = _generate_query(asked[place % len(asked)], next_seed), next_seed + 1
        yield query


def _generate_query(kind: str, seed: int) -> TemporalQuery | None:
    """None where this seed's clip does not answer a query of the kind beyond doubt."""
    rng = np.random.default_rng(seed)
    set_stage, judge = KINDS[kind]
    stage = set_stage(rng)
    cast = _choose_cast(rng, stage)
    size = SIZES[int(rng.integers(len(SIZES)))]
    clip = draw_actors(_place_parts(rng, stage, cast, size), size, rng)
    view = ClipView(clip, len(stage.asked))
    answer = judge(view) if view.is_simple else None
    if answer is None:
        return None
    wordings = list_wordings(kind, answer.event, len(answer.targets))
    text = str(rng.choice(wordings)).format(
        one=format_concept(cast.asked), many=format_concept(cast.asked, many=True), mark=cast.landmark[0]
    )
    return TemporalQuery(clip, kind, text, answer.targets, answer.frames, seed)


# --- who plays -------------------------------------------------------------------------------------------------------

ThingKind = tuple[str, str | None]
"""Noun, colour."""


@dataclass(frozen=True)
class _Cast:
    asked: Concept
    """What the query calls the asked objects."""
    kinds: tuple[ThingKind, ...]
    """One per asked object."""
    landmark: ThingKind
    extra: ThingKind


def _choose_cast(rng: np.random.Generator, stage: Stage) -> _Cast:
    number = len(stage.asked)
    match str(rng.choice(["thing", "coloured shape", "shape", "family"], p=[0.4, 0.25, 0.2, 0.15])):
        case "thing":
            noun = str(rng.choice(list(THINGS)))
            concept, kinds = Concept(noun), [(noun, THING_COLOURS.get(noun))] * number
        case "family":
            family = str(rng.choice(["animal", "vehicle", "fruit"]))
            nouns = rng.choice(sorted(HYPERNYMS[family]), number, replace=False).tolist()
            concept, kinds = Concept(family), [(noun, THING_COLOURS.get(noun)) for noun in nouns]
        case "shape":
            noun = str(rng.choice(SHAPES))
            concept, kinds = Concept(noun), [(noun, str(colour)) for colour in rng.choice(list(COLOURS), number)]
        case _:
            noun, colour = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS)))
            concept, kinds = Concept(noun, colour), [(noun, colour)] * number
    others = [noun for noun in (*THINGS, *SHAPES) if noun not in concept.nouns]
    first, second = (str(noun) for noun in rng.choice(others, 2, replace=False))
    return _Cast(concept, tuple(kinds), _colour_noun(rng, first), _colour_noun(rng, second))


def _colour_noun(rng: np.random.Generator, noun: str) -> ThingKind:
    return (noun, str(rng.choice(list(COLOURS)))) if noun in SHAPES else (noun, THING_COLOURS.get(noun))


def _place_parts(rng: np.random.Generator, stage: Stage, cast: _Cast, size: tuple[int, int]) -> list[Actor]:
    """Give every part an object and a lane: the asked ones, the landmark, the extra."""
    others = [(stage.landmark, cast.landmark), (stage.extra, cast.extra)]
    roles = [*zip(stage.asked, cast.kinds, strict=True), *((part, kind) for part, kind in others if part)]
    own = [place for place, (part, _) in enumerate(roles) if not part.lane_of_landmark]
    width = (size[0] if stage.upright else size[1]) / len(own)
    lanes = dict(zip(own, (rng.permutation(len(own)) + 0.5) / len(own), strict=True))
    marked = lanes.get(len(stage.asked), 0.0)
    return [
        _make_actor(rng, kind, part, lanes.get(place, marked), width, upright=stage.upright)
        for place, (part, kind) in enumerate(roles)
    ]


def _make_actor(
    rng: np.random.Generator, kind: ThingKind, part: Part, lane: float, width: float, *, upright: bool
) -> Actor:
    """`width`: of the lane, in pixels."""
    across = np.full(LENGTH, lane)
    centres = np.stack([across, part.along] if upright else [part.along, across], axis=1)
    return Actor(_draw_stamp(rng, kind, width), centres, part.zoom)


def _draw_stamp(rng: np.random.Generator, kind: ThingKind, width: float) -> Stamp:
    """An object that nearly fills a lane."""
    widest = min(width * 0.9, 44.0)
    while True:
        stamp = draw_object(rng, kind, widest / 0.55, outlined=False)
        if stamp.scene_object.size == "large":
            return stamp


# --- what can be asked ------------------------------------------------------------------------------------------------

Judge = Callable[[ClipView], Answer | None]
KINDS: Mapping[str, tuple[stages.StageFn, Judge]] = {
    "first to enter": (stages.stage_entries, partial(truth.judge_entry_order, place=0)),
    "last to enter": (stages.stage_entries, partial(truth.judge_entry_order, place=-1)),
    "second to enter": (stages.stage_entries, partial(truth.judge_entry_order, place=1)),
    "first to leave": (stages.stage_exits, partial(truth.judge_exit_order, place=0)),
    "last to leave": (stages.stage_exits, partial(truth.judge_exit_order, place=-1)),
    "second to leave": (stages.stage_exits, partial(truth.judge_exit_order, place=1)),
    "enters": (stages.stage_comers, truth.judge_entering),
    "leaves": (stages.stage_leavers, truth.judge_leaving),
    "enters before": (stages.stage_entries_with_landmark, partial(truth.judge_entry_beside_landmark, before=True)),
    "enters after": (stages.stage_entries_with_landmark, partial(truth.judge_entry_beside_landmark, before=False)),
    "before": (stages.stage_event, partial(truth.judge_time_of_event, before=True)),
    "after": (stages.stage_event, partial(truth.judge_time_of_event, before=False)),
    "while above": (stages.stage_heights, partial(truth.judge_height, above=True)),
    "while below": (stages.stage_heights, partial(truth.judge_height, above=False)),
    "moves left": (
        partial(stages.stage_directions, forwards=False, upright=False),
        partial(truth.judge_direction, axis=0, sign=-1),
    ),
    "moves right": (
        partial(stages.stage_directions, forwards=True, upright=False),
        partial(truth.judge_direction, axis=0, sign=1),
    ),
    "moves up": (
        partial(stages.stage_directions, forwards=False, upright=True),
        partial(truth.judge_direction, axis=1, sign=-1),
    ),
    "moves down": (
        partial(stages.stage_directions, forwards=True, upright=True),
        partial(truth.judge_direction, axis=1, sign=1),
    ),
    "fastest": (stages.stage_speeds, partial(truth.judge_speed, fastest=True)),
    "slowest": (stages.stage_speeds, partial(truth.judge_speed, fastest=False)),
    "longest": (stages.stage_spans, truth.judge_longest),
    "passes": (stages.stage_passes, truth.judge_passing),
    "touches": (stages.stage_touches, truth.judge_touching),
    "grows": (partial(stages.stage_sizes, grows=True), partial(truth.judge_growth, grows=True)),
    "shrinks": (partial(stages.stage_sizes, grows=False), partial(truth.judge_growth, grows=False)),
}
"""Kind -> the clips it is asked about, and what it means: the docstring of the `judge_` function defines it."""
