"""Fits and thresholds in a data engine's database: kept with their hash, and read back for runs."""

import json
from dataclasses import asdict
from time import time
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from engine.errors import EngineError
from engine.pairs import EngineValue, Stage
from engine.states import StatePolicy, Thresholds
from engine.store.settings import read_value, write_value
from engine.store.store import EngineStore
from engine.verifiers.fitted import FittedVerifier, StageFit
from engine.verifiers.signals import SignalsVerifier
from engine.verifiers.verifier import Verifier

STAGES: tuple[Stage, ...] = ("mv", "ev")
HISTORY = "fit_history"
_SCHEMA = f"""CREATE TABLE IF NOT EXISTS {HISTORY} (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL
)"""
"""Every fit and all thresholds that were ever kept; nothing in it changes."""


class StageRoute(EngineValue):
    """The thresholds of a stage, and what they rest on.

    >>> StageRoute(stage="mv", by="model:fitted@12", quality=0.97).accept is None
    True
    """

    stage: Stage
    by: str
    """Whose probabilities they are thresholds of, as in `Judgement.by`."""
    quality: float
    """What the lower bound of the precision had to reach."""
    accept: float | None = None
    reject: float | None = None
    sample: int = 0
    """Items that were drawn at random, and that people have labelled."""
    accept_taken: int = 0
    accept_right: int = 0
    accept_bound: float = 0.0
    reject_taken: int = 0
    reject_bound: float = 0.0
    sources: tuple[str, ...] = Field(default=())
    """Domains with labels enough that a model may decide there."""
    slips: float | None = None
    """The share of errors that people were taken to let pass; None in folders of before it was kept."""


def keep_fit(store: EngineStore, fit: StageFit) -> None:
    """Keep a fit: it counts in the place of the one before, which stays in the history. Raises EngineError."""
    _keep_value(store, f"fitted {fit.stage}", {"fit": asdict(fit), "hash": fit.fingerprint})


def has_fit(store: EngineStore, stage: Stage) -> bool:
    """Return whether a stage was ever fitted. Raises EngineError."""
    return read_value(store.database, f"fitted {stage}") is not None


def load_fit(store: EngineStore, stage: Stage) -> StageFit:
    """Load the fit of a stage.

    Raises:
        EngineError: There is none yet, or it is not what was kept.
    """
    kept = read_value(store.database, f"fitted {stage}")
    if kept is None:
        raise EngineError(
            f"{store.folder} has no fit of stage {stage!r} yet; make one with: sam3-agent engine fit {store.folder}"
            f" --stage {stage}, or judge with --verifier signals"
        )
    try:
        fit = TypeAdapter(StageFit).validate_python(kept["fit"])
        is_same = fit.fingerprint == kept["hash"]
    except (ValidationError, KeyError, TypeError):
        is_same = False
    if not is_same:
        raise EngineError(
            f"the fit of stage {stage!r} in {store.folder} is damaged; make it anew with: sam3-agent engine fit"
            f" {store.folder} --stage {stage}"
        )
    return fit


def load_verifier(store: EngineStore, name: str, stage: Stage) -> Verifier:
    """Load one of the verifiers that need no other model.

    Args:
        store: The data engine.
        name: "signals" or "fitted".
        stage: What it is to judge: a fit of another stage does not change who it is.

    Raises:
        EngineError: The stage is not fitted yet, or the name is another one.
    """
    match name:
        case "signals":
            return SignalsVerifier()
        case "fitted":
            return FittedVerifier([load_fit(store, stage)])
    raise EngineError(f"--verifier takes signals, fitted or a language model such as openai:NAME, got {name!r}")


def keep_route(store: EngineStore, route: StageRoute) -> None:
    """Keep the thresholds of a stage: they count in the place of those before, which stay in the history.

    Raises:
        EngineError: Nothing can be written.
    """
    _keep_value(store, f"route {route.stage}", route.model_dump(mode="json"))


def load_route(store: EngineStore, stage: Stage) -> StageRoute | None:
    """Load the thresholds of a stage; None where `engine fit` has not set any. Raises EngineError."""
    kept = read_value(store.database, f"route {stage}")
    try:
        return None if kept is None else StageRoute.model_validate(kept)
    except ValidationError as error:
        raise EngineError(
            f"the thresholds of stage {stage!r} in {store.folder} cannot be understood; set them anew with:"
            f" sam3-agent engine fit {store.folder} --stage {stage}"
        ) from error


def list_routes(store: EngineStore) -> list[tuple[float, StageRoute]]:
    """List all thresholds that were ever set, the oldest first, with when, in seconds since 1970.

    Those of before there was a history are absent. Raises EngineError.
    """
    with store.database.read_snapshot() as connection:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if connection.execute(query, (HISTORY,)).fetchone() is None:
            return []
        query = f"SELECT at, body FROM {HISTORY} WHERE name LIKE 'route %' ORDER BY id"
        return [(float(at), StageRoute.model_validate_json(body)) for at, body in connection.execute(query)]


def _keep_value(store: EngineStore, name: str, value: Any) -> None:
    """Make a value the one that counts, and append it to the history of all."""
    with store.database.write() as connection:
        connection.execute(_SCHEMA)
        row = (name, json.dumps(value), time())
        connection.execute(f"INSERT INTO {HISTORY} (name, body, at) VALUES (?, ?, ?)", row)
        write_value(store.database, name, value)


def load_policy(store: EngineStore) -> StatePolicy:
    """Load what judgements are worth here: people alone, until `engine fit` has found thresholds.

    Args:
        store: The data engine.

    Returns:
        The policy for `EngineStore.iterate_states` and the others.

    Raises:
        EngineError: Thresholds cannot be understood.
    """
    routes = {stage: route for stage in STAGES if (route := load_route(store, stage)) is not None}
    if not routes:
        return StatePolicy()
    limits = {stage: Thresholds(route.accept, route.reject, route.by) for stage, route in routes.items()}
    sources = frozenset.intersection(*(frozenset(route.sources) for route in routes.values()))
    return StatePolicy(limits.get("mv", Thresholds()), limits.get("ev", Thresholds()), sources=sources)
