"""The manifest of a run: enough to make it again, and to refuse to mix two."""

import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from agent.records.provenance import Provenance
from evals.errors import DatasetError, RunError
from evals.samples import Benchmark, Dataset, DatasetInfo, Sample
from sam3_tool.system.files import decode_text, write_atomically

RECORDED_PACKAGES = (
    "sam3-agent",
    "torch",
    "transformers",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "pycocotools",
    "openai",
)
_NON_BINDING_FIELDS = {"where", "options.pictures", "commit", "changed_code", "packages", "machine"}
"""Fields that may differ between two parts of a run."""


@dataclass(frozen=True)
class Selection:
    """Which samples of a data set are asked."""

    limit: int | None = None
    """The first so many; None = all."""
    ids: tuple[str, ...] = ()
    """Only these; empty = all."""

    def select_samples(self, dataset: Benchmark) -> list[Sample]:
        """In the data set's order. Raises DatasetError for an id that there is not, and where nothing is left."""
        samples = dataset.list_samples()
        if unknown := set(self.ids) - {sample.id for sample in samples}:
            example = next((sample.id for sample in samples), "none")
            raise DatasetError(
                f"{dataset.name} {dataset.split} has no sample {', '.join(sorted(unknown))}; an id is, e.g., {example}"
            )
        chosen = [sample for sample in samples if not self.ids or sample.id in self.ids][: self.limit]
        if not chosen:
            raise DatasetError(f"{dataset.name} {dataset.split} has no samples to ask")
        return chosen


ALL_SAMPLES = Selection()


class Manifest(BaseModel):
    """`manifest.json` of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sam3-agent evaluation"] = "sam3-agent evaluation"
    dataset: str
    task: str
    """Version of the task."""
    split: str
    options: Mapping[str, str] = Field(default_factory=dict)
    """Options that the data set was loaded with, e.g. its variant."""
    data: str
    """Hash of the annotation files."""
    where: str = ""
    """The folder of the data."""
    samples: int
    limit: int | None = None
    only: tuple[str, ...] = ()
    """Only these samples, as in `Selection`."""
    ids: str
    """Hash of the ids of the samples that are asked, in order."""
    made_by: Provenance
    """Planner, model, protocol, prompts, budget and checkpoint."""
    generation: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Settings of the model's replies: temperature, seed, most tokens, server."""
    checkpoint: str
    """Hash of SAM 3's weights; empty where there are none."""
    runs_on: str = ""
    """Device and number format of SAM 3."""
    batch: int = 1
    """Most requests that SAM 3 serves together; above 1, last digits depend on what else is asked at the time."""
    threshold: float
    """Threshold of samples that go to SAM 3 directly."""
    testing_only: bool = False
    """Not the whole split: its numbers are comparable with nothing."""
    commit: str = ""
    changed_code: bool = False
    packages: Mapping[str, str] = Field(default_factory=dict)
    machine: str = Field(
        default_factory=lambda: f"{platform.system()} {platform.machine()}, {platform.python_version()}"
    )

    @classmethod
    def from_dataset(cls, dataset: Dataset, info: DatasetInfo, selection: Selection, **made_with: object) -> Self:
        """`made_with`: the fields about planner and SAM 3, and about where the data are."""
        samples = selection.select_samples(dataset)
        commit, changed = _read_git_state()
        return cls.model_validate(
            {
                "dataset": dataset.name,
                "task": dataset.version,
                "split": dataset.split,
                "data": info.hash,
                "samples": len(samples),
                "limit": selection.limit,
                "only": selection.ids,
                "ids": hash_sample_ids(samples),
                "testing_only": len(samples) < len(dataset.list_samples()),
                "commit": commit,
                "changed_code": changed,
                "packages": {name: _get_version(name) for name in RECORDED_PACKAGES},
                **made_with,
            }
        )

    @property
    def selection(self) -> Selection:
        return Selection(self.limit, self.only)

    def find_differences(self, other: "Manifest") -> list[str]:
        """Find what would change results, one phrase each, e.g. 'planner: grammar, now openai:x'."""
        return [phrase for name, phrase in self._list_differences(other) if not _is_non_binding(name)]

    def find_harmless_differences(self, other: "Manifest") -> list[str]:
        """Find what does not keep a run from going on: where the data are, code, packages, machine."""
        return [phrase for name, phrase in self._list_differences(other) if _is_non_binding(name)]

    def _list_differences(self, other: "Manifest") -> Iterable[tuple[str, str]]:
        """The field's dotted name, and both values in words."""
        mine, theirs = _flatten_fields(self.model_dump(mode="json")), _flatten_fields(other.model_dump(mode="json"))
        for name in mine | theirs:
            if mine.get(name) != theirs.get(name):
                yield name, f"{name}: {mine.get(name)}, now {theirs.get(name)}"

    def save(self, path: Path) -> None:
        write_atomically(path, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises RunError for a file that is missing or no manifest."""
        try:
            return cls.model_validate_json(decode_text(path.read_bytes(), "replace"))
        except OSError as error:
            raise RunError(f"{path.parent} is not a run: cannot read {path.name} ({error.strerror})") from error
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            raise RunError(f"{path} is not a manifest this program can read: {where}: {wrong['msg']}") from error


def hash_sample_ids(samples: Iterable[Sample]) -> str:
    """SHA-256 over the ids in order, in hexadecimal."""
    return sha256("\n".join(sample.id for sample in samples).encode("utf-8", "replace")).hexdigest()


def _is_non_binding(name: str) -> bool:
    return name in _NON_BINDING_FIELDS or name.partition(".")[0] in _NON_BINDING_FIELDS


def _flatten_fields(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested fields under dotted names."""
    flat: dict[str, object] = {}
    for name, value in tree.items():
        inner = isinstance(value, dict)
        flat |= _flatten_fields(value, f"{prefix}{name}.") if inner else {prefix + name: value}  # type: ignore[arg-type]
    return flat


def _get_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _read_git_state() -> tuple[str, bool]:
    """The commit this program runs from, and whether files differ from it; ("", False) outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit.stdout.strip(), bool(status.stdout.strip())
