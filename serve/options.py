"""The options that the servers over HTTP and MCP share, as typer reads them off a function's parameters."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options.shared_options import CommandFunction, option_group, require_finite_number

if TYPE_CHECKING:
    from serve.http.middleware.auth import TokenBook

TOKENS_VARIABLE = "SAM3_AGENT_TOKENS"
LOAD_PANEL = "Limits of the server"
MEGA, MIB = 10**6, 2**20


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What an image may be, and how long it is kept."""

    max_pixels: float
    """Megapixels."""
    max_bytes: float
    """MiB of its file."""
    image_memory: float
    """MiB for the pixels of images."""
    image_seconds: float
    """After which an unused image is forgotten."""

    @property
    def pixels(self) -> int:
        return int(self.max_pixels * MEGA)

    @property
    def file_bytes(self) -> int:
        return int(self.max_bytes * MIB)

    @property
    def memory_bytes(self) -> int:
        return int(self.image_memory * MIB)


def image_limit_options(whose: str) -> Callable[[CommandFunction], CommandFunction]:
    """Adds the options of `ImageLimits` to a command, as `limits`. `whose`: whose images share the memory."""
    panel = LOAD_PANEL
    kinds = {
        "max_pixels": number_option("Megapixels that an image may have.", 0.01, panel),
        "max_bytes": number_option("MiB that an image file may have.", 0.01, panel),
        "image_memory": number_option(f"MiB for the pixels of {whose}.", 1, panel),
        "image_seconds": number_option("An image is forgotten when it is not used for so long.", 1, panel),
    }
    defaults = {"max_pixels": 65, "max_bytes": 40, "image_memory": 1024, "image_seconds": 3600}
    return option_group("limits", kinds, lambda values: ImageLimits(**values), defaults)


def number_option(text: str, least: float, panel: str) -> Any:
    """An option that is a finite number, at least so much."""
    return Annotated[float, typer.Option(min=least, help=text, rich_help_panel=panel, callback=require_finite_number)]


def read_tokens(path: Path | None) -> "TokenBook":
    """Those of the file, or those of the environment. Raises UsageError, which never shows a token."""
    from serve.http.middleware.auth import TokenBook

    if path is not None:
        return TokenBook.read(path)
    return TokenBook.parse(os.environ.get(TOKENS_VARIABLE, ""), source=TOKENS_VARIABLE)
