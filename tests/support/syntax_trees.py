"""The product's modules as syntax trees, parsed once for all tests of a process."""

import ast
import gc
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "annotate", "bench", "demo", "engine", "evals", "prompts", "sam3_tool", "serve")


@cache
def parse_modules() -> dict[str, ast.Module]:
    """Every module by its path in the repository."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    gc.disable()  # there are millions of nodes, and none of them is garbage
    try:
        return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    finally:
        gc.freeze()
        gc.enable()


def list_package_modules(*packages: str) -> list[tuple[str, ast.Module]]:
    """The modules of some packages, with their paths."""
    return [(path, module) for path, module in parse_modules().items() if path.partition("/")[0] in packages]
