from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from sam3_tool import Instances, Sam3, ScriptedBackend
from serve.http.app import create_app
from serve.http.middleware.auth import TokenBook
from serve.http.settings import ServeSettings
from tests.support.serving import ANNA, BEN, HEIGHT, WIDTH, write_image


@pytest.fixture(scope="session")
def cups() -> Instances:
    """Two cups, of which the first has a hole."""
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 4:20, 6:30] = True
    masks[0, 8:12, 10:16] = False
    masks[1, 30:40, 40:60] = True
    boxes = np.array([[6, 4, 30, 20], [40, 30, 60.5, 40]], np.float32)
    return Instances(masks, boxes, np.array([0.9, 0.75], np.float32), 0.97, "cup")


@pytest.fixture(scope="session")
def sam3(cups: Instances) -> Sam3:
    return Sam3(ScriptedBackend({None: {"cup": cups}}))


@pytest.fixture(scope="module")
def client(sam3: Sam3) -> Iterator[TestClient]:
    """A client of a server without tokens."""
    with TestClient(create_app(ServeSettings(max_pixels=10**6, max_file_bytes=2 * 10**5), sam3)) as client:
        yield client


@pytest.fixture(scope="module")
def key(client: TestClient) -> str:
    """Of an image that is kept."""
    return client.post("/v1/images", content=write_image()).json()["image"]


@pytest.fixture(scope="module")
def guarded(sam3: Sam3) -> Iterator[TestClient]:
    """A client of a server with two tenants, who are told apart by `as_tenant`."""
    book = TokenBook.parse(f"anna:{ANNA},ben:{BEN}")
    with TestClient(create_app(ServeSettings(tokens=book), sam3)) as client:
        yield client


@pytest.fixture(scope="module")
def local_client(sam3: Sam3) -> Iterator[TestClient]:
    """A client of a server without tokens as the command line starts it: it answers to names of this machine."""
    hosts = ("localhost", "127.0.0.1", "[::1]")
    with TestClient(create_app(ServeSettings(hosts=hosts), sam3)) as client:
        yield client
