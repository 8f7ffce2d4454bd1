"""The planners that a request may choose: those that the operator allows, each loaded once."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from agent.core.planner import Planner
from agent.planners.loading import load_planner, with_model_info
from agent.records.provenance import Provenance
from agent.tools import VIDEO
from sam3_tool.errors import UserError
from serve.http.errors import ApiError

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""A planner that could not be loaded is tried again after so long: its server may have come up since."""


def load_video_planner(name: str) -> Planner:
    """Load a planner with the tools for videos. Raises PlannerError."""
    return load_planner(name, toolset=VIDEO)


def build_planner_error() -> ApiError:
    """Return the error of a planner that cannot go on. What it said is for the log: it may name an inner address."""
    message = "the planner cannot answer now, e.g. because its language model does not; try again later"
    return ApiError(503, "planner_unavailable", message, {"retry-after": f"{RETRY_SECONDS:.0f}"})


@dataclass(eq=False)
class _Slot:
    """One planner: there, or why not, and since when."""

    lock: Lock = field(default_factory=Lock)
    planner: Planner | None = None
    warnings: tuple[str, ...] = ()
    failed_at: float | None = None


class PlannerBook:
    """The planners of one server. Safe to share between threads.

    Example:
        >>> book = PlannerBook(["grammar"])
        >>> type(book.get_planner()).__name__
        'GrammarPlanner'
    """

    def __init__(
        self,
        names: Iterable[str],
        load: Callable[[str], Planner] = load_planner,
        load_for_videos: Callable[[str], Planner] = load_video_planner,
        *,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Keep the names; a planner is loaded when it is first asked for.

        Args:
            names: As `load_planner` takes them, at least one; the first one is the default.
            load: Loads a planner by its name. Raises UserError.
            load_for_videos: The same for questions about videos.
            now: A clock in seconds.

        Raises:
            ValueError: There is no name.
        """
        self._names = tuple(dict.fromkeys(names))
        self._slots = {(name, is_video): _Slot() for name in self._names for is_video in (False, True)}
        self._loads, self._now = {False: load, True: load_for_videos}, now
        if not self._names:
            raise ValueError("a server needs a planner")

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may choose; the first one is the default."""
        return self._names

    def check_name(self, name: str | None) -> str:
        """Return the name of an allowed planner, the default one for None. Raises ApiError for any other."""
        if name is not None and name not in self._names:
            raise ApiError(422, "planner_not_allowed", f"planner: expected one of {', '.join(self.names)}")
        return self.names[0] if name is None else name

    def get_planner(self, name: str | None = None, *, is_video: bool = False) -> Planner:
        """Return a planner, once it is loaded. It blocks.

        Args:
            name: One of `names`; None = the first one.
            is_video: Whether it is asked about a video.

        Raises:
            ApiError: It is not allowed, it cannot be loaded now, or its tools are for images alone.
        """
        name = self.check_name(name)
        slot = self._slots[name, is_video]
        with slot.lock:
            if slot.planner is None:
                slot.planner = self._try_to_load(slot, name, is_video)
        if slot.planner.toolset.is_for_videos != is_video:
            raise _build_toolset_error(slot.planner, is_video)
        return slot.planner

    def get_warnings(self, name: str | None = None, *, is_video: bool = False) -> tuple[str, ...]:
        """Return what one must know of the answers of a planner that was loaded."""
        return self._slots[self.check_name(name), is_video].warnings

    def load_default(self) -> Planner:
        """Load the default planner for whoever started the server, who is told all that a `UserError` says."""
        name = self.names[0]
        slot = self._slots[name, False]
        with slot.lock:
            slot.planner = slot.planner or self._load_into(slot, name, False)
            return slot.planner

    def _try_to_load(self, slot: _Slot, name: str, is_video: bool) -> Planner:
        if slot.failed_at is not None and self._now() - slot.failed_at < RETRY_SECONDS:
            raise build_planner_error()
        try:
            return self._load_into(slot, name, is_video)
        except (UserError, OSError) as error:
            slot.failed_at = self._now()
            log.error("the planner %s cannot be loaded: %s", name, error)
            raise build_planner_error() from error

    def _load_into(self, slot: _Slot, name: str, is_video: bool) -> Planner:
        planner = self._loads[is_video](name)
        slot.warnings = tuple(with_model_info(Provenance(planner=name, sam3=""), planner).warnings)
        return planner


def _build_toolset_error(planner: Planner, is_video: bool) -> ApiError:
    """Return the error of a planner whose tools are not for what it is asked about."""
    asked, made = ("a video", "images") if is_video else ("an image", "videos")
    message = (
        f"this planner answers about {made}, as this server has given it the tools {planner.toolset.name!r}, and is"
        f" asked about {asked}; choose another planner, or ask about {made}"
    )
    return ApiError(422, "wrong_planner", message)
