"""Verdicts of a language model: the tools that it gives them with, and how its calls are read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agent.core.english import format_ids
from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.verdict import Verdict
from agent.models.base import Reply
from agent.tools import Tool, parse_call
from agent.tools.base import FreeText, SmallInt

ALIASES: dict[str, str] = {
    **dict.fromkeys(("why", "explanation", "rationale"), "reason"),
    **dict.fromkeys(("accepted", "match", "matches", "verdict", "decision"), "accept"),
    **dict.fromkeys(("confidence", "prob", "likelihood"), "probability"),
}
"""Other name of a field -> the field."""
NUMBER_ALIASES = ("id", "mask", "mask_id", "mask_number")
ACCEPT_WORDS = {"accept", "accepted", "match", "matches"}
REJECT_WORDS = {"reject", "rejected", "no match", "no_match", "mismatch"}


def _parse_yes_or_no(value: object) -> object:
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return True if word in ACCEPT_WORDS else False if word in REJECT_WORDS else word


def _parse_share(value: object) -> object:
    """Read a share in [0, 1], also '80 %' and numbers beyond; anything else stays as it is, to be refused."""
    try:
        number = float(value.strip(" %")) / 100 if isinstance(value, str) and "%" in value else float(cast(Any, value))
    except (OverflowError, TypeError, ValueError):
        return value
    return min(max(number, 0.0), 1.0)


Accept = Annotated[bool, BeforeValidator(_parse_yes_or_no)]
Probability = Annotated[float, BeforeValidator(_parse_share)]


class OneVerdict(Tool):
    """Say whether the mask belongs to the answer."""

    name: ClassVar[str] = "verdict"
    aliases: ClassVar = ("verdicts", "judge", "answer")
    field_aliases: ClassVar = ALIASES

    reason: FreeText = Field(description="Why, in one short sentence.")
    accept: Accept = Field(description="Whether it belongs to the answer.")
    probability: Probability = Field(ge=0, le=1, description="How likely it is that it belongs to the answer.")

    @model_validator(mode="before")
    @classmethod
    def _accept_variants(cls, value: Any) -> Any:
        return complete_verdict(value) if isinstance(value, dict) else value


class NumberedVerdict(BaseModel):
    """The verdict on one mask of a sheet."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    number: SmallInt
    reason: FreeText
    accept: Accept
    probability: Probability = Field(ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _accept_variants(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        names = ALIASES | dict.fromkeys(NUMBER_ALIASES, "number")
        return complete_verdict({names.get(str(key), str(key)): held for key, held in value.items()})


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
    def _wrap_single_verdict(cls, value: Any) -> Any:
        """A verdict that stands alone is a list of one."""
        if isinstance(value, dict) and isinstance(value.get("verdicts"), dict):
            return {**value, "verdicts": [value["verdicts"]]}
        return value


VerdictTool = TypeVar("VerdictTool", OneVerdict, SheetVerdicts)


def complete_verdict(value: dict[str, Any]) -> dict[str, Any]:
    """Fill in what a model left out, where the rest tells it."""
    known = {name: held for name, held in value.items() if held is not None}
    if "accept" in known and "probability" not in known:
        known["probability"] = float(_parse_yes_or_no(known["accept"]) in (True, "true", "yes"))
    if "accept" not in known and isinstance(share := _parse_share(known.get("probability")), float):
        known["accept"] = share >= 0.5
    return {"reason": "", **known}


@dataclass(frozen=True)
class ParsedVerdicts:
    """The verdicts of a reply, and what is wrong with it."""

    verdicts: tuple[Verdict, ...]
    """At most one of each mask in question, without their cost."""
    complaint: str = ""
    """What is wrong or missing, in one sentence for the model."""


CONTRADICTION = "One call accepts the mask and another rejects it; give one verdict."


def parse_verdicts(reply: Reply, ids_by_number: Mapping[int, int], tool: type[Tool]) -> ParsedVerdicts:
    """`ids_by_number`: by number, as the model knows the masks. `tool`: OneVerdict, for one mask, or SheetVerdicts.

    Several calls may say the same. A mask that one accepts and another rejects has no verdict.
    """
    try:
        return (
            _parse_one_verdict(reply, *ids_by_number.values())
            if tool is OneVerdict
            else _parse_sheet_verdicts(reply, ids_by_number)
        )
    except ToolError as error:
        return ParsedVerdicts((), str(error))


def _parse_one_verdict(reply: Reply, mask_id: int) -> ParsedVerdicts:
    calls = _parse_readable_calls(reply, OneVerdict)
    if len({call.accept for call in calls}) > 1:
        return ParsedVerdicts((), CONTRADICTION)
    return ParsedVerdicts((_to_verdict(mask_id, calls[0]),))


def _parse_sheet_verdicts(reply: Reply, ids_by_number: Mapping[int, int]) -> ParsedVerdicts:
    verdicts = [
        verdict
        for call in _parse_readable_calls(reply, SheetVerdicts)
        for verdict in call.verdicts
        if verdict.number in ids_by_number
    ]
    opinions = {(verdict.number, verdict.accept) for verdict in verdicts}
    contradicted = sorted(number for number in ids_by_number if {(number, True), (number, False)} <= opinions)
    found = {
        verdict.number: _to_verdict(ids_by_number[verdict.number], verdict)
        for verdict in reversed(verdicts)
        if verdict.number not in contradicted
    }
    return ParsedVerdicts(
        tuple(found.values()),
        _describe_missing(sorted(ids_by_number.keys() - found.keys() - {*contradicted}), contradicted),
    )


def _describe_missing(missing: Sequence[int], contradicted: Sequence[int]) -> str:
    """Describe in one sentence what is wrong with the numbers that have no verdict; "" where there are none."""
    wrong = [
        f"there is no verdict for {format_ids(missing)}" if missing else "",
        f"{format_ids(contradicted)} {'is' if len(contradicted) == 1 else 'are'} both accepted and rejected"
        if contradicted
        else "",
    ]
    text = ", and ".join(filter(None, wrong))
    return f"{text[0].upper()}{text[1:]}; give one for each number in one call." if text else ""


def _parse_readable_calls(reply: Reply, tool: type[VerdictTool]) -> list[VerdictTool]:
    """Those calls that can be read, at least one. Raises ToolError, about the first one, where none can."""
    decisions = [Decision(call.tool, call.arguments) for call in reply.calls] or [Decision("", "")]
    read = [call for call in (_try_parse_call(decision, tool) for decision in decisions) if call is not None]
    return read or [cast(VerdictTool, parse_call(decisions[0], [tool]))]


def _try_parse_call(decision: Decision, tool: type[VerdictTool]) -> VerdictTool | None:
    with suppress(ToolError):
        return cast(VerdictTool, parse_call(decision, [tool]))
    return None


def _to_verdict(mask_id: int, parsed: OneVerdict | NumberedVerdict) -> Verdict:
    """A model that accepts with a low probability, or rejects with a high one, told how sure it is of its verdict."""
    likelier = max if parsed.accept else min
    return Verdict(mask_id, parsed.accept, likelier(parsed.probability, 1 - parsed.probability), parsed.reason.strip())
