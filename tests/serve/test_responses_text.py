"""The text of Meta's SAM API against the official parser and prompt builder, `meta-sam-parser`."""

import re

import numpy as np
import pytest
from meta_sam_parser import (
    CompletedOutcome,
    FramePrompt,
    PromptBox,
    PromptObject,
    PromptPoint,
    SegmentationMask,
    SegmentationMaskRecord,
    build_object_prompt,
    decode_mask_to_raster,
    decode_mask_to_rle,
    video_segmentation_format,
)

from sam3_tool.masks.range_coded.encoding import MaskEncoding, encode_mask
from sam3_tool.masks.rle import encode_mask as compress_mask
from serve.responses.prompts import ObjectPrompt, PromptError, is_object_prompt, parse_object_prompts
from serve.responses.wire import FoundObject, write_frame


def draw_masks(seed: int) -> list[np.ndarray]:
    """Noise of every density, an ellipse, all, nothing, and one pixel, of a random size."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 50, 2))
    rows, columns = np.mgrid[:height, :width]
    ellipse = ((rows - height / 2) / (height / 2 + 0.1)) ** 2 + ((columns - width / 2) / (width / 2 + 0.1)) ** 2 < 1
    one = np.zeros((height, width), bool)
    one[height // 2, width - 1] = True
    return [rng.random((height, width)) < rng.random(), ellipse, np.ones_like(one), np.zeros_like(one), one]


@pytest.mark.parametrize("encoding", ["one_bit", "lossless"])
@pytest.mark.parametrize("seed", range(8))
def test_the_official_parser_reads_every_pixel(encoding: MaskEncoding, seed: int) -> None:
    for mask in draw_masks(seed):
        height, width = mask.shape
        read = SegmentationMask(encoding=encoding, payload=encode_mask(mask, encoding), width=width, height=height)
        assert decode_mask_to_raster(read) == mask.astype(np.uint8).tobytes()


@pytest.mark.parametrize("encoding", ["one_bit", "lossless"])
def test_counts_that_are_halved_again_and_again_are_read(encoding: MaskEncoding) -> None:
    # noise makes every count reach its limit, which small masks never do
    mask = np.random.default_rng(0).random((110, 90)) < 0.5
    read = SegmentationMask(encoding=encoding, payload=encode_mask(mask, encoding), width=90, height=110)
    assert decode_mask_to_raster(read) == mask.astype(np.uint8).tobytes()


def test_a_mask_has_the_spelling_that_the_hosted_service_gives_it() -> None:
    captured = np.array([int(bit) for bit in "1001000110000001011110001"], bool).reshape(5, 5)
    assert encode_mask(captured, "one_bit") == "!!!!!(QO(0lu8?"


@pytest.mark.parametrize("has_confidence", [True, False])
def test_a_frame_is_read_as_the_masks_that_were_found(has_confidence: bool) -> None:
    masks = np.zeros((3, 30, 40), bool)
    masks[0, 3:9, 30:40] = masks[1, 0, 0] = True  # the third has no pixel
    found = [
        FoundObject(id, mask, sure) for id, mask, sure in zip((7, 0, 3), masks, (0.5, 1.0000001, 0.9), strict=True)
    ]
    parser = video_segmentation_format().create_parser()
    parser.push(write_frame(12, found, has_confidence=has_confidence))
    result = parser.finish(CompletedOutcome()).result
    records = [record for record in result.records if isinstance(record, SegmentationMaskRecord)]
    assert result.diagnostics == ()
    assert [(record.object_id, record.frame.frame_index) for record in records] == [("7", 12), ("0", 12)]
    assert [record.confidence for record in records] == ([0.5, 1.0] if has_confidence else [None, None])
    for record, mask in zip(records, masks, strict=False):
        bounds = record.bounds
        inside = mask[bounds.top : bounds.bottom, bounds.left : bounds.right]
        assert inside.sum() == mask.sum()
        assert decode_mask_to_rle(record.mask).counts == compress_mask(inside).counts


def test_a_frame_without_a_pixel_has_no_line() -> None:
    assert write_frame(0, [FoundObject(1, np.zeros((4, 4), bool), 0.9)]) == ""


def test_objects_are_read_as_the_official_builder_writes_them() -> None:
    points = [PromptPoint(20, 40), PromptPoint(30, 50, label="negative")]
    text = build_object_prompt(
        size=(640, 480),
        objects=[
            PromptObject(1, [FramePrompt(30, PromptBox(10, 20, 40, 60)), FramePrompt(120, points=points)]),
            PromptObject("2", [FramePrompt(120, PromptBox(0, 0, 640, 480), points)]),
        ],
    )
    clicks = ((20.5, 40.5), (30.5, 50.5))
    assert is_object_prompt(text)
    assert parse_object_prompts(text, width=640, height=480) == [
        ObjectPrompt(1, 30, (10.0, 20.0, 40.0, 60.0), (), ()),
        ObjectPrompt(1, 120, None, clicks, (1, 0)),
        ObjectPrompt(2, 120, (0.0, 0.0, 640.0, 480.0), clicks, (1, 0)),
    ]


SIZE = "w=64;h=48"
POINT = f"<|point;x=1;y=1;{SIZE}|>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<0f>", "cannot be read as boxes and points from ''"),
        ("<0f>1", "from '1' on"),
        ("<0f>cup", "from 'cup' on"),
        (f"<0f>1{POINT} and a cup", "from ' and a cup' on"),
        (f"<0f>1{POINT}2{POINT},", "from ',' on"),
        (f"<0f>1<|box;x1=9;y1=9;x2=64;y2=12;{SIZE}|>", "the box 9 9 64 12 does not lie in the image of 64 x 48"),
        (f"<0f>1<|box;x1=9;y1=9;x2=8;y2=12;{SIZE}|>", "the box 9 9 8 12"),
        (f"<0f>1<|box;x1=9;y1=9;x2=12;{SIZE}|>", "lacks y2"),
        (f"<0f>1<|point;x=64;y=0;{SIZE}|>", "the point 64 0"),
        (f"<0f>1<|point;x=-1;y=0;{SIZE}|>", "'x=-1' is no field"),
        (f"<0f>1<|point;x=nan;y=0;{SIZE}|>", "'x=nan' is no field"),
        ("<0f>1<|point;x=1;y=1;w=640;h=480|>", "are given for 640 x 480 pixels; the image has 64 x 48"),
        (f"<0f>1{POINT},1{POINT}", "prompted twice on frame 0"),
        (f"<0f>1-<|box;x1=1;y1=1;x2=2;y2=2;{SIZE}|>", "a token '-box'"),
        ("<0f>" + ",".join(f"{id}{POINT}" for id in range(65)), "prompts 65 times; at most 64"),
        (f"<0f>1<|mask;x=0;y=0;{SIZE}|>", "a token 'mask'"),
    ],
)
def test_objects_that_cannot_be_read_are_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(PromptError, match=re.escape(said)):
        parse_object_prompts(text, width=64, height=48)


def test_a_long_text_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(PromptError):
        parse_object_prompts("<0f>1" + "<|point;x=1;y=1;" * 6000, width=64, height=48)
