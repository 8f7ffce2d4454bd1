"""Lets the reference of the Python API show examples as code: mkdocs.yml names this extension of griffe.

Docstrings hold their examples as plain doctests, with or without a heading "Example:". The parser of Google's style
wants the heading "Examples:".
"""

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?:\n\s*Example:\n|\n\n)(?P<code>[ ]*>>> .*)\Z", re.DOTALL)


def add_heading(docstring: str) -> str:
    """Return the docstring with its examples under the heading that the parser knows."""
    found = _EXAMPLE.search(docstring)
    if found is None:
        return docstring
    lines = found["code"].splitlines()
    indent = 4 - (len(lines[0]) - len(lines[0].lstrip()))
    code = "\n".join(" " * indent + line if line.strip() else "" for line in lines)
    return f"{docstring[: found.start()].rstrip()}\n\nExamples:\n{code}"


class DoctestExtension(Extension):
    """Put the examples of every docstring under a heading."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = add_heading(obj.docstring.value)
