"""The models behind the page: chosen from what this machine has, loaded in the background, each of them once."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Lock, Thread
from time import monotonic
from typing import Any, Literal

from agent.doctor import Finding, checkpoints, planners
from agent.load import load_planner, signed
from agent.options import Options
from agent.planner import Planner
from agent.transcript import MadeBy
from sam3_tool import Sam3
from sam3_tool.backends.checkpoint import EMBEDDED


@dataclass(frozen=True)
class Choice:
    """A planner or a SAM 3 that a visitor may choose."""

    name: str
    about: str


@dataclass(frozen=True)
class State:
    """Of one model."""

    kind: Literal["loading", "ready", "failed"]
    words: str


STARTING = State("loading", "starting")


@dataclass
class Engine:
    """Loads what the choices name, and nothing else. Safe to share between threads: `_lock` holds for `_loading`."""

    options: Options
    _loading: dict[tuple[str, str], "Future[Any]"] = field(default_factory=dict)
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def planners(self) -> list[Choice]:
        """The grammar, and the one that the page was started with."""
        about = {"grammar": "no language model", self.options.planner: ""}
        return [Choice(name, about[name]) for name in dict.fromkeys((self.options.planner, "grammar"))]

    @property
    def segmenters(self) -> list[Choice]:
        """The one that the page was started with, the embedded one, and the published one where it is in the cache."""
        here = [one.name for one in checkpoints() if one.state == "ok"]
        return [Choice(name, "") for name in dict.fromkeys((self.sam3_name, EMBEDDED, *here))]

    @property
    def sam3_name(self) -> str:
        return self.options.sam3 or EMBEDDED

    @property
    def missing(self) -> list[Finding]:
        """What this machine does not have, and what to do about it."""
        return [one for one in (*checkpoints(), *planners()) if one.state == "absent"]

    def start(self) -> None:
        """Begins to load what the page was started with."""
        self._future("sam3", self.sam3_name)
        self._future("planner", self.options.planner)

    def sam3(self, name: str) -> Sam3:
        """Waits until it is loaded. Raises CheckpointError or DeviceError."""
        loaded: Sam3 = self._future("sam3", name).result()
        return loaded

    def planner(self, name: str) -> Planner:
        """Waits until it is loaded. Raises PlannerError."""
        loaded: Planner = self._future("planner", name).result()
        return loaded

    def made_by(self, planner: str, sam3: str) -> MadeBy:
        """What signs an episode of these two."""
        made_by = self._options_of(planner).made_by().model_copy(update={"sam3": sam3})
        return signed(made_by, self.planner(planner))

    def state(self, planner: str, sam3: str) -> State:
        """Of both together, in words."""
        for kind, name in (("sam3", sam3), ("planner", planner)):
            future = self._future(kind, name)
            if not future.done():
                seconds = monotonic() - self._since[kind, name]
                return State("loading", f"loading {_called(kind, name)}: {seconds:.0f} s")
            if (error := future.exception()) is not None:
                return State("failed", f"{_called(kind, name)} cannot be used: {error}")
        return State("ready", f"{_called('sam3', sam3)}, {_called('planner', planner)}")

    def _future(self, kind: str, name: str) -> "Future[Any]":
        with self._lock:
            future = self._loading.get((kind, name))
            if future is None or (future.done() and future.exception() is not None and self._again(kind, name)):
                future = self._loading[kind, name] = Future()
                self._since[kind, name] = monotonic()
                Thread(target=self._load, args=(future, kind, name), daemon=True).start()
            return future

    def _again(self, kind: str, name: str) -> bool:
        """Whether what failed is tried once more: a server may have come up since."""
        return monotonic() - self._since[kind, name] > RETRY

    def _load(self, future: "Future[Any]", kind: str, name: str) -> None:
        try:
            future.set_result(self._sam3(name) if kind == "sam3" else self._planner(name))
        except Exception as error:  # whoever waits for it raises it again
            future.set_exception(error)

    def _sam3(self, name: str) -> Sam3:
        return Sam3.load(name, device=self.options.device)

    def _planner(self, name: str) -> Planner:
        options = self._options_of(name)
        return load_planner(name, **options.for_planner(options.made_by()))

    def _options_of(self, planner: str) -> Options:
        """Those that the page was started with, where they are for this planner."""
        if planner == self.options.planner:
            return self.options
        return replace(self.options, planner=planner, **NEUTRAL)


RETRY = 10.0
"""Seconds."""
NEUTRAL: Mapping[str, Any] = {
    "threshold": None,
    "base_url": None,
    "wire": None,
    "image_side": None,
    "coordinates": None,
}
"""Options of one kind of planner only."""


def _called(kind: str, name: str) -> str:
    if kind == "planner":
        return f"planner {name}"
    return "SAM 3 (embedded)" if name == EMBEDDED else f"SAM 3 ({name})"
