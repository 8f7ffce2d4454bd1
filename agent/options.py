"""What the options of `sam3-agent segment` ask for, checked: which planner, which SAM 3, within which budget."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.load import Protocol
from agent.planner import PlannerError

if TYPE_CHECKING:
    from agent.budget import Price
    from agent.transcript import MadeBy

Wire = Literal["auto", "native", "schema", "tagged"]
Coordinates = Literal["auto", "pixels", "qwen", "gemini"]

TAKES: dict[str, tuple[str, ...]] = {
    "grammar": ("threshold", "record"),
    "openai": ("base_url", "wire", "image_side", "coordinates", "record"),
    "vllm": ("wire", "image_side", "coordinates", "record"),
    "transformers": ("image_side", "coordinates", "record"),
    "replay": (),
}
"""Kind of planner -> those options that not every planner takes."""
WHOLE = ("max_steps", "max_model_calls", "max_tokens")
"""Limits that count something."""


class BadInput(ValueError):
    """An argument that cannot be used; one line for the user."""


def check_query(query: str) -> None:
    """Raises BadInput for what no planner could make sense of."""
    if not query.strip():
        raise BadInput("the query is empty; say what to find, e.g. 'the second largest circle'")
    if any("\ud800" <= letter <= "\udfff" for letter in query):
        raise BadInput("the query is not UTF-8 text")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was given on the command line; None = nothing."""

    planner: str
    sam3: str | None = None
    device: str = "auto"
    """Of SAM 3, and of a language model that transformers runs."""
    protocol: Protocol | None = None
    threshold: float | None = None
    base_url: str | None = None
    wire: Wire | None = None
    image_side: int | None = None
    coordinates: Coordinates | None = None
    record: Path | None = None
    price: str | None = None
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """By the names of a budget's fields, e.g. 'max_steps'."""

    @classmethod
    def given(cls, values: Mapping[str, Any]) -> "Options":
        """From the options of a command by name, limits among them. Raises BadInput."""
        own = {one.name for one in fields(cls)}
        limits = {name: value for name, value in values.items() if name not in own}
        return cls(limits=limits, **{name: value for name, value in values.items() if name in own})

    def __post_init__(self) -> None:
        """Raises BadInput for a value that nothing could be made of, and for an option that would reach nobody."""
        self._check_use()
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise BadInput(f"--threshold must be at least 0 and below 1, got {self.threshold:g}")
        for name, limit in self._limits.items():
            if not limit > 0:
                least = "at least 1" if name in WHOLE else "above 0"
                raise BadInput(f"{flag(name)} must be {least}, got {limit:g}")

    def _check_use(self) -> None:
        taken = TAKES.get(self.kind)
        if taken is None:
            return  # no such planner, which is said where planners are made
        for name in dict.fromkeys(name for names in TAKES.values() for name in names):
            if getattr(self, name) is not None and name not in taken:
                others = ", ".join(kind for kind, names in TAKES.items() if name in names)
                raise BadInput(f"{flag(name)} is of no use to --planner {self.planner}; it is for {others}")
        if self.threshold is not None and self.protocol == "paper":
            raise BadInput("--threshold needs --protocol workspace; the paper's tools have no such argument")

    @property
    def kind(self) -> str:
        """Of planner, e.g. 'openai'."""
        return self.planner.strip().partition(":")[0]

    @property
    def what(self) -> str:
        """What follows the kind in the planner's name: a model, a file or a folder."""
        return self.planner.strip().partition(":")[2]

    @property
    def recording(self) -> Path | None:
        """The folder of the recording that is to be replayed."""
        return Path(self.what) if self.kind == "replay" and self.what and Path(self.what).is_dir() else None

    @property
    def _limits(self) -> dict[str, Any]:
        return {name: limit for name, limit in self.limits.items() if limit is not None}

    def made_by(self) -> "MadeBy":
        """What will make the episode: what was asked for; else what made the one that is replayed; else the defaults.

        Raises BadInput for a price or a limit on costs that makes no sense, PlannerError for a file that cannot be
        replayed.
        """
        from agent.budget import Price
        from agent.transcript import MadeBy

        before = self._before()
        price = before.budget.price if self.price is None else price_of(self.price)
        budget = replace(before.budget, price=price, **self._limits)
        if budget.max_cost is not None and price == Price():
            raise BadInput("--max-cost needs a price: --price PROMPT,COMPLETION[,CACHED], per million tokens")
        return MadeBy(
            planner=self.planner,
            sam3=self.sam3 or before.sam3,
            protocol=self.protocol or before.protocol,
            budget=budget,
        )

    def _before(self) -> "MadeBy":
        from agent.transcript import MadeBy, TranscriptError, load

        if self.kind != "replay" or not self.what:
            return MadeBy(planner=self.planner, sam3="tiny")
        if self.recording:
            from agent.models.recorded import RecordedPlanner

            return RecordedPlanner.load(self.recording).made_by
        try:
            return load(self.what).made_by
        except TranscriptError as error:
            raise PlannerError(f"cannot replay: {error}") from error

    def for_planner(self, made_by: "MadeBy") -> dict[str, Any]:
        """What `load_planner` is told beside the planner's name."""
        given = (name for name in TAKES.get(self.kind, ()) if name != "record" and getattr(self, name) is not None)
        device = {"device": self.device} if self.kind == "transformers" else {}
        return {"protocol": made_by.protocol, **device, **{name: getattr(self, name) for name in given}}


def price_of(text: str) -> "Price":
    """A price as the command line takes it, per million tokens. Raises BadInput.

    >>> price_of("0.4,1.6,0.1")
    Price(prompt=0.4, completion=1.6, cached=0.1)
    """
    from agent.budget import Price

    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0 <= number < inf for number in numbers):
        raise BadInput(f"--price must be PROMPT,COMPLETION[,CACHED] per million tokens, e.g. 0.4,1.6,0.1, got {text!r}")
    return Price(*numbers)


def flag(name: str) -> str:
    """
    >>> flag("max_steps")
    '--max-steps'
    """
    return f"--{name.replace('_', '-')}"
