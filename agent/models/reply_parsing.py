"""Tool calls are read out of what a model wrote, however it wrote them."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core.text.lenient_json import (
    CALL_KEYS,
    WRAPPER_KEYS,
    load_mended_json,
    normalize_identifier,
    strip_code_fence,
)
from agent.core.text.sanitizing import make_encodable
from agent.models.base import Call, Reply, Schema
from agent.models.call_dialects import rewrite_channels, rewrite_dialects

NAME_KEYS = ("tool", "tool_name", "name", "function", "action")
"""Keys under which models write the name of the tool."""
THOUGHT_KEYS = ("thought", "thoughts", "thinking", "reasoning", "explanation")
"""Keys beside the name under which they say why."""
_INNER_KEYS = ("function", "tool_call", "function_call", "functionCall", "call")
"""Keys under which they write a call within an object."""
CALL_LIST_KEYS = ("tool_calls", "calls", "tools", "actions")
"""Keys under which they list several calls in one object."""
MAX_STARTS, MAX_DEPTH = 200, 64
"""Braces of one reply that are tried as the start of an object, and how deep one may be: whatever a model writes must
be read in a moment."""

_THINK = re.compile(
    r"[<\u25c1](/?)(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning)[>\u25b7]|\[(/?)THINK\]", re.IGNORECASE
)
_TAG = re.compile(r"<\|?(/?)(?:tool_calls?|function_call|tool)\|?>|\[(/?)TOOL_CALLS?\]|<\|python_tag\|>", re.IGNORECASE)
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")
_BRACKET_OR_STRING = re.compile(r'[{}\[\]]|"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
"""With the string's closing quote; it may be missing in a text that was cut off."""
_NAME = re.compile(rf"[\"'](?:{'|'.join(NAME_KEYS)})[\"']\s*:\s*[\"']([^\"'\\]+)[\"']")
_CALL_START = re.compile(r"<tool_calls?>|<function=|\[TOOL_CALLS?\]|<\|tool_call\|?>", re.IGNORECASE)
_CALL_END = re.compile(r"(?:</tool_calls?>|</function>|\[/TOOL_CALLS?\]|[}\]])$", re.IGNORECASE)
_FENCE = re.compile(r"```\w*")
_MARKUP = re.compile(
    r"</?(?:\w+:)?(?:tool_?calls?|function_?calls?)>|\bfunctools(?=\s*\W*\Z)|[<\[]/?TOOL_?CALLS?[>\]]"
    r"|<[|\uff5c][^|\uff5c<>]{1,40}[|\uff5c]>|\b(?:Action|Tool call):(?=\W*\Z)",
    re.IGNORECASE,
)
"""What chat templates write around calls."""
_MARKUP_LETTERS = " \t\r\n[]{},`"
_OBJECT_START = re.compile(r"\{(?=\s*(?:[\"'\u201c}]|//|/\*|#|\w+\s*:))")
_BARE_START = re.compile(r"\s*(?:```\w*\s*)?[\[{]")


def read_reply(text: str, *, tools: Sequence[Schema] = ()) -> Reply:
    """Take the thinking and the calls out of what a model wrote.

    A call is JSON in `<tool_call>` or similar tags, a fenced or a bare JSON object, or a list of them. The name stands
    under `tool`, `name` …, the arguments under `arguments`, `parameters` … or beside the name. A trailing comma and
    missing last braces are forgiven. Text that is tagged as a call but cannot be read becomes a call with that text as
    its arguments, so that `parse_call` can say what is wrong with it.

    Thinking (`<think>`, closed or not, or everything before a lone `</think>`) never makes a call and never hides one.

    Args:
        text: Anything; nothing is raised.
        tools: The tools that were offered. If there was only one, an object of its arguments is a call of it.

    Returns:
        Text, reasoning and calls. The caller fills in the finish reason and the usage.

    Example:
        >>> reply = read_reply('<think>Cups?</think>I see. <tool_call>{"name": "count", "arguments": {"ids": [1]}}')
        >>> reply.text, reply.reasoning, reply.calls
        ('I see.', 'Cups?', (Call(tool='count', arguments='{"ids": [1]}'),))
    """
    said, reasoning = split_thinking(rewrite_channels(make_encodable(text)))
    calls, rest = _find_calls(said, _OfferedTools.from_schemas(tools))
    return Reply(text=rest, reasoning=reasoning, calls=tuple(calls))


