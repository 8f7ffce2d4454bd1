"""Videos for assistants: opened, asked about, saved; and refused in one sentence by the tools for images."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from mcp import Client

from agent import GrammarPlanner, Task, run
from agent.tools import VIDEO
from sam3_tool import Sam3, Video
from sam3_tool.synthetic.clips import draw_clip
from serve.mcp.folder import Folder
from serve.mcp.server import build_server
from serve.mcp.videos import open_sent_video, remove_videos
from tests.serve.mcp.conftest import build_runner, drive, encode_png


@pytest.fixture(scope="module")
def film() -> bytes:
    """Four frames, two a second."""
    first, *others = map(PIL.Image.fromarray, draw_clip(3, length=4).frames)
    content = BytesIO()
    first.save(content, "WEBP", save_all=True, append_images=others, lossless=True, duration=500)
    return content.getvalue()


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    return Sam3.load("tiny")


@pytest.fixture
def ask_all(tiny: Sam3, film: bytes, tmp_path: Path) -> Callable[..., list[Any]]:
    """Open the video, and make these calls about it."""

    def make_calls(*calls: tuple[str, dict[str, Any]], is_saving: bool = False) -> list[Any]:
        runner = build_runner(load_sam3=lambda: tiny, folder=Folder.from_path(tmp_path) if is_saving else None)

        async def tell(client: Client) -> list[Any]:
            data = {"data": base64.b64encode(film).decode()}
            opened = await client.call_tool("open_video", data)
            handle = opened.structured_content["image"]
            return [opened, *[await client.call_tool(name, {"image": handle, **given}) for name, given in calls]]

        return list(drive(build_server(runner), tell))

    return make_calls


def test_a_question_about_a_video_is_answered_with_tracks(
    ask_all: Callable[..., list[Any]], tiny: Sam3, film: bytes, tmp_path: Path
) -> None:
    opened, answer, more = ask_all(("ask", {"query": "all the objects"}), ("ask", {"query": "only the largest"}))
    (tmp_path / "film").write_bytes(film)
    episode = run(
        Task.from_video(Video.open(tmp_path / "film"), "all the objects"), GrammarPlanner(toolset=VIDEO), tiny
    )
    masks = answer.structured_content["masks"]
    assert (opened.structured_content["frames"], opened.structured_content["seconds"]) == (4, 1.5)
    assert [mask["id"] for mask in masks] == [*episode.current_ids]
    assert [mask["key_frame"] for mask in masks] == [one.key_frame for one in episode.workspace.pick([1, 2])]
    assert masks[0]["spans"] == [[0.0, 1.5]]
    text, sheet = answer.content
    assert text.text.startswith(episode.message)
    assert PIL.Image.open(BytesIO(base64.b64decode(sheet.data))).width <= 1024
    assert len(more.structured_content["masks"]) == 1


def test_tracks_are_saved_in_formats_of_videos(ask_all: Callable[..., list[Any]], tmp_path: Path) -> None:
    question = ("ask", {"query": "all the objects"})
    calls = (question, ("export", {"format": "youtube-vis"}), ("export", {"format": "yolo-seg"}))
    _, _, saved, refused = ask_all(*calls, is_saving=True)
    assert (tmp_path / saved.structured_content["file"]).stat().st_size > 100
    assert refused.is_error
    assert "answer about this video" in refused.content[0].text
    _, _, linked = ask_all(question, ("export", {"format": "youtube-vis"}))
    assert linked.structured_content["uri"].startswith("sam3://")


@pytest.mark.parametrize(
    ("name", "given"),
    [("segment", {"phrases": ["cup"]}), ("count", {"ids": [1]}), ("combine", {"a": [1], "b": [2], "op": "union"})],
)
def test_tools_for_images_name_those_for_videos(
    ask_all: Callable[..., list[Any]], name: str, given: dict[str, Any]
) -> None:
    _, refused = ask_all((name, given))
    assert refused.is_error
    assert "is a video" in refused.content[0].text
    assert "`ask`, `export` and `close_image`" in refused.content[0].text


@pytest.mark.parametrize(
    ("tool", "content", "said"),
    [
        ("open_image", b"\0\0\0\x18ftypmp42" + bytes(100), "`open_video`"),
        ("open_video", encode_png(), "image"),
        ("open_video", b"no film", "The file"),
    ],
)
def test_a_wrong_file_is_refused_without_a_path_of_this_machine(tool: str, content: bytes, said: str) -> None:
    async def tell(client: Client) -> Any:
        return await client.call_tool(tool, {"data": base64.b64encode(content).decode()})

    refused = drive(build_server(build_runner()), tell)
    assert refused.is_error
    assert said in refused.content[0].text
    assert "sam3-agent-" not in refused.content[0].text


def test_the_file_of_a_video_goes_with_it(film: bytes) -> None:
    video = open_sent_video(film, max_pixels=10**6)
    path = video.source._path  # type: ignore[attr-defined]
    assert path.exists()
    del video
    assert not path.exists()
    kept = open_sent_video(film, max_pixels=10**6)
    remove_videos()
    assert not kept.source._path.exists()  # type: ignore[attr-defined]
