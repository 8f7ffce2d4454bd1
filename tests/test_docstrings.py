"""Docstrings of the public names: Google style, complete, and read off the objects themselves."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest

from tests.support.public_surface import find_unexported

PACKAGES = ("agent", "agent.exports", "agent.models", "evals", "sam3_tool")

INNER_TYPES = {
    "agent": {"Transcript: SavedContext", "Transcript: SavedImage", "Transcript: SavedStep", "Transcript: SavedVideo"},
    "agent.models": {"OpenAICompatible: Endpoint", "OpenAICompatible: SharedLimits", "VllmModel: Engine"},
}
"""Fields that `load_episode` and the models' `load` fill: nobody else makes or reads them."""


def list_public_objects() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            yield f"{package}.{name}", getattr(module, name)


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).split(".")[0] in {package.split(".")[0] for package in PACKAGES}


OBJECTS = {
    place: thing
    for place, thing in list_public_objects()
    if (inspect.isclass(thing) or inspect.isfunction(thing)) and is_ours(thing)
}
CLASSES = {place: thing for place, thing in OBJECTS.items() if inspect.isclass(thing)}


def list_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, and the public methods that a public class defines itself."""
    for place, thing in OBJECTS.items():
        if inspect.isfunction(thing):
            yield place, thing
            continue
        for name, member in vars(thing).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if inspect.isfunction(function) and not name.startswith("_") and is_ours(function):
                yield f"{place}.{name}", function


CALLABLES = dict(list_callables())


def find_section(docstring: str, title: str) -> str:
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("place", OBJECTS)
def test_a_public_name_says_what_it_is_in_one_sentence(place: str) -> None:
    docstring = inspect.getdoc(OBJECTS[place]) or ""
    first = docstring.split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), place


@pytest.mark.parametrize("place", CALLABLES)
def test_a_public_callable_describes_every_argument_and_what_comes_back(place: str) -> None:
    function = CALLABLES[place]
    docstring = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    described = find_section(docstring, "Args")
    names = [name for name in signature.parameters if name not in {"self", "cls"}]
    missing = [name for name in names if not re.search(rf"^ +\*{{0,2}}{name}(?: \(.*\))?:", described, re.MULTILINE)]
    assert missing == [], f"{place} does not describe its arguments"
    gives_back = signature.return_annotation not in (None, "None", inspect.Signature.empty)
    if gives_back and not names and docstring.startswith(("Return", "Whether")):
        return  # its one sentence says it
    assert not gives_back or find_section(docstring, "Returns") or find_section(docstring, "Yields"), place


@pytest.mark.parametrize("place", [place for place in CLASSES if not issubclass(CLASSES[place], Exception)])
def test_a_public_class_or_its_package_shows_it_in_use(place: str) -> None:
    """An example in the class, in one of its methods, or in the package that exports it."""
    package = importlib.import_module(place.rpartition(".")[0])
    texts = [inspect.getdoc(CLASSES[place]) or "", inspect.getdoc(package) or ""]
    texts += [inspect.getdoc(function) or "" for other, function in CALLABLES.items() if other.startswith(f"{place}.")]
    assert any(">>>" in text for text in texts), place


@pytest.mark.parametrize("place", CLASSES)
def test_a_public_property_says_what_it_holds(place: str) -> None:
    getters = {
        name: member.fget if isinstance(member, property) else member.func
        for name, member in vars(CLASSES[place]).items()
        if isinstance(member, property | cached_property) and not name.startswith("_")
    }
    assert [name for name, getter in getters.items() if not inspect.getdoc(getter)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_in_a_public_signature_is_exported(package: str) -> None:
    modules = [importlib.import_module(name) for name in PACKAGES]
    found = find_unexported(importlib.import_module(package), modules)
    assert set(found) == INNER_TYPES.get(package, set())
