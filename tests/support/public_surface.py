"""What stands in the public signatures of a package, read off the syntax trees."""

import ast
import builtins
import importlib
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Annotated, Any, get_origin

TYPE_VARIABLES = {"TypeVar", "ParamSpec"}


def find_unexported(package: ModuleType, others: Iterable[ModuleType] = ()) -> list[str]:
    """Names of our own types that stand in the signatures of what a package exports, but that nobody exports.

    Ours are the types of the package and of the `others`.
    """
    packages = [package, *others]
    roots = {each.__name__.split(".")[0] for each in packages}
    exported = {name for each in packages for name in each.__all__}
    missing = set()
    for name in sorted(package.__all__):
        module, node = _find_definition(package, name)
        for word in _list_signature_names(node):
            if not hasattr(builtins, word) and _is_own(module, word, roots) and word not in exported:
                missing.add(f"{name}: {word}")
    return sorted(missing)


def _find_definition(package: ModuleType, name: str) -> tuple[ModuleType, Any]:
    """The module that defines an exported name, and the statement that does."""
    stub = _parse_source(_read_stub(package))
    [source] = [
        statement
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom) and any((part.asname or part.name) == name for part in statement.names)
    ]
    module = importlib.import_module("." * source.level + (source.module or ""), package.__name__)
    for statement in _parse_source(inspect.getsource(module)).body:
        if getattr(statement, "name", None) == name or name in _list_targets(statement):
            return module, statement
    raise LookupError(f"{module.__name__} does not define {name}")


def _read_stub(package: ModuleType) -> str:
    assert package.__file__ is not None
    with open(package.__file__ + "i", encoding="utf-8") as file:  # noqa: PTH123 - the stub lies beside the module
        return file.read()


@cache
def _parse_source(source: str) -> ast.Module:
    return ast.parse(source)


def _list_targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _list_signature_names(node: ast.AST) -> Iterator[str]:
    """Every name in an annotation of a public function, method or field; of an alias, in its value."""
    if isinstance(node, ast.Assign):  # an alias of types; the value of a constant is no signature
        yield from () if isinstance(node.value, ast.Call) else _list_names(node.value)
    elif isinstance(node, ast.FunctionDef):
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            yield from _list_names(argument.annotation)
        yield from _list_names(node.returns)
    elif isinstance(node, ast.ClassDef):
        for part in node.body:
            if isinstance(part, ast.AnnAssign):
                yield from _list_names(part.annotation)
            elif isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
                yield from _list_signature_names(part)


def _list_names(annotation: ast.expr | None) -> Iterator[str]:
    if annotation is None:
        return
    literals = {
        inner
        for node in ast.walk(annotation)
        if isinstance(node, ast.Subscript) and _get_name(node.value) == "Literal"
        for inner in ast.walk(node.slice)
    }
    for node in ast.walk(annotation):
        if node in literals:
            continue
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "[" in node.value:
            yield from _list_names(ast.parse(node.value, mode="eval").body)


def _get_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_own(module: ModuleType, word: str, roots: set[str]) -> bool:
    """Whether the module defines the name, or imports it from one of our packages. An annotated type is the type."""
    if get_origin(vars(module).get(word)) is Annotated:
        return False
    for statement in ast.walk(_parse_source(inspect.getsource(module))):
        if isinstance(statement, ast.ImportFrom) and any(
            (part.asname or part.name) == word for part in statement.names
        ):
            return (statement.module or "").split(".")[0] in roots
        if isinstance(statement, ast.ClassDef) and statement.name == word:
            return True
        if isinstance(statement, ast.Assign | ast.AnnAssign) and word in _list_targets(statement):
            return not (isinstance(statement.value, ast.Call) and _get_name(statement.value.func) in TYPE_VARIABLES)
    return False
