"""What the options of `sam3-agent segment` ask for, checked: which planner, which SAM 3, within which budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.cli.options.model_options import MODEL_OPTIONS, parse_model_options
from agent.core.errors import PlannerError, UsageError
from sam3_tool.system.paths import expand_path, is_folder

if TYPE_CHECKING:
    from agent.core.budget import Price
    from agent.doubt.policy import DoubtPolicy
    from agent.records.provenance import Provenance

Wire = Literal["auto", "native", "schema", "tagged"]
Coordinates = Literal["auto", "pixels", "qwen", "gemini"]

PLANNER_OPTIONS = (
    *("threshold", "base_url", "wire", "image_side", "frames", "coordinates", "strategy"),
    *(*MODEL_OPTIONS, "record"),
)
"""Those options that not every planner takes."""
DEFAULT_SAM3 = "tiny"
"""Also of an episode that was saved from Python without saying which checkpoint it used."""
PUBLISHED_CHOICES: Mapping[str, Any] = {"toolset": "paper", "max_steps": 100}
"""What --as-published chooses where nothing else is given: the published agent's tools and its limit of requests."""
PUBLISHED_GENERATION: Mapping[str, Any] = {"max_tokens": 4096, "temperature": None}
"""How the published agent has its language model reply: tokens at most, and the server's own temperature."""
INTEGER_LIMITS = ("max_steps", "max_model_calls", "max_tokens")
"""Limits that count something."""


