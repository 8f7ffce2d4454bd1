"""The temporal queries: what their texts say is so in the masks of the clip."""

from collections.abc import Callable

import numpy as np
import pytest

from evals.datasets.synthetic.temporal import KINDS, TemporalQuery, generate_temporal_queries
from evals.datasets.synthetic.temporal_wordings import BY_EVENT, MANY, ONE
from sam3_tool.synthetic.nouns import HYPERNYMS, pluralize_noun

Masks = np.ndarray
"""bool, (T, H, W)."""


@pytest.fixture(scope="module")
def queries() -> dict[str, TemporalQuery]:
    """A query of each kind."""
    return {query.kind: query for query in generate_temporal_queries(len(KINDS), seed=5)}


def find_others(query: TemporalQuery) -> list[int]:
    """The objects that the noun of the query describes, and that are not its answer."""
    kind = query.clip.objects[query.targets[0]]
    families = [set(HYPERNYMS[family]) for family in ("animal", "vehicle", "fruit") if f"{family}" in query.text]
    nouns = families[0] if families else {kind.noun}
    return [i for i, thing in enumerate(query.clip.objects) if thing.noun in nouns and i not in query.targets]


def seen(masks: Masks) -> np.ndarray:
    return np.flatnonzero(masks.any(axis=(1, 2)))


def centre(mask: np.ndarray) -> np.ndarray:
    """x, y."""
    return np.argwhere(mask).mean(axis=0)[::-1]


def way(masks: Masks) -> np.ndarray:
    first, *_, last = seen(masks)
    return centre(masks[last]) - centre(masks[first])


def speed(masks: Masks) -> float:
    return float(np.linalg.norm(way(masks))) / len(seen(masks))


def growth(masks: Masks) -> float:
    first, *_, last = seen(masks)
    return float(masks[last].sum() / masks[first].sum())


def enters(masks: Masks) -> bool:
    return bool(seen(masks)[0] > 0)


def leaves(masks: Masks) -> bool:
    return bool(seen(masks)[-1] < len(masks) - 1)


def rank(measure: Callable[[Masks], float], place: int, takes_part: Callable[[Masks], bool] = lambda masks: True):
    """A check: the target has this place among all that take part."""

    def check(target: Masks, others: list[Masks]) -> bool:
        values = sorted(measure(masks) for masks in (target, *others) if takes_part(masks))
        return takes_part(target) and values[place] == measure(target) and values.count(measure(target)) == 1

    return check


def tell_apart(holds: Callable[[Masks], bool]):
    """A check: it holds of the target and of no other."""
    return lambda target, others: holds(target) and not any(holds(masks) for masks in others)


def entry(masks: Masks) -> int:
    return int(seen(masks)[0])


def leave(masks: Masks) -> int:
    return int(seen(masks)[-1])


CHECKS = {
    "first to enter": rank(entry, 0, enters),
    "last to enter": rank(entry, -1, enters),
    "second to enter": rank(entry, 1, enters),
    "first to leave": rank(leave, 0, leaves),
    "last to leave": rank(leave, -1, leaves),
    "second to leave": rank(leave, 1, leaves),
    "enters": tell_apart(enters),
    "leaves": tell_apart(leaves),
    "moves left": tell_apart(lambda masks: way(masks)[0] < -0.1 * masks.shape[2]),
    "moves right": tell_apart(lambda masks: way(masks)[0] > 0.1 * masks.shape[2]),
    "moves up": tell_apart(lambda masks: way(masks)[1] < -0.1 * masks.shape[1]),
    "moves down": tell_apart(lambda masks: way(masks)[1] > 0.1 * masks.shape[1]),
    "fastest": rank(speed, -1),
    "slowest": rank(speed, 0),
    "longest": rank(lambda masks: len(seen(masks)), -1),
    "grows": tell_apart(lambda masks: growth(masks) > 1.4),
    "shrinks": tell_apart(lambda masks: growth(masks) < 0.7),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_the_answer_is_what_the_masks_show(queries, kind):
    query = queries[kind]
    others = [query.clip.get_masks(index) for index in find_others(query)]
    assert query.frames.all()
    assert all(CHECKS[kind](query.clip.get_masks(target), others) for target in query.targets)


@pytest.mark.parametrize("kind", ["enters before", "enters after", "passes", "touches"])
def test_the_answer_is_what_happens_beside_the_landmark(queries, kind):
    query = queries[kind]
    others = find_others(query)
    [landmark] = [query.clip.get_masks(i) for i in range(len(query.clip.actors)) if i not in (*query.targets, *others)]

    def meets(masks: Masks) -> bool:
        near = np.zeros_like(masks)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                near |= np.roll(masks, (down, right), axis=(1, 2))
        return bool((near & landmark).any())

    def changes_side(masks: Masks) -> bool:
        ends = [centre(masks[frame])[0] - centre(landmark[frame])[0] for frame in (0, -1)]
        return ends[0] * ends[1] < 0

    holds = {
        "enters before": lambda masks: entry(masks) < entry(landmark),
        "enters after": lambda masks: entry(masks) > entry(landmark),
        "passes": changes_side,
        "touches": meets,
    }[kind]
    assert all(holds(query.clip.get_masks(index)) for index in query.targets)
    assert not any(holds(query.clip.get_masks(index)) for index in others)


@pytest.mark.parametrize("kind", ["before", "after", "while above", "while below"])
def test_a_query_that_says_when_means_these_frames_alone(queries, kind):
    query = queries[kind]
    assert 3 <= query.frames.sum() <= len(query.frames) - 3
    assert (query.target.any(axis=(1, 2)) == query.frames).all()
    landmark = query.clip.get_masks(len(query.targets))
    if kind.startswith("while"):
        [target] = query.targets
        above = [
            centre(one)[1] < centre(other)[1] for one, other in zip(query.clip.get_masks(target), landmark, strict=True)
        ]
        assert (query.frames == (np.array(above) == (kind == "while above"))).all()
    else:
        changes = np.flatnonzero(np.diff(landmark.any(axis=(1, 2)).astype(int))) + 1
        assert changes.tolist() == (np.flatnonzero(np.diff(query.frames.astype(int))) + 1).tolist()
        assert query.frames[0] == (kind == "before")


def test_the_same_seed_gives_the_same_queries_and_another_seed_others():
    first, again, other = (list(generate_temporal_queries(2, seed=seed)) for seed in (1, 1, 2))
    assert [(q.text, q.targets) for q in first] == [(q.text, q.targets) for q in again]
    assert all(np.array_equal(a.clip.frames, b.clip.frames) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.clip.frames, b.clip.frames) for a, b in zip(first, other, strict=False))


def test_a_query_is_worded_in_several_ways_and_names_what_is_asked_for(queries):
    assert all(len({*texts}) >= 3 for table in (ONE, MANY, BY_EVENT) for texts in table.values())
    for query in queries.values():
        noun = query.clip.objects[query.targets[0]].noun
        said = (noun, *(family for family in HYPERNYMS if noun in HYPERNYMS[family]))
        assert any(word in query.text or pluralize_noun(word) in query.text for word in said)
