"""What a browser adds to the file of a saved conversation: its other ways, and the file that it is about."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAYS, FILM, PHOTO = "ways", "film", "photo"
"""Fields of the file."""


@dataclass(frozen=True)
class KeptParts:
    """Beside a saved conversation, unchecked; None for what is not there."""

    ways: Any = None
    """For `parse_tree`."""
    film: Any = None
    """A video, for `open_kept_file`."""
    photo: Any = None
    """An image, likewise."""

    @property
    def held(self) -> Any:
        """The video or the image."""
        return self.photo if self.film is None else self.film


def take_parts(path: Path) -> KeptParts:
    """Take what a browser added out of a file, which is a saved conversation afterwards.

    Args:
        path: The file; whatever else is in it stays as it is.
    """
    try:
        held = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return KeptParts()  # whoever opens the file says why
    if not isinstance(held, dict) or not held.keys() & {WAYS, FILM, PHOTO}:
        return KeptParts()
    parts = KeptParts(*(held.pop(field, None) for field in (WAYS, FILM, PHOTO)))
    path.write_text(json.dumps(held), encoding="utf-8")
    return parts
