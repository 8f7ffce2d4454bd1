"""What every saved file shares: pydantic models that refuse unknown fields, and JSON with a format and a version."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from agent.core.text.sanitizing import make_encodable
from sam3_tool.errors import RecordError
from sam3_tool.system.files import decode_json

Text = Annotated[str, BeforeValidator(make_encodable)]
"""Text that can be written to a file, whatever a language model put into it."""


class SavedModel(BaseModel):
    """A value as a file holds it. It is frozen, and a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_versioned_json(path: str | Path, *, kind: str, format: str, versions: Sequence[int]) -> dict[str, Any]:
    """Read the JSON object in a file of this format.

    Args:
        path: The file.
        kind: What such files hold, in one word, for the message.
        format: What the file must say under "format".
        versions: What it may say under "version".

    Raises:
        RecordError: The file is missing, foreign or cut off.
    """
    try:
        held = decode_json(Path(path).read_bytes())
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
    """Say where and what the first thing is that is wrong."""
    what = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, what['loc']))}: {what['msg']}"
