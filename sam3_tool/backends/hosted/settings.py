"""How a hosted SAM 3 is asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sam3_tool.errors import CheckpointError
from sam3_tool.masks.range_coded.encoding import MaskEncoding

DEFAULT_MODEL = "sam-3.1"


@dataclass(frozen=True)
class HostedSettings:
    """How a hosted SAM 3 is asked.

    >>> chosen = HostedSettings.from_environment("", {"SAM_TIMEOUT": "30"})
    >>> chosen.model, chosen.timeout, chosen.workers
    ('sam-3.1', 30.0, 8)
    """

    model: str = DEFAULT_MODEL
    """The server's name for it."""
    timeout: float = 120.0
    """Seconds for one question with all its tries, whatever keeps the connection alive."""
    workers: int = 8
    """Most requests at a time."""
    image_side: int = 1536
    """Pixels of the longer side of what is sent; larger images are reduced, and their masks enlarged again."""
    retries: int = 4
    """Further tries of a request that failed in a way that may pass."""
    first_delay: float = 1.0
    """Seconds before the first of them, give or take a quarter; each later one waits twice as long."""
    mask_encoding: MaskEncoding = "one_bit"
    """Both hold every pixel; "one_bit" is read five times as fast."""

    @classmethod
    def from_environment(cls, model: str, environment: Mapping[str, str] = os.environ) -> Self:
        """Take what the user chose from SAM_TIMEOUT, SAM_WORKERS and SAM_IMAGE_SIDE.

        Args:
            model: The server's name for it; "" means sam-3.1.
            environment: The variables of a process by name.

        Raises:
            CheckpointError: A variable holds no such number, or the name cannot be one.
        """
        if not model.isprintable() or len(model) > 200:
            raise CheckpointError("the name of a hosted SAM 3 has at most 200 printable characters, e.g. sam-3.1")
        return cls(
            model=model.strip() or DEFAULT_MODEL,
            timeout=_read_number(environment, "SAM_TIMEOUT", cls.timeout, 1, 3600),
            workers=int(_read_number(environment, "SAM_WORKERS", cls.workers, 1, 64)),
            image_side=int(_read_number(environment, "SAM_IMAGE_SIDE", cls.image_side, 64, 8192)),
        )


def _read_number(environment: Mapping[str, str], name: str, default: float, least: int, most: int) -> float:
    text = environment.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise CheckpointError(
            f"the environment variable {name} holds {text!r}; expected is a number from {least} to {most}"
        )
    return number
