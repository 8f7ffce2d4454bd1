from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Event

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agent import GrammarPlanner
from agent.core.budget import Budget
from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.planner import Planner
from agent.planners.scripted import ScriptedPlanner
from agent.tools.toolsets import Answer, Segment
from sam3_tool import Sam3
from serve.http.app import create_app
from serve.http.middleware.auth import TokenBook
from serve.http.settings import ServeSettings
from serve.talk.planners import PlannerBook
from serve.talk.settings import TalkSettings
from tests.support.serving import ANNA, BEN, as_tenant, write_image

DOWN = "http://10.1.2.3:8000/v1 does not answer"
"""What a planner says whose language model is down; no client may read where that was."""


@dataclass
class Pausing:
    """A planner that waits before its second step, until it may go on."""

    planner: Planner
    reached: Event = field(default_factory=Event)
    may_go_on: Event = field(default_factory=Event)
    steps_taken: int = 0

    @property
    def toolset(self) -> object:
        return self.planner.toolset

    def decide(self, episode: Episode) -> Decision:
        if episode.steps:
            self.reached.set()
            assert self.may_go_on.wait(10)
        self.steps_taken += 1
        return self.planner.decide(episode)

    def examine(self, episode: Episode, ids: object, *, closely: bool = False) -> object:
        return self.planner.examine(episode, ids, closely=closely)


def answer_all(episode: Episode) -> Answer:
    return Answer(ids=[*episode.current_ids], message="Here they are.")


def fail(episode: Episode) -> Answer:
    raise PlannerError(DOWN)


def break_down(episode: Episode) -> Answer:
    raise ZeroDivisionError("a defect")


def build_planners(pausing: Pausing) -> PlannerBook:
    """Planners of every temper, by their names."""

    def load(name: str) -> Planner:
        if name == "absent":
            raise PlannerError(DOWN)
        made: dict[str, Planner] = {
            "grammar": GrammarPlanner(),
            "down": ScriptedPlanner([fail]),
            "down-later": ScriptedPlanner([Segment(phrases=["cup"]), fail]),
            "defect": ScriptedPlanner([break_down]),
            "pausing": pausing,  # type: ignore[dict-item]
        }
        return made[name]

    return PlannerBook(["grammar", "absent", "down", "down-later", "defect", "pausing"], load)


@pytest.fixture
def pausing() -> Iterator[Pausing]:
    planner = Pausing(ScriptedPlanner([Segment(phrases=["cup"]), answer_all]))
    yield planner
    planner.may_go_on.set()


@pytest.fixture
def make_app(sam3: Sam3, pausing: Pausing) -> Callable[..., FastAPI]:
    """Make an application of two tenants, with these fields of `TalkSettings`."""

    return partial(build_app, sam3, pausing)


def build_app(sam3: Sam3, pausing: Pausing, *, tokens: bool = True, **limits: object) -> FastAPI:
    book = TokenBook.parse(f"anna:{ANNA},ben:{BEN}") if tokens else TokenBook()
    talk = TalkSettings(**{"budget": Budget(max_steps=8, max_seconds=60), **limits})  # type: ignore[arg-type]
    return create_app(ServeSettings(tokens=book, talk=talk), sam3, build_planners(pausing))


@pytest.fixture
def anna(make_app: Callable[..., FastAPI]) -> Iterator[TestClient]:
    """A client that is anna unless its headers say otherwise. Its server has two tenants."""
    with TestClient(make_app(), headers=as_tenant(ANNA)) as client:
        yield client


@pytest.fixture
def key(anna: TestClient) -> str:
    """Of an image of anna."""
    return str(anna.post("/v1/images", content=write_image()).json()["image"])


@pytest.fixture(scope="module")
def shared(sam3: Sam3) -> Iterator[TestClient]:
    """As `anna`, for tests that leave nothing behind which others would notice."""
    app = build_app(sam3, Pausing(GrammarPlanner()))
    with TestClient(app, headers=as_tenant(ANNA)) as client:
        yield client


@pytest.fixture(scope="module")
def shared_key(shared: TestClient) -> str:
    """Of an image of anna on that server."""
    return str(shared.post("/v1/images", content=write_image()).json()["image"])
