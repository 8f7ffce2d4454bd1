"""Prompt texts. One file per text, so that a change to what a model reads is a readable diff."""

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of `prompts/<name>.md`, without the white space around it.

    Raises FileNotFoundError when there is no such text.
    """
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()
