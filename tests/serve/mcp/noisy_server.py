"""A server over stdin and stdout whose network prints, as libraries do. `test_stdio.py` starts it."""

import os
from collections.abc import Sequence
from typing import Any

from sam3_tool import Image, Sam3, ScriptedBackend
from serve.mcp.server import build_server
from serve.mcp.transports import serve_stdio
from tests.serve.mcp.conftest import build_runner, make_cups


class NoisyBackend(ScriptedBackend):
    def encode(self, images: Sequence[Image]) -> list[Any]:
        print("printed by a library")
        os.write(1, b"written by a library\n")
        os.system("echo said by a child")
        return super().encode(images)


if __name__ == "__main__":
    serve_stdio(build_server(build_runner(load_sam3=lambda: Sam3(NoisyBackend({None: {"cup": make_cups()}})))))
