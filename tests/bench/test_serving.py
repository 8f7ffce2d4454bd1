"""What is measured of a server: a small run of the clients, and what a soak complains about."""

import asyncio
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from bench.cli import SERVE_TABLES, app
from bench.harness.tables import Table
from bench.suites.serving.load import ask_phrase, encode_jpeg, open_client, run_arrivals, run_clients, upload_images
from bench.suites.serving.scripted import PHRASE, build_answer
from bench.suites.serving.soaking import ServerSoak
from sam3_tool import Sam3, ScriptedBackend
from sam3_tool.synthetic.scenes import draw_scene
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.serving import serve_in_thread


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    sam3 = Sam3(ScriptedBackend({None: {PHRASE: build_answer()}}))
    with serve_in_thread(create_app(ServeSettings(inflight=1, waiting=1), sam3)) as url:
        yield url


async def upload(url: str) -> str:
    async with open_client(url) as client:
        [key] = await upload_images(client, [encode_jpeg(draw_scene(1, size=(640, 480)).pixels)])
        answer = await ask_phrase(key, PHRASE)(client, 0)
        assert len(answer.json()["results"][0]["instances"]) == 3
        return key


def test_every_request_has_an_ending_and_those_that_are_answered_a_time(url):
    key = asyncio.run(upload(url))
    one = asyncio.run(run_clients(url, ask_phrase(key, PHRASE), clients=1, requests=5))
    assert dict(one.endings) == {"200": 5}
    assert 0 < min(one.seconds) <= one.get_percentile(50) <= one.get_percentile(100) == max(one.seconds)
    crowd = asyncio.run(run_arrivals(url, ask_phrase(key, PHRASE), rate=400, seconds=0.1))
    assert set(crowd.endings) <= {"200", "429"}  # there is room for two at a time
    assert sum(crowd.endings.values()) == 40
    assert crowd.endings["200"] == len(crowd.seconds) > 0
    nobody = asyncio.run(run_clients("http://127.0.0.1:9", ask_phrase(key, PHRASE), clients=2, requests=1))
    assert dict(nobody.endings) == {"ConnectError": 2}


def test_a_soak_of_a_server_says_what_is_wrong():
    table = Table("serve-soak", "", (), [], {})
    assert "{'500': 2}" in ServerSoak(table, 0.0, {"500": 2}).complaint
    assert "grew by 300 MiB" in ServerSoak(table, 300.0, {}).complaint
    assert ServerSoak(table, 3.0, {}).complaint == ""


def test_a_table_that_there_is_none_of_is_one_line():
    result = CliRunner().invoke(app, ["serve", "--tables", "overlod"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert ", ".join(SERVE_TABLES) in result.output
