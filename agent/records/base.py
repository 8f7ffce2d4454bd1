"""What every saved file shares: pydantic models that refuse unknown fields, and JSON with a format and a version."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from agent.core.text import make_encodable
from sam3_tool.errors import RecordError

Text = Annotated[str, BeforeValidator(make_encodable)]
"""Text that can be written to a file, whatever a language model put into it."""


class SavedModel(BaseModel):
    """A value as a file holds it. It is frozen, and a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_versioned_json(path: str | Path, *, kind: str, format: str, versions: Sequence[int]) -> dict[str, Any]:
    """The JSON object in a file of this format. Raises RecordError for one that is missing, foreign or cut off.

    `kind`: is saved in such files, in one word.
    """
    try:
        held = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not a saved {kind}: it is not JSON, or cut off") from error
    if not isinstance(held, dict) or held.get("format") != format:
        raise RecordError(f"{path} is not a saved {kind}: it does not say format {format!r}")
    if held.get("version") not in versions:
        expected = " or ".join(map(str, versions))
        raise RecordError(f"{path} has version {held.get('version')!r} of the format; expected {expected}")
    return held


def first_validation_error(error: ValidationError) -> str:
    """The first thing that is wrong: where, and what."""
    what = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, what['loc']))}: {what['msg']}"
