"""How a language model says which masks belong to the answer, and how that is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agent.episode import Decision, Verdict
from agent.models import Reply
from agent.tools import Tool, ToolError, parse_call
from agent.tools.base import Number, Words
from agent.tools.words import listed

ALIASES: dict[str, str] = {
    **dict.fromkeys(("why", "explanation", "rationale"), "reason"),
    **dict.fromkeys(("accepted", "match", "matches", "verdict", "decision"), "accept"),
    **dict.fromkeys(("confidence", "prob", "likelihood"), "probability"),
}
"""Other name of a field -> the field."""
NUMBER_ALIASES = ("id", "mask", "mask_id", "mask_number")
YES = {"accept", "accepted", "match", "matches"}
NO = {"reject", "rejected", "no match", "no_match", "mismatch"}


def _yes_or_no(value: object) -> object:
    word = value.strip().lower() if isinstance(value, str) else value
    return True if word in YES else False if word in NO else word


def _share(value: object) -> object:
    """In [0, 1], for '80 %' and for numbers beyond; anything else as it is, to be refused."""
    try:
        number = float(value.strip(" %")) / 100 if isinstance(value, str) and "%" in value else float(cast(Any, value))
    except (TypeError, ValueError):
        return value
    return min(max(number, 0.0), 1.0)


Accept = Annotated[bool, BeforeValidator(_yes_or_no)]
Probability = Annotated[float, BeforeValidator(_share)]


class OneVerdict(Tool):
    """Say whether the mask belongs to the answer."""

    name: ClassVar[str] = "verdict"
    aliases: ClassVar = ("verdicts", "judge", "answer")
    field_aliases: ClassVar = ALIASES

    reason: Words = Field(description="Why, in one short sentence.")
    accept: Accept = Field(description="Whether it belongs to the answer.")
    probability: Probability = Field(ge=0, le=1, description="How likely it is that it belongs to the answer.")

    @model_validator(mode="before")
    @classmethod
    def _forgiving(cls, value: Any) -> Any:
        return completed(value) if isinstance(value, dict) else value


class NumberedVerdict(BaseModel):
    """Of one mask on a sheet."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    number: Number
    reason: Words
    accept: Accept
    probability: Probability = Field(ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _forgiving(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        names = ALIASES | dict.fromkeys(NUMBER_ALIASES, "number")
        return completed({names.get(str(key), str(key)): held for key, held in value.items()})


class SheetVerdicts(Tool):
    """Say of each mask on the sheet whether it belongs to the answer."""

    name: ClassVar[str] = "verdicts"
    aliases: ClassVar = ("verdict", "judge", "answer")
    field_aliases: ClassVar = dict.fromkeys(("masks", "results", "judgements"), "verdicts")

    verdicts: list[
        Annotated[
            NumberedVerdict,
            # Written out, as a schema with references is beyond some servers.
            WithJsonSchema(
                {
                    "type": "object",
                    "properties": {
                        "number": {"type": "integer", "minimum": 1},
                        "reason": {"type": "string"},
                        "accept": {"type": "boolean"},
                        "probability": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                    "required": ["number", "reason", "accept", "probability"],
                    "additionalProperties": False,
                }
            ),
        ]
    ] = Field(description="One for each number: why in a few words, whether it belongs to the answer, how likely.")

    @model_validator(mode="before")
    @classmethod
    def _one_alone(cls, value: Any) -> Any:
        """A verdict that stands alone is a list of one."""
        if isinstance(value, dict) and isinstance(value.get("verdicts"), dict):
            return {**value, "verdicts": [value["verdicts"]]}
        return value


def completed(value: dict[str, Any]) -> dict[str, Any]:
    """With what a model left out, where the rest tells it."""
    known = {name: held for name, held in value.items() if held is not None}
    if "accept" in known and "probability" not in known:
        known["probability"] = float(_yes_or_no(known["accept"]) in (True, "true", "yes"))
    if "accept" not in known and isinstance(share := _share(known.get("probability")), float):
        known["accept"] = share >= 0.5
    return {"reason": "", **known}


@dataclass(frozen=True)
class Heard:
    """What can be read of a reply."""

    verdicts: tuple[Verdict, ...]
    """At most one of each mask in question, without their cost."""
    complaint: str = ""
    """What is wrong or missing, in one sentence for the model."""


def heard(reply: Reply, ids: Mapping[int, int], tool: type[Tool]) -> Heard:
    """`ids`: by number, as the model knows the masks. `tool`: OneVerdict, for one mask, or SheetVerdicts."""
    first = Decision(reply.calls[0].tool, reply.calls[0].arguments) if reply.calls else Decision("", "")
    try:
        return _of_one(first, *ids.values()) if tool is OneVerdict else _of_sheet(reply, ids, first)
    except ToolError as error:
        return Heard((), str(error))


def _of_one(call: Decision, id: int) -> Heard:
    return Heard((_verdict(id, cast(OneVerdict, parse_call(call, [OneVerdict]))),))


def _of_sheet(reply: Reply, ids: Mapping[int, int], first: Decision) -> Heard:
    found = _found(reply, ids)
    if not found:
        parse_call(first, [SheetVerdicts])
    missing = sorted(ids.keys() - found.keys())
    complaint = f"There is no verdict for {listed(missing)}; give one for each number in one call." if missing else ""
    return Heard(tuple(found.values()), complaint)


def _found(reply: Reply, ids: Mapping[int, int]) -> dict[int, Verdict]:
    """The verdicts on the masks of a sheet that can be read, by the number of the mask."""
    said = [one for call in reply.calls for one in _numbered(Decision(call.tool, call.arguments))]
    return {one.number: _verdict(ids[one.number], one) for one in reversed(said) if one.number in ids}


def _numbered(decision: Decision) -> Sequence[NumberedVerdict]:
    try:
        return cast(SheetVerdicts, parse_call(decision, [SheetVerdicts])).verdicts
    except ToolError:
        return ()


def _verdict(id: int, said: OneVerdict | NumberedVerdict) -> Verdict:
    """A model that accepts with a low probability, or rejects with a high one, told how sure it is of its verdict."""
    likelier = max if said.accept else min
    return Verdict(id, said.accept, likelier(said.probability, 1 - said.probability), said.reason.strip())
