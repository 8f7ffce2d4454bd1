"""Verdicts of a language model: the tools that it gives them with, and how its calls and its words are read."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.text.english import format_ids
from agent.core.text.lenient_json import normalize_identifier
from agent.core.tools.verdict import Verdict
from agent.models.base import Reply, Schema
from agent.models.reply_parsing import read_reply
from agent.planners.chat.spoken_verdicts import (
    find_common_opinion,
    find_insistence,
    find_numbered_opinions,
    find_opinions,
)
from agent.tools import Tool, parse_call
from agent.tools.base import FreeText, SmallInt

ALIASES: dict[str, str] = {
    **dict.fromkeys(("why", "explanation", "rationale"), "reason"),
    **dict.fromkeys(("confidence", "prob", "likelihood"), "probability"),
}
"""Other name of a field -> the field."""
ACCEPT_NAMES = (
    *("accept", "accepted", "accepts", "match", "matches", "is_match", "verdict", "decision", "final_verdict"),
    *("final_answer", "answer", "result", "judgement", "judgment", "conclusion", "outcome", "belongs", "assessment"),
    *("action", "choice", "status", "label", "ruling", "recommendation", "response", "evaluation", "classification"),
)
"""Names under which models say whether a mask belongs to the answer."""
REJECT_NAMES = ("reject", "rejected", "rejects")
"""Names under which they say whether it does not."""
NUMBER_ALIASES = ("id", "mask", "mask_id", "mask_number")


def _parse_opinion(value: object) -> object:
    """Read an acceptance or a rejection as such; anything else stays as it is, to be refused."""
    if not isinstance(value, str):
        return value
    accepts = find_opinions(f"verdict: {value}")
    return accepts == {True} if len(accepts) == 1 else value


def _parse_share(value: object) -> object:
    """Read a share in [0, 1], also '80 %' and numbers beyond; anything else stays as it is, to be refused."""
    try:
        number = float(value.strip(" %")) / 100 if isinstance(value, str) and "%" in value else float(cast(Any, value))
    except (OverflowError, TypeError, ValueError):
        return value
    return min(max(number, 0.0), 1.0)


Accept = Annotated[bool, BeforeValidator(_parse_opinion)]
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
        if not isinstance(value, dict):
            return value
        verdict = complete_verdict(value)
        return {name: held for name, held in verdict.items() if name in cls.model_fields}


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
        return complete_verdict(value)


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
    def _accept_variants(cls, value: Any) -> Any:
        """A verdict that stands alone is a list of one; verdicts under their numbers are a list."""
        if not isinstance(value, dict):
            return value
        verdicts = value.get("verdicts", value)
        return {"verdicts": [*_list_numbered_verdicts(verdicts)] if isinstance(verdicts, dict) else verdicts}


VerdictTool = TypeVar("VerdictTool", OneVerdict, SheetVerdicts)


_FIELD_BY_NAME: Mapping[str, str] = {
    normalize_identifier(name): field for name, field in (ALIASES | dict.fromkeys(NUMBER_ALIASES, "number")).items()
}


def _list_numbered_verdicts(verdicts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """List what stands under numbers, such as {"1": "reject"}; a verdict that stands alone as it is."""
    numbered = {number: held for number, held in verdicts.items() if str(number).strip().isdecimal()}
    if not numbered:
        yield verdicts
    for number, held in numbered.items():
        yield {**(held if isinstance(held, dict) else {"accept": held}), "number": number}


def _unwrap_single_verdict(value: dict[str, Any]) -> dict[str, Any]:
    """Take the verdict out of {"verdict": {…}} and {"verdicts": [{…}]}."""
    for name, held in value.items():
        inner = held[0] if isinstance(held, list) and len(held) == 1 else held
        if isinstance(inner, dict) and normalize_identifier(str(name)) in ("verdict", "verdicts"):
            return {**{key: other for key, other in value.items() if key != name}, **inner}
    return value


def complete_verdict(value: dict[str, Any]) -> dict[str, Any]:
    """Name each field as it is, and fill in what a model left out where the rest tells it."""
    pairs = _unwrap_single_verdict(value).items()
    spelled = [(normalize_identifier(str(name)), held) for name, held in pairs if held is not None]
    known = {_FIELD_BY_NAME.get(name, name): held for name, held in spelled if name not in _OPINION_NAMES}
    opinions = [opinion for name, held in spelled for opinion in _list_opinions(name, held)]
    if opinions:
        known["accept"] = opinions[0] if all(opinion == opinions[0] for opinion in opinions) else opinions
    if "accept" in known and "probability" not in known:
        known["probability"] = float(known["accept"] in (True, "true", "yes"))
    if "accept" not in known and isinstance(share := _parse_share(known.get("probability")), float):
        known["accept"] = share >= 0.5
    return {"reason": "", **known}


_REJECT_SPELLINGS = {normalize_identifier(name) for name in REJECT_NAMES}
_OPINION_NAMES = {normalize_identifier(name) for name in ACCEPT_NAMES} | _REJECT_SPELLINGS


def _list_opinions(name: str, held: Any) -> Iterator[Any]:
    """Give the opinion under a name, if it is the name of one. What stands under 'reject' may be a reason."""
    if name in _OPINION_NAMES - _REJECT_SPELLINGS:
        yield _parse_opinion(held)
    elif name in _REJECT_SPELLINGS and isinstance(held, bool):
        yield not held
    elif name in _REJECT_SPELLINGS and isinstance(held, str):
        accepts = find_opinions(f"{name}: {held}")
        yield True if accepts == {True} else False if accepts == {False} else held


@dataclass(frozen=True)
class ParsedVerdicts:
    """The verdicts of a reply, and what is wrong with it."""

    verdicts: tuple[Verdict, ...]
    """At most one of each mask in question, without their cost."""
    complaint: str = ""
    """What is wrong or missing, in one sentence for the model."""


CONTRADICTION = "One call accepts the mask and another rejects it; give one verdict."
UNCLEAR = "The reply both accepts and rejects the mask; give one verdict."
MAX_SPOKEN_REASON = 200
"""Letters of what a model said around its verdict; of more, nothing is taken for its reason."""


def parse_verdicts(
    reply: Reply, ids_by_number: Mapping[int, int], tool: type[Tool], *, is_last: bool = False
) -> ParsedVerdicts:
    """`ids_by_number`: by number, as the model knows the masks. `tool`: OneVerdict, for one mask, or SheetVerdicts.

    Several calls may say the same. A mask that one accepts and another rejects has no verdict. Where no call can be
    read, the words count, and a rejection in words is never overruled by a call. `is_last`: the model is not asked
    again, so that a rejection counts wherever it stands.
    """
    reply = reply if reply.calls else replace(reply, calls=read_reply(reply.text, tools=[_ALIAS_SCHEMAS[tool]]).calls)
    try:
        return (
            _parse_one_verdict(reply, *ids_by_number.values(), is_last=is_last)
            if tool is OneVerdict
            else _parse_sheet_verdicts(reply, ids_by_number)
        )
    except ToolError as error:
        return ParsedVerdicts((), str(error))


def _parse_one_verdict(reply: Reply, mask_id: int, *, is_last: bool) -> ParsedVerdicts:
    calls = [*_parse_calls(reply, OneVerdict), *_read_calls_in_words(reply)]
    accepts = {call.accept for call in calls}
    said = find_insistence(reply.text) if is_last else find_opinions(reply.text)
    if not calls and len(said) == 1:
        return ParsedVerdicts((_to_verdict(mask_id, _make_spoken_verdict(reply.text, accept=said == {True})),))
    if len(accepts) > 1:
        return ParsedVerdicts((), CONTRADICTION)
    if (not calls and said) or (accepts == {True} and said == {False}):
        return ParsedVerdicts((), UNCLEAR)
    return ParsedVerdicts((_to_verdict(mask_id, calls[0] if calls else _raise_unreadable(reply, OneVerdict)),))


def _parse_sheet_verdicts(reply: Reply, ids_by_number: Mapping[int, int]) -> ParsedVerdicts:
    calls = _parse_calls(reply, SheetVerdicts)
    verdicts = [verdict for call in calls for verdict in call.verdicts if verdict.number in ids_by_number]
    words = read_reply(reply.text, tools=[_ALIAS_SCHEMAS[SheetVerdicts]]).text if calls else reply.text
    spoken = _read_spoken_sheet(words, ids_by_number)
    if not calls and not spoken:
        _raise_unreadable(reply, SheetVerdicts)
    called = {verdict.number for verdict in verdicts}
    verdicts += [verdict for verdict in spoken if verdict.number not in called or not verdict.accept]
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


def _read_spoken_sheet(text: str, numbers: Iterable[int]) -> list[NumberedVerdict]:
    """The verdicts that a text gives on these numbers, each by itself or all together."""
    said = find_numbered_opinions(text) or dict.fromkeys(numbers, find_common_opinion(text))
    return [
        NumberedVerdict(number=number, reason="", accept=accept, probability=float(accept))
        for number in numbers
        for accept in sorted(said.get(number, ()))
    ]


def _make_spoken_verdict(text: str, *, accept: bool) -> OneVerdict:
    """Make a verdict of words. What stands around the verdict is its reason, where it is short."""
    words = " ".join(re.sub(r"<[^<>]*>", " ", text).split())
    is_reason = len(words.split()) > 3 and len(words) <= MAX_SPOKEN_REASON
    return OneVerdict(reason=words if is_reason else "", accept=accept, probability=float(accept))


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


def _parse_calls(reply: Reply, tool: type[VerdictTool]) -> list[VerdictTool]:
    """Those calls that can be read."""
    parsed = (_try_parse_call(Decision(call.tool or tool.name, call.arguments), tool) for call in reply.calls)
    return [call for call in parsed if call is not None]


def _raise_unreadable(reply: Reply, tool: type[VerdictTool]) -> VerdictTool:
    """Raises ToolError, about the first call."""
    decisions = [Decision(call.tool, call.arguments) for call in reply.calls] or [Decision("", "")]
    return cast(VerdictTool, parse_call(decisions[0], [tool]))


def _try_parse_call(decision: Decision, tool: type[VerdictTool]) -> VerdictTool | None:
    with suppress(ToolError):
        return cast(VerdictTool, parse_call(decision, [tool]))
    return None


def _read_calls_in_words(reply: Reply) -> Iterator[OneVerdict]:
    """Read calls of 'reject' or 'accept' themselves, and calls whose arguments are words instead of JSON."""
    for call in reply.calls:
        said = call.arguments if _is_prose(call.arguments) else call.tool.replace("_", " ")
        if len(accepts := find_opinions(said)) == 1:
            yield _make_spoken_verdict("", accept=accepts == {True})


def _is_prose(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), str)
    except json.JSONDecodeError:
        return bool(arguments.strip())
    except (ValueError, RecursionError):
        return False


def _to_verdict(mask_id: int, parsed: OneVerdict | NumberedVerdict) -> Verdict:
    """A model that accepts with a low probability, or rejects with a high one, told how sure it is of its verdict."""
    likelier = max if parsed.accept else min
    return Verdict(mask_id, parsed.accept, likelier(parsed.probability, 1 - parsed.probability), parsed.reason.strip())


_ALIAS_SCHEMAS: Mapping[type[Tool], Schema] = {
    tool: {"function": {"name": tool.name, "parameters": {"properties": dict.fromkeys(names)}}}
    for tool, names in (
        (OneVerdict, (*OneVerdict.model_fields, *ACCEPT_NAMES, *REJECT_NAMES, *ALIASES, "verdicts")),
        (
            SheetVerdicts,
            (
                *SheetVerdicts.model_fields,
                *SheetVerdicts.field_aliases,
                *NUMBER_ALIASES,
                "number",
                *map(str, range(1, 200)),
            ),
        ),
    )
}
"""A verdict under any of its names is a call, though only one of them is offered."""
