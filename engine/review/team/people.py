"""Who reviews: names, tokens and roles, from a file of users."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import EngineError
from engine.review.queue.tables import SEPARATOR
from sam3_tool.system.file_names import escape_unprintable
from serve.http.middleware.auth import Tenant, TokenBook, read_hash

Role = Literal["annotator", "reviewer", "admin"]
ALONE = "me"
"""Who reviews where there is no file of users."""
MAX_NAME_LETTERS = 60


@dataclass(frozen=True)
class Person:
    """Somebody who reviews."""

    name: str
    role: Role

    @property
    def can_see_others(self) -> bool:
        """Whether they may see who said what: reviewers and admins."""
        return self.role != "annotator"


class UserEntry(BaseModel):
    """A person in a file of users."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tokens: list[str] = Field(min_length=1)
    """Tokens, or `sha256:` and the hexadecimal SHA-256 of one."""
    role: Role = "annotator"


@dataclass(frozen=True)
class People:
    """Everybody who may review.

    >>> People.build_alone().find_person(Tenant()).role
    'admin'
    """

    persons: tuple[Person, ...]
    tokens: TokenBook
    """Empty where one person works alone at this machine."""

    @classmethod
    def build_alone(cls) -> "People":
        """Return the one person who starts the server and sits before it."""
        return cls((Person(ALONE, "admin"),), TokenBook())

    @classmethod
    def read(cls, path: Path) -> "People":
        """Read a file of users: TOML with a table `[users.NAME]` for each person.

        Args:
            path: The file. A table has a list `tokens`, and may have a `role`: annotator, reviewer or admin.

        Raises:
            EngineError: It cannot be read, or is something else. The message shows no token.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise EngineError(f"{path}: {error.strerror or 'cannot be read'}; --users needs a file of users") from error
        except ValueError as error:  # also what is no UTF-8
            raise EngineError(f"{path}: not TOML; expected a table [users.NAME] for each person") from error
        users = tables.get("users")
        if not isinstance(users, dict) or not users or set(tables) != {"users"}:
            raise EngineError(f"{path}: expected a table [users.NAME] for each person, and nothing else")
        entries = {name: _read_entry(path, name, table) for name, table in users.items()}
        pairs = [(hashed, Tenant(name)) for name, (_, hashes) in entries.items() for hashed in hashes]
        if len({hashed for hashed, _ in pairs}) < len(pairs):
            raise EngineError(f"{path}: two people have the same token; give each their own")
        return cls(tuple(Person(name, role) for name, (role, _) in entries.items()), TokenBook(pairs))

    def find_person(self, tenant: Tenant) -> Person:
        """Return whose token a request has shown. Raises KeyError for nobody of the file."""
        if not self.tokens:
            return self.persons[0]
        return {person.name: person for person in self.persons}[tenant.name]


def _read_entry(path: Path, name: str, table: Any) -> tuple[Role, list[bytes]]:
    shown = escape_unprintable(name)
    if not name.strip() or len(name) > MAX_NAME_LETTERS or SEPARATOR in name or shown != name:
        raise EngineError(f"{path}: {shown[:MAX_NAME_LETTERS]!r} is no name; expected 1 to {MAX_NAME_LETTERS} letters")
    try:
        entry = UserEntry.model_validate(table)
        return entry.role, [read_hash(token) for token in entry.tokens]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "table"
        raise EngineError(f"{path}: user {name!r}: {field}: {first['msg']}") from None
    except ValueError as error:
        raise EngineError(f"{path}: user {name!r}: {error}") from None
