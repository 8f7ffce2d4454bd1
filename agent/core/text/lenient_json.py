"""JSON as language models write it."""

import json
import re
from typing import Any

WRAPPER_KEYS = ("arguments", "parameters", "args", "params", "input")
"""Keys under which models like to send the arguments once more. No tool has a field of such a name."""
CALL_KEYS = {"name", "tool", "function", "type", "id"}
"""What may stand beside a wrapper: the rest of the call."""

# Strings are matched first, so that a comma inside one stays; one without an end is matched whole, so that no part of
# it is read twice.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL)


def load_lenient_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(strip_trailing_commas(text))


def strip_trailing_commas(text: str) -> str:
    """JSON as models write it -> JSON.

    >>> strip_trailing_commas('{"ids": [1, 2,], "message": "a,]",}')
    '{"ids": [1, 2], "message": "a,]"}'
    """
    return _TRAILING_COMMA.sub(lambda match: match[1] or "", text)


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
