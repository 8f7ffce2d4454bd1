"""The planners that a page offers: each under a name for visitors, with the options that apply to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.cli.options.segment_options import PLANNER_OPTIONS, Options
from agent.core.errors import UsageError
from sam3_tool.system.paths import is_there

GRAMMAR = "grammar"
MAX_NAME_LENGTH = 60
"""Characters of a name that is given for visitors."""
NEUTRAL_OPTIONS: Mapping[str, Any] = dict.fromkeys(PLANNER_OPTIONS)
"""The options that one kind of planner takes only, unset."""


@dataclass(frozen=True)
class OfferedPlanner:
    """A planner that visitors may choose.

    `name` is what they read and what the page sends: no address and no folder of the server is in it.
    """

    name: str
    options: Options


@dataclass(frozen=True)
class PlannerWord:
    """What one `--planner` says."""

    name: str
    spec: str
    base_url: str | None


def parse_planners(values: Mapping[str, Any]) -> tuple[OfferedPlanner, ...]:
    """Make the planners of a command line.

    Args:
        values: The options by name; `planner` holds a list of [NAME=]PLANNER[@URL].

    Returns:
        The planners in order; the first one answers unless a visitor chooses another one. An option that only some of
        them take reaches these.

    Raises:
        UsageError: Two have the same name, a name cannot be read, or an option reaches no planner.

    Example:
        >>> [entry.name for entry in parse_planners({"planner": ["grammar", "big=openai:A@http://localhost:1/v1"]})]
        ['grammar', 'big']
    """
    words = [parse_planner_word(word) for word in values["planner"]]
    names = [word.name for word in words]
    for name, spec in ((word.name, word.spec) for word in words):
        if names.count(name) > 1:
            raise UsageError(f"--planner: two planners are called {name!r}; give one another name, as in NAME={spec}")
    taken = [Options(planner=word.spec).list_taken_options() for word in words]
    reached = {name for names in taken for name in names}
    return tuple(
        OfferedPlanner(word.name, Options.from_values(_select_values(values, word, names, reached)))
        for word, names in zip(words, taken, strict=True)
    )


def _select_values(
    values: Mapping[str, Any], word: PlannerWord, taken: Iterable[str], reached: Iterable[str]
) -> dict[str, Any]:
    """The options of one planner. What reaches no planner stays, so that it is refused."""
    foreign = {name for name in PLANNER_OPTIONS if name in reached and name not in taken}
    own = {name: None if name in foreign else value for name, value in values.items()}
    return {**own, "planner": word.spec, "base_url": word.base_url or own.get("base_url")}


def parse_planner_word(word: str) -> PlannerWord:
    """Take [NAME=]PLANNER[@URL] apart. Raises UsageError for a name that cannot be read.

    Example:
        >>> parse_planner_word("small=openai:Qwen/Qwen3-VL-4B@http://localhost:8001/v1")
        PlannerWord(name='small', spec='openai:Qwen/Qwen3-VL-4B', base_url='http://localhost:8001/v1')
    """
    before, equals, after = word.partition("=")
    is_named = bool(equals) and ":" not in before
    spec, base_url = _split_address(after if is_named else word)
    if not spec.strip():
        raise UsageError(f"--planner: no planner stands in {word!r}; expected [NAME=]PLANNER[@URL]")
    if not is_named:
        return PlannerWord(name_planner(spec), spec.strip(), base_url)
    name = before.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise UsageError(
            f"--planner: the name before the = in {word!r:.90} must have 1 to {MAX_NAME_LENGTH} printable characters"
        )
    return PlannerWord(name, spec.strip(), base_url)


def _split_address(words: str) -> tuple[str, str | None]:
    """The planner and the address of its server, if one is given."""
    for scheme in ("@http://", "@https://"):
        spec, found, rest = words.partition(scheme)
        if found:
            return spec, scheme[1:] + rest
    return words, None


def name_planner(spec: str) -> str:
    """Return what visitors read where the operator gave no name: without folders and addresses of the server.

    Example:
        >>> name_planner("openai:Qwen/Qwen3-VL-8B"), name_planner("transformers:/srv/models/Qwen3-VL-8B")
        ('openai:Qwen/Qwen3-VL-8B', 'transformers:Qwen3-VL-8B')
    """
    kind, colon, model = spec.strip().partition(":")
    is_path = model.startswith(("/", "~", ".", "\\")) or "://" in model or model[1:3] == ":\\" or is_there(Path(model))
    if not colon or not is_path:
        return spec.strip()
    last = model.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{kind}:{last}"


def add_grammar(offered: tuple[OfferedPlanner, ...]) -> tuple[OfferedPlanner, ...]:
    """Return the planners with the grammar, which costs nothing, unless it is among them.

    Args:
        offered: One or more.
    """
    if any(planner.options.planner == GRAMMAR or planner.name == GRAMMAR for planner in offered):
        return offered
    options = replace(offered[0].options, planner=GRAMMAR, **NEUTRAL_OPTIONS)
    return (*offered, OfferedPlanner(GRAMMAR, options))
