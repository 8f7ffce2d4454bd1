"""How fast each stage of each run was, and on what: appended and never changed, for what is left for machines."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from engine.pairs import EngineValue
from engine.store.database import EngineDatabase

MeasuredStage = Literal["masks", "mv", "ev"]
MEASURED_STAGES: tuple[MeasuredStage, ...] = ("masks", "mv", "ev")
"""Stages whose work is counted in pairs."""
TABLE = "stage_runs"
_SCHEMA = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stage TEXT NOT NULL, body TEXT NOT NULL
)"""
"""Not in the layout of the database: folders that were begun before there was this table get it with their next run."""


class StageRun(EngineValue):
    """One stage of one run that came to its end, or to the end of its time.

    >>> StageRun(stage="masks", pairs=30, seconds=15.0, device="NVIDIA H200", made_by="tiny", at=0.0).pairs_per_second
    2.0
    """

    stage: MeasuredStage
    pairs: Annotated[int, Field(gt=0)]
    """That were done."""
    seconds: Annotated[FiniteFloat, Field(gt=0)]
    """Of the work, without loading what does it."""
    device: str
    """What did it: a GPU or a processor by its name; a language model by its own, for its server does not say more."""
    made_by: str
    """The recipe of the masks, or the verifier, as in `Judgement.by`."""
    at: FiniteFloat
    """Its end, in seconds since 1970."""

    @property
    def pairs_per_second(self) -> float:
        """Its speed."""
        return self.pairs / self.seconds


def add_stage_run(database: EngineDatabase, run: StageRun) -> None:
    """Append what a stage of a run took. Raises EngineError."""
    with database.write() as connection:
        connection.execute(_SCHEMA)
        connection.execute(f"INSERT INTO {TABLE} (stage, body) VALUES (?, ?)", (run.stage, run.model_dump_json()))


def find_latest_stage_runs(database: EngineDatabase) -> dict[str, StageRun]:
    """Find the latest run of each stage by its name; a stage that no run has ended is absent. Raises EngineError."""
    with database.read_snapshot() as connection:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if connection.execute(query, (TABLE,)).fetchone() is None:
            return {}
        query = f"SELECT body FROM {TABLE} WHERE id IN (SELECT max(id) FROM {TABLE} GROUP BY stage)"
        found = [StageRun.model_validate_json(body) for (body,) in connection.execute(query)]
    return {run.stage: run for run in found}
