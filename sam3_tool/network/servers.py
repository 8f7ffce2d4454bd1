"""A server's address and key, which no message, log or file may show."""

import re
from urllib.parse import urlsplit, urlunsplit

_DUMMY_KEY = re.compile(
    r".{0,7}|(sk-|key-|token-)?(no|not|none|any|empty|dummy|test|fake|local|placeholder|example|your|my|change)[a-z_-]*"
    r"|(sk-)?(\w)\2*|(sk-)?(ollama|lm-?studio|llama-?cpp|vllm|sglang|litellm|abc|1234)[\w-]*",
    re.IGNORECASE,
)
"""Words that people send to servers that ask for no key, and whatever is too short for a secret."""


def is_server_address(text: str) -> bool:
    """Tell whether a text is the address of a server.

    >>> is_server_address("http://localhost:8000/v1"), is_server_address("localhost:8000")
    (True, False)
    """
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or the address holds half a pair of brackets
        return False


def hide_password(address: str) -> str:
    """Return an address without the name and the password in it.

    >>> hide_password("https://me:secret@example.org/v1?version=2")
    'https://example.org/v1'
    """
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def mask_address(text: str) -> str:
    """Return what should have been an address, as a message may repeat it: a password may stand before its last "@".

    >>> mask_address("me:secret@localhost:8000/v1"), mask_address("localhost:8000")
    ('***@localhost:8000/v1', 'localhost:8000')
    """
    return re.sub(r"^(https?:/*)?.*@", r"\1***@", text, flags=re.IGNORECASE | re.DOTALL)


def hide_key(text: str, key: str) -> str:
    """Return a text without a key. A key that is no secret, such as 'test', may stand in any text.

    >>> hide_key("Incorrect API key: sk-2f4c9a7b1d", "sk-2f4c9a7b1d"), hide_key("a test", "test")
    ('Incorrect API key: [the key]', 'a test')
    """
    return text if _DUMMY_KEY.fullmatch(key) else text.replace(key, "[the key]")
