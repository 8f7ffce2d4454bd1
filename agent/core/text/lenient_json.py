"""JSON as language models write it."""

import json
import re
from typing import Any

WRAPPER_KEYS = ("arguments", "parameters", "args", "params", "input", "action_input", "tool_input")
"""Keys under which models like to send the arguments once more. No tool has a field of such a name."""
CALL_KEYS = {"name", "tool", "function", "type", "id"}
"""What may stand beside a wrapper: the rest of the call."""

# Strings are matched first, so that a comma inside one stays; one without an end is matched whole, so that no part of
# it is read twice.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL)


def load_lenient_json(text: str, *, strict: bool = True) -> Any:
    """Load JSON that may have trailing commas; not `strict`: line breaks within strings, too."""
    try:
        return json.loads(text, strict=strict)
    except json.JSONDecodeError:
        return json.loads(strip_trailing_commas(text), strict=strict)


def strip_trailing_commas(text: str) -> str:
    """JSON as models write it -> JSON.

    >>> strip_trailing_commas('{"ids": [1, 2,], "message": "a,]",}')
    '{"ids": [1, 2], "message": "a,]"}'
    """
    return _TRAILING_COMMA.sub(lambda match: match[1] or "", text)


_SCRAP = re.compile(
    r"(?P<double>\"(?:[^\"\\]++|\\.)*+\"?)|(?P<single>'(?:[^'\\]++|\\.)*+')|(?P<comment>//[^\n]*|#[^\n]*|/\*.*?\*/)"
    r"|(?P<word>[A-Za-z_$][\w$]*)(?P<colon>\s*:)?",
    re.DOTALL,
)
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}


def load_mended_json(text: str, *, strict: bool = True) -> Any:
    r"""Load JSON, or what its writer took for it: comments, keys without quotes, quotes of Python or of print.

    Args:
        text: One value.
        strict: Whether a string may not hold line breaks.

    Returns:
        The value.

    Raises:
        json.JSONDecodeError: It cannot be read even so.

    >>> load_mended_json("{ids: [1, 2,], // both\n'sure': True}")
    {'ids': [1, 2], 'sure': True}
    """
    try:
        return load_lenient_json(text, strict=strict)
    except json.JSONDecodeError as error:
        plain = text if '"' in text else re.sub("[\u201c\u201d]", '"', text)
        try:
            return load_lenient_json(_SCRAP.sub(_mend_scrap, plain), strict=strict)
        except json.JSONDecodeError:
            raise error from None


_ESCAPE_OR_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def _swap_quote(found: re.Match[str]) -> str:
    """Return what a quote or an escape of a string in single quotes is in double ones."""
    return {"\\'": "'", '"': '\\"'}.get(found[0], found[0])


def _mend_scrap(found: re.Match[str]) -> str:
    if found["comment"]:
        return ""
    if found["single"]:
        return f'"{_ESCAPE_OR_QUOTE.sub(_swap_quote, found["single"][1:-1])}"'
    if not found["word"]:
        return found[0]
    return f'"{found["word"]}":' if found["colon"] else _PYTHON_WORDS.get(found["word"], found["word"])


def strip_code_fence(text: str) -> str:
    r"""Without the fence that stands around code.

    >>> strip_code_fence('```json {"ids": [1]}\n```')
    '{"ids": [1]}'
    """
    return re.sub(r"^```\w*\s*", "", text.strip()).removesuffix("```").rstrip()


_NAMESPACE = re.compile(r"^(?:[\w-]+(?:[.:/]|::))+(?=[A-Za-z_])")
_NAME_END = re.compile(r"<\||:\d+\s*$")


def strip_namespace(name: str) -> str:
    """Return a tool's name without what chat templates and servers put before and after it.

    >>> [strip_namespace(name) for name in ("functions.segment:0", "default_api:segment", "segment<|channel|>json")]
    ['segment', 'segment', 'segment']
    """
    end = _NAME_END.search(name)
    return _NAMESPACE.sub("", (name[: end.start()] if end else name).strip())


def normalize_identifier(name: str) -> str:
    """Letters and digits alone: 'SegmentPhrase' and 'segment phrase' are 'segment_phrase'."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
