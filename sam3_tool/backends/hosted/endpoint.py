"""Where the server is and the key that it is asked with, from the environment. The key is never shown."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.errors import CheckpointError
from sam3_tool.network.servers import hide_key, hide_password, is_server_address, mask_address

META_ADDRESS = "https://api.meta.ai/v1"
ADDRESS_VARIABLE = "SAM_BASE_URL"
KEY_VARIABLE = "SAM_API_KEY"
META_KEY_VARIABLE = "MODEL_API_KEY"
"""As Meta's own pages call it. It is sent to Meta and to nobody else."""


@dataclass(frozen=True)
class HostedEndpoint:
    """A server's address and key.

    >>> endpoint = HostedEndpoint.from_environment({"SAM_API_KEY": "s3cr3t-s3cr3t"})
    >>> endpoint
    HostedEndpoint(address='https://api.meta.ai/v1')
    >>> endpoint.hide_key("no such key: s3cr3t-s3cr3t")
    'no such key: [the key]'
    """

    address: str
    """Without a name, a password or a slash at its end."""
    key: str = field(repr=False)
    """Empty for a server that asks for none."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Take the address from SAM_BASE_URL, else Meta's; the key from SAM_API_KEY, for Meta also from MODEL_API_KEY.

        Raises:
            CheckpointError: The address or the key is malformed, or Meta would be asked without a key.
        """
        address = _read_address(environment.get(ADDRESS_VARIABLE, "").strip())
        is_meta = (urlsplit(address).hostname or "") == urlsplit(META_ADDRESS).hostname
        names = (KEY_VARIABLE, META_KEY_VARIABLE) if is_meta else (KEY_VARIABLE,)
        name = next((name for name in names if environment.get(name, "").strip()), KEY_VARIABLE)
        key = environment.get(name, "").strip()
        if not key and is_meta:
            raise CheckpointError(
                f"SAM 3.1 at Meta wants a key; set the environment variable {KEY_VARIABLE}, or {ADDRESS_VARIABLE} for"
                f" another server. {WORKS_NOW}"
            )
        if not (key.isascii() and key.isprintable()):
            raise CheckpointError(f"the environment variable {name} holds no key: it has characters that no key has")
        return cls(address, key)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def hide_key(self, text: str) -> str:
        """Return the text without the key, which some servers repeat when they refuse it."""
        return hide_key(text, self.key) if self.key else text


def _read_address(given: str) -> str:
    if not given:
        return META_ADDRESS
    if not is_server_address(given):
        raise CheckpointError(
            f"the environment variable {ADDRESS_VARIABLE} holds {mask_address(given)!r}, which is no address of a"
            " server; expected one such as http://localhost:8000/v1"
        )
    if "@" in urlsplit(given).netloc:
        raise CheckpointError(
            f"the environment variable {ADDRESS_VARIABLE} holds a name or a password; put the key into {KEY_VARIABLE}"
        )
    # whoever copies the address of one request out of a page means the server
    return hide_password(given).rstrip("/").removesuffix("/responses").rstrip("/")
