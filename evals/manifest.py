"""What a run was made with: enough to make it again, and to refuse to mix two."""

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.transcript import MadeBy
from evals.samples import Dataset, Sample
from sam3_tool.files import write_whole

PACKAGES = ("sam3-agent", "torch", "transformers", "numpy", "pillow", "opencv-python-headless", "pycocotools", "openai")
_ONLY_TOLD = {"commit", "changed_code", "packages", "machine", "note"}
"""Fields that may differ between two parts of a run."""


class RunError(ValueError):
    """A run that cannot be started, resumed or read. The message is one sentence for the user."""


class Manifest(BaseModel):
    """`manifest.json` of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sam3-agent evaluation"] = "sam3-agent evaluation"
    dataset: str
    task: str
    """Version of the task."""
    split: str
    data: str
    """Hash of the annotation files."""
    samples: int
    ids: str
    """Hash of the ids of the samples that are asked, in order."""
    made_by: MadeBy
    """Planner, model, protocol, prompts, budget and checkpoint."""
    checkpoint: str
    """Hash of SAM 3's weights; empty where there are none."""
    threshold: float
    """Of samples that go to SAM 3 directly."""
    testing_only: bool = False
    """Not the whole split: its numbers are comparable with nothing."""
    commit: str = ""
    changed_code: bool = False
    packages: Mapping[str, str] = Field(default_factory=dict)
    machine: str = Field(
        default_factory=lambda: f"{platform.system()} {platform.machine()}, {platform.python_version()}"
    )

    @classmethod
    def of(
        cls, dataset: Dataset, samples: Sequence[Sample], made_by: MadeBy, *, checkpoint: str, threshold: float
    ) -> Self:
        commit, changed = _code()
        return cls(
            dataset=dataset.name,
            task=dataset.version,
            split=dataset.split,
            data=dataset.facts().hash,
            samples=len(samples),
            ids=_hash_of(sample.id for sample in samples),
            made_by=made_by,
            checkpoint=checkpoint,
            threshold=threshold,
            testing_only=len(samples) < len(dataset.samples()),
            commit=commit,
            changed_code=changed,
            packages={name: _version(name) for name in PACKAGES},
        )

    def differences(self, other: "Manifest") -> list[str]:
        """What would change results, one phrase each, e.g. 'planner: grammar, now openai:x'."""
        mine, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        return [
            f"{name}: {mine.get(name)}, now {theirs.get(name)}"
            for name in mine | theirs
            if mine.get(name) != theirs.get(name) and name.split(".")[0] not in _ONLY_TOLD
        ]

    def save(self, path: Path) -> None:
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises RunError for a file that is missing or no manifest."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise RunError(f"{path.parent} is not a run: cannot read {path.name} ({error.strerror})") from error
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            raise RunError(f"{path} is not a manifest this program can read: {where}: {wrong['msg']}") from error


def checkpoint_hash(folder: Path) -> str:
    """SHA-256 over a checkpoint's weights, in hexadecimal, in the order of the files' names."""
    digest = sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as weights:
            while block := weights.read(2**22):
                digest.update(block)
    return digest.hexdigest()


def _hash_of(texts: Iterable[str]) -> str:
    return sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()


def _flat(tree: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Nested fields under dotted names."""
    flat: dict[str, object] = {}
    for name, value in tree.items():
        inner = isinstance(value, dict) and before + name not in ("packages",)
        flat |= _flat(value, f"{before}{name}.") if inner else {before + name: value}  # type: ignore[arg-type]
    return flat


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _code() -> tuple[str, bool]:
    """The commit this program runs from, and whether files differ from it; ("", False) outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit.stdout.strip(), bool(status.stdout.strip())
