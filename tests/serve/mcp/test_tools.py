"""An assistant's tools, called by the official client in this process, in both ages of the protocol."""

import asyncio
import base64
import io
import json
import logging
import threading
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
import PIL.Image
import pytest
from mcp import Client, MCPError

from agent import Decision, DoubtPolicy, PlannerError
from agent.planners.scripted import ScriptedPlanner
from agent.tools.toolsets import Answer, AskUser, Segment
from sam3_tool import CheckpointError, ProbabilityCurve, ProbabilityEstimator, Sam3, ScriptedBackend
from sam3_tool.network.fetching import UrlFetcher
from serve.mcp.offers import OFFERS
from serve.mcp.server import build_server
from tests.serve.mcp.conftest import MIB, SIZE, build_runner, drive, encode_png, list_steps, make_cups

AGES = {"auto": "2026-07-28", "legacy": "2025-11-25"}


def get_text(result: Any) -> str:
    return str(result.content[0].text)


def get_kinds(result: Any) -> list[str]:
    return [block.type for block in result.content]


async def open_image(client: Client, png: str) -> str:
    opened = await client.call_tool("open_image", {"data": png})
    return str(opened.structured_content["image"])


async def segment_cups(client: Client, png: str) -> str:
    handle = await open_image(client, png)
    await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
    return handle


@pytest.mark.parametrize("age", AGES)
def test_masks_keep_their_numbers_from_call_to_call(server, png, age):
    async def story(client: Client) -> None:
        assert client.protocol_version == AGES[age]
        handle = await open_image(client, png)
        found = await client.call_tool("segment", {"image": handle, "phrases": ["cup", "hat"]})
        assert get_text(found).startswith("Found 3 masks for 'cup': 1 to 3 (scores 0.90 to 0.70); nothing for 'hat'")
        assert get_kinds(found) == ["text", "image", *["resource_link"] * 3]
        assert [mask["id"] for mask in found.structured_content["masks"]] == [1, 2, 3]
        largest = {"image": handle, "ids": [1, 2, 3], "by": "size", "order": "descending"}
        assert (await client.call_tool("rank", largest)).structured_content["masks"][0]["id"] == 3
        left = await client.call_tool("relate", {"image": handle, "ids": "1, 2", "relation": "left of", "to": 3})
        assert [mask["id"] for mask in left.structured_content["masks"]] == [1, 2]
        merged = await client.call_tool("combine", {"image": handle, "op": "merge", "a": [1], "b": [2]})
        assert merged.structured_content["masks"][0]["id"] == 4
        clicked = await client.call_tool("refine", {"image": handle, "points": [[60, 40]]})
        assert clicked.structured_content["masks"][-1] | {"score": 1} == {
            **{"id": 5, "phrase": "", "score": 1, "box": [55.0, 30.0, 73.0, 48.0], "area": 18 * 18}
        }
        counted = await client.call_tool("count", {"image": handle, "ids": [1, 2, 3]})
        assert get_text(counted).startswith("3 masks: 1 to 3.")
        again = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
        assert [mask["id"] for mask in again.structured_content["masks"]] == [1, 2, 3]
        assert "with masks 1 to 5" in get_text(await client.call_tool("open_image", {"data": png}))

    drive(server, story, mode=age)


@pytest.mark.parametrize("age", AGES)
def test_a_question_reports_its_steps_and_may_go_on_from_masks_shown(server, png, age):
    heard: list[tuple[float, str]] = []

    async def listen(count: float, total: float | None, text: str | None) -> None:
        heard.append((count, text or ""))

    async def story(client: Client) -> None:
        handle = await segment_cups(client, png)
        asked = {"image": handle, "query": "the second largest cup"}
        answer = await client.call_tool("ask", asked, progress_callback=listen)
        assert answer.structured_content["outcome"] == "answered"
        assert [mask["id"] for mask in answer.structured_content["masks"]] == [2]
        assert get_kinds(answer) == ["text", "image", "resource_link"]
        nothing = await client.call_tool("ask", {"image": handle, "query": "the hats"})
        assert (nothing.structured_content["outcome"], nothing.structured_content["masks"]) == ("no_match", [])

    drive(server, story, mode=age)
    assert [count for count, _ in heard] == sorted({count for count, _ in heard})
    assert list_steps([text for _, text in heard]) == ["segment", "rank", "answer"]


