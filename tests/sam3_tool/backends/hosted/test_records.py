"""Answers are read as the official parser reads them, and whatever is wrong with one is a sentence."""

import numpy as np
import pytest
from meta_sam_parser import (
    CompletedOutcome,
    FramePrompt,
    PromptBox,
    PromptObject,
    PromptPoint,
    SegmentationMaskRecord,
    build_object_prompt,
    decode_mask_to_raster,
    image_segmentation_format,
)

from sam3_tool import Image
from sam3_tool.backends.hosted.answers import HostedAnswerError, read_answer
from sam3_tool.backends.hosted.questions import ShownObject, write_objects
from sam3_tool.backends.hosted.records import FoundObject, parse_objects
from sam3_tool.backends.hosted.sent_images import prepare_image
from serve.responses.wire import FoundObject as Written
from serve.responses.wire import write_frame

MASK = "data=5,5,!!!!!(QO(0lu8?"
BOX = "x1=3;y1=4;x2=7;y2=8;w=20;h=10"
GOOD = f"0<|box;{BOX}|><|mask;x=0;y=0;{MASK}|>"
CAPTURED = (
    "<0f>0<|box;x1=513;y1=371;x2=523;y2=381;w=1440;h=900|><|mask;x=0;y=0;data=11,11,~!!!!r!kCq#$.pF[_cZIw.?wO3R8-&N"
    "JofiCI$_J0aA.1VC*YyK_'z*(LEG8!+H9evY.82Z-4.@C[.9C@T86o$3E=-&8w3W=]xS.|>\n"
)
"""From the hosted service."""


def read_officially(text: str) -> tuple[bool, list[tuple[str, tuple[int, ...], bytes, float | None]]]:
    """Whether there is no error, and the id, box, pixels and confidence of each mask."""
    parser = image_segmentation_format().create_parser()
    parser.push(text)
    result = parser.finish(CompletedOutcome()).result
    masks = [record for record in result.records if isinstance(record, SegmentationMaskRecord)]
    edges = [(mask.bounds.left, mask.bounds.top, mask.bounds.right, mask.bounds.bottom) for mask in masks]
    read = [
        (mask.object_id, box, decode_mask_to_raster(mask.mask), mask.confidence)
        for mask, box in zip(masks, edges, strict=True)
    ]
    return all(diagnostic.severity != "error" for diagnostic in result.diagnostics), read


def list_found(found: list[FoundObject]) -> list[tuple[str, tuple[int, ...], bytes, float | None]]:
    return [(str(one.id), one.box, one.inside.astype(np.uint8).tobytes(), one.confidence) for one in found]


@pytest.mark.parametrize(
    ("text", "height", "width"),
    [
        ("", 10, 20),
        (CAPTURED, 900, 1440),
        (f"<0f>{GOOD}", 10, 20),
        (f"<0f>{GOOD}\r\n<0f>1{GOOD[1:]},2{GOOD[1:]}\n\n", 10, 20),
        (f"<0f;example=1>,{GOOD}", 10, 20),
        (f"<0f>7<|mask; y = 0 ;x=0;;{MASK};c = 0.5|><|new_token;a=1|><|box; {BOX};key=2;hidden;=5|><|marker|>", 10, 20),
        (f"<0f>1<|box;{BOX};c=0.7|><|mask;x=0;y=0;c=0.25;{MASK}|>", 10, 20),
        (f"<0f>1<|box;{BOX}|><|mask;x=0;y=0;c=nan;{MASK}|>", 10, 20),
        (f"<0f>1<|box;{BOX}|><|mask;x=0;y=0;c=1.5;{MASK}|>", 10, 20),
        (f"<0f>1<|box;{BOX}|><|mask;x=0;y=0;c=0.3;c=0.3;{MASK}|>", 10, 20),
    ],
)
def test_what_the_official_parser_accepts_is_read_alike(text: str, height: int, width: int) -> None:
    is_good, expected = read_officially(text)
    assert is_good
    assert list_found(parse_objects(text, height, width)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<0f>",
        f"<1f>{GOOD}",
        f"<0f>{GOOD}{GOOD[:-1]}",
        f"<0f>{GOOD}garbage",
        f"<0f>x{GOOD}",
        f"<0f>-1{GOOD[1:]}",
        f"<0f>0<|box;x1=3;{BOX}|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX[:-5]}|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX}|><|mask;x=1;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX}|><|mask;x=0;y=0;c=0.5|>",
        f"<0f>0<|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX}|><|box;{BOX}|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX}|>garbage<|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;x1=nan;y1=4;x2=7;y2=8;w=20;h=10|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;x1=-3;y1=4;x2=7;y2=8;w=20;h=10|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;x1=3;y1=4;x2=20;y2=8;w=20;h=10|><|mask;x=0;y=0;{MASK}|>",
        f"<0f>0<|box;{BOX}|><|mask;x=0;y=0;data=5,5,!!!!!(QO(0lu8#|>",
        f"<0f>0<|box;{BOX}|><|mask;x=0;y=0;data=0,0,!!!!!(QO(0lu8?|>",
    ],
)
def test_what_the_official_parser_refuses_is_refused(text: str) -> None:
    assert not read_officially(text)[0]
    with pytest.raises(HostedAnswerError, match=r"^answered [^\n]+$"):
        parse_objects(text, 10, 20)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I am sorry, I cannot help with that.", "with words, not with masks"),
        (f"<0f>0<|box;{BOX.replace('w=20', 'w=40')}|><|mask;x=0;y=0;{MASK}|>", "an image of 40 x 10 pixels"),
        (f"<0f>0<|box;{BOX.replace('x2=7', 'x2=8')}|><|mask;x=0;y=0;{MASK}|>", "5 x 5 pixels for object 0, whose box"),
        ("<0f>" + ",".join(f"{id}{GOOD[1:]}" for id in range(1001)), "1001 objects"),
        ("<0f>" + ",".join([GOOD] * 400), "masks of 10000 pixels"),
    ],
)
def test_answers_that_lie_about_the_image_are_refused(text: str, why: str) -> None:
    with pytest.raises(HostedAnswerError, match=why):
        parse_objects(text, 10, 20)


