"""The plan of a run: which images, cut into which shards, asked what, of which weights. A folder holds one plan."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock

from annotate.errors import AnnotationError
from sam3_tool.system.files import decode_json, write_atomically
from sam3_tool.system.paths import is_there

PLAN_FILE = "plan.json"
MAX_SHARD_IMAGES, MAX_SHARD_ROWS = 256, 65_536
"""Of one shard: with many phrases it has fewer images, so that it stays small and is soon done."""
FEW_SHARDS = 64
"""Few images are cut into so many shards, so that several workers have something to do."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do. The same source, phrases, weights and options make the same plan on every machine.

    >>> plan = Plan(source="photos", listing="5d", images=1000, shard=256, question={"phrases": ["cat"]}, options={})
    >>> plan.shards, plan.get_range(3)
    (4, (768, 1000))
    """

    source: str
    """Where the images were listed; they may lie elsewhere on another machine."""
    listing: str
    """SHA-256 over their names and sizes."""
    images: int
    shard: int
    """Images of a shard; the last one may have fewer."""
    question: Mapping[str, Any]
    """Phrases or a query, and what answers are kept."""
    options: Mapping[str, Any]
    """What else the answers depend on."""
    weights: str = ""
    """Which SAM 3 answers: its name, and the hash of its weights."""
    reading: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """How the images were listed, for exports that need them again."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was passed over when the images were listed."""

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-self.images // self.shard)

    def get_range(self, number: int) -> tuple[int, int]:
        """Return the first image of a shard, and the one after its last."""
        return number * self.shard, min((number + 1) * self.shard, self.images)

    @property
    def hash(self) -> str:
        """SHA-256 over images, question and options, in hexadecimal."""
        told = {
            name: value for name, value in asdict(self).items() if name not in ("source", "reading", "notes", "weights")
        }
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def find_difference(self, other: "Plan") -> str:
        """Say in a few words what another plan has that this one, which a folder holds, has not; "" if nothing."""
        if self.listing != other.listing:
            return f"of other images ({self.images:,}, and now there are {other.images:,}{_tell_if_equal(self, other)})"
        if self.question != other.question:
            return f"with another question ({_describe_difference(self.question, other.question)})"
        if self.options != other.options:
            return f"with other options ({_describe_difference(self.options, other.options)})"
        if self.shard != other.shard:
            return f"in shards of {self.shard} images, not of {other.shard}"
        if self.weights and other.weights and self.weights != other.weights:
            return f"by other weights ({self.weights}, not {other.weights})"
        return ""

    def save(self, folder: Path) -> None:
        """Write the plan into a folder. Raises OSError."""
        content = {"format": 1, "hash": self.hash, **asdict(self), "shards": self.shards}
        write_atomically(folder / PLAN_FILE, f"{json.dumps(content, indent=1)}\n".encode())

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read the plan of a folder. Raises AnnotationError where there is none that can be read."""
        path = folder / PLAN_FILE
        try:
            content = decode_json(path.read_bytes())
            values = {name.name: content[name.name] for name in fields(cls)}
            plan = cls(**{**values, "notes": tuple(values["notes"])})
            if plan.hash != content["hash"]:
                raise ValueError("it was changed by hand")
            return plan
        except FileNotFoundError as error:
            raise AnnotationError(f"{folder} holds no {PLAN_FILE}, so no run of `annotate` was begun there") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AnnotationError(f"{path} cannot be read ({error}); take another folder for the results") from error


def choose_shard_size(images: int, phrases: int) -> int:
    """Choose how many images a shard has, from nothing that differs between machines.

    >>> choose_shard_size(1_000_000, 1), choose_shard_size(1000, 1), choose_shard_size(1_000_000, 10_000)
    (256, 15, 6)
    """
    return max(1, min(MAX_SHARD_IMAGES, max(8, images // FEW_SHARDS), MAX_SHARD_ROWS // max(1, phrases)))


def check_plan(folder: Path, plan: Plan) -> None:
    """Refuse to go on in a folder that holds another plan. Raises AnnotationError."""
    if is_there(folder / PLAN_FILE) and (difference := Plan.load(folder).find_difference(plan)):
        raise AnnotationError(
            f"{folder} holds results {difference}; choose another --out, or ask again as when that run began"
        )


def settle_plan(folder: Path, plan: Plan, lock: Path) -> None:
    """Write the plan into its folder, or check that the same one is there. Raises AnnotationError or OSError."""
    held = FileLock(lock)
    with suppress(NotImplementedError):  # a file system without locks
        held.acquire()
    try:
        check_plan(folder, plan)
        if not (folder / PLAN_FILE).exists():
            plan.save(folder)
    finally:
        held.release()


def _tell_if_equal(first: Plan, second: Plan) -> str:
    return ", but other names or sizes" if first.images == second.images else ""


def _describe_difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """E.g. "threshold 0.5, not 0.3", "phrases cat, not query the cats", or "without concepts"."""
    held_only = [name for name in held if name not in wanted]
    wanted_only = [name for name in wanted if name not in held]
    if held_only and wanted_only:
        first, second = held_only[0], wanted_only[0]
        return f"{first} {_shorten_value(held[first])}, not {second} {_shorten_value(wanted[second])}"
    if wanted_only:
        return f"without {wanted_only[0]}"
    name = next(name for name in held if name not in wanted or held[name] != wanted[name])
    other = f", not {_shorten_value(wanted[name])}" if name in wanted else f", and now without {name}"
    return f"{name} {_shorten_value(held[name])}{other}"


def _shorten_value(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
