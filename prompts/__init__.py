"""Texts that language models read: one file for each and one folder for each conversation, as Jinja templates.

A blank without a value is an error, and nothing in a value is ever read as a template.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from jinja2 import Environment, StrictUndefined, Template
from jinja2.meta import find_undeclared_variables

# what is filled in is plain text for a model, so nothing is escaped
_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=False)


@cache
def load_prompt(name: str) -> str:
    """Load a text as it stands in its file, without the white space around it.

    Args:
        name: Its path below `prompts`, without '.md', e.g. 'workspace/system'.

    Raises:
        FileNotFoundError: There is no such text.
    """
    return files(__name__).joinpath(*f"{name}.md".split("/")).read_text(encoding="utf-8").strip()


def fill_prompt(name: str, **values: object) -> str:
    """Fill in a text.

    Args:
        name: As for `load_prompt`.
        values: For its blanks, and perhaps more. They are taken as they are, whatever they hold.

    Raises:
        jinja2.UndefinedError: A blank has no value.

    Example:
        >>> fill_prompt("examine/query", query="{{ what }}")
        'The query is: {{ what }}'
    """
    return _compile_prompt(name).render(values)


@cache
def _compile_prompt(name: str) -> Template:
    return _ENVIRONMENT.from_string(load_prompt(name))


@cache
def hash_prompts() -> dict[str, str]:
    """Hash every text: what was said to a model, in short.

    Returns:
        Name -> the first 16 hexadecimal digits of the SHA-256 of the text with `{blank}` for each blank. A name is
        written as in saved files, e.g. 'workspace' for 'workspace/system' and 'paper_drawn' for 'paper/drawn'.
    """
    texts = {_to_saved_name(name): _show_blanks(name) for name in _list_names(files(__name__))}
    return {
        name: sha256(texts[name].encode()).hexdigest()[:16] for name in sorted(texts, key=lambda name: f"{name}.md")
    }


def find_changed_prompts(saved: Mapping[str, str]) -> list[str]:
    """Find the texts that were others when a file was saved. `saved`: what `hash_prompts` gave then."""
    now = hash_prompts()
    return sorted(name for name, hashed in saved.items() if now.get(name) != hashed)


def _list_names(folder: Traversable, prefix: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _list_names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".md"):
            yield prefix + entry.name.removesuffix(".md")


def _to_saved_name(name: str) -> str:
    return name.removesuffix("/system").replace("/", "_")


def _show_blanks(name: str) -> str:
    # files of version 1 hashed texts whose blanks were written {so}; their hashes are still those of equal texts
    blanks = find_undeclared_variables(_ENVIRONMENT.parse(load_prompt(name)))
    return fill_prompt(name, **{blank: f"{{{blank}}}" for blank in blanks})
