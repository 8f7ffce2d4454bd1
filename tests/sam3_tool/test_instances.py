import numpy as np
import pytest

from sam3_tool import Instances
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import encode_masks


@pytest.fixture
def found() -> Instances:
    masks = np.random.default_rng(0).random((4, 20, 30)) < np.array([0.5, 0, 1, 0.01])[:, None, None]
    return Instances(masks, masks_to_boxes(masks), np.linspace(1, 0, 4, dtype=np.float32), 0.9, "speck")


def test_areas_count_pixels(found):
    assert found.areas.tolist() == found.masks.sum(axis=(1, 2)).tolist()
    assert Instances.empty(20, 30).areas.tolist() == []


@pytest.mark.parametrize("keep", [[2, 0], [], [3, 3, -1], [0, 1, 2, 3], [True, False, True, False], [True] * 4])
@pytest.mark.parametrize("encoded", [False, True])
def test_what_is_chosen_has_its_own_masks_compressed(found, keep, encoded):
    if encoded:
        assert list(found.rles) == encode_masks(found.masks)
    index = np.array(keep, dtype=bool if True in keep else int)
    chosen = found[index]
    assert (chosen.masks == found.masks[index]).all()
    assert (chosen.boxes == found.boxes[index]).all()
    assert chosen.scores.tolist() == found.scores[index].tolist()
    assert list(chosen.rles) == encode_masks(found.masks[index])


def test_indices_that_do_not_exist_are_refused(found):
    with pytest.raises(IndexError):
        found[[4]]
    with pytest.raises(IndexError):
        found[np.ones(3, bool)]
