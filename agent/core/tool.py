"""A tool: something a planner can call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from agent.core.episode import Decision, Episode, Observation
from sam3_tool import Sam3

if TYPE_CHECKING:
    from agent.core.planner import Planner


class Tool(BaseModel):
    """Something a planner can call: the docstring is its description, the fields are its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names it is called by; case, spaces and underscores never matter."""
    field_aliases: ClassVar[Mapping[str, str]] = {}
    """Other name of a field -> the field."""
    guidance: ClassVar[str] = ""
    """When and how to call it, for a language model whose prompt does not speak of it yet. Plain text."""

    def run(self, episode: Episode, sam3: Sam3, planner: "Planner") -> Observation:
        """Does it. Raises ToolError for a mistake of the planner's, before anything was computed."""
        raise NotImplementedError

    def to_decision(self, thought: str = "") -> Decision:
        """The call as a planner would write it; arguments that have their default value are left out."""
        return Decision(self.name, self.model_dump_json(exclude_defaults=True), thought)

    @classmethod
    def to_planner_schema(cls) -> dict[str, Any]:
        """The tool in OpenAI function-calling form."""
        parameters = _strip_titles(cls.model_json_schema())
        description = " ".join(parameters.pop("description").split())
        return {
            "type": "function",
            "function": {"name": cls.name, "description": description, "parameters": parameters},
        }


def _strip_titles(schema: Any) -> Any:
    """Without the titles pydantic makes up from the field names: they say nothing and cost tokens."""
    if isinstance(schema, dict):
        return {
            key: _strip_titles(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_strip_titles(item) for item in schema] if isinstance(schema, list) else schema
