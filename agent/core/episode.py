"""What happened: a task, the steps taken on it, and the masks found so far. Immutable; nothing here calls a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from sam3_tool import Image, Instances
from sam3_tool.masks.rle import RleMask

Outcome = Literal["answered", "no_match", "asked", "step_limit", "budget", "failed"]
EARLY_STOP_OUTCOMES: tuple[Outcome, ...] = ("step_limit", "budget", "failed")
"""Of these, what was found until then is the answer only where nothing better stood before."""


@dataclass(frozen=True)
class Usage:
    """What something cost. Adds up."""

    model_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    sam_encodes: int = 0
    """Pictures that went through SAM 3's vision encoder (0 when the embedding was cached)."""
    sam_decodes: int = 0
    """Concept prompts that went through SAM 3's detector."""
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_COST = Usage()


@dataclass(frozen=True)
class Verdict:
    """A planner's opinion of one mask."""

    id: int
    accept: bool
    probability: float
    """In [0, 1]: that the mask belongs to the answer."""
    reason: str = ""
    usage: Usage = NO_COST
    """What this verdict cost; where one request gave several, the first carries it."""


@dataclass(frozen=True)
class Candidate:
    """One numbered mask of an episode."""

    id: int
    """Counts from 1; given once, never changed or reused in an episode."""
    rle: RleMask
    box: tuple[float, float, float, float]
    """x0 y0 x1 y1 in pixels."""
    score: float
    """In [0, 1]."""
    phrase: str
    """The noun phrase that found it."""
    origin: str = "segment"
    """How it came about: 'segment', 'segment in 10,20,200,220', 'merge of 2, 5' …"""


@dataclass(frozen=True)
class SearchRecord:
    """A phrase that SAM 3 was asked for, and what it said."""

    phrase: str
    presence: float
    """In [0, 1]."""
    ids: tuple[int, ...]
    """What it found, best score first."""
    how: str = ""
    """What was asked beside the phrase: JSON of the other arguments. Equal questions have equal answers."""


