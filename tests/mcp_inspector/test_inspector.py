"""The protocol's own inspector, a client in another language, against this server. See README.md in this folder."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from serve.mcp.folder import Folder
from tests.serve.mcp.conftest import MIB, build_runner, encode_png, make_cups
from tests.serve.mcp.test_http import ADA, serve
from tests.support.program import ROOT

INSPECTOR = ROOT / ".tools" / "mcp-inspector" / "node_modules" / ".bin" / "mcp-inspector"
RESULT = Path(__file__).with_name("result.json")
RESULTS: dict[str, Any] = {}

pytestmark = pytest.mark.skipif(
    not INSPECTOR.exists(), reason="the inspector is not here; run `make test-mcp-inspector`"
)


def inspect(*words: str, code: int = 0) -> Any:
    """Let the inspector ask once, and return the JSON that it prints."""
    done = subprocess.run(
        [str(INSPECTOR), "--cli", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """A server over HTTP, and the words that lead to it."""
    root = tmp_path_factory.mktemp("root")
    (root / "cups.png").write_bytes(encode_png())
    with serve(build_runner(folder=Folder.from_path(root), max_bytes=6 * MIB), f"ada:{ADA}") as url:
        yield url, "--transport", "http", "--header", f"Authorization: Bearer {ADA}"


def test_the_schemas_of_all_tools_are_portable(address):
    """`--strict` fails on any schema that some client or model provider would refuse."""
    listed = inspect(*address, "--method", "tools/list", "--strict")
    RESULTS["tools"] = [tool["name"] for tool in listed["tools"]]
    assert len(RESULTS["tools"]) == 11


def test_it_opens_segments_and_reads_a_mask(address):
    call = (*address, "--method", "tools/call", "--tool-name")
    opened = inspect(*call, "open_image", "--tool-arg", "path=cups.png")
    handle = opened["structuredContent"]["image"]
    found = inspect(*call, "segment", "--tool-arg", f"image={handle}", 'phrases=["cup"]')
    assert [mask["id"] for mask in found["structuredContent"]["masks"]] == [1, 2, 3]
    link = next(block for block in found["content"] if block["type"] == "resource_link")
    read = inspect(*address, "--method", "resources/read", "--uri", link["uri"])
    mask = PIL.Image.open(io.BytesIO(base64.b64decode(read["contents"][0]["blob"])))
    assert np.array_equal(np.asarray(mask) > 0, make_cups().masks[0])
    asked = inspect(*call, "ask", "--tool-arg", f"image={handle}", "query=the second largest cup")
    assert [mask["id"] for mask in asked["structuredContent"]["masks"]] == [2]
    saved = inspect(*call, "export", "--tool-arg", f"image={handle}", "format=coco", "ids=[1]")
    assert saved["structuredContent"]["file"] == "cups.coco.json"
    RESULTS["calls"] = ["open_image", "segment", "resources/read", "ask", "export"]


def test_it_shows_a_mistake_as_an_answer(address):
    words = ("--method", "tools/call", "--tool-name", "count", "--tool-arg", "image=nope", "ids=[1]")
    done = subprocess.run(
        [str(INSPECTOR), "--cli", *address, *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    RESULTS["exit code of a call that answers with an error"] = done.returncode
    assert "Call `open_image` again" in done.stdout


def test_it_speaks_to_a_process_over_stdio():
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    server = (sys.executable, "-m", "tests.serve.mcp.noisy_server")
    listed = inspect("--cwd", str(ROOT), "-e", f"PYTHONPATH={path}", "--method", "tools/list", *server)
    assert len(listed["tools"]) == 11
    RESULTS["transports"] = ["http", "stdio"]


def test_the_result_is_written_when_all_has_passed():
    """It is committed: what the inspector of which version has seen."""
    package = INSPECTOR.parents[1] / "@modelcontextprotocol" / "inspector" / "package.json"
    assert {"tools", "calls", "transports"} <= RESULTS.keys()
    version = json.loads(package.read_text(encoding="utf-8"))["version"]
    RESULT.write_text(json.dumps({"inspector": version, **RESULTS}, indent=2) + "\n", encoding="utf-8")