def extract_calls(reply: Reply, *, tools: Sequence[Schema] = ()) -> Reply:
    """Move what a server left in the text to its place: thinking always, calls only where the reply has none.

    A reply that has calls keeps its text but for the thinking: what is written there is not read as further calls.
    """
    if reply.error:
        return reply
    if reply.calls:
        said, thinking = split_thinking(make_encodable(reply.text))
        return replace(reply, text=said, reasoning=_join_parts(reply.reasoning, thinking))
    read = read_reply(reply.text, tools=tools)
    return replace(reply, text=read.text, reasoning=_join_parts(reply.reasoning, read.reasoning), calls=read.calls)


def split_thinking(text: str) -> tuple[str, str]:
    r"""Split a text into what was said and what was thought. A tag inside a JSON object counts as said.

    >>> split_thinking("so </think> Yes. <think> No </think> Done. <think> but")
    ('Yes.\nDone.', 'so\nNo\nbut')
    """
    said: list[str] = []
    thought: list[str] = []
    position = 0
    inside = _find_objects(text) if _THINK.search(text) else []
    while tag := next((tag for tag in _THINK.finditer(text, position) if not _is_within(tag, inside)), None):
        said.append(text[position : tag.start()])
        position = tag.end()
        if tag[1] or tag[2]:  # closes what began in the prompt
            thought += said
            said.clear()
            continue
        end = _find_end_of_thinking(text, position)
        thought.append(text[position : end.start])
        position = end.end
    return _join_parts(*said, text[position:]), _join_parts(*thought)


def find_final_call(text: str, *, tools: Sequence[Schema] = ()) -> Reply:
    r"""Take the call out of the end of a text, if the text ends with a whole one; else the reply has no calls.

    >>> found = find_final_call('A cup.\n<tool_call>{"name": "count", "arguments": {"ids": [1]}}</tool_call>')
    >>> found.reasoning, found.calls
    ('A cup.', (Call(tool='count', arguments='{"ids": [1]}'),))
    """
    offer = _OfferedTools.from_schemas(tools)
    text = make_encodable(text).rstrip()
    rewritten = rewrite_dialects(text, offer.fields_by_name)
    text = rewritten if rewritten.endswith("</tool_call>") else text
    start = max((found.start() for found in _CALL_START.finditer(text)), default=-1)
    if start < 0 or not _CALL_END.search(text):
        return Reply(reasoning=text)
    calls, rest = _find_calls(text[start:], offer)
    whole = [call for call in calls if normalize_identifier(call.tool) in offer.names or not offer.names]
    is_call = len(whole) == len(calls) > 0 and not rest
    before = re.sub(r"<tool_calls?>\s*$", "", text[:start]).rstrip()
    return Reply(reasoning=before, calls=tuple(calls)) if is_call else Reply(reasoning=text)


@dataclass(frozen=True)
class _Span:
    start: int
    end: int


@dataclass(frozen=True)
class _JsonObject(_Span):
    """A JSON object in a text."""

    value: dict[str, Any]