@dataclass(frozen=True)
class Workspace:
    """Every mask found so far, by number. Adding returns a new workspace."""

    height: int
    width: int
    candidates: tuple[Candidate, ...] = ()
    """Candidate k has id k + 1."""
    searches: tuple[SearchRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and 1 <= id <= len(self.candidates)

    def __getitem__(self, id: int) -> Candidate:
        if id not in self:
            raise KeyError(f"no mask {id}; there are {len(self)}")
        return self.candidates[id - 1]

    def pick(self, ids: Sequence[int]) -> list[Candidate]:
        return [self[id] for id in ids]

    def get_rles(self, ids: Sequence[int]) -> list[RleMask]:
        return [candidate.rle for candidate in self.pick(ids)]

    def with_search(self, instances: Instances, *, origin: str = "segment", arguments: str = "") -> "Workspace":
        """With `get_instances` added under new numbers, and the search remembered."""
        grown = self.with_instances(instances, origin=origin)
        ids = tuple(range(len(self) + 1, len(grown) + 1))
        search = SearchRecord(instances.phrase, float(instances.presence), ids, arguments)
        return replace(grown, searches=(*self.searches, search))

    def with_instances(self, instances: Instances, *, origin: str) -> "Workspace":
        rows = zip(instances.rles, instances.boxes.tolist(), instances.scores.tolist(), strict=True)
        new = tuple(
            Candidate(id, rle, (box[0], box[1], box[2], box[3]), score, instances.phrase, origin)
            for id, (rle, box, score) in enumerate(rows, start=len(self) + 1)
        )
        return replace(self, candidates=(*self.candidates, *new))

    def get_instances(self, ids: Sequence[int]) -> Instances:
        """The masks with these numbers, in this order. Phrases are joined; presence is the highest among them."""
        chosen = self.pick(ids)
        phrases = list(dict.fromkeys(candidate.phrase for candidate in chosen))
        presence = max((search.presence for search in self.searches if search.phrase in phrases), default=0.0)
        return Instances.from_rles(
            self.get_rles(ids),
            (self.height, self.width),
            boxes=np.array([candidate.box for candidate in chosen], np.float32).reshape(-1, 4),
            scores=np.array([candidate.score for candidate in chosen], np.float32),
            presence=presence,
            phrase=", ".join(phrases),
        )


@dataclass(frozen=True)
class PastTurn:
    """An earlier turn of a conversation."""

    query: str
    outcome: Outcome
    message: str
    """What the answer said."""
    selected: tuple[int, ...]
    """The masks of its answer; with the outcome 'asked', those in question, with 'no_match', the answer that stays."""
    options: tuple[str, ...] = ()
    """With the outcome 'asked': the readings between which the user may now choose."""
    by_hand: bool = False
    """Whether the user did it with a mouse or a command; the query then says what was done."""
    elsewhere: bool = False
    """Whether it was about an earlier picture, so that its numbers mean nothing in this one."""
    plan: dict[str, Any] | None = field(default=None, hash=False)
    """How the planner understood the query, as JSON in its own form; None where it did not say."""


@dataclass(frozen=True)
class ConversationContext:
    """What a conversation has come to before a query."""

    workspace: Workspace | None = None
    """Every mask found so far in this picture; None = none was."""
    selected: tuple[int, ...] = ()
    """The masks of the current answer, which the query may speak of."""
    turns: tuple[PastTurn, ...] = ()
    """What was said, oldest first."""


EMPTY_CONTEXT = ConversationContext()


@dataclass(frozen=True, eq=False)
class Task:
    image: Image
    query: str
    """What the user asks for, e.g. 'the dog that is not on a leash'."""
    context: ConversationContext = EMPTY_CONTEXT
    """The conversation that the query goes on with."""
    by_hand: bool = False
    """Whether the user does it with a mouse or a command; the query then says what is done."""


@dataclass(frozen=True)
class Decision:
    """A planner's choice, as the planner wrote it: not yet validated."""

    tool: str
    """Tool name; empty when the planner called no tool."""
    arguments: str
    """JSON object."""
    thought: str = ""
    """What the planner said beside the call."""
    usage: Usage = NO_COST
    reasoning: str = ""
    """What it thought to itself; for the trace alone."""
    note: str = ""
    """What was made of an irregular reply, e.g. that only the first of two calls was taken; for the planner to read."""
    shortened: bool = False
    """Whether the model answered when it was asked once more with less history; for the trace alone."""
    plan: dict[str, Any] | None = field(default=None, hash=False)
    """With a planner's first decision: how it understood the query, as JSON in its own form."""


@dataclass(frozen=True)
class Observation:
    """What a tool answered."""

    text: str
    workspace: Workspace | None = None
    """The workspace after the call, when the tool changed it."""
    shown: tuple[int, ...] | None = None
    """The masks this observation is about, to be drawn: the result of a tool, in the end the answer."""
    outcome: Outcome | None = None
    """Set by a tool that ends the episode."""
    is_error: bool = False
    usage: Usage = NO_COST
    options: tuple[str, ...] = ()
    """With the outcome 'asked': the readings between which the user may choose."""
    reasons: tuple[tuple[int, str], ...] = ()
    """With an answer: a mask's number, and why it belongs there."""
    verdicts: tuple[Verdict, ...] = ()
    """Of an examination; what they cost is in `usage`."""


@dataclass(frozen=True)
class Step:
    decision: Decision
    observation: Observation
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        return self.decision.usage + self.observation.usage + Usage(seconds=self.seconds)


@dataclass(frozen=True, eq=False)
class Episode:
    """A task and the steps taken on it. Append-only."""

    task: Task
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None

    def append(self, step: Step) -> "Episode":
        return replace(self, steps=(*self.steps, step), outcome=step.observation.outcome)

    @property
    def workspace(self) -> Workspace:
        """Every mask found so far."""
        for step in reversed(self.steps):
            if step.observation.workspace is not None:
                return step.observation.workspace
        return self.task.context.workspace or Workspace(self.task.image.height, self.task.image.width)

    @property
    def searches(self) -> tuple[SearchRecord, ...]:
        """Those made in this episode."""
        earlier = self.task.context.workspace
        return self.workspace.searches[len(earlier.searches) if earlier else 0 :]

    @property
    def current_ids(self) -> tuple[int, ...]:
        """The numbers of the masks last shown: once the episode has an outcome, the answer.

        Before the first ones, those of the conversation's answer so far.
        """
        shown = (step.observation.shown for step in reversed(self.steps))
        return next((ids for ids in shown if ids is not None), self.task.context.selected)

    @property
    def best_ids(self) -> tuple[int, ...]:
        """The best answer so far: the masks that were shown last, where any were."""
        shown = (step.observation.shown for step in reversed(self.steps))
        return next((ids for ids in shown if ids), self.task.context.selected)

    @property
    def reasons(self) -> dict[int, str]:
        """Why masks belong to the answer: as the answer says, else as the latest verdict that accepts them says."""
        verdicts = [verdict for step in self.steps for verdict in step.observation.verdicts if verdict.accept]
        said = [reason for step in self.steps for reason in step.observation.reasons]
        return {id: why for id, why in [*((verdict.id, verdict.reason) for verdict in verdicts), *said] if why}

    @property
    def answer(self) -> Instances:
        """The masks of the answer; of the best answer so far while (or if) there is none."""
        return self.workspace.get_instances(self.current_ids)

    @property
    def plan(self) -> dict[str, Any] | None:
        """How the planner understood the query; None where it did not say."""
        return next((step.decision.plan for step in self.steps if step.decision.plan is not None), None)

    @property
    def message(self) -> str:
        """What the last step said, for the user."""
        return self.steps[-1].observation.text if self.steps else ""

    @property
    def usage(self) -> Usage:
        return sum((step.usage for step in self.steps), Usage())
