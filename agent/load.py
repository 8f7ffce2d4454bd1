"""A planner by name: what the command line and a configuration can write down."""

from pathlib import Path
from typing import Any

from agent.planner import Planner, PlannerError
from agent.scripted import ReplayPlanner

__all__ = ["PlannerError", "load_planner"]


def load_planner(name: str, **options: Any) -> Planner:
    """'grammar' (options: `tools`, `threshold`), or 'replay:FILE' with the `episode.json` of an earlier run.

    Raises PlannerError, with one sentence, for any other name and for a file that cannot be replayed.
    """
    kind, _, what = name.strip().partition(":")
    match kind, what:
        case "grammar", "":
            from agent.grammar import GrammarPlanner  # loads its parser, which nothing else here needs

            return GrammarPlanner(**options)
        case "replay", file if file:
            return _replay(file)
    raise PlannerError(
        f"there is no planner {name!r}; there are 'grammar' (no language model)"
        " and 'replay:FILE' (the episode.json of an earlier run)"
    )


def _replay(file: str) -> Planner:
    from agent.transcript import load

    try:
        return ReplayPlanner(load(Path(file)).episode)
    except (OSError, ValueError) as error:
        raise PlannerError(f"cannot replay {file}: {' '.join(str(error).split())}") from error