@dataclass(frozen=True)
class _OfferedTools:
    """What reading needs to know of the tools that were offered."""

    fields_by_name: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names as `normalize_identifier` spells them."""
    only: str = ""
    """The one tool, where it was one."""

    @classmethod
    def from_schemas(cls, tools: Sequence[Schema]) -> "_OfferedTools":
        functions = [tool["function"] for tool in tools]
        fields = {
            normalize_identifier(function["name"]): [*function["parameters"].get("properties", {})]
            for function in functions
        }
        return cls(fields, functions[0]["name"] if len(functions) == 1 else "")

    @property
    def names(self) -> frozenset[str]:
        """Of all."""
        return frozenset(self.fields_by_name)

    @property
    def fields(self) -> frozenset[str]:
        """Of the one tool, where it was one."""
        [fields] = self.fields_by_name.values() if self.only else [()]
        return frozenset(map(normalize_identifier, fields))


def _find_end_of_thinking(text: str, start: int) -> _Span:
    """Find where thinking that began at `start` ends: its closing tag, or the end of a text that was cut off."""
    closing = next((tag for tag in _THINK.finditer(text, start) if tag[1] or tag[2]), None)
    return _Span(*closing.span()) if closing else _Span(len(text), len(text))


def _is_within(tag: re.Match[str], spans: Sequence[_Span]) -> bool:
    """`spans`: in order, none within another."""
    place = bisect_left(spans, tag.start(), key=lambda span: span.start) - 1
    return place >= 0 and tag.start() < spans[place].end


def _join_parts(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


# --- calls ---------------------------------------------------------------------------------------


def _find_calls(said: str, offer: _OfferedTools) -> tuple[list[Call], str]:
    """Find the calls in a text without thinking, and the text that is left."""
    calls, rest = _find_usual_calls(said, offer)
    if calls and all(map(_has_arguments, calls)):
        return calls, rest
    rewritten = rewrite_dialects(said, offer.fields_by_name)
    others, left = _find_usual_calls(rewritten, offer) if rewritten != said else ([], said)
    return (others, left) if others else (calls, rest)


def _has_arguments(call: Call) -> bool:
    """Whether the arguments of a call can be read."""
    try:
        return isinstance(load_mended_json(call.arguments or "{}"), dict | str)
    except (ValueError, RecursionError):
        return False


def _find_usual_calls(said: str, offer: _OfferedTools) -> tuple[list[Call], str]:
    """Find calls as JSON, or as the functions of Llama and Qwen."""
    for read in (_parse_function_calls, _parse_tagged_calls, _parse_bare_calls):
        calls, rest = read(said, offer)
        if calls:
            return calls, rest
    return [], said


def _parse_function_calls(said: str, _: _OfferedTools) -> tuple[list[Call], str]:
    """Parse `<function=name><parameter=key>value</parameter></function>`."""
    calls = [Call(found[1], _parse_parameters(found[2])) for found in _FUNCTION.finditer(said)]
    return calls, _strip_markup(_TAG.sub("", _FUNCTION.sub("", said)))


def _parse_parameters(body: str) -> str:
    parameters = {found[1]: _parse_value(found[2].strip()) for found in _PARAMETER.finditer(body)}
    return _to_json(parameters) if parameters else body.strip()


def _parse_value(text: str) -> Any:
    """Parse the JSON value of a parameter; a text that is none stays text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _parse_tagged_calls(said: str, offer: _OfferedTools) -> tuple[list[Call], str]:
    calls: list[Call] = []
    rest: list[str] = []
    for part, is_call in _split_at_tags(said):
        found, left = _parse_tagged_part(part, offer) if is_call and part.strip() else ([], part)
        calls += found
        rest.append(left)
    return calls, _strip_markup("".join(rest))


def _split_at_tags(said: str) -> Iterator[tuple[str, bool]]:
    """Cut the text at every tag outside of JSON, and say of each part whether it follows an opening tag."""
    tags = list(_TAG.finditer(said))
    inside = _find_objects(said) if tags else []
    position, is_call = 0, False
    for tag in tags:
        if not _is_within(tag, inside):
            yield said[position : tag.start()], is_call
            position, is_call = tag.end(), not (tag[1] or tag[2])
    yield said[position:], is_call


def _parse_tagged_part(part: str, offer: _OfferedTools) -> tuple[list[Call], str]:
    """Parse what was tagged as a call. Anything like JSON in it makes at least one call."""
    calls, rest = _extract_object_calls(part, offer, tagged=True)
    if calls or "{" not in part:
        return calls, rest
    return [_wrap_unreadable_call(part)], ""


def _parse_bare_calls(said: str, offer: _OfferedTools) -> tuple[list[Call], str]:
    calls, rest = _extract_object_calls(said, offer, tagged=False)
    if not calls and _BARE_START.match(said) and _NAME.search(said) and not _find_objects(said, mend=True):
        return [_wrap_unreadable_call(said)], ""
    return calls, rest


def _wrap_unreadable_call(text: str) -> Call:
    """Make a call of text that cannot be read, so that whoever parses it can say what is wrong."""
    name = _NAME.search(text)
    return Call(name[1] if name else "", strip_code_fence(text))


def _extract_object_calls(text: str, offer: _OfferedTools, *, tagged: bool) -> tuple[list[Call], str]:
    calls: list[Call] = []
    rest: list[str] = []
    position = 0
    for found in _find_objects(text, mend=True):
        if called := list(_read_calls(found.value, offer, tagged=tagged)):
            rest += [text[position : found.start], _read_thought(found.value)]
            calls += called
            position = found.end
    return calls, _strip_markup("".join([*rest, text[position:]])) if calls else text


