"""Where a server is, and the key that it is asked with. Neither the key nor a password in the address is ever shown."""

import os
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from agent.core.text.sanitizing import make_encodable
from agent.models.base import ModelError
from sam3_tool.network.servers import hide_key, hide_password, is_server_address, mask_address

KEY_VARIABLE, ADDRESS_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"
"""The environment variables with the key and, where none is given, the server's address."""
HEADER_VARIABLES = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY")
"""The environment variables that the client library also sends, each as one header."""
CUSTOM_HEADERS_VARIABLE = "OPENAI_CUSTOM_HEADERS"
"""The environment variable with further headers, each on a line of its own."""
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_HEADER_LINE = re.compile(r"(?:[\w!#$%&'*+.^`|~-]+\s*:)?[ -~]*", re.ASCII)
PLACEHOLDER_KEY = "no-key"
"""Sent where there is no key: a private server asks for none, but the client library refuses to go without."""


@dataclass(frozen=True)
class Endpoint:
    """A server's address and key."""

    address: str = field(repr=False)
    """It may hold a name and a password."""
    key: str = field(repr=False)
    query: dict[str, str] = field(default_factory=dict, repr=False)
    """What stood after the question mark of the address, e.g. Azure's `api-version`; it goes with every request."""

    @classmethod
    def from_environment(cls, base_url: str | None) -> Self:
        """Take the address from `base_url`, else from OPENAI_BASE_URL, else OpenAI's; the key from OPENAI_API_KEY.

        Raises:
            ModelError: The address, the key or another header is malformed, or OpenAI itself would be asked without a
                key.
        """
        given = _resolve_address(base_url)
        _check_header_variables()
        parts = urlsplit(given)
        # Whoever copies the address of one request out of a vendor's page means the server.
        path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/models")
        address = urlunsplit((parts.scheme, parts.netloc, path, "", "")).rstrip("/")
        return cls(address, _read_key(address), dict(parse_qsl(parts.query)))

    @property
    def headers(self) -> dict[str, str]:
        """Further headers: Azure's own address takes a key in `api-key` alone."""
        return {"api-key": self.key} if "api-version" in self.query else {}

    @property
    def public_address(self) -> str:
        """The address without the name and the password in it."""
        return hide_password(self.address)

    @property
    def key_advice(self) -> str:
        """What the user should do after the server has refused the key."""
        if self.key == PLACEHOLDER_KEY:
            return f"expected a key in the environment variable {KEY_VARIABLE}, which is not set"
        return f"expected a key of this server in the environment variable {KEY_VARIABLE}"

    def redact_key(self, text: str) -> str:
        """Return the text on one line and without the key, which some servers repeat when they refuse it."""
        return self.replace_key(" ".join(make_encodable(text).split()))

    def replace_key(self, text: str) -> str:
        """Return the text without the key. A key that is no secret, such as 'test', may stand in any text."""
        return hide_key(text, self.key)


def _resolve_address(base_url: str | None) -> str:
    address = (base_url or os.environ.get(ADDRESS_VARIABLE, "")).strip() or "https://api.openai.com/v1"
    if not is_server_address(address):
        raise ModelError(
            f"{mask_address(address)!r} is no address of a server; expected one such as http://localhost:8000/v1"
        )
    return address.rstrip("/")


def _read_key(address: str) -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and (urlsplit(address).hostname or "").endswith("openai.com"):
        raise ModelError(
            f"OpenAI wants a key; set {KEY_VARIABLE}, or give the address of another server with --base-url"
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"the environment variable {KEY_VARIABLE} holds no key: it has characters that no key has")
    return key or PLACEHOLDER_KEY


def _check_header_variables() -> None:
    """Raise ModelError, which never shows the value, for what cannot be sent and would end in a traceback."""
    sent = {name: os.environ.get(name, "") for name in HEADER_VARIABLES}
    wrong = [name for name, value in sent.items() if not _HEADER_VALUE.fullmatch(value)]
    lines = filter(None, map(str.strip, os.environ.get(CUSTOM_HEADERS_VARIABLE, "").split("\n")))
    if not all(_HEADER_LINE.fullmatch(line) for line in lines):
        wrong.append(CUSTOM_HEADERS_VARIABLE)
    if wrong:
        raise ModelError(
            f"the environment variable {wrong[0]} holds what cannot be sent to a server as a header; set it or unset it"
        )
