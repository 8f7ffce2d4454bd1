import numpy as np
import pytest

from agent.tools.geometry.measures import measure_masks
from agent.tools.geometry.predicates import find_located, find_related
from agent.tools.geometry.shapes import LONGEST_SIDE
from agent.tools.geometry.terms import MEASURES, PLACES, RELATIONS
from bench.suites.drawing import draw_blob_scene
from sam3_tool.masks.rle import encode_masks

SIDE = 100


def box(x0: int, y0: int, x1: int, y1: int, side: int = SIDE) -> np.ndarray:
    """bool, (side, side): a filled rectangle, x1 and y1 exclusive."""
    mask = np.zeros((side, side), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def stack(*masks: np.ndarray) -> np.ndarray:
    return np.array(masks, dtype=bool).reshape(-1, *(masks[0].shape if masks else (SIDE, SIDE)))


EMPTY = np.zeros((SIDE, SIDE), dtype=bool)
RING = disc(50, 50, 40) & ~disc(50, 50, 30)


def holds(relation: str, a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> bool:
    other = stack() if c is None else stack(c)
    return bool(find_related(relation, stack(a), stack(b), other.reshape(-1, *a.shape))[0])


@pytest.mark.parametrize(
    ("relation", "reverse", "far", "near"),
    [
        ("left_of", "right_of", box(27, 60, 37, 70), box(28, 60, 38, 70)),
        ("above", "below", box(60, 37, 70, 47), box(60, 38, 70, 48)),
    ],
)
def test_sides_compare_centroids_and_need_more_than_two_hundredths_of_the_picture(relation, reverse, far, near):
    landmark = box(30, 40, 40, 50)
    assert holds(relation, far, landmark)
    assert not holds(relation, near, landmark)
    assert holds(reverse, landmark, far)
    assert not holds(reverse, landmark, near)
    assert not holds(reverse, far, landmark)


def test_sides_do_not_ask_for_the_same_height():
    assert holds("left_of", box(0, 90, 5, 95), box(50, 0, 60, 10))


def test_what_is_seen_through_a_ring_is_inside_it_without_sharing_a_pixel():
    star = disc(50, 50, 10)
    assert not (star & RING).any()
    assert holds("inside", star, RING)
    assert not holds("inside", RING, star)


def test_what_is_drawn_on_a_square_is_inside_its_outline():
    star = disc(50, 50, 10)
    assert holds("inside", star, box(20, 20, 80, 80) & ~star)


def test_inside_asks_for_three_quarters_of_the_object():
    square = box(20, 20, 80, 80)
    assert holds("inside", box(75, 40, 79, 44) | box(76, 44, 80, 48), square)
    assert holds("inside", box(65, 40, 85, 60), square)
    assert not holds("inside", box(66, 40, 86, 60), square)


def test_what_hides_a_part_of_the_ring_around_it_is_inside_still():
    star = box(40, 45, 95, 55)
    cut = RING & ~star
    assert holds("inside", star & disc(50, 50, 40), cut)


def test_the_mouth_of_a_crescent_is_not_inside():
    crescent = disc(50, 50, 40) & ~disc(65, 50, 35)
    assert not holds("inside", disc(65, 50, 8), crescent)


TABLE = box(10, 60, 90, 66) | box(12, 66, 16, 95) | box(84, 66, 88, 95)


def test_a_cup_that_stands_on_a_table_is_on_it_and_one_that_floats_is_not():
    assert holds("on", box(40, 40, 60, 60), TABLE)
    assert holds("on", box(40, 39, 60, 59), TABLE)
    assert not holds("on", box(40, 38, 60, 58), TABLE)
    assert not holds("on", TABLE, box(40, 40, 60, 60))


def test_a_ball_is_on_what_its_lowest_point_touches():
    assert holds("on", disc(50, 50, 10), box(0, 61, 100, 100))
    assert not holds("on", disc(50, 50, 10), box(61, 40, 100, 100))


def test_a_cup_that_hides_a_part_of_the_table_top_is_on_it():
    cup = box(40, 40, 60, 64)
    assert holds("on", cup, TABLE & ~cup)


def test_what_barely_overhangs_is_held_and_what_stands_beside_is_not():
    assert holds("on", box(80, 40, 100, 60), TABLE)
    assert not holds("on", box(88, 40, 100, 60) | box(99, 30, 100, 60), TABLE)


def test_what_is_drawn_inside_another_is_on_it_and_that_is_under():
    star = disc(50, 60, 10)
    square = box(20, 20, 80, 80) & ~star
    assert holds("on", star, square)
    assert holds("under", square, star)
    assert not holds("under", star, square)


def test_a_cat_between_the_legs_of_a_table_is_under_it():
    assert holds("under", box(40, 80, 60, 95), TABLE)
    assert not holds("on", box(40, 80, 60, 95), TABLE)


def test_under_asks_for_the_same_columns_and_for_nearness():
    lamp = box(40, 0, 60, 10)
    assert holds("under", box(50, 18, 70, 38), lamp)
    assert not holds("under", box(51, 18, 71, 38), lamp)
    assert not holds("under", box(40, 25, 60, 45), lamp)


@pytest.mark.parametrize(("side", "gap"), [(100, 2), (1000, 7)])
def test_touching_is_a_gap_of_two_pixels_or_half_a_hundredth_of_the_diagonal(side, gap):
    a = box(10, 10, 20, 20, side)
    assert holds("touching", a, box(19 + gap, 10, 40, 20, side))
    assert not holds("touching", a, box(20 + gap, 10, 40, 20, side))
    assert holds("touching", a, box(15, 15, 40, 40, side))


def test_gaps_are_euclidean():
    a = box(10, 10, 20, 20)
    assert holds("touching", a, box(20, 20, 30, 30))
    assert not holds("touching", a, box(21, 21, 30, 30))


def test_overlapping_is_a_shared_pixel_or_a_hidden_part():
    circle = disc(70, 30, 20)
    square = box(20, 20, 60, 80)
    assert holds("overlapping", square, circle)
    assert holds("overlapping", square & ~circle, circle)
    assert holds("overlapping", circle, square & ~circle)


def test_mere_neighbours_do_not_overlap():
    assert not holds("overlapping", box(10, 10, 30, 30), box(30, 10, 50, 30))
    assert not holds("overlapping", disc(50, 50, 5), RING)


def test_next_to_is_a_gap_of_at_most_the_size_of_the_smaller_one():
    small = box(10, 40, 20, 50)
    assert holds("next_to", small, box(29, 20, 80, 80))
    assert not holds("next_to", small, box(30, 20, 80, 80))
    assert holds("next_to", box(29, 20, 80, 80), small)


def test_what_is_inside_is_not_next_to():
    assert not holds("next_to", disc(50, 50, 10), RING)
    assert not holds("next_to", RING, disc(50, 50, 10))


def test_between_is_near_the_line_that_joins_two_centroids():
    left, right = box(0, 48, 4, 52), box(84, 48, 88, 52)
    assert holds("between", box(40, 48, 44, 52), left, right)
    assert holds("between", box(40, 68, 44, 72), left, right)
    assert not holds("between", box(40, 70, 44, 74), left, right)
    assert not holds("between", box(90, 48, 94, 52), left, right)


def test_a_big_object_may_reach_the_line():
    left, right = box(20, 10, 24, 14), box(60, 10, 64, 14)
    assert holds("between", box(22, 0, 62, 64), left, right)
    assert not holds("between", box(40, 30, 44, 34), left, right)


def test_between_several_is_between_any_two_of_them():
    posts = stack(box(0, 50, 4, 54), box(40, 50, 44, 54), box(90, 50, 94, 54))
    balls = stack(box(20, 50, 24, 54), box(95, 50, 99, 54))
    assert find_related("between", balls, posts, stack()).tolist() == [True, False]
    assert find_related("between", posts, posts, stack()).tolist() == [False, True, False]


def test_nearest_and_farthest_have_exactly_one_winner_by_the_gap():
    wide, small = box(0, 40, 40, 60), box(80, 48, 84, 52)
    landmark = box(60, 48, 64, 52)
    masks = stack(wide, small)
    assert find_related("nearest", masks, stack(landmark), stack()).tolist() == [False, True]
    assert find_related("farthest", masks, stack(landmark), stack()).tolist() == [True, False]


def test_ties_of_the_gap_go_to_the_nearer_centroid_and_then_to_the_first():
    landmark = stack(box(48, 48, 52, 52))
    long, short = box(10, 48, 40, 52), box(60, 48, 70, 52)
    assert find_related("nearest", stack(long, box(59, 48, 69, 52)), landmark, stack()).tolist() == [False, True]
    twins = stack(box(38, 48, 40, 52), box(60, 48, 62, 52))
    assert find_related("nearest", stack(short, short), landmark, stack()).tolist() == [True, False]
    assert find_related("nearest", twins, landmark, stack()).sum() == 1


def test_an_object_is_never_related_to_itself():
    masks = stack(box(10, 10, 30, 30), box(60, 10, 80, 30))
    nudged = stack(box(11, 10, 31, 30))
    assert find_related("touching", masks, nudged, stack()).tolist() == [False, False]
    assert find_related("nearest", masks, nudged, stack()).tolist() == [False, True]
    assert find_related("left_of", masks, masks, stack()).tolist() == [True, False]
    assert find_related("nearest", masks[:1], nudged, stack()).tolist() == [False]


def test_larger_and_smaller_need_a_twentieth_more_area():
    small = box(0, 0, 10, 20)
    assert holds("larger", box(50, 0, 61, 20), small)
    assert not holds("larger", box(50, 0, 60, 21), small)
    assert holds("smaller", small, box(50, 0, 61, 20))
    assert not holds("smaller", small, box(50, 0, 60, 21))


def test_one_of_many_references_is_enough():
    masks = stack(box(0, 0, 10, 10), box(50, 50, 60, 60), box(90, 90, 99, 99))
    landmarks = stack(box(30, 30, 40, 40), box(70, 70, 80, 80))
    assert find_related("left_of", masks, landmarks, stack()).tolist() == [True, True, False]


@pytest.mark.parametrize("relation", RELATIONS)
def test_empty_masks_and_empty_groups_stand_in_no_relation(relation):
    thing = box(10, 10, 20, 20)
    assert not holds(relation, EMPTY, thing, box(80, 80, 90, 90))
    assert not holds(relation, thing, EMPTY, EMPTY)
    assert find_related(relation, stack(thing), stack(), stack()).tolist() == [False]
    assert find_related(relation, stack(), stack(thing), stack(thing)).tolist() == []


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="got 'behind'"):
        find_related("behind", stack(), stack(), stack())
    with pytest.raises(ValueError, match="got 'corner'"):
        find_located("corner", stack())
    with pytest.raises(ValueError, match="got 'beauty'"):
        measure_masks("beauty", stack(), np.zeros(0), stack())


def test_places_are_halves_quarters_and_the_central_half():
    by_place = {
        "left": (10, 49),
        "right": (90, 49),
        "top": (49, 10),
        "bottom": (49, 90),
        "top_left": (10, 10),
        "top_right": (90, 10),
        "bottom_left": (10, 90),
        "bottom_right": (90, 90),
    }
    for place, (x, y) in by_place.items():
        assert find_located(place, stack(box(x - 2, y - 2, x + 2, y + 2))).tolist() == [True], place
    assert find_located("middle", stack(box(25, 25, 27, 27), box(24, 50, 26, 52), box(74, 74, 75, 75))).tolist() == [
        True,
        False,
        True,
    ]


def test_the_middle_is_as_wide_on_the_left_as_on_the_right():
    edge = stack(box(24, 40, 26, 60), box(25, 40, 26, 60))
    assert find_located("middle", edge).tolist() == find_located("middle", edge[:, :, ::-1]).tolist() == [False, True]


def test_a_centroid_on_the_middle_line_is_in_neither_half():
    centred = stack(box(45, 45, 55, 55))
    assert [place for place in PLACES if find_located(place, centred)[0]] == ["middle"]


def test_nothing_lies_nowhere():
    assert not any(find_located(place, stack(EMPTY))[0] for place in PLACES)
    assert find_located("left", stack()).tolist() == []


def test_measures_are_exact():
    masks = stack(box(10, 20, 30, 60), disc(80, 80, 5), EMPTY)
    scores = np.array([0.25, 0.5, 0.75], np.float32)
    to = stack(box(40, 20, 50, 60), box(80, 0, 90, 10))
    assert measure_masks("size", masks, scores, to).tolist() == [800, 81, 0]
    assert measure_masks("x", masks, scores, to).tolist() == [19.5, 80, 0]
    assert measure_masks("y", masks, scores, to).tolist() == [39.5, 80, 0]
    assert measure_masks("width", masks, scores, to).tolist() == [20, 11, 0]
    assert measure_masks("height", masks, scores, to).tolist() == [40, 11, 0]
    assert measure_masks("score", masks, scores, to).tolist() == [0.25, 0.5, 0.75]
    distances = measure_masks("distance", masks, scores, to)
    assert distances[0] == 11
    assert distances[1] == pytest.approx(np.hypot(76 - 49, 77 - 59))
    assert np.isinf(distances[2])


def test_distance_leaves_out_the_object_itself():
    masks = stack(box(10, 10, 20, 20), box(40, 10, 50, 20))
    assert measure_masks("distance", masks, np.ones(2), masks).tolist() == [21, 21]
    assert np.isinf(measure_masks("distance", masks[:1], np.ones(1), masks[:1])).all()


@pytest.mark.parametrize("by", MEASURES)
def test_no_masks_measure_nothing(by):
    assert measure_masks(by, stack(), np.zeros(0, np.float32), stack()).shape == (0,)


def test_huge_masks_are_pooled_and_distances_stay_in_pixels():
    side = 2 * LONGEST_SIDE
    masks = np.zeros((2, 40, side), dtype=bool)
    masks[0, 10:30, 100:200] = True
    masks[1, 10:30, 1100:1200] = True
    nothing = np.zeros((0, 40, side), dtype=bool)
    assert measure_masks("distance", masks[:1], np.ones(1), masks[1:]).tolist() == [902]
    assert find_related("left_of", masks, masks, nothing).tolist() == [True, False]
    assert find_related("next_to", masks, masks, nothing).tolist() == [False, False]


@pytest.mark.parametrize(("height", "width"), [(60, 90), (1, 70), (50, 1), (2100, 40), (30, 4100)])
def test_compressed_masks_give_what_the_masks_give(height, width):
    chance = np.random.default_rng(height)
    rows, columns = np.mgrid[:height, :width] / np.reshape([height, width], (2, 1, 1))
    centers, radii = chance.random((9, 2)), chance.uniform(0.05, 0.4, (9, 1, 1))
    blobs = np.stack([(rows - y) ** 2 + (columns - x) ** 2 for y, x in centers]) < radii**2
    blobs[3] &= ~blobs[4]
    blobs[5] = chance.random((height, width)) < 0.1
    blobs[6] = False
    blobs[7] = True
    masks, to, other = blobs, blobs[::-2], blobs[:2]
    small = [encode_masks(group) for group in (masks, to, other)]
    for relation in RELATIONS:
        assert find_related(relation, *small).tolist() == find_related(relation, masks, to, other).tolist(), relation
    for place in PLACES:
        assert find_located(place, small[0]).tolist() == find_located(place, masks).tolist(), place
    for by in MEASURES:
        scores = np.linspace(1, 0, 9)
        assert (
            measure_masks(by, *small[:1], scores, small[1]).tolist() == measure_masks(by, masks, scores, to).tolist()
        ), by


def test_the_gap_is_exact_between_edges_of_thousands_of_pixels():
    rows, columns = np.mgrid[:1000, :1000]
    below, above = stack(columns <= rows - 4), stack(columns >= rows + 1)
    assert measure_masks("distance", below, np.ones(1), above).tolist() == [np.sqrt(np.float32(2**2 + 3**2))]


def test_measured_centroids_of_equal_means_are_equal():
    rows = stack(box(10, 0, 13, 1), box(11, 50, 12, 90), box(10, 50, 13, 51) | box(11, 60, 12, 61))
    assert len(set(measure_masks("x", rows, np.ones(3), stack()).tolist())) == 1


@pytest.mark.parametrize("seed", range(3))
def test_among_many_masks_the_nearest_is_that_of_all_pairs(seed):
    """Most pairs are never measured; the answer is as if all were."""
    masks = draw_blob_scene(120, 200, 40, seed=seed)[1].masks
    masks[5] = masks[7]  # one object twice
    masks[9] = False
    of, to = masks[:25], masks[5:]
    one = np.ones(1)
    gaps = np.array([[measure_masks("distance", a[None], one, b[None])[0] for b in to] for a in of])
    assert measure_masks("distance", of, np.ones(len(of)), to).tolist() == gaps.min(axis=1).tolist()
    strangers = [i for i, a in enumerate(of) if a.any() and not any((a & b).sum() > 0.5 * (a | b).sum() for b in to)]
    for relation, winner in (("nearest", min), ("farthest", max)):
        best = winner(gaps[i].min() for i in strangers)
        [chosen] = np.flatnonzero(find_related(relation, of, to))
        assert chosen in strangers
        assert gaps[chosen].min() == best
        assert (
            find_related(relation, of, to[::-1]).tolist()
            == find_related(relation, of, to[to.any(axis=(1, 2))]).tolist()
        )


def test_among_many_masks_neighbours_are_those_of_all_pairs():
    """Filled boxes, whose gaps can be told without their pixels."""
    chance = np.random.default_rng(0)
    corners = chance.integers(0, 900, (120, 2))
    boxes = np.concatenate([corners, corners + chance.integers(1, 60, (120, 2))], axis=1)
    masks = np.zeros((120, 1000, 1000), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    gaps = np.hypot(*np.maximum(low - high + 1, 0).transpose(2, 0, 1))
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    same = shared > 0.5 * (areas[:, None] + areas - shared)
    inside = shared >= 0.75 * areas[:, None]
    close = gaps <= np.sqrt(np.minimum(areas[:, None], areas))
    for relation, holds in (
        ("touching", gaps <= 0.005 * np.hypot(1000, 1000)),
        ("next_to", close & ~inside & ~inside.T),
        ("inside", inside),
    ):
        assert find_related(relation, masks, masks).tolist() == (holds & ~same).any(axis=1).tolist()
    assert 10 < find_related("next_to", masks, masks).sum() < 110
