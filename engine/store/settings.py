"""What an engine labels and how, as its user said: kept in the database, and read back when it goes on."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.errors import EngineError
from engine.pairs import EngineValue
from engine.store.database import EngineDatabase

WITHDRAWN = "withdrawn phrases"


class EngineSettings(EngineValue):
    """What `engine init` was told. Paths are as they were then; the files' content was taken over.

    >>> EngineSettings(phrases=("cup",)).split_by
    'group'
    """

    phrases: tuple[str, ...] = ()
    """As they came, in their order."""
    ontology: str = ""
    """Name of its copy in the engine's folder; "" for none."""
    guidelines: str = ""
    """Name of its copy in the engine's folder; "" for none."""
    blocked: str = ""
    """Name of its copy in the engine's folder: phrases never to be asked about, beside those that ship; "" for none."""
    not_groundable: str = ""
    """Name of its copy in the engine's folder: words without an outline, beside those that ship; "" for none."""
    split_by: str = "group"
    """"group": near-duplicates stay together; "source": so do all images of a source."""
    validation_share: float = 0.1
    test_share: float = 0.1


def read_settings(database: EngineDatabase) -> EngineSettings:
    """Read the settings. Raises EngineError where they cannot be understood."""
    value = read_value(database, "settings")
    try:
        return EngineSettings.model_validate(value or {})
    except ValidationError as error:
        raise EngineError(
            f"the settings in {database.path} cannot be understood ({error.errors()[0]['msg']}); a newer version of"
            " this program may have written them: install that"
        ) from error


def write_settings(database: EngineDatabase, settings: EngineSettings) -> None:
    """Keep the settings. Raises EngineError."""
    write_value(database, "settings", settings.model_dump(mode="json"))


def read_withdrawn_phrases(database: EngineDatabase) -> dict[str, str]:
    """Read the phrases whose pairs a list has withdrawn, with why. Raises EngineError."""
    return dict(read_value(database, WITHDRAWN) or {})


def write_withdrawn_phrases(database: EngineDatabase, reasons: Mapping[str, str]) -> None:
    """Keep them in the place of those before: pairs of the others count again, with all that was said of them."""
    write_value(database, WITHDRAWN, dict(reasons))


def read_value(database: EngineDatabase, name: str) -> Any:
    """Read a JSON value that a part of the engine keeps under a name; None where there is none."""
    with database.read() as connection:
        row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def write_value(database: EngineDatabase, name: str, value: Any) -> None:
    """Keep a JSON value under a name, in the place of the one before. Raises EngineError."""
    with database.write() as connection:
        connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))
