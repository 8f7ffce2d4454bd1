"""SAM 3 and the planner, loaded in the background, so that a client is answered at once and is told why it waits."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from agent.core.errors import ToolError
from agent.core.planner import Planner
from agent.planners.loading import load_planner
from agent.tools import VIDEO
from sam3_tool import Sam3, UserError
from serve.mcp.workers import Report, start_in_thread, wait_for_result

log = logging.getLogger(__name__)

Model = TypeVar("Model")


@dataclass(frozen=True, eq=False)
class LoadedModel(Generic[Model]):
    """A model that a thread loads."""

    name: str
    """What a client is told that it waits for."""
    future: "Future[Model]"

    @classmethod
    def from_loader(cls, name: str, load: Callable[[], Model]) -> "LoadedModel[Model]":
        """Begin to load in the background. What goes wrong is logged, and told to whoever waits."""

        def load_model() -> Model:
            try:
                return load()
            except Exception as error:
                log.error("%s cannot be loaded: %s", name, error, exc_info=not isinstance(error, UserError))
                raise

        return cls(name, start_in_thread(load_model))

    async def wait_until_loaded(self, report: Report) -> Model:
        """Wait, and report what for.

        Raises:
            ToolError: It cannot be loaded. Why stands in the server's log alone, for that may name files.
        """
        if not self.future.done():
            await report(f"loading {self.name}")
        try:
            return await wait_for_result(self.future, report, f"loading {self.name}")
        except Exception as error:
            raise ToolError(
                f"{self.name} could not be loaded, so this tool does not work; the log of the server says why. Tell the"
                " user."
            ) from error


def load_grammar() -> Planner:
    """Load the planner for videos where no other was asked for."""
    return load_planner("grammar", toolset=VIDEO)


@dataclass(frozen=True)
class Models:
    """What the tools run on."""

    sam3: LoadedModel[Sam3]
    planner: LoadedModel[Planner]
    load_video_planner: Callable[[], Planner] = load_grammar

    @cached_property
    def video_planner(self) -> LoadedModel[Planner]:
        """The planner for questions about videos, which is loaded when the first one is asked."""
        return LoadedModel.from_loader("the planner for videos", self.load_video_planner)

    @classmethod
    def from_loaders(
        cls,
        load_sam3: Callable[[], Sam3],
        load_planner: Callable[[], Planner],
        load_video_planner: Callable[[], Planner],
    ) -> "Models":
        """Begin to load SAM 3 and the planner for images."""
        sam3, planner = (
            LoadedModel.from_loader("SAM 3", load_sam3),
            LoadedModel.from_loader("the planner", load_planner),
        )
        return cls(sam3, planner, load_video_planner)