def test_a_link_leads_to_exactly_the_mask(server, png):
    async def story(client: Client) -> None:
        handle = await segment_cups(client, png)
        found = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
        for link, mask in zip(found.content[2:], make_cups().masks, strict=True):
            read = (await client.read_resource(link.uri)).contents[0]
            image = PIL.Image.open(io.BytesIO(base64.b64decode(read.blob)))
            assert (read.mime_type, image.mode) == ("image/png", "L")
            assert np.array_equal(np.asarray(image), mask * np.uint8(255))
        overlay = PIL.Image.open(io.BytesIO(base64.b64decode(found.content[1].data)))
        assert (overlay.format, overlay.size) == ("JPEG", SIZE[::-1])

    drive(server, story)


def test_masks_are_exported_through_a_link_where_there_is_no_folder(server, png):
    async def story(client: Client) -> None:
        handle = await segment_cups(client, png)
        saved = await client.call_tool("export", {"image": handle, "format": "coco", "ids": [1, 3]})
        held = json.loads(base64.b64decode((await client.read_resource(saved.content[1].uri)).contents[0].blob))
        assert [annotation["area"] for annotation in held["annotations"]] == [100, 324]

    drive(server, story)


def test_every_answer_fits_its_schema_and_what_is_read_of_it_is_small(server):
    """The client itself checks answers against the schemas; here is what they cost."""

    async def story(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = drive(server, story)
    assert [tool.name for tool in tools] == [
        *("open_image", "segment", "refine", "ask", "relate", "rank", "combine", "count", "export", "close_image"),
        "open_video",
    ]
    whole = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    read = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in whole]
    assert len(json.dumps(read, separators=(",", ":"))) < 7000
    assert len(json.dumps(whole, separators=(",", ":"))) < 11_800
    assert all(tool.output_schema and tool.annotations and tool.description for tool in tools)
    hints = {tool.name: (tool.annotations.read_only_hint, tool.annotations.idempotent_hint) for tool in tools}
    assert hints["segment"] == (True, True)
    assert hints["ask"] == (True, False)
    assert hints["export"] == (False, False)


MISTAKES: dict[str, tuple[str, dict[str, Any], str]] = {
    "segment before open_image": ("segment", {"phrases": ["cup"]}, "call `open_image` first"),
    "a handle that there is not": ("segment", {"image": "nope", "phrases": ["cup"]}, "Call `open_image` again"),
    "a handle that is no text": ("count", {"image": 3, "ids": [1]}, "the handle of an open image"),
    "a mask that there is not": ("count", {"image": "HANDLE", "ids": [9]}, "the valid numbers are 1 to 3"),
    "a relation that there is not": (
        *("relate", {"image": "HANDLE", "ids": [1], "to": [2], "relation": "beside of"}),
        "`relation` is 'beside_of', but it should be",
    ),
    "an argument that there is not": ("count", {"image": "HANDLE", "ids": [1], "x": 1}, "'x' is not one of its fields"),
    "no argument": ("rank", {"image": "HANDLE"}, "`ids` is missing"),
    "a threshold of 2": ("segment", {"image": "HANDLE", "phrases": ["a"], "threshold": 2}, "`threshold`"),
    "nine phrases": ("segment", {"image": "HANDLE", "phrases": ["a"] * 9}, "`phrases`"),
    "a thousand examples": ("segment", {"image": "HANDLE", "exemplars": [1] * 1000}, "at most 32 exemplars"),
    "a point outside": ("refine", {"image": "HANDLE", "points": [[900, 3]]}, "lies outside the picture"),
    "an empty question": ("ask", {"image": "HANDLE", "query": " "}, "`query`"),
    "a long question": ("ask", {"image": "HANDLE", "query": "cup " * 1000}, "`query`"),
    "a format that there is not": ("export", {"image": "HANDLE", "format": "mp4"}, "is one of coco"),
    "a tool that there is not": ("segmnet", {}, "call one of open_image, segment"),
    "nothing to open": ("open_image", {}, "exactly one of `path`, `data` and `uri`, and was given none"),
    "two things to open": ("open_image", {"path": "a", "data": "b"}, "was given `path` and `data`"),
    "a path without a folder": ("open_image", {"path": "a.png"}, "without --root"),
    "a page of the web": ("open_image", {"uri": "https://example.org/a.png"}, "no URLs are fetched here"),
    "an odd URI": ("open_image", {"uri": "gopher://example.org/a.png"}, "is a data:, file: or https: URI"),
    "a path as data": ("open_image", {"data": "photos/cat.jpg?"}, "`data` is no base64 of a file"),
    "text as data": ("open_image", {"data": base64.b64encode(b"hello").decode()}, "expected an image file"),
}


