"""A set of tools with a name, and the prompt that goes with it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from agent.core.episode import Decision, Task
from agent.core.errors import PlannerError, ToolError
from agent.core.tools.calls import InvalidCall, ToolCall, ValidCall, parse_call
from agent.core.tools.tool import Tool

PromptName = Literal["workspace", "paper", "video"]
"""workspace: every mask keeps its id. paper: one current set of masks, counted from 1 after each change. video: every
track of a video keeps its id."""


@dataclass(frozen=True)
class Toolset:
    """The tools that a planner can call, and the prompt that tells a language model of them.

    A planner owns its toolset; the loop, the prompts and the saved files read it from there.

    Args:
        name: How it is written on the command line and in saved files, e.g. 'workspace'.
        tools: In the order in which they are offered. No two have one name.
        prompt: Which texts of `prompts` a language model is given.
        unlisted: Tools that are understood where they are called, and never offered: for planners that know of them.

    Raises:
        ValueError: There is no tool, two tools have one name, or there is no such prompt.

    Example:
        >>> from agent.tools import PAPER, WORKSPACE
        >>> PAPER.with_tools(*WORKSPACE.tools[6:7]).name
        'paper+count'
    """

    name: str
    tools: tuple[type[Tool], ...]
    prompt: PromptName = "workspace"
    unlisted: tuple[type[Tool], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.tools:
            raise ValueError(f"the toolset {self.name!r} has no tools")
        if self.prompt not in get_args(PromptName):
            raise ValueError(f"`prompt` must be {', '.join(map(repr, get_args(PromptName)))}, got {self.prompt!r}")
        repeated = [name for name, count in Counter(tool.name for tool in self.tools).items() if count > 1]
        if repeated:
            raise ValueError(f"the toolset {self.name!r} has more than one tool {repeated[0]!r}")

    def with_tools(self, *added: type[Tool]) -> "Toolset":
        """Add tools at the end.

        Args:
            added: Tool classes. What a tool says in `guidance` is added to the system prompt.

        Returns:
            The larger set. Its name is this one's and the names of the added tools, joined by '+'.

        Raises:
            ValueError: A tool of that name is there already.
        """
        return replace(self, name="+".join([self.name, *(tool.name for tool in added)]), tools=(*self.tools, *added))

    def read_call(self, decision: Decision) -> ToolCall:
        """Read what a planner wrote as a call of one of these tools.

        It is read once: the loop, the prompts and the reports share what came of it.

        Args:
            decision: A tool's name and its arguments as text, as the planner wrote them.

        Returns:
            `ValidCall` with the tool and its arguments, or `InvalidCall` with one sentence about what to mend.

        Example:
            >>> from agent import WORKSPACE, Decision
            >>> WORKSPACE.read_call(Decision("answer", '{"ids": [2]}')).tool.ids
            [2]
        """
        calls, key = _get_read_calls(decision), (self, self.unlisted)
        if key not in calls:
            calls[key] = self._parse(decision)
        return calls[key]

    def remember_call(self, decision: Decision, call: ToolCall) -> Decision:
        """Note what a decision says, for it was read before it was rewritten.

        Args:
            decision: The decision as it will be made.
            call: What `read_call` would read from it.

        Returns:
            The same decision.
        """
        _get_read_calls(decision)[self, self.unlisted] = call
        return decision

    def _parse(self, decision: Decision) -> ToolCall:
        try:
            called = [tool for tool in self.unlisted if tool.name == decision.tool and tool not in self.tools]
            return ValidCall(parse_call(decision, called or self.tools))
        except ToolError as error:
            return InvalidCall(str(error))

    def require_subject(self, task: Task) -> None:
        """Check that these tools are for what the task is about.

        Args:
            task: About an image or a video.

        Raises:
            PlannerError: They are for images and it is about a video, or the other way round.
        """
        if self.is_for_videos and task.timeline is None:
            raise PlannerError(f"the toolset {self.name!r} is for videos, and here stands an image; take 'workspace'")
        if not self.is_for_videos and task.timeline is not None:
            raise PlannerError(f"the toolset {self.name!r} is for images, and here stands a video; take 'video'")

    @property
    def is_for_videos(self) -> bool:
        """Whether the tools work on tracks of a video; else on masks of an image."""
        return self.prompt == "video"

    @property
    def renumbers_masks(self) -> bool:
        """Whether masks are counted from 1 after each change; else each keeps its id."""
        return self.prompt == "paper"


_Key = tuple[Toolset, tuple[type[Tool], ...]]


def _get_read_calls(decision: Decision) -> dict[_Key, ToolCall]:
    """What was read from a decision, beside its fields: it follows from them, so it is neither compared nor saved."""
    calls: dict[_Key, ToolCall] = decision.__dict__.setdefault("_calls", {})
    return calls
