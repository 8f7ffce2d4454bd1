"""A tool: something a planner can call."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from agent.core.episode import Decision, Episode, Observation
from sam3_tool import Sam3

if TYPE_CHECKING:
    from agent.core.tools.examiner import Examiner


class Tool(BaseModel):
    """Something that a planner can call.

    A subclass is a pydantic model: its docstring is the description that a language model reads, and its fields, with
    their `description`, are the arguments.

    Example:
        >>> class CountMasks(Tool):
        ...     "Count all masks found so far."
        ...     name: ClassVar[str] = "count_masks"
        ...     def run(self, episode, sam3, planner):
        ...         return Observation(f"There are {len(episode.workspace)} masks.")
        >>> CountMasks.to_planner_schema()["function"]["description"]
        'Count all masks found so far.'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that it is called by; case, spaces and underscores never matter."""
    field_aliases: ClassVar[Mapping[str, str]] = {}
    """Other name of a field -> the field."""
    ignores_unknown_arguments: ClassVar[bool] = False
    """Whether arguments that it does not have are ignored; else the planner is told of them."""
    guidance: ClassVar[str] = ""
    """When and how to call it, for a language model whose prompt does not speak of it yet. Plain text."""

    def run(self, episode: Episode, sam3: Sam3, planner: "Examiner") -> Observation:
        """Do what the call asks for.

        Args:
            episode: Everything that happened so far.
            sam3: The segmenter.
            planner: The planner that made the call; it can examine masks.

        Returns:
            What came of it, in words and masks.

        Raises:
            ToolError: The planner made a mistake; raised before anything was computed.
        """
        raise NotImplementedError

    def to_decision(self, thought: str = "") -> Decision:
        """Write the call as a planner would.

        Args:
            thought: What the planner says beside the call.

        Returns:
            The decision. Arguments with their default value are left out.
        """
        return Decision(self.name, self.model_dump_json(exclude_defaults=True), thought)

    @classmethod
    def check_packages(cls) -> None:
        """Check that all packages which the tool needs are installed, without loading them.

        Raises:
            MissingPackageError: One of them is not; the message says how to install it.
        """

    @classmethod
    def to_planner_schema(cls) -> dict[str, Any]:
        """Describe the tool in the form of OpenAI's function calling.

        Returns:
            A JSON object with the tool's name, its description, and the JSON schema of its arguments.
        """
        parameters = _strip_titles(_build_json_schema(cls))
        description = " ".join(parameters.pop("description", "").split())
        return {
            "type": "function",
            "function": {"name": cls.name, "description": description, "parameters": parameters},
        }


@cache
def _build_json_schema(tool: type[Tool]) -> dict[str, Any]:
    """The schema of a tool's arguments, which pydantic takes milliseconds to make."""
    return tool.model_json_schema()


def _strip_titles(schema: Any) -> Any:
    """Without the titles pydantic makes up from the field names: they say nothing and cost tokens."""
    if isinstance(schema, dict):
        return {
            key: _strip_titles(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_strip_titles(item) for item in schema] if isinstance(schema, list) else schema
