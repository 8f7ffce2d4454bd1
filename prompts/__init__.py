"""Prompt texts. One file per text, so that a change to what a model reads is a readable diff."""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files


@cache
def load_prompt(name: str) -> str:
    """The text of `prompts/<name>.md`, without the white space around it.

    Raises FileNotFoundError when there is no such text.
    """
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip()


def fill_prompt(name: str, **values: object) -> str:
    """The text with every {word} in it replaced; what the values hold, braces or not, is taken as it is.

    Raises KeyError for a word without a value.
    """
    return re.sub(r"\{(\w+)\}", lambda word: str(values[word[1]]), load_prompt(name))


@cache
def hash_prompts() -> dict[str, str]:
    """Every text's name and the first 16 hexadecimal digits of its SHA-256: what was said to a model, in short."""
    texts = sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(".md"))
    names = [text.removesuffix(".md") for text in texts]
    return {name: sha256(load_prompt(name).encode()).hexdigest()[:16] for name in names}
