import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent import VIDEO, WORKSPACE, Budget, Episode, ScriptedPlanner, Task, Toolset, Verdict, run
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Fallback,
    Holding,
    Inscribed,
    Intersection,
    Lacking,
    Located,
    MaskIds,
    OddOne,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    Union,
    Unique,
    list_children,
)
from sam3_tool import Image, Instances, Sam3, Video
from sam3_tool.backends.scripted import ScriptedBackend
from tests.support.clips import make_dog_clip

HEIGHT, WIDTH = 60, 100
TABLE = {
    "red cup": [(5, 20, 15, 30, 0.91), (30, 20, 40, 30, 0.85), (55, 20, 75, 30, 0.72)],
    "cup": [(5, 20, 15, 30, 0.95), (5, 20, 15, 31, 0.9), (80, 5, 90, 15, 0.8)],
    "saucer": [(28, 31, 42, 34, 0.7)],
    "table": [(0, 35, 100, 60, 0.99)],
    "handle": [(13, 20, 15, 30, 0.98), (5, 20, 15, 30, 0.6)],
    "ghost": [(7, 7, 7, 7, 0.9), (60, 40, 70, 50, 0.6)],
}
"""Phrase -> the rectangles that are found for it: x0, y0, x1, y1, score."""


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test encrypts what it sends; to read the machine's certificates takes each client 50 ms of a processor."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(__file__).parent))


def rectangles(rows, height: int = HEIGHT, width: int = WIDTH) -> Instances:
    y, x = np.mgrid[:height, :width]
    table = np.array(rows, np.float32).reshape(-1, 5)
    masks = [(x >= x0) & (x < x1) & (y >= y0) & (y < y1) for x0, y0, x1, y1, _ in table]
    return Instances(np.array(masks), table[:, :4], table[:, 4], presence=0.9, phrase="")


@pytest.fixture
def kitchen() -> Image:
    return Image(np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).astype(np.uint8).reshape(HEIGHT, WIDTH, 3))


@pytest.fixture
def cups() -> Instances:
    return rectangles(TABLE["red cup"])


@pytest.fixture
def kitchen_sam3(kitchen) -> Sam3:
    """Finds what `TABLE` says; in the right half of the picture, seen alone, one more cup."""
    right_half = kitchen.crop(50, 0, 100, 60)
    whole = {phrase: rectangles(rows) for phrase, rows in TABLE.items()}
    return Sam3(ScriptedBackend({None: whole, right_half.key: {"cup": rectangles([(10, 40, 20, 50, 0.8)], 60, 50)}}))


@pytest.fixture
def play(kitchen, kitchen_sam3) -> Callable[..., Episode]:
    """The episode of these calls; the step limit ends it after the last one, where no tool does."""

    def play(
        *calls: object,
        toolset: Toolset = WORKSPACE,
        rejects: tuple[int, ...] = (),
        verdicts: tuple[Verdict, ...] | None = None,
    ) -> Episode:
        planner = ScriptedPlanner(calls, toolset=toolset, rejects=rejects, verdicts=verdicts)
        return run(Task(kitchen, "q"), planner, kitchen_sam3, budget=Budget(max_steps=len(calls)))

    return play


@pytest.fixture(scope="session")
def dog_clip() -> tuple[Video, Sam3]:
    """A clip of two seconds with three dogs and a post, and a SAM 3 that finds and follows them."""
    return make_dog_clip()


@pytest.fixture
def play_clip(dog_clip) -> Callable[..., Episode]:
    """The episode of these calls about the clip; the step limit ends it after the last one, where no tool does."""
    video, sam3 = dog_clip

    def play(*calls: object, **part: float) -> Episode:
        planner = ScriptedPlanner(calls, toolset=VIDEO)
        return run(Task.from_video(video, "q", **part), planner, sam3, budget=Budget(max_steps=len(calls)))

    return play


def _written(plan: Plan | None) -> str:  # noqa: C901 - one case for each kind of plan
    """A plan on one line: a + b, a - b, a & b, relation(of, to), place(of), rank(of, -by, #start, take, to),
    lacks(of, part), holds(of, part, least to most), odd(of), every(of, -by, #start, step).

    In a conversation also @turn, #number, one(of), above(of, size), below(of, size), a ?? b.
    """
    match plan:
        case None:
            return ""
        case Phrase(text):
            return text
        case PreviousAnswer(turn):
            return f"@{turn}"
        case MaskIds(ids):
            return f"#{','.join(map(str, ids))}"
        case Union(parts):
            return f"({' + '.join(map(_written, parts))})"
        case Difference(of, other) | Intersection(of, other) | Fallback(of, other):
            sign = {Difference: "-", Intersection: "&", Fallback: "??"}[type(plan)]
            return f"({_written(of)} {sign} {_written(other)})"
        case Related(_, relation):
            return f"{relation}({', '.join(map(_written, list_children(plan)))})"
        case Located(of, place):
            return f"{place}({_written(of)})"
        case Inscribed(of, text):
            return f"says({_written(of)}, {text})"
        case Counted(of):
            return f"count({_written(of)})"
        case Unique(of):
            return f"one({_written(of)})"
        case RelativeToMean(of, by, order):
            return f"{'above' if order == 'descending' else 'below'}({_written(of)}, {by})"
        case Lacking(of, part):
            return f"lacks({_written(of)}, {_written(part)})"
        case Holding(of, part, least, most):
            return f"holds({_written(of)}, {_written(part)}, {least} to {'any' if most is None else most})"
        case OddOne(of):
            return f"odd({_written(of)})"
        case Alternating(of, by, order, start, step):
            return f"every({_written(of)}, {'+' if order == 'ascending' else '-'}{by}, #{start}, {step})"
        case Ranked(of, by, order, start, take, to):
            start_take = [f"#{start}"] * (start > 1) + [str(take)] * (take > 1)
            to_what = [] if to is None else [_written(to)]
            sorted_by = ("+" if order == "ascending" else "-") + by
            return f"rank({', '.join([_written(of), sorted_by, *start_take, *to_what])})"


@pytest.fixture(scope="session")
def written() -> Callable[[Plan | None], str]:
    """A plan on one line."""
    return _written


@pytest.fixture
def is_one_sentence() -> Callable[[str], bool]:
    """Unique line that ends with its only full stop; quoted text and numbers may hold any character."""

    def is_one_sentence(text: str) -> bool:
        bare = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d\.\d|\.{3}", "x", text)
        return text.isprintable() and bare.endswith(".") and bare.count(".") == 1

    return is_one_sentence
