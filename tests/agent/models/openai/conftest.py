import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.models.openai.client import OpenAICompatible
from sam3_tool.network.http_environment import list_http_variables
from tests.support.chat_server import ChatServer


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address, and no proxy between a test and its server."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", *list_http_variables()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def no_server() -> str:
    """An address at which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


@pytest.fixture
def load(server: ChatServer) -> Iterator[Callable[..., OpenAICompatible]]:
    """The model 'm' of the server, asked natively and again at once unless told otherwise."""
    made: list[OpenAICompatible] = []

    def load(model: str = "m", **options: Any) -> OpenAICompatible:
        chosen = {"base_url": server.url, "wire": "native", "first_delay": 0.005, "retries": 2, **options}
        made.append(OpenAICompatible.load(model, **chosen))
        return made[-1]

    yield load
    for model in made:
        model.close()
