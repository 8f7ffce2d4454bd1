from collections.abc import Callable, Iterator

import pytest

from sam3_tool import Image, Sam3
from sam3_tool.network.http_environment import list_http_variables
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.serving import serve_in_thread


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address, and no proxy between a test and its server."""
    names = ("SAM_API_KEY", "SAM_BASE_URL", "MODEL_API_KEY", "SAM_TIMEOUT", "SAM_WORKERS", "SAM_IMAGE_SIDE")
    for name in (*names, *list_http_variables()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny() -> Sam3:
    return Sam3.load("tiny")


@pytest.fixture(scope="session")
def address(tiny: Sam3) -> Iterator[str]:
    """Of a server with the embedded checkpoint."""
    with serve_in_thread(create_app(ServeSettings(), tiny)) as address:
        yield f"{address}/v1"


@pytest.fixture
def load(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sam3]:
    """The hosted SAM 3 at this address, as a user loads it."""

    def load(where: str = address, **options: object) -> Sam3:
        monkeypatch.setenv("SAM_BASE_URL", where)
        return Sam3.load("hosted:sam-3.1", **options)  # type: ignore[arg-type]

    return load


@pytest.fixture(scope="session")
def scene() -> Image:
    from sam3_tool.synthetic.scenes import draw_scene

    return Image(draw_scene(6).pixels)
