"""The HTTP server as the ingress of a real Ray Serve, from the file that the documentation shows."""

import importlib
import io
import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed; see tests/ray/README.md")
ray_serve = pytest.importorskip("ray.serve", reason="Ray's server is not installed; see tests/ray/README.md")

from sam3_tool.synthetic.clips import draw_clip  # noqa: E402
from tests.ray.conftest import ROOT, KeepPart  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "serve-over-http.md"
SCENE = ROOT / "examples" / "scene.png"
WATERMELON = {"phrases": ["watermelon"], "masks": "none"}


def write_program(folder: Path) -> None:
    """Write the file of the page into a folder."""
    (program,) = re.findall(r'^```python title="sam3_on_ray.py"\n(.*?)^```$', PAGE.read_text("utf-8"), re.M | re.S)
    (folder / "sam3_on_ray.py").write_text(program, encoding="utf-8")


def draw_video() -> bytes:
    """A short clip as the file of an animation."""
    first, *others = map(PIL.Image.fromarray, draw_clip(3, length=4).frames)
    film = io.BytesIO()
    first.save(film, "WEBP", save_all=True, append_images=others, lossless=True, duration=500)
    return film.getvalue()


def list_children() -> set[str]:
    """The processes that this one has started and that are still there."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="utf-8").split())


@contextmanager
def run_ray(folder: Path) -> Iterator[int]:
    """Start Ray and its server at a free port of this machine, which is given; end both."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])  # `environment` takes it back
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    ray.init(num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False)
    try:
        ray_serve.start(http_options={"host": "127.0.0.1", "port": port})
        yield port
    finally:
        ray_serve.shutdown()
        ray.shutdown()


def ask_server(port: int, path: str, body: bytes | dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    kind = "application/json" if isinstance(body, dict) else "application/octet-stream"
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, {"content-type": kind, **headers})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def read_request_ids(port: int) -> list[str]:
    """The numbers that an answer has in its head."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        return answer.headers.get_all("x-request-id") or []


def test_the_file_of_the_page_serves_behind_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_part: KeepPart
) -> None:
    write_program(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    children = list_children()
    with run_ray(tmp_path) as port:
        own = {"runtime_env": {"env_vars": {"TMPDIR": str(tmp_path)}}}
        server = importlib.import_module("sam3_on_ray").Sam3Server.options(ray_actor_options=own)
        started = time.perf_counter()
        ray_serve.run(server.bind())
        seconds = round(time.perf_counter() - started, 1)
        assert ask_server(port, "/health") == (200, {"status": "ok"})
        assert len(read_request_ids(port)) == 1
        while (ready := ask_server(port, "/ready"))[1].get("error", {}).get("code") == "loading":
            time.sleep(0.05)  # the lifespan's start loads the grammar
        assert ready == (200, {"status": "ready"})

        status, image = ask_server(port, "/v1/images", SCENE.read_bytes())
        assert status == 201
        status, answer = ask_server(port, "/v1/segment", {**WATERMELON, "image": image["image"]})
        [found] = answer["results"]
        assert (status, len(found["instances"])) == (200, 4)
        query = {"image": image["image"], "query": "the largest watermelon"}
        status, episode = ask_server(port, "/v1/episodes", query)
        assert (status, episode["outcome"], len(episode["masks"])) == (200, "answered", 1)
        status, refusal = ask_server(port, "/v1/segment", WATERMELON, host="elsewhere.example")
        assert (status, refusal["error"]["code"]) == (403, "wrong_host")
        assert ask_server(port, "/v1/videos", draw_video())[0] == 201
        assert list(tmp_path.glob("sam3-agent-videos-*"))
        ray_serve.delete("default")
        assert not list(tmp_path.glob("sam3-agent-videos-*"))  # the lifespan's end has taken them away

        ray_serve.run(server.options(num_replicas=2).bind())
        assert ask_server(port, "/v1/images", SCENE.read_bytes())[0] == 201
        codes = set()
        for _ in range(100):  # Ray gives each request to one of the two
            status, answer = ask_server(port, "/v1/segment", {**WATERMELON, "image": image["image"]})
            codes.add(answer["error"]["code"] if status != 200 else "")
            if len(codes) == 2:
                break
        assert codes == {"", "image_gone"}
    assert list_children() == children
    count = len(found["instances"])
    measured = {"seconds to start one replica": seconds, "instances of 'watermelon' in examples/scene.png": count}
    keep_part("the server behind Ray Serve", measured)