def _read_calls(value: dict[str, Any], offer: _OfferedTools, *, tagged: bool) -> Iterator[Call]:
    """Read the calls that one JSON object stands for."""
    inner = next((value[key] for key in _INNER_KEYS if key in value), None)
    several = next((value[key] for key in CALL_LIST_KEYS if isinstance(value.get(key), list)), None)
    if isinstance(inner, dict):
        yield from _read_calls(inner, offer, tagged=True)
    elif (call := _read_call(value, offer, tagged=tagged)) is not None:
        yield call
    elif several:
        yield from (
            call for item in several if isinstance(item, dict) for call in _read_calls(item, offer, tagged=True)
        )


def _read_call(value: dict[str, Any], offer: _OfferedTools, *, tagged: bool) -> Call | None:
    key = next((key for key in NAME_KEYS if isinstance(value.get(key), str)), None)
    wrapper = next((key for key in WRAPPER_KEYS if key in value), None)
    if key and wrapper:
        return Call(make_encodable(value[key]), _to_json(value[wrapper]))
    if key and (tagged or key.startswith("tool") or normalize_identifier(value[key]) in offer.names):
        beside = {name: item for name, item in value.items() if name not in CALL_KEYS | {key} | {*THOUGHT_KEYS}}
        return Call(make_encodable(value[key]), _to_json(beside))
    if wrapper and offer.only and set(value) <= {wrapper, *THOUGHT_KEYS}:
        return Call(offer.only, _to_json(value[wrapper]))
    if len(value) == 1 and (name := next(iter(value))) and normalize_identifier(name) in offer.names - offer.fields:
        return Call(name, _to_json(value[name])) if isinstance(value[name], dict) else None
    return Call(offer.only, _to_json(value)) if offer.fields & set(map(normalize_identifier, value)) else None


def _read_thought(value: dict[str, Any]) -> str:
    return next((make_encodable(value[key]) for key in THOUGHT_KEYS if isinstance(value.get(key), str)), "")


def _to_json(arguments: Any) -> str:
    """Return JSON; a string is taken to be JSON already."""
    return make_encodable(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))


def _strip_markup(text: str) -> str:
    """Remove the tags, fences, brackets and commas that stood around the calls."""
    return _MARKUP.sub("", _FENCE.sub("", _TAG.sub("", text)).strip(_MARKUP_LETTERS)).strip(_MARKUP_LETTERS)


# --- JSON objects in a text ----------------------------------------------------------------------


def _find_objects(text: str, *, mend: bool = False) -> list[_JsonObject]:
    """Find the outermost JSON objects in a text; with `mend` also those whose last braces are missing."""
    found: list[_JsonObject] = []
    position = 0
    for _ in range(MAX_STARTS):
        start = _OBJECT_START.search(text, position)
        if start is None:
            break
        json_object = _read_object_at(text, start.start(), mend=mend)
        found += [json_object] if json_object else []
        position = json_object.end if json_object else start.end()
    return found


def _read_object_at(text: str, start: int, *, mend: bool) -> _JsonObject | None:
    missing: list[str] = []
    end = start
    for bracket in _find_brackets_and_strings(text, start):
        end = bracket.end()
        if bracket[0] in "{[":
            missing.append("}" if bracket[0] == "{" else "]")
        elif bracket[0] in "}]" and missing.pop() != bracket[0]:
            return None
        if not missing:
            return _load_object(text, start, end, "")
        if len(missing) > MAX_DEPTH:
            return None
    # A list that was cut off may lack members, so only braces are given back.
    if not mend or "]" in missing:
        return None
    closing = "".join(missing)
    return _load_object(text, start, len(text.rstrip("` \n")), closing) or _load_object(text, start, end, closing)


def _find_brackets_and_strings(text: str, start: int) -> Iterator[re.Match[str]]:
    """Find the strings, and the brackets outside of them. A quote that nothing closes starts no string."""
    for found in _BRACKET_OR_STRING.finditer(text, start):
        if found[1] == "":
            yield from _BRACKET.finditer(text, found.start())  # no quote after it is closed either
            return
        yield found


def _load_object(text: str, start: int, end: int, missing: str) -> _JsonObject | None:
    source = text[start:end] + missing
    try:
        value = load_mended_json(source, strict=False)
    except (ValueError, RecursionError):
        return None
    return _JsonObject(start, end, value) if isinstance(value, dict) else None
