"""Measure how well words on generated objects are read and found: `python -m evals.studies.reading --sam3 tiny`.

Of each word that is printed on an object: whether it is read anywhere in the image, whether it is bound to the right
object among all exact masks, and whether the grammar planner answers 'the circle that says "milk"' with that object.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from agent import GrammarPlanner, Task, run
from agent.core.workspace import Candidate
from agent.tools.reading.looking import read_masks
from agent.tools.reading.matching import FoundText, find_text
from agent.tools.reading.recognition import read_text_lines
from agent.tools.reading.tool import keep_best, says_text
from evals.datasets.synthetic.printing import PrintedScene, PrintedWord, draw_printed_scenes
from evals.reports.tables import format_columns
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import encode_masks

SAVE_EVERY = 10
"""Images, so that a run that is stopped leaves what it found."""
MATCH_IOU = 0.5
"""IoU above which a mask is the object."""
Counts = dict[str, float]
"""words: how many; read, bound, answered: the shares of them."""


@dataclass(frozen=True)
class ReadWord:
    """A printed word, and what became of it."""

    word: PrintedWord
    read: bool
    """Whether it stands anywhere in what was read."""
    bound: bool
    """Whether it was found on the right one of all exact masks, and on no other."""
    answered: bool
    """Whether the query for it was answered by one mask, that of the right object."""


def measure_scene(printed: PrintedScene, sam3: Sam3) -> list[ReadWord]:
    """Read the words of one scene."""
    image = Image(printed.scene.pixels)
    lines = [word for line in read_text_lines(image) for word in line.words]
    candidates = _list_candidates(printed)
    return [
        ReadWord(
            word,
            read=find_text(word.text, lines) is not None,
            bound=_choose_masks(word.text, image, candidates) == [word.target],
            answered=_is_answered(word, printed, image, sam3),
        )
        for word in printed.words
    ]


def _list_candidates(printed: PrintedScene) -> list[Candidate]:
    rows = zip(encode_masks(printed.scene.masks), printed.scene.boxes.tolist(), strict=True)
    return [Candidate(id, rle, (x0, y0, x1, y1), 1.0, "object") for id, (rle, (x0, y0, x1, y1)) in enumerate(rows, 1)]


def _choose_masks(text: str, image: Image, candidates: Sequence[Candidate]) -> list[int]:
    """Return the indices of the masks that the tool `read_text` would keep."""
    on_masks, _ = read_masks(image, candidates, lambda words: says_text(text, words))
    found: dict[int, FoundText] = {
        index: match for index, words in enumerate(on_masks) if (match := find_text(text, words)) is not None
    }
    return [*keep_best(found)]


def _is_answered(word: PrintedWord, printed: PrintedScene, image: Image, sam3: Sam3) -> bool:
    noun = printed.scene.objects[word.target].noun
    answer = run(Task(image, f'the {noun} that says "{word.text}"'), GrammarPlanner(), sam3).answer
    if len(answer) != 1:
        return False
    mask, target = answer.masks[0], printed.scene.masks[word.target]
    return bool((mask & target).sum() > MATCH_IOU * (mask | target).sum())


def summarize_words(found: Sequence[ReadWord]) -> dict[str, dict[str, Counts]]:
    """Count overall, and by font, size and angle."""
    kinds: dict[str, Callable[[PrintedWord], str]] = {
        "all": lambda word: "all words",
        "angle": lambda word: f"{word.angle}°",
        "size": lambda word: f"{word.height} px",
        "font": lambda word: word.font,
        "pattern": lambda word: word.pattern,
        "kind": lambda word: "numbers" if word.text.isdigit() else "words",
    }
    return {
        name: {
            value: _count_words([word for word in found if kind(word.word) == value]) for value in _sort_values(values)
        }
        for name, kind in kinds.items()
        for values in [{kind(word.word) for word in found}]
    }


def _sort_values(values: Iterable[str]) -> list[str]:
    def find_number(value: str) -> int:
        digits = "".join(letter for letter in value if letter.isdigit() or letter == "-")
        return int(digits) if value.endswith(("°", " px")) else 0

    return sorted(values, key=lambda value: (find_number(value), value))


def _count_words(found: Sequence[ReadWord]) -> Counts:
    shares = {name: float(np.mean([getattr(word, name) for word in found])) for name in ("read", "bound", "answered")}
    return {"words": len(found), **{name: round(share, 4) for name, share in shares.items()}}


def format_reading_table(summary: dict[str, dict[str, Counts]]) -> str:
    rows = [
        (value, str(counts["words"]), *(f"{100 * counts[name]:.1f}" for name in ("read", "bound", "answered")))
        for group in summary.values()
        for value, counts in group.items()
    ]
    return format_columns(rows, head=("words", "n", "read %", "bound %", "answered %"), right_aligned=(1, 2, 3, 4))


def list_failures(found: Sequence[ReadWord]) -> list[str]:
    """List the words that were not read, or not bound to their object."""
    return [
        f"{word.word.text!r} in {word.word.font}, {word.word.height} px, {word.word.angle}°:"
        f" {'not bound' if word.read else 'not read'}"
        for word in found
        if not word.bound
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=200, help="images (default 200)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    arguments = parser.parse_args()
    sam3 = Sam3.load(arguments.sam3)
    scenes = islice(draw_printed_scenes(), arguments.number)
    found: list[ReadWord] = []
    for done, printed in enumerate(scenes, start=1):
        found += measure_scene(printed, sam3)
        if arguments.out and (done % SAVE_EVERY == 0 or done == arguments.number):
            written = {"images": done, **summarize_words(found), "failures": list_failures(found)}
            arguments.out.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(format_reading_table(summarize_words(found)))
    print(*list_failures(found), sep="\n")


if __name__ == "__main__":
    main()
