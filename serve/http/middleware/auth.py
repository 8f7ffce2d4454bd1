"""Who asks: bearer tokens, and the tenants that they stand for."""

import hmac
import re
import tomllib
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request  # FastAPI's own; `sam3-agent mcp` comes without FastAPI

from agent.core.errors import UsageError

MIN_TOKEN_LETTERS = 16


@dataclass(frozen=True)
class Tenant:
    """Somebody who uses the server, whose images and work nobody else sees."""

    name: str = ""
    """Empty for the one user of a server without tokens."""
    max_image_bytes: int | None = None
    """Room for the pixels of all images; None for a fair part of the server's."""
    max_pixels: int | None = None
    """Of an image; None for the server's limit."""
    max_requests: int | None = None
    """Requests that may be worked on or wait at the same time; None for a fair part of the server's."""


ANYBODY = Tenant()


class TenantEntry(BaseModel):
    """A tenant in a file of tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tokens: list[str] = Field(min_length=1)
    """Tokens, or `sha256:` and the hexadecimal SHA-256 of one; several while one takes the place of another."""
    max_image_mib: int | None = Field(default=None, ge=1)
    max_megapixels: float | None = Field(default=None, gt=0)
    max_requests: int | None = Field(default=None, ge=1)

    def to_tenant(self, name: str) -> Tenant:
        """Return the tenant of this name."""
        return Tenant(
            name,
            None if self.max_image_mib is None else self.max_image_mib * 2**20,
            None if self.max_megapixels is None else int(self.max_megapixels * 10**6),
            self.max_requests,
        )


class TokenBook:
    """The tokens, as hashes, and whose they are.

    >>> book = TokenBook.parse("anna:a-long-secret-token,ben:another-long-secret")
    >>> book.find_tenant("a-long-secret-token").name, book.find_tenant("a-long-secret")
    ('anna', None)
    """

    def __init__(self, entries: Iterable[tuple[bytes, Tenant]] = ()) -> None:
        """Keep pairs of the SHA-256 of a token and its tenant."""
        self._entries = tuple(entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Everybody who has a token."""
        return tuple({tenant.name: tenant for _, tenant in self._entries}.values())

    def find_tenant(self, token: str) -> Tenant | None:
        """Return whose token this is. The time that takes tells nothing of any token."""
        given, found = _hash_token(token), None
        for held, tenant in self._entries:
            if hmac.compare_digest(given, held):
                found = tenant
        return found

    @classmethod
    def parse(cls, text: str, *, source: str = "tokens") -> "TokenBook":
        """Read tokens as the environment holds them.

        Args:
            text: NAME:TOKEN pairs with commas between them.
            source: Where they are from, for messages.

        Raises:
            UsageError: It is something else. The message shows no token.
        """
        entries = []
        for number, pair in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
            name, colon, token = pair.partition(":")
            if not (colon and name.strip() and len(token) >= MIN_TOKEN_LETTERS):
                raise UsageError(
                    f"{source}: entry {number} is not NAME:TOKEN with a token of {MIN_TOKEN_LETTERS} letters"
                    " or more; `openssl rand -hex 24` makes one"
                )
            entries.append((_hash_token(token), Tenant(name.strip())))
        return cls(_check_unique(entries))

    @classmethod
    def read(cls, path: Path) -> "TokenBook":
        """Read a file of tokens: TOML with a table `[tenants.NAME]` for each tenant.

        Args:
            path: The file. A table has a list `tokens`, and may have `max_image_mib`, `max_megapixels` and
                `max_requests`.

        Raises:
            UsageError: It cannot be read, or is something else. The message shows no token.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror or 'cannot be read'}; --tokens needs a file of tokens"
            ) from error
        except ValueError as error:  # also what is no UTF-8
            raise UsageError(f"{path}: not TOML; expected a table [tenants.NAME] for each tenant") from error
        tenants = tables.get("tenants")
        if not isinstance(tenants, dict) or not tenants or set(tables) != {"tenants"}:
            raise UsageError(f"{path}: expected a table [tenants.NAME] for each tenant, and nothing else")
        return cls(_check_unique([pair for name, table in tenants.items() for pair in _read_entry(path, name, table)]))


def _read_entry(path: Path, name: str, table: Any) -> list[tuple[bytes, Tenant]]:
    try:
        entry = TenantEntry.model_validate(table)
        hashes = [read_hash(token) for token in entry.tokens]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "table"
        raise UsageError(f"{path}: tenant {name!r}: {field}: {first['msg']}") from None
    except ValueError as error:
        raise UsageError(f"{path}: tenant {name!r}: {error}") from None
    tenant = entry.to_tenant(name)
    return [(hashed, tenant) for hashed in hashes]


def read_hash(token: str) -> bytes:
    """Return the SHA-256 of a token. Raises ValueError, whose message does not show the token."""
    scheme, colon, digest = token.partition(":")
    if colon and scheme == "sha256":
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise ValueError("what follows `sha256:` must be 64 hexadecimal digits")
        return bytes.fromhex(digest)
    if len(token) < MIN_TOKEN_LETTERS:
        raise ValueError(f"a token has {MIN_TOKEN_LETTERS} letters or more; `openssl rand -hex 24` makes one")
    return _hash_token(token)


def _check_unique(entries: list[tuple[bytes, Tenant]]) -> list[tuple[bytes, Tenant]]:
    if len({hashed for hashed, _ in entries}) < len(entries):
        raise UsageError("two tenants have the same token; give each its own")
    return entries


def _hash_token(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_token(headers: Mapping[bytes, bytes]) -> str:
    """Return the token of a request's headers: a bearer token, or the password of basic authentication; else ''."""
    kind, _, value = headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    match kind.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return b64decode(value, validate=True).decode("utf-8").partition(":")[2]
            except ValueError:
                return ""
    return ""


async def get_tenant(request: Request) -> Tenant:
    """Return who asks. A dependency of routes; `AuthMiddleware` has found it out before the body is read.

    It waits for nothing, but FastAPI calls what is not async in a thread, which costs more than all else of a request.
    """
    tenant: Tenant = request.state.tenant
    return tenant
