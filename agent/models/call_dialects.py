"""Calls in the notations of chat templates and agents become the one that is read: JSON in `<tool_call>` tags.

Sources are the published chat templates of the models that each function names.
"""

import ast
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from agent.core.text.lenient_json import load_mended_json, normalize_identifier, strip_namespace

Fields = Mapping[str, Collection[str]]
"""Name of a tool that is offered, as `normalize_identifier` spells it -> its fields in order."""
MAX_TEXT, MAX_CALL, MAX_DEPTH, MAX_TRIES = 50_000, 20_000, 64, 100
"""Letters of a text that may hold calls, and of a call with brackets; how deep its brackets may be, and how many places
are tried in one text."""


def rewrite_dialects(text: str, offered: Fields) -> str:
    r"""Rewrite each call of another notation as JSON in `<tool_call>` tags; what is no call stays.

    Args:
        text: What a model wrote, without its thinking.
        offered: The tools that may be called. Where there are none, nothing is rewritten.

    Example:
        >>> rewrite_dialects('segment(phrases=["cup"])', {"segment": ["phrases"]})
        '<tool_call>{"name": "segment", "arguments": {"phrases": ["cup"]}}</tool_call>'
        >>> rewrite_dialects('Action: count\nAction Input: {"ids": [1]}', {"count": ["ids"]})
        '<tool_call>{"name": "count", "arguments": {"ids": [1]}}</tool_call>'
    """
    for rewrite in _REWRITES if offered and len(text) <= MAX_TEXT else ():
        found = rewrite(text, offered)
        if found != text:
            return found
    return text


def rewrite_channels(text: str) -> str:
    """Rewrite the channels of the harmony format: what is analysed is thinking, and a message to a tool is a call.

    >>> rewrite_channels("<|channel|>analysis<|message|>Cups?<|end|><|start|>assistant<|channel|>final<|message|>Two.")
    '<think>Cups?</think>Two.'
    """
    if "<|message|>" not in text:
        return text
    return _CHANNEL.sub(_write_channel, text)


_CHANNEL = re.compile(
    r"(?:<\|start\|>\w*)?(?: to=(?P<early>[\w.-]+))?(?:<\|channel\|>(?P<name>\w*))?(?: to=(?P<to>[\w.-]+))?"
    r"(?:\s*(?:<\|constrain\|>)?\w*)?<\|message\|>(?P<said>.*?)(?:<\|(?:end|call|return)\|>|(?=<\|start\|>)|\Z)",
    re.DOTALL,
)


def _write_channel(found: re.Match[str]) -> str:
    if called := found["to"] or found["early"]:
        return f'<tool_call>{{"name": {json.dumps(called)}, "arguments": {found["said"].strip() or "{}"}}}</tool_call>'
    return f"<think>{found['said']}</think>" if found["name"] == "analysis" else found["said"]


