"""A process of a server whose SAM 3 is scripted, with two routes that misbehave."""

import os
import time
from collections.abc import Iterator

import numpy as np
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from sam3_tool import Instances, Sam3, ScriptedBackend
from serve.http.app import create_app
from serve.http.metrics import Metrics
from serve.http.settings import ServeSettings
from tests.support.serving import HEIGHT, WIDTH


def build_scripted_app(settings: ServeSettings, metrics: Metrics) -> FastAPI:
    """Return an application that finds a cup in each image, streams at `/v1/drip`, and ends at `/v1/die`."""
    cup = Instances(
        np.ones((1, HEIGHT, WIDTH), bool), np.array([[0, 0, WIDTH, HEIGHT]], np.float32), np.ones(1), 1.0, "cup"
    )
    sam3 = Sam3(ScriptedBackend({None: {"cup": cup}}), on_batch=metrics.observe_batch)
    app = create_app(settings, sam3, metrics=metrics)

    @app.get("/v1/drip")
    def drip() -> StreamingResponse:
        return StreamingResponse(_drip())

    @app.post("/v1/die")
    def die() -> None:
        os._exit(7)

    return app


def _drip() -> Iterator[bytes]:
    yield b"first\n"
    time.sleep(0.5)
    yield b"second\n"
