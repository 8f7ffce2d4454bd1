"""What a server is made of, as it can be handed to a process of its own."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.loading import load_sam3
from agent.cli.options.segment_options import Options
from serve.http.settings import ServeSettings
from serve.slots import Slot

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agent.core.planner import Planner
    from serve.http.metrics import Metrics


@dataclass(frozen=True)
class ServerPlan:
    """Everything that decides how a server answers. It pickles."""

    options: Options
    settings: ServeSettings
    max_batch: int
    gpus: tuple[int, ...] = ()
    """One for each process; empty where the options name the device."""
    other_planners: tuple[str, ...] = ()
    """Those that a request may choose beside that of the options."""

    def build_app(self, metrics: "Metrics") -> "FastAPI":
        """Return the application. Its models are loaded when the server starts."""
        from serve.http.app import create_app
        from serve.talk.planners import PlannerBook

        slot, options = self.settings.slot, self.options
        if self.gpus:
            options = replace(options, device=f"cuda:{self.gpus[0 if slot is None else slot.number]}")
        provenance = options.build_provenance()

        def load_planner(name: str) -> "Planner":
            from agent.planners.loading import load_planner

            given = options.to_planner_options(provenance) if name == options.planner else {}
            return load_planner(name, **given)

        def load_for_videos(name: str) -> "Planner":
            from agent.planners.loading import load_planner
            from serve.talk.planners import load_video_planner

            if name != options.planner:
                return load_video_planner(name)
            chosen = options.for_subject(is_video=True)
            return load_planner(name, **chosen.to_planner_options(chosen.build_provenance()))

        return create_app(
            self.settings,
            lambda: load_sam3(options, provenance, max_batch=self.max_batch, on_batch=metrics.observe_batch),
            PlannerBook([options.planner, *self.other_planners], load_planner, load_for_videos),
            metrics=metrics,
        )

    def run_worker(self, slot: Slot, path: Path) -> None:
        """Serve as one of several processes; see `run_at_socket`."""

        def build_own(settings: ServeSettings, metrics: "Metrics") -> "FastAPI":
            return replace(self, settings=settings).build_app(metrics)

        run_at_socket(build_own, self.settings, slot, path)


def run_at_socket(
    build_app: "Callable[[ServeSettings, Metrics], FastAPI]", settings: ServeSettings, slot: Slot, path: Path
) -> None:
    """Serve as one of several processes, until SIGTERM.

    Args:
        build_app: Makes the application.
        settings: Of all processes together.
        slot: Which of them this is.
        path: The Unix socket to listen at; images are shared in the folder beside it.

    Raises:
        UserError: A model cannot be loaded.
    """
    from serve.http.metrics import Metrics
    from serve.http.middleware.drain import DrainingServer, start_logging

    own = replace(
        settings,
        slot=slot,
        image_folder=path.parent / "images",
        video_folder=path.parent / "videos",
        image_bytes=settings.image_bytes // slot.count,
        drain_seconds=0.0,
        talk=settings.talk.choose_own(slot),
    )
    start_logging()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        DrainingServer(build_app(own, Metrics())).run(sockets=[listener])
