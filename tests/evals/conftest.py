"""A small world with exact masks: runs end to end without a network."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import GrammarPlanner
from agent.records.provenance import Provenance
from evals.datasets.loading import load_dataset
from evals.datasets.synthetic.scenes import TruthBackend, generate_queries
from evals.evaluation import Evaluation
from evals.runs.manifest import ALL_SAMPLES, Manifest, Selection
from evals.runs.run_folder import RunFolder
from evals.runs.solver import SampleResult, Solver
from evals.samples import Dataset, Sample
from sam3_tool import Sam3

NUMBER, SIZE = 12, (200, 150)


@dataclass(frozen=True)
class World:
    dataset: Dataset
    solver: Solver
    finished: Path
    """Folder of finished runs, each of which is made once and copied for every test that asks for it."""

    def manifest(self, selection: Selection = ALL_SAMPLES, **changes: object) -> Manifest:
        made_with = {"made_by": Provenance(planner="grammar", sam3="truth"), "checkpoint": "", "threshold": 0.5}
        options = {"options": {"number": str(NUMBER), "size": "{}x{}".format(*SIZE)}}
        return Manifest.from_dataset(
            self.dataset, self.dataset.collect_info(), selection, **{**made_with, **options, **changes}
        )

    def start(self, path: Path, selection: Selection = ALL_SAMPLES, **changes: object) -> Evaluation:
        run = RunFolder.start(path, self.manifest(selection, **changes))
        return Evaluation(run, self.dataset, selection.select_samples(self.dataset))

    def ran(self, path: Path, selection: Selection = ALL_SAMPLES, **how: object) -> Evaluation:
        """A finished run, scored and reported. `how`: as `ask_samples` takes it."""
        if how:
            return self._run(path, selection, **how)
        made = self.finished / f"{selection.limit}-{'-'.join(selection.ids)}"
        if not made.exists():
            self._run(made, selection)
        shutil.copytree(made, path, dirs_exist_ok=True)
        return Evaluation(RunFolder(path), self.dataset, selection.select_samples(self.dataset))

    def _run(self, path: Path, selection: Selection, **how: object) -> Evaluation:
        evaluation = self.start(path, selection)
        with evaluation.run:
            predictions = evaluation.ask_samples(self.solver, **how)
            evaluation.write_predictions(predictions)
        pages = 0 if how else 2  # how samples were asked does not show in their pages
        evaluation.write_report(evaluation.score(predictions, draws=50), predictions, pages=pages)
        return evaluation

    def failing(self, *places: int) -> Callable[[Sample], SampleResult]:
        """The solver, but for these samples, whose image cannot be read."""
        broken = {self.dataset.list_samples()[place].id for place in places}

        def solve(sample: Sample) -> SampleResult:
            return self.solver(broken_picture(sample) if sample.id in broken else sample)

        return solve


def broken_picture(sample: Sample) -> Sample:
    def unreadable():
        raise OSError("the disk\nis gone")

    return Sample(sample.id, sample.query, sample.source, unreadable, sample.group, sample.slices)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    scenes = [query.scene for query in generate_queries(NUMBER, seed=0, sizes=(SIZE,))]
    dataset = load_dataset("scenes", number=NUMBER, size="{}x{}".format(*SIZE))
    return World(dataset, Solver(Sam3(TruthBackend(scenes)), GrammarPlanner()), tmp_path_factory.mktemp("finished"))


@pytest.fixture
def results() -> Callable[[Path], dict[str, bytes]]:
    """What a run leaves that must not depend on how it came about, by file name."""

    def read(run: Path) -> dict[str, bytes]:
        files = [*sorted((run / "predictions").iterdir()), run / "scores.json"]
        return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}

    return read