@pytest.mark.parametrize("age", AGES)
def test_a_mistake_is_answered_with_a_sentence_that_says_what_to_do(server, png, age, caplog):
    async def story(client: Client) -> None:
        handle = await segment_cups(client, png)
        for mistake, (name, arguments, said) in MISTAKES.items():
            given = {key: handle if value == "HANDLE" else value for key, value in arguments.items()}
            answer = await client.call_tool(name, given)
            assert (answer.is_error, said in get_text(answer)) == (True, True), (mistake, get_text(answer))
            assert len(get_text(answer)) < 400, mistake
        for uri in (f"sam3://images/{handle}/masks/9.png", "sam3://images/0/masks/1.png", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)

    drive(server, story, mode=age)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(png):
    header = io.BytesIO()
    PIL.Image.new("1", (4000, 3000)).save(header, "PNG")
    bomb = base64.b64encode(header.getvalue()).decode()

    async def story(client: Client) -> None:
        assert "12,000,000" in get_text(await client.call_tool("open_image", {"data": bomb}))
        heavy = await client.call_tool("open_image", {"data": "A" * 3 * MIB})
        assert "takes up to 1.0 MiB" in get_text(heavy)

    drive(build_server(build_runner(max_bytes=MIB)), story)


def test_images_used_least_recently_make_room_and_say_so(png):
    others = [base64.b64encode(encode_png(seed)).decode() for seed in (1, 2)]

    async def story(client: Client) -> None:
        first = await segment_cups(client, png)
        second = await open_image(client, others[0])
        await client.call_tool("count", {"image": first, "ids": [1]})
        await open_image(client, others[1])
        assert not (await client.call_tool("count", {"image": first, "ids": [1]})).is_error
        gone = await client.call_tool("segment", {"image": second, "phrases": ["cup"]})
        assert "later ones needed its memory. Call `open_image` again" in get_text(gone)

    drive(build_server(build_runner(image_memory=2 * 3 * SIZE[0] * SIZE[1] + 1000)), story)


def test_a_call_waits_for_the_network_and_says_what_for(png):
    may_load = threading.Event()
    heard: list[str] = []

    def load() -> Sam3:
        may_load.wait()
        return Sam3(ScriptedBackend({None: {"cup": make_cups()}}))

    async def listen(count: float, total: float | None, text: str | None) -> None:
        heard.append(text or "")
        may_load.set()

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        counted = await client.call_tool("count", {"image": handle, "ids": []})
        assert get_text(counted) == "0 masks."
        found = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]}, progress_callback=listen)
        assert len(found.structured_content["masks"]) == 3

    drive(build_server(build_runner(load_sam3=load)), story)
    assert heard[0] == "loading SAM 3"


def test_what_cannot_be_loaded_is_told_without_the_names_of_this_machine(png):
    def load() -> Sam3:
        raise CheckpointError("/srv/secret/weights is no checkpoint")

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        failed = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
        assert failed.is_error
        assert "SAM 3 could not be loaded" in get_text(failed)
        assert "secret" not in get_text(failed)

    drive(build_server(build_runner(load_sam3=load)), story)


@pytest.mark.parametrize("error", [OSError("/srv/secret/disk"), CheckpointError("/srv/secret/weights: gone")])
def test_a_defect_keeps_its_names_to_the_log(png, error, caplog):
    class BrokenBackend(ScriptedBackend):
        def encode(self, images: Any) -> Any:
            raise error

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        failed = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
        assert failed.is_error
        assert "secret" not in get_text(failed)
        assert not (await client.call_tool("count", {"image": handle, "ids": []})).is_error

    drive(build_server(build_runner(load_sam3=lambda: Sam3(BrokenBackend({})))), story)
    assert "secret" in caplog.text


@pytest.mark.parametrize("age", AGES)
def test_a_question_that_is_given_up_leaves_the_image_as_it_was_and_free(png, age):
    waits, may_go_on = threading.Event(), threading.Event()

    def hesitate(episode: Any) -> Decision | Answer:
        waits.set()
        may_go_on.wait()
        return Answer(ids=[1])

    planner = ScriptedPlanner([Segment(phrases=["cup"]), hesitate])

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "ask", {"image": handle, "query": "the first cup"})
            await asyncio.to_thread(waits.wait)
            group.cancel_scope.cancel()
        counted = await client.call_tool("count", {"image": handle, "ids": []})
        assert get_text(counted) == "0 masks."
        may_go_on.set()
        assert not (await client.call_tool("ask", {"image": handle, "query": "the first cup"})).is_error

    drive(build_server(build_runner(planner=planner)), story, mode=age)


def test_calls_on_one_image_at_a_time_never_give_a_number_twice(server, png):
    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        points = [[8, 8], [35, 25], [60, 40], [9, 9], [36, 26]]
        async with anyio.create_task_group() as group:
            for point in points:
                group.start_soon(client.call_tool, "refine", {"image": handle, "points": [point]})
        known = get_text(await client.call_tool("open_image", {"data": png}))
        assert "with masks 1 to 5" in known

    drive(server, story)


