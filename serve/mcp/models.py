"""SAM 3 and the planner, loaded in the background, so that a client is answered at once and is told why it waits."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.core.errors import ToolError
from agent.core.planner import Planner
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


@dataclass(frozen=True)
class Models:
    """What the tools run on."""

    sam3: LoadedModel[Sam3]
    planner: LoadedModel[Planner]

    @classmethod
    def from_loaders(cls, load_sam3: Callable[[], Sam3], load_planner: Callable[[], Planner]) -> "Models":
        """Begin to load both."""
        return cls(LoadedModel.from_loader("SAM 3", load_sam3), LoadedModel.from_loader("the planner", load_planner))