def test_a_text_that_was_cut_anywhere_is_refused_or_holds_whole_objects() -> None:
    mask = np.zeros((10, 20), bool)
    mask[4:9, 3:8] = np.eye(5, dtype=bool)
    text = write_frame(0, [Written(id, mask, 0.5) for id in (1, 2)], encoding="one_bit", has_confidence=True)
    read = 0
    for end in range(1, len(text)):
        try:
            found = parse_objects(text[:end], 10, 20)
        except HostedAnswerError:
            continue
        read += 1
        assert all(one.inside.sum() == 5 for one in found)
    assert read == 2  # after the first object, and without the line's end


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "a JSON list"),
        ({"choices": [{"message": {"content": "hi"}}], "id": 1}, "no completed response (choices, id)"),
        ({"status": "failed", "error": {"message": "out of memory"}, "output": []}, "could not answer (out of memory)"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_tokens"}, "output": []},
            "broke off its answer",
        ),
        ({"status": "in_progress", "output": []}, "no completed response"),
        ({"status": "completed", "output": {}}, "no completed response"),
        ({"status": "completed", "output": [{"type": "reasoning"}]}, "without any text"),
        ({"status": "completed", "output": [1, {"type": "message", "content": 3}]}, "without any text"),
        (
            {"status": "completed", "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]},
            "refused to answer (no)",
        ),
    ],
)
def test_json_of_others_is_told_from_a_response(answer: object, why: str) -> None:
    with pytest.raises(HostedAnswerError) as caught:
        read_answer(answer)
    assert why in str(caught.value)


def test_tokens_that_are_no_numbers_count_nothing() -> None:
    answer = {"status": "completed", "output": [], "usage": {"input_tokens": 10**30, "output_tokens": True}}
    assert (read_answer(answer).input_tokens, read_answer(answer).output_tokens) == (0, 0)


def test_objects_are_written_as_the_official_builder_writes_them() -> None:
    sent = prepare_image(Image(np.zeros((48, 64, 3), np.uint8)), side=64)
    shown = [
        ShownObject((10, 20, 40, 48), ((25.5, 30.5), (15, 47.9)), (0, 1)),
        ShownObject(points=((63.9, 0),), labels=(1,)),
    ]
    points = [PromptPoint(25, 30, label="negative"), PromptPoint(15, 47)]
    expected = build_object_prompt(
        size=(64, 48),
        objects=[
            PromptObject(0, [FramePrompt(box=PromptBox(10, 20, 40, 48), points=points)]),
            PromptObject(1, [FramePrompt(points=[PromptPoint(63, 0)])]),
        ],
    )
    assert write_objects(shown, sent) == expected


def test_what_is_sent_is_bounded_and_exact_where_it_can_be() -> None:
    rng = np.random.default_rng(0)
    noise = Image(rng.integers(0, 256, (700, 900, 3), np.uint8))
    flat = Image(np.full((2000, 3000, 3), 7, np.uint8))
    assert prepare_image(flat, side=1536).url.startswith("data:image/png;base64,")
    assert (prepare_image(flat, side=1536).width, prepare_image(flat, side=1536).height) == (1536, 1024)
    assert prepare_image(noise, side=1536).url.startswith("data:image/jpeg;base64,")
    thin = prepare_image(Image(np.zeros((1, 5000, 3), np.uint8)), side=64)
    assert (thin.width, thin.height) == (64, 1)
