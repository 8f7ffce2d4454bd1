"""A task and the steps taken on it. Everything is immutable, and nothing here calls a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agent.core.context import EMPTY_CONTEXT, ConversationContext
from agent.core.outcome import Outcome
from agent.core.timeline import Timeline
from agent.core.tools.verdict import Verdict
from agent.core.usage import NO_COST, Usage
from agent.core.workspace import SearchRecord, Workspace
from sam3_tool import Image, Instances, Masklet, Masklets, Video


@dataclass(frozen=True, eq=False)
class Task:
    """A query about an image or a video, and the conversation that it goes on with.

    Example:
        >>> import numpy as np
        >>> task = Task(Image(np.zeros((4, 6, 3), np.uint8)), "the dog that is not on a leash")
        >>> task.image.width, task.context.turns
        (6, ())
    """

    image: Image
    """Of a video, the first frame of the part that the query is about."""
    query: str
    """What the user asks for, e.g. 'the dog that is not on a leash'."""
    context: ConversationContext = EMPTY_CONTEXT
    """The conversation that the query goes on with."""
    by_hand: bool = False
    """Whether the user does it with a mouse or a command; the query then says what is done."""
    video: Video | None = None
    """The video that the query is about; None for an image, and where a saved episode is read without it."""
    timeline: Timeline | None = None
    """When the frames of the video are shown, and which of them the query is about; None for an image."""
    video_key: str = ""
    """The content key of the video, of a saved episode that is read without it."""

    @classmethod
    def from_video(
        cls,
        video: Video,
        query: str,
        *,
        since: float | None = None,
        until: float | None = None,
        context: ConversationContext = EMPTY_CONTEXT,
    ) -> "Task":
        """Make the task of a query about a video.

        Args:
            video: The video.
            query: What the user asks for, e.g. 'the dog that jumps over the fence'.
            since: Seconds: what is shown before is left out. Default: the beginning.
            until: Seconds: what is shown after that is left out. Default: the end.
            context: The conversation that the query goes on with.

        Returns:
            A task for planners with the toolset `VIDEO`.

        Raises:
            ValueError: No frame is shown then.

        Example:
            >>> import numpy as np
            >>> frames = [Image(np.zeros((4, 6, 3), np.uint8))] * 8
            >>> task = Task.from_video(Video.from_images(frames, frame_rate=4), "the dog", since=1.0)
            >>> task.timeline.start, task.timeline.stop
            (4, 8)
        """
        timeline = Timeline(tuple(video.times.tolist())).cut_part(since, until)
        return cls(video.read_frame(timeline.start), query, context, video=video, timeline=timeline)


@dataclass(frozen=True)
class Decision:
    """A planner's choice, as the planner wrote it: not yet validated.

    Example:
        >>> Decision("segment", '{"phrases": ["cup"]}', thought="I look for cups.").tool
        'segment'
    """

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
    extra: str = ""
    """What a language model's server wrote with the call and may want back with it: JSON, or ""."""


@dataclass(frozen=True)
class Observation:
    """The answer of a tool to a call."""

    text: str
    workspace: Workspace | None = None
    """The workspace after the call, when the tool changed it."""
    shown: tuple[int, ...] | None = None
    """Ids of the masks that it is about, which are drawn: the result of a tool, in the end the answer."""
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
    spans: tuple[tuple[int, float, float], ...] = ()
    """With an answer about a video: a mask's number, and since and until when it belongs there, in seconds."""


@dataclass(frozen=True)
class Step:
    """A decision and what came of it.

    Example:
        >>> asked = Decision("report_no_mask", "{}", usage=Usage(model_calls=1, seconds=2.0))
        >>> step = Step(asked, Observation("There is no cup.", outcome="no_match"), seconds=0.5)
        >>> step.usage.model_calls, step.usage.seconds
        (1, 2.5)
    """

    decision: Decision
    observation: Observation
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        """The cost of the decision and of the tool, and the seconds of both."""
        return self.decision.usage + self.observation.usage + Usage(seconds=self.seconds)


@dataclass(frozen=True, eq=False)
class Episode:
    """A task and the steps taken on it. Steps are only ever appended.

    Example:
        >>> import numpy as np
        >>> episode = Episode(Task(Image(np.zeros((4, 6, 3), np.uint8)), "the cups"))
        >>> step = Step(Decision("report_no_mask", "{}"), Observation("There is no cup.", outcome="no_match"), 0.5)
        >>> ended = episode.append(step)
        >>> ended.outcome, ended.message, len(ended.answer), ended.usage.seconds
        ('no_match', 'There is no cup.', 0, 0.5)
    """

    task: Task
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None

    def append(self, step: Step) -> "Episode":
        """Append one step.

        Args:
            step: A decision and what came of it.

        Returns:
            The longer episode. The outcome of the step is its outcome.
        """
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
        """The searches made in this episode."""
        earlier = self.task.context.workspace
        return self.workspace.searches[len(earlier.searches) if earlier else 0 :]

    @property
    def current_ids(self) -> tuple[int, ...]:
        """The ids of the masks last shown: once the episode has an outcome, the answer.

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
    def spans(self) -> dict[int, tuple[tuple[float, float], ...]]:
        """When a track belongs to the answer, in seconds, as the last step says; a track that is left out always does.

        Only answers about a video have them.
        """
        said = self.steps[-1].observation.spans if self.steps else ()
        return {id: tuple((since, until) for other, since, until in said if other == id) for id, *_ in said}

    @property
    def masklets(self) -> Masklets:
        """The tracks of the answer to a query about a video, cut to the times in which they belong there.

        Their ids are mask ids. A frame's presence is the highest score of what is seen on it.

        Raises:
            ValueError: The query is about an image.
        """
        if self.task.timeline is None:
            raise ValueError("an episode about an image has no masklets; see `answer`")
        chosen, length = self.workspace.pick(self.current_ids), len(self.task.timeline.times)
        cut = tuple(
            _cut_masklet(masklet, self.spans.get(id, ()), self.task.timeline)
            for id, masklet in zip(self.current_ids, self.workspace.get_masklets(self.current_ids), strict=True)
        )
        presence = [0.0] * length
        for masklet in cut:
            for frame, score in zip(masklet.frames, masklet.scores, strict=True):
                presence[frame] = max(presence[frame], score)
        size, phrases = (
            (self.task.image.height, self.task.image.width),
            dict.fromkeys(candidate.phrase for candidate in chosen),
        )
        return Masklets(cut, self.current_ids, size, length, ", ".join(phrases), np.array(presence, np.float32))

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
        """The text of the last step, for the user."""
        return self.steps[-1].observation.text if self.steps else ""

    @property
    def usage(self) -> Usage:
        """The cost of all steps."""
        return sum((step.usage for step in self.steps), Usage())


def _cut_masklet(masklet: Masklet, spans: Sequence[tuple[float, float]], timeline: Timeline) -> Masklet:
    """Keep the frames of these spans of time; all where there is none."""
    if not spans:
        return masklet
    parts = [timeline.find_part(since, until) for since, until in spans]
    kept = [place for place, frame in enumerate(masklet.frames) if any(start <= frame < stop for start, stop in parts)]
    return Masklet(
        tuple(masklet.frames[place] for place in kept),
        tuple(masklet.rles[place] for place in kept),
        tuple(masklet.scores[place] for place in kept),
        masklet.score,
    )
