"""Objects through a clip: what they hold, what is refused, and that parts and files give the same back."""

import json
from itertools import pairwise

import numpy as np
import pytest

from sam3_tool import Masklet, Masklets
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, encode_mask

SIZE, LENGTH = (9, 14), 12
SEEN = np.array([[1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1], [0] * 12, [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]], bool)
DOT = encode_mask(np.eye(*SIZE, dtype=bool))


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """bool, (3, 12, 9, 14): three objects, the second of which is seen nowhere."""
    return (np.random.default_rng(0).random((3, LENGTH, *SIZE)) < 0.4) & SEEN[..., None, None]


@pytest.fixture(scope="module")
def found(masks) -> Masklets:
    scores = np.random.default_rng(1).random((3, LENGTH))
    masklets = tuple(Masklet.from_masks(each, scores=row, score=0.5) for each, row in zip(masks, scores, strict=True))
    presence = np.random.default_rng(2).random(LENGTH).astype(np.float32)
    return Masklets(masklets, (4, 1, 7), SIZE, LENGTH, "speck", presence)


def test_a_frame_has_the_objects_that_are_seen_on_it(found, masks):
    for frame in range(LENGTH):
        rows = np.flatnonzero(SEEN[:, frame])
        there = found.at(frame)
        assert (there.masks == masks[rows, frame]).all()
        assert there.size == SIZE
        assert found.ids_at(frame) == tuple(found.ids[row] for row in rows)
        assert (there.boxes == masks_to_boxes(masks[rows, frame])).all()
        assert there.areas.tolist() == masks[rows, frame].sum(axis=(1, 2)).tolist()
        assert there.presence == found.presence[frame]


def test_pixels_are_decoded_when_asked_for(found):
    assert "masks" not in vars(found.at(4))


def test_spans_are_unbroken_runs(found):
    assert [each.spans for each in found.masklets] == [((0, 2), (4, 7), (11, 12)), (), ((2, 5),)]


def test_the_key_frame_is_where_the_object_is_largest(found, masks):
    areas = masks[0].sum(axis=(1, 2))
    assert areas[found.masklets[0].key_frame] == areas.max()


@pytest.mark.parametrize("name", ["first", "last", "key_frame"])
def test_an_object_seen_nowhere_has_no_first_frame(name):
    with pytest.raises(ValueError, match="seen on no frame"):
        getattr(Masklet((), (), (), 0.5), name)


def assert_same(one: Masklets, other: Masklets) -> None:
    assert (one.ids, one.size, one.length, one.phrase) == (other.ids, other.size, other.length, other.phrase)
    assert one.presence.tolist() == other.presence.tolist()
    for a, b in zip(one.masklets, other.masklets, strict=True):
        assert (a.frames, a.rles, a.scores, a.score) == (b.frames, b.rles, b.scores, b.score)


@pytest.mark.parametrize("cuts", [[], [1], [5], [2, 3, 11]])
def test_parts_joined_are_the_whole(found, cuts):
    ends = [0, *cuts, LENGTH]
    parts = [found.slice(start, stop) for start, stop in pairwise(ends)]
    whole = Masklets.join(parts)
    # an object that is seen nowhere is in no part
    assert_same(whole.select([4, 7]), found.select([4, 7]))
    assert set(whole.ids) == {4, 7}


def test_a_file_gives_the_same_back(found):
    assert_same(Masklets.from_dict(json.loads(json.dumps(found.to_dict()))), found)
    assert_same(Masklets.from_dict(found[[]].to_dict()), found[[]])


@pytest.mark.parametrize("keep", [[2, 0], [], [True, False, True]])
def test_objects_are_chosen_with_their_ids(found, keep):
    chosen = found[keep]
    index = np.arange(3)[np.array(keep, dtype=bool if True in keep else int)]
    assert chosen.ids == tuple(found.ids[i] for i in index)
    assert chosen.masklets == tuple(found.masklets[i] for i in index)


def test_what_does_not_exist_is_refused(found):
    for frame in (-1, LENGTH):
        with pytest.raises(IndexError, match="the clip has 12"):
            found.at(frame)
    for start, stop in [(-1, 3), (3, 3), (0, 13)]:
        with pytest.raises(ValueError, match="the clip has 12 frames"):
            found.slice(start, stop)
    with pytest.raises(KeyError):
        found.select([2])
    with pytest.raises(IndexError):
        found[[3]]
    with pytest.raises(ValueError, match="one size and one phrase"):
        Masklets.join([])


@pytest.mark.parametrize(
    ("frames", "rles", "scores", "score", "reason"),
    [
        ((0,), (DOT, DOT), (1.0,), 1.0, "2 masks"),
        ((0,), (DOT,), (), 1.0, "0 scores"),
        ((1, 1), (DOT, DOT), (1.0, 1.0), 1.0, "must increase"),
        ((-1,), (DOT,), (1.0,), 1.0, "must increase"),
        ((0,), (DOT,), (1.5,), 1.0, "score must be"),
        ((0,), (DOT,), (1.0,), float("nan"), "score must be"),
        ((0, 1), (DOT, RleMask((2, 3), "06")), (1.0, 1.0), 1.0, "one size"),
        ((3,), (encode_mask(np.zeros(SIZE, bool)),), (1.0,), 1.0, "frame 3 is empty"),
    ],
)
def test_an_impossible_object_is_refused(frames, rles, scores, score, reason):
    with pytest.raises(ValueError, match=reason):
        Masklet(frames, rles, scores, score)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ids": (1, 1)}, "each of them once"),
        ({"ids": (0, 1)}, "1 or more"),
        ({"ids": (1,)}, "2 objects, but 1 ids"),
        ({"size": (3, 4)}, "expected"),
        ({"length": 5, "presence": np.zeros(5)}, "the clip has 5 frames"),
        ({"presence": np.zeros(5)}, "one a frame"),
        ({"presence": np.full(8, np.nan)}, r"in \[0, 1\]"),
    ],
)
def test_an_impossible_set_is_refused(change, reason):
    ball = Masklet((7,), (DOT,), (1.0,), 1.0)
    right = {"ids": (1, 2), "size": SIZE, "length": 8, "phrase": "", "presence": np.zeros(8)}
    assert len(Masklets((ball, ball), **right)) == 2
    with pytest.raises(ValueError, match=reason):
        Masklets((ball, ball), **(right | change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": ["0"]}, "do not make up a mask"),
        ({"counts": [3]}, "compressed runs are a text"),
        ({"frames": [0.5]}, "a frame must be a whole number"),
        ({"frames": [True]}, "a frame must be a whole number"),
        ({"scores": ["1"]}, "a score must be a number"),
        ({"scores": None}, "'scores'"),
        ({"id": "1"}, "'id'"),
    ],
)
def test_a_file_that_is_damaged_is_refused(change, reason):
    track = {"id": 1, "score": 1.0, "frames": [0], "scores": [1.0], "counts": [DOT.counts]}
    content = {"size": list(SIZE), "length": 1, "phrase": "", "presence": [1.0], "tracks": [track]}
    assert Masklets.from_dict(content).ids == (1,)
    with pytest.raises(ValueError, match=reason):
        Masklets.from_dict(content | {"tracks": [track | change]})


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"size": [4]},
        {"size": [1 << 20, 1 << 20], "length": 1, "phrase": "", "presence": [], "tracks": []},
    ],
)
def test_a_file_of_something_else_is_refused(content):
    with pytest.raises(ValueError, match=r"found|too large"):
        Masklets.from_dict(content)