@pytest.mark.parametrize(
    "uri", ["https://elsewhere.example/a.png", "http://images.example/a.png", "https://images.example@127.0.0.1/a.png"]
)
def test_only_an_allowed_host_is_asked_for_an_image(uri):
    """`sam3_tool.network.fetching` is tested by itself; here no name is even looked up."""
    runner = replace(build_runner(), fetcher=UrlFetcher.from_hosts(["images.example"], max_bytes=MIB))

    async def story(client: Client) -> None:
        refused = await client.call_tool("open_image", {"uri": uri})
        assert refused.is_error
        assert "127.0.0.1" not in get_text(refused)

    drive(build_server(runner), story)


def test_overlays_can_be_left_out(png):
    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        found = await client.call_tool("segment", {"image": handle, "phrases": ["cup"]})
        assert get_kinds(found) == ["text", *["resource_link"] * 3]

    drive(build_server(build_runner(overlay_side=0)), story)


def test_each_tool_of_the_agent_is_offered_with_its_own_words():
    for offer in OFFERS.values():
        words = " ".join((offer.tool.__doc__ or "").split())
        assert offer.to_definition().description == words


def test_a_planner_that_fails_is_told_without_the_names_of_this_machine(png, caplog):
    def fail(episode: Any) -> Decision:
        raise PlannerError("the model server does not answer; see /srv/secret/model.log")

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        failed = await client.call_tool("ask", {"image": handle, "query": "the cups"})
        assert failed.is_error
        assert get_text(failed) == "the model server does not answer; see …/model.log"
        broken_off = await client.call_tool("ask", {"image": handle, "query": "the cups"})
        assert broken_off.is_error

    drive(build_server(build_runner(planner=ScriptedPlanner([fail]))), story)
    assert "/srv/secret/model.log" in caplog.text


def test_an_answer_that_is_broken_off_keeps_what_was_found_and_hides_names(png):
    def fail(episode: Any) -> Decision:
        raise PlannerError("no answer; see /srv/secret/model.log")

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        answer = await client.call_tool("ask", {"image": handle, "query": "the cups"})
        assert answer.structured_content["outcome"] == "failed"
        assert [mask["id"] for mask in answer.structured_content["masks"]] == [1, 2, 3]
        assert "…/model.log; the best answer so far is 3 masks" in get_text(answer)

    drive(build_server(build_runner(planner=ScriptedPlanner([Segment(phrases=["cup"]), fail]))), story)


def test_a_question_back_is_handed_to_the_user(png):
    asks = AskUser(question="Which cup do you mean?", options=["the left cup", "the right cup"])

    async def story(client: Client) -> None:
        handle = await open_image(client, png)
        answer = await client.call_tool("ask", {"image": handle, "query": "the cup"})
        assert answer.structured_content["outcome"] == "asked"
        assert "'the left cup' or 'the right cup'" in get_text(answer)

    drive(build_server(build_runner(planner=ScriptedPlanner([Segment(phrases=["cup"]), asks]))), story)


def test_doubtful_masks_are_asked_about_and_a_reply_settles_it_without_a_planner(png):
    curve = ProbabilityCurve(score=1.0, high_score=0.0, presence=0.0, size=0.0, bias=0.0)
    estimator = ProbabilityEstimator({"phrase": curve}, fitted_on="nothing", weights="")
    backend = ScriptedBackend({None: {"cup": make_cups()}}, probability_estimator=estimator)
    runner = build_runner(load_sam3=lambda: Sam3(backend))
    runner = replace(runner, limits=replace(runner.limits, doubt=DoubtPolicy(0.75, ask_below=0.85)))

    async def story(client):
        handle = (await client.call_tool("open_image", {"data": png})).structured_content["image"]

        async def ask(query):
            return await client.call_tool("ask", {"image": handle, "query": query})

        asked = await ask("all the cups")
        assert asked.structured_content["outcome"] == "asked"
        assert "I am not sure of 1 of 2 masks: 2 (cup, 0.8)" in get_text(asked)
        assert "call `ask` with the reading: 'keep 2' or 'drop 2'" in get_text(asked)
        wrong = await ask("keep 9")
        assert wrong.is_error
        assert "Mask 9 is none of those in question" in get_text(wrong)
        kept = await ask("keep 2")
        assert (kept.structured_content["outcome"], [one["id"] for one in kept.structured_content["masks"]]) == (
            "answered",
            [1, 2],
        )
        assert (await ask("keep 2")).structured_content["outcome"] != "answered", "nothing is in question any more"

    drive(build_server(runner), story)