def read_query(words: str) -> str:
    """Return the query that was typed. Raises UsageError for what no planner could make sense of.

    Where the locale is "C", letters beyond ASCII come as bytes that are no text, but they are UTF-8 all the same.
    """
    if not words.strip():
        raise UsageError("the query is empty; say what to find, e.g. 'the second largest circle'")
    try:
        return words.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise UsageError("the query is not UTF-8 text") from error


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was given on the command line; None = nothing."""

    planner: str
    sam3: str | None = None
    device: str = "auto"
    """Of SAM 3, and of a language model that transformers runs."""
    toolset: str | None = None
    """As `parse_toolset` takes it."""
    threshold: float | None = None
    strategy: str | None = None
    """As `Strategies.parse` takes it."""
    base_url: str | None = None
    wire: Wire | None = None
    image_side: int | None = None
    frames: int | None = None
    """Of a video, on one sheet."""
    coordinates: Coordinates | None = None
    reply_tokens: int | None = None
    patience: float | None = None
    temperature: str | None = None
    seed: int | None = None
    stream: bool | None = None
    extra_body: str | None = None
    record: Path | None = None
    concept: Sequence[str] | None = None
    """Files of concepts, as `load_concepts` takes them."""
    min_probability: float | None = None
    ask_when_unsure: float | None = None
    price: str | None = None
    as_published: bool = False
    """Whether `PUBLISHED_CHOICES` and `PUBLISHED_GENERATION` are the defaults."""
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """By the names of a budget's fields, e.g. 'max_steps'."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Options":
        """From the options of a command by name, limits among them. Raises UsageError."""
        if values.get("as_published"):
            values = {name: PUBLISHED_CHOICES.get(name) if held is None else held for name, held in values.items()}
        own = {option_field.name for option_field in fields(cls)}
        limits = {name: value for name, value in values.items() if name not in own}
        return cls(limits=limits, **{name: value for name, value in values.items() if name in own})

    def __post_init__(self) -> None:
        """Raises UsageError for a value that nothing could be made of, and for an option that would reach nobody."""
        if self.sam3 is not None and not self.sam3.strip():
            raise UsageError("--sam3 is empty; is a variable not set? Expected a name of `sam3-agent models` or a path")
        self._check_options_apply()
        parse_model_options(self._given_model_options, MODEL_OPTIONS.values())
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise UsageError(f"--threshold must be at least 0 and below 1, got {self.threshold:g}")
        for name, limit in self._given_limits.items():
            if not limit > 0:
                least = "at least 1" if name in INTEGER_LIMITS else "above 0"
                raise UsageError(f"{format_flag(name)} must be {least}, got {limit:g}")

    def _check_options_apply(self) -> None:
        given = [name for name in PLANNER_OPTIONS if getattr(self, name) is not None]
        if not given:
            return  # nothing to check, so nothing is imported yet
        taken = self.list_taken_options()
        for name in given:
            if name not in taken:
                flags = ", ".join(format_flag(name) for name in PLANNER_OPTIONS if name in taken) or "none of these"
                raise UsageError(f"{format_flag(name)} is of no use to --planner {self.planner}; it takes {flags}")
        if self.threshold is not None and (self.toolset or "").partition("+")[0] == "paper":
            raise UsageError("--threshold needs --toolset workspace; the paper's tools have no such argument")

    def list_taken_options(self) -> tuple[str, ...]:
        """Name the options of `PLANNER_OPTIONS` that the planner takes.

        Raises:
            PlannerError: There is no such planner, or it cannot be imported.
        """
        from agent.planners.loading import list_planner_options

        parameters = list_planner_options(self.planner)
        by_model = [name for name, parameter in MODEL_OPTIONS.items() if parameter in parameters]
        return (*parameters, *by_model, *(("record",) if self.planner_kind != "replay" else ()))

    def for_subject(self, *, is_video: bool) -> "Options":
        """The same options; for a video with its tools, where no others were chosen."""
        chosen = not is_video or self.toolset is not None or self.planner_kind == "replay"
        return self if chosen else replace(self, toolset="video")

    @property
    def planner_kind(self) -> str:
        """Of planner, e.g. 'openai'."""
        return self.planner.strip().partition(":")[0]

    @property
    def planner_spec(self) -> str:
        """What follows the kind in the planner's name: a model, a file or a folder."""
        return self.planner.strip().partition(":")[2]

    @property
    def recording_folder(self) -> Path | None:
        """The folder of the recording that is to be replayed."""
        if self.planner_kind != "replay" or not self.planner_spec:
            return None
        folder = expand_path(self.planner_spec)
        return folder if is_folder(folder) else None

    @property
    def _given_model_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in MODEL_OPTIONS}

    @property
    def _given_limits(self) -> dict[str, Any]:
        return {name: limit for name, limit in self.limits.items() if limit is not None}

    def build_provenance(self) -> "Provenance":
        """What will make the episode: what was asked for; else what made the one that is replayed; else the defaults.

        Raises UsageError for a price or a limit on costs that makes no sense, PlannerError for a file that cannot be
        replayed, and for a toolset that there is not.
        """
        from agent.core.budget import Price
        from agent.records.provenance import Provenance
        from agent.tools.toolsets import parse_toolset

        defaults = self._load_defaults()
        price = defaults.budget.price if self.price is None else parse_price(self.price)
        budget = replace(defaults.budget, price=price, **self._given_limits)
        if budget.max_cost is not None and price == Price():
            raise UsageError("--max-cost needs a price: --price PROMPT,COMPLETION[,CACHED], per million tokens")
        return Provenance(
            planner=self.planner,
            sam3=self.sam3 or defaults.sam3 or DEFAULT_SAM3,
            toolset=defaults.toolset if self.toolset is None else parse_toolset(self.toolset),
            budget=budget,
            concepts=self._list_concept_keys(defaults.concepts),
            doubt=self._build_doubt_policy(defaults.doubt),
        )

    def _build_doubt_policy(self, default: "DoubtPolicy") -> "DoubtPolicy":
        """What was asked for; else `default`. Raises UsageError."""
        from agent.doubt.policy import DoubtPolicy

        least = default.min_probability if self.min_probability is None else self.min_probability
        ask_below = default.ask_below if self.ask_when_unsure is None else self.ask_when_unsure
        return DoubtPolicy(least, ask_below)

    def _list_concept_keys(self, made_with: Mapping[str, str]) -> dict[str, str]:
        """By phrase. `made_with`: those of the episode that is replayed. Raises UserError for files that do not do."""
        if not self.concept and not made_with:
            return {}
        from agent.cli.concepts.files import check_replayed_concepts, load_concepts

        concepts = load_concepts(self.concept or ())
        check_replayed_concepts(made_with, concepts)
        return {name: concept.key for name, concept in concepts.items()}

    def _load_defaults(self) -> "Provenance":
        from agent.records.episode_file import load_episode
        from agent.records.provenance import Provenance
        from sam3_tool.errors import RecordError

        if self.planner_kind != "replay" or not self.planner_spec:
            return Provenance(planner=self.planner, sam3=DEFAULT_SAM3)
        if self.recording_folder:
            from agent.records.model_recording import RecordingHeader

            return RecordingHeader.load(self.recording_folder).made_by
        try:
            return load_episode(expand_path(self.planner_spec)).made_by
        except RecordError as error:
            raise PlannerError(f"cannot replay: {error}") from error

    def to_planner_options(self, provenance: "Provenance") -> dict[str, Any]:
        """What `load_planner` is told beside the planner's name."""
        from agent.planners.loading import list_planner_options

        taken = list_planner_options(self.planner)
        plain = [name for name in PLANNER_OPTIONS if name in taken and name not in MODEL_OPTIONS]
        given = {name: getattr(self, name) for name in plain}
        if "device" in taken:
            given["device"] = self.device
        of_model = parse_model_options(self._given_model_options, taken)
        if self.as_published:
            on_line = {MODEL_OPTIONS[name] for name, value in self._given_model_options.items() if value is not None}
            of_model |= {
                name: PUBLISHED_GENERATION[name] for name in (PUBLISHED_GENERATION.keys() & {*taken}) - on_line
            }
        given = {name: value for name, value in given.items() if value is not None}
        if self.strategy is not None:
            given["budget"] = provenance.budget
        return {"toolset": provenance.toolset, **given, **of_model}


def parse_price(text: str) -> "Price":
    """A price as the command line takes it, per million tokens. Raises UsageError.

    >>> parse_price("0.4,1.6,0.1")
    Price(prompt=0.4, completion=1.6, cached=0.1)
    """
    from agent.core.budget import Price

    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0 <= number < inf for number in numbers):
        raise UsageError(
            f"--price must be PROMPT,COMPLETION[,CACHED] per million tokens, e.g. 0.4,1.6,0.1, got {text!r}"
        )
    return Price(*numbers)


def format_flag(name: str) -> str:
    """Write an option's name as its flag.

    >>> format_flag("max_steps")
    '--max-steps'
    """
    return f"--{name.replace('_', '-')}"
