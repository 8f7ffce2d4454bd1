"""How a language model says which masks belong to the answer, and how that is read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, cast

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
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return True if word in YES else False if word in NO else word


def _share(value: object) -> object:
    """In [0, 1], for '80 %' and for numbers beyond; anything else as it is, to be refused."""
    try:
        number = float(value.strip(" %")) / 100 if isinstance(value, str) and "%" in value else float(cast(Any, value))
    except (OverflowError, TypeError, ValueError):
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


Kind = TypeVar("Kind", OneVerdict, SheetVerdicts)


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


CONTRADICTION = "One call accepts the mask and another rejects it; give one verdict."


def heard(reply: Reply, ids: Mapping[int, int], tool: type[Tool]) -> Heard:
    """`ids`: by number, as the model knows the masks. `tool`: OneVerdict, for one mask, or SheetVerdicts.

    Several calls may say the same. A mask that one accepts and another rejects has no verdict.
    """
    try:
        return _of_one(reply, *ids.values()) if tool is OneVerdict else _of_sheet(reply, ids)
    except ToolError as error:
        return Heard((), str(error))


def _of_one(reply: Reply, id: int) -> Heard:
    said = _readable(reply, OneVerdict)
    if len({one.accept for one in said}) > 1:
        return Heard((), CONTRADICTION)
    return Heard((_verdict(id, said[0]),))


def _of_sheet(reply: Reply, ids: Mapping[int, int]) -> Heard:
    said = [one for call in _readable(reply, SheetVerdicts) for one in call.verdicts if one.number in ids]
    opinions = {(one.number, one.accept) for one in said}
    torn = sorted(number for number in ids if {(number, True), (number, False)} <= opinions)
    found = {one.number: _verdict(ids[one.number], one) for one in reversed(said) if one.number not in torn}
    return Heard(tuple(found.values()), _gap(sorted(ids.keys() - found.keys() - {*torn}), torn))


def _gap(missing: Sequence[int], torn: Sequence[int]) -> str:
    """In one sentence, what is wrong with the numbers that have no verdict; "" where there are none."""
    wrong = [
        f"there is no verdict for {listed(missing)}" if missing else "",
        f"{listed(torn)} {'is' if len(torn) == 1 else 'are'} both accepted and rejected" if torn else "",
    ]
    said = ", and ".join(filter(None, wrong))
    return f"{said[0].upper()}{said[1:]}; give one for each number in one call." if said else ""


def _readable(reply: Reply, tool: type[Kind]) -> list[Kind]:
    """Those calls that can be read, at least one. Raises ToolError, about the first one, where none can."""
    decisions = [Decision(call.tool, call.arguments) for call in reply.calls] or [Decision("", "")]
    read = [call for call in (_parsed(decision, tool) for decision in decisions) if call is not None]
    return read or [cast(Kind, parse_call(decisions[0], [tool]))]


def _parsed(decision: Decision, tool: type[Kind]) -> Kind | None:
    with suppress(ToolError):
        return cast(Kind, parse_call(decision, [tool]))
    return None


def _verdict(id: int, said: OneVerdict | NumberedVerdict) -> Verdict:
    """A model that accepts with a low probability, or rejects with a high one, told how sure it is of its verdict."""
    likelier = max if said.accept else min
    return Verdict(id, said.accept, likelier(said.probability, 1 - said.probability), said.reason.strip())
