"""What made an episode: planner, toolset, model, SAM 3 and budget. Every saved file names them."""

from importlib.metadata import version
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer

from agent.core.budget import Budget
from agent.core.tools.toolset import Toolset
from agent.doubt.policy import NO_POLICY, DoubtPolicy
from agent.records.base import SavedModel, Text
from agent.tools.toolsets import WORKSPACE, parse_saved_toolset

SavedToolset = Annotated[
    InstanceOf[Toolset],
    BeforeValidator(lambda value: parse_saved_toolset(value) if isinstance(value, str) else value),
    PlainSerializer(lambda toolset: toolset.name, return_type=str),
]
"""A set of tools, by its name."""


class Provenance(SavedModel):
    """What made an episode: enough to make it again."""

    model_config = ConfigDict(serialize_by_alias=True)

    planner: str
    """As `load_planner` takes it, e.g. 'grammar'."""
    sam3: str
    """The checkpoint, e.g. 'tiny'."""
    toolset: SavedToolset = Field(
        default=WORKSPACE,
        validation_alias=AliasChoices("toolset", "protocol"),
        serialization_alias="protocol",  # what files have said since version 1
    )
    """The planner's tools."""
    budget: Budget = Budget()
    model: Text = ""
    """The language model, as it calls itself; empty where none planned."""
    capabilities: Text = ""
    """What the model can do, in words: how it was offered the tools, and so on."""
    view: dict[str, Any] = Field(default={})
    """The fields of the model's `View`; empty: all at their defaults."""
    prompts: dict[str, str] = Field(default={})
    """The name of each text in `prompts`, and its hash."""
    concepts: dict[str, str] = Field(default={}, exclude_if=lambda concepts: not concepts)
    """The phrase of each concept that was looked for in its place, and the concept's key."""
    strategy: Text = Field(default="", exclude_if=lambda strategy: not strategy)
    """Names of the model's strategies, with a comma between them; empty: it held one conversation."""
    doubt: DoubtPolicy = Field(default=NO_POLICY, exclude_if=lambda policy: not policy.is_active)
    """What became of doubtful masks after the planner had answered."""
    version: str = Field(default_factory=lambda: version("sam3-agent"))
    """Of this program."""

    @property
    def warnings(self) -> list[str]:
        """What a user must know of an answer that was made so."""
        if not self.model or self.view.get("images") != 0:
            return []
        return [f"{self.model} sees no images here: it plans by words alone, and what it says of looks is a guess"]


UNKNOWN_PROVENANCE = Provenance(planner="", sam3="")
"""Of an episode that was run from Python, where nobody says by which planner and which checkpoint."""