def _write_call(name: str, arguments: Any) -> str:
    body = json.dumps({"name": strip_namespace(name), "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>{body}</tool_call>"


def _is_offered(name: str, offered: Fields) -> bool:
    return normalize_identifier(strip_namespace(name)) in offered


# --- tags -------------------------------------------------------------------------------------------------------------

_KEYED = re.compile(
    r"<tool_call>\s*+(?P<name>[\w.-]++)\s*+"
    r"(?P<body>(?:<arg_key>[^<]*+</arg_key>\s*+<arg_value>(?:(?!</arg_value>).)*+</arg_value>\s*+)++)"
    r"(?:</tool_call>|\Z)",
    re.DOTALL,
)
_KEY_AND_VALUE = re.compile(r"<arg_key>\s*(.*?)\s*</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_INVOKED = re.compile(
    r"<(?P<space>\w+:)?invoke name=[\"'](?P<name>[\w.-]+)[\"']\s*>(?P<body>.*?)</(?P=space)?invoke>"
    r"|<invoke name=[\"'](?P<name2>[\w.-]+)[\"']\s*>(?P<body2>.*?)(?:</invoke>|\Z)",
    re.DOTALL,
)
_NAMED_PARAMETER = re.compile(
    r"<(?:\w+:)?parameter name=[\"']([\w.-]+)[\"'][^>]*>(.*?)</(?:\w+:)?parameter>", re.DOTALL
)
_TAGGED = re.compile(r"<(?P<name>[A-Za-z]\w*)>\s*(?P<body>(?:<(\w+)>[^<]*</\3>\s*)+)</(?P=name)>")
_TAGGED_FIELD = re.compile(r"<(\w+)>([^<]*)</\1>")


def _rewrite_keyed(text: str, offered: Fields) -> str:
    """Rewrite `<tool_call>name <arg_key>key</arg_key> <arg_value>value</arg_value>`, as GLM-4.5 writes."""
    return _KEYED.sub(lambda found: _write_pairs(found["name"], _KEY_AND_VALUE.findall(found["body"])), text)


def _rewrite_invoked(text: str, offered: Fields) -> str:
    """Rewrite `<invoke name="name"><parameter name="key">value</parameter></invoke>`, as MiniMax and others write."""

    def rewrite(found: re.Match[str]) -> str:
        name, body = (found["name"], found["body"]) if found["name"] else (found["name2"], found["body2"])
        return _write_pairs(name, _NAMED_PARAMETER.findall(body))

    return _INVOKED.sub(rewrite, text) if "invoke name=" in text else text


def _rewrite_tagged(text: str, offered: Fields) -> str:
    """Rewrite `<name><key>value</key></name>`, as agents in editors have models write."""

    def rewrite(found: re.Match[str]) -> str:
        known = _is_offered(found["name"], offered)
        return _write_pairs(found["name"], _TAGGED_FIELD.findall(found["body"])) if known else found[0]

    return _TAGGED.sub(rewrite, text) if len(text) <= MAX_CALL else text


def _write_pairs(name: str, pairs: list[tuple[str, str]]) -> str:
    return _write_call(name, {key: _read_value(value.strip()) for key, value in pairs})


def _read_value(text: str) -> Any:
    try:
        return load_mended_json(text)
    except (ValueError, RecursionError):
        return text


# --- a name, and then an object ---------------------------------------------------------------------------------------

_NAME = r"(?P<name>[A-Za-z][\w.]*(?::\d+)?)"
_SIGN = r"<[|\uff5c][^|\uff5c<>]{1,40}[|\uff5c]>|<\uff5c[^<>]{1,40}>|\[(?:ARGS|TOOL_CALLS)\]|\[CALL_ID\]\w*"
"""Special tokens: of Mistral ([ARGS]), Kimi (<|…|>) and DeepSeek (<\uff5c…\uff5c>)."""
_GLUE = re.compile(
    rf"(?:{_SIGN}|```\w*|[\s`*:(\"']|\b(?:with|arguments?|args|inputs?|parameters?|params|action|json|the|function)\b)*",
    re.IGNORECASE,
)
_NAME_BEFORE = re.compile(rf"(?<![\w.]){_NAME}")
_SIGNS = re.compile(_SIGN)
_BEFORE_NAME = re.compile(
    rf"(?:{_SIGN}|\b(?:tool|function|action|call|tool_call|name)(?: (?:call|name))?\b|[\s`*:\"'])+\Z", re.IGNORECASE
)
_OBJECT = json.JSONDecoder()


def _rewrite_named_objects(text: str, offered: Fields) -> str:
    """Rewrite a tool's name and then its arguments: `[TOOL_CALLS]name[ARGS]{…}`, `Action: name`, name({…}).

    As Mistral, DeepSeek and Kimi write, and as prompts after ReAct (2022) have models write.
    """
    parts: list[str] = []
    position = 0
    for found in _list_names(text, offered):
        if found.start("name") < position:
            continue
        glue = _GLUE.match(text, found.end())
        start = glue.end() if glue else found.end()
        value, end = _read_object(text, start)
        if value is None or not _belongs_to(value, found["name"], offered, is_marked=bool(_SIGNS.search(text))):
            continue
        before = text[position : found.start("name")]
        parts += [_BEFORE_NAME.sub("", before), _write_call(found["name"], value)]
        rest = re.compile(r"[\s`)*]*").match(text, end)
        position = rest.end() if rest else end
    return "".join([*parts, text[position:]]) if parts else text


def _list_names(text: str, offered: Fields) -> Iterator[re.Match[str]]:
    tried = 0
    for found in _NAME_BEFORE.finditer(text):
        if _is_offered(found["name"], offered):
            yield found
            tried += 1
        if tried >= MAX_TRIES:
            return


def _read_object(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """Read the JSON object that begins just there, and where it ends; None where none does."""
    if not text.startswith("{", start):
        return None, start
    end = _find_end(text, start)
    try:
        value = load_mended_json(text[start:end]) if end else None
    except (ValueError, RecursionError):
        value = None
    return (value, end) if isinstance(value, dict) else (None, start)


def _belongs_to(value: Mapping[str, Any], name: str, offered: Fields, *, is_marked: bool) -> bool:
    """Whether it is arguments of this tool, and not just an object after a word that is also a tool's name."""
    fields = offered[normalize_identifier(strip_namespace(name))]
    return is_marked or not {*map(normalize_identifier, value)}.isdisjoint(map(normalize_identifier, fields))


# --- code -------------------------------------------------------------------------------------------------------------

_CODE_CALL = re.compile(r"(?<![\w.])(?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)\(")
_AROUND_CODE = re.compile(r"(?:```\w*|<\|[^|<>]{1,40}\|>|[\s\[,`]|print\()*\Z")
_AFTER_CODE = re.compile(r"(?:```|<\|[^|<>]{1,40}\|>|[\s\],)`])*")


def _rewrite_code(text: str, offered: Fields) -> str:
    """Rewrite `[name(key=value)]`, as Llama, LFM2 and Gemini write calls of Python; nothing of it is run."""
    parts: list[str] = []
    position = tried = 0
    for found in _CODE_CALL.finditer(text):
        name = found["name"].removesuffix(".call")
        if found.start() < position or not _is_offered(name, offered):
            continue
        tried += 1
        end = _find_end(text, found.end() - 1)
        arguments = _read_code_arguments(text[found.end() : end - 1], _list_fields(name, offered)) if end else None
        if arguments is not None:
            parts += [_AROUND_CODE.sub("", text[position : found.start()]), _write_call(name, arguments)]
            after = _AFTER_CODE.match(text, end)
            position = after.end() if after else end
        if tried >= MAX_TRIES:
            break
    return "".join([*parts, text[position:]]) if parts else text


def _list_fields(name: str, offered: Fields) -> list[str]:
    return [*offered[normalize_identifier(strip_namespace(name))]]


def _read_code_arguments(source: str, fields: list[str]) -> dict[str, Any] | None:
    """Read the literals between the brackets of a call; None where there is anything else."""
    try:
        call = ast.parse(f"f({source}\n)", mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        placed = dict(zip(fields, map(ast.literal_eval, call.args), strict=False))
        named = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    complete = len(placed) + len(named) == len(call.args) + len(call.keywords)
    arguments = placed | named
    return arguments if complete and _is_json(arguments) else None


def _is_json(value: Any) -> bool:
    try:
        return bool(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return False


_BRACKET_OR_STRING = re.compile(r"[{}()\[\]]|\"(?:[^\"\\]++|\\.)*+\"?|(?<!\w)'(?:[^'\\]++|\\.)*+'?", re.DOTALL)


def _find_end(text: str, start: int) -> int:
    """Find where the bracket at `start` is closed; 0 where it is not, or too far away."""
    depth = 0
    for found in _BRACKET_OR_STRING.finditer(text, start, start + MAX_CALL):
        if found[0] in "{([":
            depth += 1
        elif found[0] in "})]":
            depth -= 1
        if depth == 0:
            return found.end()
        if depth > MAX_DEPTH:
            return 0
    return 0


_REWRITES: tuple[Callable[[str, Fields], str], ...] = (
    *(_rewrite_keyed, _rewrite_invoked, _rewrite_named_objects, _rewrite_code, _rewrite_tagged),
)
