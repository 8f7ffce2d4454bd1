"""The tools with which a language model answers small questions, and how its replies are read."""

from typing import Annotated, ClassVar, TypeVar, cast

from pydantic import BeforeValidator, Field

from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.tools.calls import parse_call
from agent.models.base import Reply
from agent.planners.chat.verdicts import Probability
from agent.tools.base import Boxes, FreeText, Ids, Phrase, Phrases, SmallInt, Tool

MAX_PROPOSED = 6
"""Phrases in one proposal."""


def _keep_usable_phrases(value: object) -> object:
    """The first phrases that SAM 3 can be asked for, each once; anything that is no list as it is, to be refused."""
    if not isinstance(value, list):
        return value
    texts = [phrase.strip() for phrase in value if isinstance(phrase, str)]
    return list(dict.fromkeys(phrase for phrase in texts if 0 < len(phrase) <= 200))[:MAX_PROPOSED]


class Propose(Tool):
    """Say what to look for in the picture."""

    name: ClassVar[str] = "propose"
    aliases: ClassVar[tuple[str, ...]] = ("segment", "segment_phrase", "search", "plan")
    field_aliases: ClassVar = {
        **dict.fromkeys(("phrase", "text_prompt", "names", "noun_phrases"), "phrases"),
        **dict.fromkeys(("bbox", "region"), "box"),
        **dict.fromkeys(("many", "plural", "multiple"), "several"),
    }

    reading: FreeText = Field(default="", description="What the query means in this picture, in a few words.")
    phrases: Annotated[Phrases, BeforeValidator(_keep_usable_phrases)] = Field(
        min_length=1, description="Short noun phrases, the likeliest first."
    )
    several: bool = Field(default=False, description="Whether the query means more than one thing.")
    box: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels, around what is meant."
    )


class ProposeNext(Propose):
    """Say what the query means now, which known masks it may mean, and what to look for in the picture."""

    name: ClassVar[str] = "propose_next"
    aliases: ClassVar[tuple[str, ...]] = ("propose", *Propose.aliases)
    field_aliases: ClassVar = {**Propose.field_aliases, **dict.fromkeys(("masks", "numbers", "known"), "ids")}

    phrases: Annotated[Phrases, BeforeValidator(_keep_usable_phrases)] = Field(
        default=[], description="Short noun phrases of what was not looked for yet, the likeliest first."
    )
    ids: Ids = Field(default=[], description="Numbers of known masks that may be meant.")


class Compare(Tool):
    """Say which of two masks is what the query means."""

    name: ClassVar[str] = "compare"
    aliases: ClassVar = ("choose", "better", "answer")
    field_aliases: ClassVar = {
        **dict.fromkeys(("number", "id", "choice", "winner", "mask"), "better"),
        **dict.fromkeys(("confidence", "prob", "likelihood"), "probability"),
    }

    reason: FreeText = Field(default="", description="What decides, in a few words.")
    better: SmallInt = Field(description="The number of the better one.")
    probability: Probability = Field(ge=0, le=1, description="From 0.5 to 1: how likely it is the better one.")


class CheckAnswer(Tool):
    """Say what is missing from the answer and what is too much."""

    name: ClassVar[str] = "check"
    aliases: ClassVar = ("check_answer", "verify")
    field_aliases: ClassVar = {"missing": "boxes", "numbers": "wrong", "too_much": "wrong"}

    boxes: Boxes = Field(
        default=[], max_length=8, description="x0, y0, x1, y1 in pixels, around each thing without a mask."
    )
    wrong: Ids = Field(default=[], description="Numbers of masks that do not belong to the answer.")


SmallTool = TypeVar("SmallTool", Propose, ProposeNext, Compare, CheckAnswer)

__all__ = ["CheckAnswer", "Compare", "Phrase", "Propose", "ProposeNext", "SmallTool", "read_reply_as"]


def read_reply_as(reply: Reply, tool: type[SmallTool]) -> SmallTool | str:
    """Read a reply as a call of this tool; else say in one sentence what to mend."""
    call = reply.calls[0] if reply.calls else None
    decision = Decision(call.tool or tool.name, call.arguments) if call else Decision("", "")
    try:
        return cast(SmallTool, parse_call(decision, [tool]))
    except ToolError as error:
        return str(error)
