"""The models behind the page: chosen from what this machine has, loaded in the background, each of them once."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock, Thread
from time import monotonic
from typing import Any, Literal

from agent.cli.concepts.files import load_concepts
from agent.cli.doctor import check_checkpoints
from agent.cli.options.segment_options import Options
from agent.core.errors import PlannerError
from agent.core.planner import Planner
from agent.planners.loading import load_planner, with_model_info
from agent.records.provenance import Provenance
from demo.planners import GRAMMAR, OfferedPlanner, add_grammar, name_planner
from demo.requests import InvalidEventError
from sam3_tool import Concept, Sam3
from sam3_tool.backends.transformers.files.checkpoint import EMBEDDED_NAME


@dataclass(frozen=True)
class Choice:
    """A planner or a SAM 3 that a visitor may choose.

    `name` is that of a planner as visitors read it, or what `Sam3.load` takes.
    """

    name: str
    description: str


@dataclass(frozen=True)
class ModelState:
    """How one or two models are doing."""

    kind: Literal["loading", "ready", "failed"]
    message: str


STARTING = ModelState("loading", "Starting")
log = logging.getLogger(__name__)


@dataclass
class Engine:
    """Loads each model that is chosen once, in a thread. Safe to share between threads: `_lock` guards `_loading`."""

    options: Options
    """Of the planner that answers unless a visitor chooses another one; with the SAM 3 and its device."""
    planners: tuple[OfferedPlanner, ...] = ()
    """What a page offers, the one of `options` first; empty for that one alone. The grammar is always there."""
    _loading: dict[tuple[str, str], "Future[Any]"] = field(default_factory=dict)
    _started_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _described: dict[int, BaseException] = field(default_factory=dict)
    """Failures that are in the log, by their identity."""
    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def offered(self) -> Mapping[str, Options]:
        """The options of each planner, by the name that visitors read; the default comes first."""
        given = self.planners or (OfferedPlanner(name_planner(self.options.planner), self.options),)
        return {planner.name: planner.options for planner in add_grammar(given)}

    @property
    def default_planner(self) -> str:
        """The name of the planner that answers unless a visitor chooses another one."""
        return next(iter(self.offered))

    @property
    def planner_choices(self) -> list[Choice]:
        """The planners that the page was started with, and the grammar."""
        about = {GRAMMAR: "no language model"}
        return [Choice(name, about.get(options.planner, "")) for name, options in self.offered.items()]

    @cached_property
    def sam3_choices(self) -> list[Choice]:
        """The checkpoint that the page was started with, the embedded one, and those in the cache."""
        cached_names = [finding.name for finding in check_checkpoints() if finding.state == "ok"]
        return [Choice(name, "") for name in dict.fromkeys((self.sam3_name, EMBEDDED_NAME, *cached_names))]

    @cached_property
    def concepts(self) -> Mapping[str, Concept]:
        """What is looked for where a phrase is, by phrase. Raises UsageError or ConceptError."""
        return load_concepts(self.options.concept or ())

    @cached_property
    def made_by(self) -> Mapping[tuple[str, bool], Provenance]:
        """What an episode is saved with, by planner and by whether it is about a video; files are read once.

        Raises UserError for a price, a limit or a file that nothing can be made of.
        """
        return {
            (name, is_video): options.for_subject(is_video=is_video).build_provenance()
            for name, options in self.offered.items()
            for is_video in (False, True)
        }

    @property
    def sam3_name(self) -> str:
        """The SAM 3 that the page was started with."""
        return self.options.sam3 or EMBEDDED_NAME

    def require_offered(self, planner: str, sam3: str) -> None:
        """Check that a visitor may use these models, lest anybody load whatever file or server they name.

        Args:
            planner: The name of a planner.
            sam3: The name of a SAM 3.

        Raises:
            InvalidEventError: The page does not offer one of them.
        """
        offered = ({choice.name for choice in self.planner_choices}, {choice.name for choice in self.sam3_choices})
        for name, names in zip((planner, sam3), offered, strict=True):
            if name not in names:
                raise InvalidEventError("the page does not offer such a model; reload it")

    def start_loading(self) -> None:
        """Begin to load the models that the page was started with."""
        self._get_future("sam3", self.sam3_name)
        self._get_future("planner", self.default_planner)

    def get_sam3(self, name: str) -> Sam3:
        """Return a SAM 3 once it is loaded. Raises CheckpointError or DeviceError."""
        loaded: Sam3 = self._get_future("sam3", name).result()
        return loaded

    def get_loaded_sam3(self, name: str) -> Sam3 | None:
        """Return a SAM 3 if it is loaded; nothing is loaded for it."""
        with self._lock:
            future = self._loading.get(("sam3", name))
        return future.result() if future is not None and future.done() and future.exception() is None else None

    def get_planner(self, name: str, *, is_video: bool = False) -> Planner:
        """Return a planner once it is loaded: with the tools for images, or those for videos. Raises PlannerError."""
        loaded: Planner = self._get_future("video planner" if is_video else "planner", name).result()
        return loaded

    def get_provenance(self, planner: str, sam3: str, *, is_video: bool = False) -> Provenance:
        """Return the provenance that an episode of these two models is saved with."""
        loaded = self.get_planner(planner, is_video=is_video)
        return with_model_info(self.made_by[planner, is_video].model_copy(update={"sam3": sam3}), loaded)

    def describe_state(self, planner: str, sam3: str) -> ModelState:
        """Return the state of both models together; each begins to load if nobody has asked for it yet."""
        for kind, name in (("sam3", sam3), ("planner", planner)):
            future = self._get_future(kind, name)
            if not future.done():
                seconds = monotonic() - self._started_at[kind, name]
                return ModelState("loading", f"Loading the model, {seconds:.0f} s")
            if (error := future.exception()) is not None:
                return ModelState("failed", self._describe_failure(kind, error))
        return ModelState("ready", f"Ready: {_format_model_name(sam3)}")

    def _describe_failure(self, kind: str, error: BaseException) -> str:
        """One sentence for a visitor; the log says more, once for each failure."""
        with self._lock:
            if id(error) not in self._described:
                log.error("a model cannot be used: %s", error)
                self._described[id(error)] = error
        return "The language model cannot be reached" if kind != "sam3" else "The model cannot be loaded"

    def _get_future(self, kind: str, name: str) -> "Future[Any]":
        with self._lock:
            future = self._loading.get((kind, name))
            if future is None or (future.done() and future.exception() is not None and self._can_retry(kind, name)):
                future = self._loading[kind, name] = Future()
                self._started_at[kind, name] = monotonic()
                Thread(target=self._load_model, args=(future, kind, name), daemon=True).start()
            return future

    def _can_retry(self, kind: str, name: str) -> bool:
        """A failed load may be tried again after a while: a server may have come up since."""
        return monotonic() - self._started_at[kind, name] > RETRY_SECONDS

    def _load_model(self, future: "Future[Any]", kind: str, name: str) -> None:
        try:
            is_video = kind == "video planner"
            future.set_result(self._load_sam3(name) if kind == "sam3" else self._load_planner(name, is_video=is_video))
        except Exception as error:  # `Future.result` raises it where it is waited for
            future.set_exception(error)

    def _load_sam3(self, name: str) -> Sam3:
        sam3 = Sam3.load(name, device=self.options.device)
        if self.made_by[self.default_planner, False].doubt.is_active and sam3.probability_estimator is None:
            log.warning("%s; no mask is in doubt", sam3.calibration_fault or f"SAM 3 {name!r} is not calibrated")
        return sam3

    def _load_planner(self, name: str, *, is_video: bool) -> Planner:
        options = self._get_options(name).for_subject(is_video=is_video)
        return load_planner(options.planner, **options.to_planner_options(self.made_by[name, is_video]))

    def _get_options(self, planner: str) -> Options:
        """The options of a planner that the page offers. Raises PlannerError for any other."""
        if planner not in self.offered:
            raise PlannerError(f"the page offers no planner {planner!r:.90}")
        return self.offered[planner]


RETRY_SECONDS = 10.0
"""Seconds after which a model that failed to load is tried again."""


def _format_model_name(name: str) -> str:
    return "small built-in model" if name == EMBEDDED_NAME else name
