"""Names of functions, read off the syntax trees: a call says what it does."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.syntax_trees import parse_modules

ROOT = Path(__file__).parent.parent
VERBS = frozenset((ROOT / "tests" / "support" / "verbs.txt").read_text(encoding="utf-8").split())
"""Imperatives that begin a name, and the words that begin a predicate or a conversion: is, has, can, to, from, with."""
SHADOWED = {
    "Protocol",
    "Any",
    "Callable",
    "Iterator",
    "Sequence",
    "Mapping",
    "Literal",
    "Self",
    "Generator",
    "Iterable",
}
SHORT_INTERFACES = {"load", "main", "run", "save", "score"}
"""Names that several modules share on purpose: each is the one entry of its module."""


@cache
def find_definitions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Every definition of the product as (place, node)."""
    return [
        (f"{path}:{node.lineno} {node.name}", node)
        for path, module in parse_modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]


def list_functions() -> list[tuple[str, str]]:
    """Every function of the product as (place, name)."""
    return [
        (place, node.name)
        for place, node in find_definitions()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__")
    ]


def first_word(name: str) -> str:
    return name.strip("_").split("_")[0]


def test_three_functions_in_four_begin_with_a_verb() -> None:
    functions = list_functions()
    others = [place for place, name in functions if first_word(name) not in VERBS]
    assert len(others) <= 0.25 * len(functions), others


def test_at_most_a_quarter_of_the_functions_are_a_single_word() -> None:
    functions = list_functions()
    single = [place for place, name in functions if "_" not in name.strip("_")]
    assert len(single) <= 0.25 * len(functions), single


def test_no_function_has_a_name_that_is_a_participle_alone() -> None:
    """`counted(masks)` hides whether it counts or needs a count; a property may be named after a state."""
    found = [
        place
        for place, node in find_definitions()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.strip("_").endswith("ed")
        and "_" not in node.name.strip("_")
        and first_word(node.name) not in VERBS
        and not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert found == []


def test_no_class_shadows_typing() -> None:
    assert [
        place for place, node in find_definitions() if isinstance(node, ast.ClassDef) and node.name in SHADOWED
    ] == []


def test_every_exception_ends_in_error() -> None:
    found = [
        place
        for place, node in find_definitions()
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
        and not node.name.endswith("Error")
    ]
    assert found == []


def test_a_public_function_that_many_modules_define_is_an_interface() -> None:
    modules: dict[str, set[str]] = {}
    for path, module in parse_modules().items():
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, set()).add(path)
    shared = {name: sorted(paths) for name, paths in modules.items() if len(paths) >= 3}
    assert {name: paths for name, paths in shared.items() if name not in SHORT_INTERFACES} == {}


def list_loop_targets() -> list[tuple[str, str]]:
    """Every variable of a loop or a comprehension of the product as (place, name)."""
    return [
        (f"{path}:{name.lineno}", name.id)
        for path, module in parse_modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    ]


def test_a_loop_variable_is_called_after_its_element() -> None:
    """`for one in found` hides whether a mask, a pair or a file is meant."""
    assert [place for place, name in list_loop_targets() if name == "one"] == []


@pytest.mark.parametrize("word", ["picture", "pictures"])
def test_an_image_is_called_an_image(word: str) -> None:
    """One word, one meaning; names that users' files and commands hold are told where they are read."""
    found = [place for place, name in list_functions() if word in name.split("_")]
    assert found == []
