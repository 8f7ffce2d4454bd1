"""Run 157 sentences with answers by hand through the grammar planner: `python -m evals.studies.grammar.sentences`.

The sentences are of people who have not read what the grammar takes. They are about one scene of plain boxes, which
every answer can be checked on by hand; `sentences.tsv` holds each with the numbers of the objects it means.
Masks are exact, so that every wrong answer is the planner's.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import GrammarPlanner, Task, run
from evals.datasets.synthetic.scenes import TruthBackend
from evals.reports.tables import format_columns
from sam3_tool import Image, Sam3
from sam3_tool.synthetic.scenes import Scene, SceneObject

SIZE = (640, 480)
OBJECTS = (
    # five circles in a row, the fourth of them larger and higher
    ("red circle", (40, 40, 80, 80)),
    ("blue circle", (140, 40, 180, 80)),
    ("red circle", (240, 40, 280, 80)),
    ("green circle", (340, 20, 400, 80)),
    ("blue circle", (440, 40, 480, 80)),
    # two stars that overlap, and one apart
    ("yellow star", (40, 150, 90, 200)),
    ("red star", (80, 160, 130, 190)),
    ("yellow star", (300, 150, 350, 200)),
    # two cakes, one of them with a cherry on it
    ("cake", (400, 150, 480, 200)),
    ("cherry", (430, 160, 450, 180)),
    ("cake", (520, 150, 600, 200)),
    # fruits in a row
    ("banana", (200, 300, 280, 340)),
    ("apple", (130, 300, 170, 340)),
    ("cherry", (320, 300, 350, 330)),
    ("cherry", (560, 300, 590, 330)),
    # a dog beside a cup, a cat that wears a hat
    ("dog", (40, 380, 120, 440)),
    ("cup", (130, 400, 160, 440)),
    ("cup", (560, 400, 600, 440)),
    ("cat", (300, 380, 360, 440)),
    ("hat", (310, 390, 350, 410)),
    # three squares of one size, two of them next to each other
    ("red square", (420, 360, 460, 400)),
    ("blue square", (420, 410, 460, 450)),
    ("blue square", (500, 370, 540, 410)),
)
"""What they are, and x0 y0 x1 y1 in pixels. Numbers count from 1; a later one hides what it covers."""


@dataclass(frozen=True)
class Sentence:
    kind: str
    text: str
    meant: tuple[int, ...]
    """Numbers of objects."""
    beyond: bool
    """Whether the answer has to say that it is not all of what was asked for."""


@dataclass(frozen=True)
class AnsweredSentence:
    sentence: Sentence
    found: tuple[int, ...]
    message: str

    @property
    def is_right(self) -> bool:
        says_so = "not understood" in self.message
        return self.found == self.sentence.meant and says_so == self.sentence.beyond


def read_sentences() -> list[Sentence]:
    """Read the sentences with their answers; '-' means no object, '?' that the answer must say it is incomplete."""
    text = Path(__file__).with_name("sentences.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        Sentence(row["kind"], row["sentence"], _read_numbers(row["ids"].strip("?-")), row["ids"].startswith("?"))
        for row in rows
    ]


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def draw_objects() -> Scene:
    """Draw `OBJECTS` as plain boxes."""
    width, height = SIZE
    ids = np.zeros((height, width), np.uint8)
    for number, (_, (x0, y0, x1, y1)) in enumerate(OBJECTS, start=1):
        ids[y0:y1, x0:x1] = number
    objects = (SceneObject(name.split()[-1], name.split()[0] if " " in name else None, None, "") for name, _ in OBJECTS)
    return Scene(np.repeat(ids[..., None] * 10, 3, axis=2), ids, tuple(objects))


def answer_sentences(sentences: Sequence[Sentence]) -> list[AnsweredSentence]:
    scene, planner = draw_objects(), GrammarPlanner()
    sam3, image = Sam3(TruthBackend([scene])), Image(scene.pixels)
    answered: list[AnsweredSentence] = []
    for sentence in sentences:
        episode = run(Task(image, sentence.text), planner, sam3)
        masks = episode.answer.masks
        found = sorted(int(np.bincount(scene.ids[mask]).argmax()) for mask in masks)
        answered.append(AnsweredSentence(sentence, tuple(found), episode.message))
    return answered


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    answered = answer_sentences(read_sentences())
    kinds = dict.fromkeys(each.sentence.kind for each in answered)
    of_kind = {kind: [each.is_right for each in answered if each.sentence.kind == kind] for kind in kinds}
    rows = [(kind, str(sum(right)), str(len(right))) for kind, right in of_kind.items()]
    total = ("all", str(sum(each.is_right for each in answered)), str(len(answered)))
    print(format_columns([*rows, total], head=("kind", "right", "sentences"), right_aligned=(1, 2)))
    for each in answered:
        if not each.is_right:
            print(f"{each.sentence.text!r}: {each.found}, not {each.sentence.meant}; {each.message}", file=sys.stderr)


if __name__ == "__main__":
    main()
