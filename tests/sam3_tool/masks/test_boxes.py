import numpy as np

from sam3_tool.masks import boxes

XYXY = np.array([[0.0, 0.0, 4.0, 2.0], [1.5, 2.5, 3.5, 10.0]])


def test_every_conversion_has_an_inverse():
    assert (boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(XYXY)) == XYXY).all()
    assert (boxes.xywh_to_xyxy(boxes.xyxy_to_xywh(XYXY)) == XYXY).all()
    assert np.allclose(boxes.to_pixels(boxes.to_fractions(XYXY, 48, 64), 48, 64), XYXY)


def test_width_scales_x_and_height_scales_y():
    assert boxes.to_pixels(np.array([0.5, 0.5, 1.0, 1.0]), 100, 200).tolist() == [100.0, 50.0, 200.0, 100.0]


def test_no_boxes_stay_no_boxes():
    none = np.zeros((0, 4))
    assert boxes.xyxy_to_cxcywh(none).shape == boxes.to_pixels(none, 5, 5).shape == (0, 4)


def test_the_box_around_a_mask_is_tight():
    masks = np.zeros((3, 6, 8), bool)
    masks[0, 1, 2] = masks[0, 4, 7] = True
    masks[1] = True
    assert boxes.masks_to_boxes(masks).tolist() == [[2, 1, 8, 5], [0, 0, 8, 6], [0, 0, 0, 0]]
    assert boxes.masks_to_boxes(masks[:0]).shape == (0, 4)
