"""Meta's SAM API as its clients know it: the OpenAI client asks, and the official parser reads the answer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest
from fastapi.testclient import TestClient
from meta_sam_parser import (
    CompletedOutcome,
    FramePrompt,
    ImageSegmentationResult,
    PromptBox,
    PromptObject,
    PromptPoint,
    ResponsesStreamFailedError,
    SegmentationMaskRecord,
    SegmentationTextRecord,
    VideoSegmentationResult,
    build_object_prompt,
    decode_mask_to_raster,
    image_segmentation_format,
    parse_responses_stream,
    video_segmentation_format,
)

from agent import GrammarPlanner, Task, run
from agent.tools import VIDEO
from sam3_tool import Image, Instances, Sam3, Video
from sam3_tool.errors import ImageError
from sam3_tool.masks.rle import decode_mask
from sam3_tool.synthetic.clips import draw_clip
from sam3_tool.synthetic.scenes import draw_scene
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from serve.responses.answering import TokenUsage
from serve.responses.events import ResponseEnvelope
from tests.support.serving import serve_in_thread, write_image

Result = ImageSegmentationResult | VideoSegmentationResult


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    return Sam3.load("tiny")


@pytest.fixture(scope="module")
def address(tiny: Sam3) -> Iterator[str]:
    """Of a server with the embedded checkpoint."""
    with serve_in_thread(create_app(ServeSettings(), tiny)) as address:
        yield address


@pytest.fixture(scope="module")
def ask(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def scene() -> Image:
    return Image(draw_scene(6).pixels)


def to_data_url(image: Image) -> str:
    content = BytesIO()
    image.to_pil().save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def build_question(text: str, url: str, kind: str = "image") -> list[Any]:
    media = {"type": f"input_{kind}", f"{kind}_url": url}
    return [{"role": "user", "content": [{"type": "input_text", "text": text}, media]}]


def parse_text(text: str, *, is_video: bool = False) -> Result:
    parser = (video_segmentation_format() if is_video else image_segmentation_format()).create_parser()
    parser.push(text)
    result = parser.finish(CompletedOutcome()).result
    assert result.diagnostics == ()
    return result


def list_masks(result: Result, height: int, width: int) -> dict[tuple[str, int | None], np.ndarray]:
    """Return the masks, bool (height, width), by object and frame."""
    masks = {}
    for record in result.records:
        if isinstance(record, SegmentationMaskRecord):
            bounds, whole = record.bounds, np.zeros((height, width), bool)
            inside = np.frombuffer(decode_mask_to_raster(record.mask), np.uint8).astype(bool)
            shape = (bounds.bottom - bounds.top, bounds.right - bounds.left)
            whole[bounds.top : bounds.bottom, bounds.left : bounds.right] = inside.reshape(shape)
            frame = None if record.frame is None else record.frame.frame_index
            masks[record.object_id, frame] = whole
    return masks


@pytest.mark.parametrize("encoding", ["lossless", "one_bit"])
def test_a_phrase_is_answered_with_the_masks_of_a_direct_call(
    ask: openai.OpenAI, tiny: Sam3, scene: Image, encoding: str
) -> None:
    metadata = {"mask_encoding": encoding, "include_confidence": "true"}
    answer = ask.responses.create(
        model="sam-3.1", input=build_question("object", to_data_url(scene)), metadata=metadata
    )
    expected = tiny.segment(scene, "object")
    result = parse_text(answer.output_text)
    masks = list_masks(result, scene.height, scene.width)
    assert (answer.status, answer.metadata) == ("completed", metadata)
    assert len(expected) > 1
    assert np.array_equal(np.stack(list(masks.values())), expected.masks)
    confidences = [record.confidence for record in result.records if isinstance(record, SegmentationMaskRecord)]
    assert confidences == pytest.approx(expected.scores.tolist(), abs=5e-5)


def test_the_official_adapter_reads_the_stream(address: str, tiny: Sam3, scene: Image) -> None:
    async def consume() -> Result:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            events = await client.responses.create(
                model="sam-3.1", input=build_question("object", to_data_url(scene)), stream=True
            )
            return await parse_responses_stream(events, image_segmentation_format()).final_result()

    result = asyncio.run(consume())
    assert result.outcome == CompletedOutcome()
    masks = list_masks(result, scene.height, scene.width)
    assert np.array_equal(np.stack(list(masks.values())), tiny.segment(scene, "object").masks)


def test_the_stream_of_the_openai_client_ends_with_the_whole_answer(ask: openai.OpenAI, scene: Image) -> None:
    question = build_question("object", to_data_url(scene))
    with ask.responses.stream(model="sam-3.1", input=question) as stream:
        final = stream.get_final_response()
    assert final.output_text == ask.responses.create(model="sam-3.1", input=question).output_text


def test_what_fails_in_the_midst_of_an_answer_is_told_to_the_official_adapter() -> None:
    def answer_twice() -> Iterator[str]:
        yield "the first line\n"
        yield "the second line\n"
        raise ImageError("frame 2 is cut off")

    async def list_events() -> AsyncIterator[dict[str, Any]]:
        for event in ResponseEnvelope("sam-3.1", {}).stream_events(answer_twice(), TokenUsage(), str):
            yield json.loads(event.partition("data: ")[2])

    async def list_types() -> list[str]:
        return [event["type"] async for event in list_events()]

    async def consume() -> Result:
        return await parse_responses_stream(list_events(), image_segmentation_format()).final_result()

    assert asyncio.run(list_types())[-2:] == ["response.output_text.delta", "response.failed"]
    with pytest.raises(ResponsesStreamFailedError, match="frame 2 is cut off"):
        asyncio.run(consume())


def test_boxes_and_points_are_answered_under_the_ids_that_were_given(
    ask: openai.OpenAI, tiny: Sam3, scene: Image
) -> None:
    x0, y0, x1, y1 = (int(edge) for edge in tiny.segment(scene, "object").boxes[0].round())
    x, y = (x0 + x1) // 2, (y0 + y1) // 2
    text = build_object_prompt(
        size=(scene.width, scene.height),
        objects=[
            PromptObject(9, [FramePrompt(box=PromptBox(x0, y0, x1, y1))]),
            PromptObject(4, [FramePrompt(points=[PromptPoint(x, y), PromptPoint(0, 0, label="negative")])]),
        ],
    )
    answer = ask.responses.create(model="sam-3.1", input=build_question(text, to_data_url(scene)))
    masks = list_masks(parse_text(answer.output_text), scene.height, scene.width)
    by_box = tiny.refine(scene, box=(x0, y0, x1, y1), multimask=False).masks[0]
    by_points = tiny.refine(scene, [(x + 0.5, y + 0.5), (0.5, 0.5)], [1, 0], multimask=False).masks[0]
    assert list(masks) == [("9", None), ("4", None)]
    assert np.array_equal(masks["9", None], by_box)
    assert np.array_equal(masks["4", None], by_points)


def test_the_agent_takes_a_sentence_and_says_what_it_did(ask: openai.OpenAI, scene: Image) -> None:
    question = build_question("the largest object", to_data_url(scene))
    result = parse_text(ask.responses.create(model="sam3-agent", input=question).output_text)
    said = [record.text for record in result.records if isinstance(record, SegmentationTextRecord)]
    assert len(list_masks(result, scene.height, scene.width)) == 1
    assert len(said) == 1
    assert said[0].strip()


@pytest.fixture(scope="module")
def film() -> tuple[Video, str]:
    """Four frames, and the file that they are in."""
    frames = draw_clip(3, length=4).frames
    content = BytesIO()
    images = [PIL.Image.fromarray(frame) for frame in frames]
    images[0].save(content, "WEBP", save_all=True, append_images=images[1:], lossless=True, duration=40)
    url = "data:video/webm;base64," + base64.b64encode(content.getvalue()).decode()
    return Video.from_images([Image(frame) for frame in frames]), url


def test_a_phrase_is_followed_through_a_video(ask: openai.OpenAI, tiny: Sam3, film: tuple[Video, str]) -> None:
    video, url = film
    answer = ask.responses.create(model="sam-3.1", input=build_question("object", url, "video"))
    masks = list_masks(parse_text(answer.output_text, is_video=True), video.height, video.width)
    expected = {
        (str(id), tracked.frame): mask
        for tracked in tiny.track(video, "object")
        for id, mask in zip(tracked.ids[0], tracked.instances[0].masks, strict=True)
    }
    assert expected.keys() == masks.keys()
    assert all(np.array_equal(expected[place], masks[place]) for place in expected)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_agent_follows_through_a_video_what_a_sentence_asks_for(
    ask: openai.OpenAI, tiny: Sam3, film: tuple[Video, str], is_stream: bool
) -> None:
    video, url = film
    question = build_question("the largest object", url, "video")
    if is_stream:
        with ask.responses.stream(model="sam3-agent", input=question) as stream:
            text = stream.get_final_response().output_text
    else:
        text = ask.responses.create(model="sam3-agent", input=question).output_text
    result = parse_text(text, is_video=True)
    [masklet] = run(Task.from_video(video, "the largest object"), GrammarPlanner(toolset=VIDEO), tiny).masklets.masklets
    masks = list_masks(result, video.height, video.width)
    assert [frame for _, frame in masks] == [*masklet.frames]
    assert all(np.array_equal(mask, decode_mask(masklet.at(frame or 0))) for (_, frame), mask in masks.items())
    [said] = [record.text for record in result.records if isinstance(record, SegmentationTextRecord)]
    assert said.strip()


@pytest.mark.parametrize(
    ("direction", "frames"), [("both", [2, 3, 1, 0]), ("forward", [2, 3]), ("backward", [2, 1, 0])]
)
def test_an_object_is_followed_in_the_direction_that_was_asked_for(
    ask: openai.OpenAI, film: tuple[Video, str], direction: str, frames: list[int]
) -> None:
    video, url = film
    clip = draw_clip(3, length=4)
    rows, columns = np.nonzero(clip.ids[2] == 1)
    box = PromptBox(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    text = build_object_prompt(
        size=(video.width, video.height), objects=[PromptObject(31, [FramePrompt(frame=2, box=box)])]
    )
    answer = ask.responses.create(
        model="sam-3.1", input=build_question(text, url, "video"), metadata={"propagation_direction": direction}
    )
    masks = list_masks(parse_text(answer.output_text, is_video=True), video.height, video.width)
    assert list(masks) == [("31", frame) for frame in frames]


WHITE = "data:image/png;base64," + base64.b64encode(write_image()).decode()
FRAME_1 = "<1f>1<|point;x=1;y=1;w=64;h=48|>"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": build_question("cup", "data:image/png,abc")}, 400, "the data URL cannot be read"),
        ({"input": build_question("cup", "data:image/png;base64,aGVsbG8=")}, 415, "not"),
        ({"input": build_question("cup", "https://example.org/cup.png")}, 403, "no URLs are fetched here"),
        ({"input": build_question("cup", "file:///etc/passwd")}, 403, "no URLs are fetched here"),
        ({"input": build_question("  ", WHITE)}, 400, "one `input_text` with words in it"),
        ({"input": build_question("cup " * 600, WHITE)}, 400, "at most 2000"),
        ({"input": build_question(FRAME_1, WHITE)}, 400, "an image has frame 0 only"),
        ({"input": build_question(FRAME_1.replace("64", "63"), WHITE)}, 400, "the image has 64 x 48"),
        ({"input": build_question(FRAME_1, WHITE), "model": "sam3-agent"}, 400, "takes a sentence"),
        ({"input": build_question("cup", WHITE, "video")}, 415, "a video is expected"),
        ({"input": build_question("cup", WHITE, "video"), "model": "sam3-agent"}, 415, "a video is expected"),
        ({"input": [{"role": "user", "content": "cup"}]}, 400, "one `input_image` or `input_video`"),
        ({"input": build_question("cup", WHITE) * 2}, 400, "found are 2 texts"),
        ({"input": build_question("cup", WHITE), "metadata": {"mask_encoding": "png"}}, 422, "mask_encoding"),
        ({"input": build_question("cup", WHITE), "tools": [{"type": "function"}]}, 422, "tools"),
        ({"input": []}, 422, "input"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(
    client: TestClient, body: dict[str, Any], status: int, said: str
) -> None:
    for stream in (False, True):
        answer = client.post("/v1/responses", json={"model": "sam-3.1", "stream": stream, **body})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert said in answer.json()["error"]["message"]


def test_what_is_not_there_is_an_empty_answer(client: TestClient) -> None:
    answer = client.post("/v1/responses", json={"model": "sam-3.1", "input": build_question("hat", WHITE)}).json()
    assert answer["output"][0]["content"][0]["text"] == ""


def test_scripted_masks_come_out_bit_for_bit(client: TestClient, cups: Instances) -> None:
    answer = client.post("/v1/responses", json={"model": "sam-3.1", "input": build_question("cup", WHITE)}).json()
    masks = list_masks(parse_text(answer["output"][0]["content"][0]["text"]), 48, 64)
    assert np.array_equal(np.stack(list(masks.values())), cups.masks)
