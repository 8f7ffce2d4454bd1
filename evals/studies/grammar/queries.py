"""Measure how well the grammar planner answers complex queries: `python -m evals.studies.grammar.queries --sam3 tiny`.

gIoU by kind of query on generated scenes; `--sam3 truth` puts exact masks in SAM 3's place, so that errors of planning
and errors of perception are told apart.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import Episode, GrammarPlanner, Task, run
from evals.datasets.synthetic.scenes import KINDS, SceneQuery, TruthBackend, generate_queries
from evals.metrics import reasonseg
from evals.reports.tables import format_columns
from sam3_tool import Image, Sam3


@dataclass(frozen=True, eq=False)
class AnsweredQuery:
    query: SceneQuery
    episode: Episode

    @property
    def mask_pair(self) -> tuple[np.ndarray, np.ndarray]:
        """The union of the answer's masks, and the mask that was meant."""
        return self.episode.answer.compute_union(), self.query.target


def answer_queries(sam3: Sam3, queries: Sequence[SceneQuery]) -> list[AnsweredQuery]:
    planner = GrammarPlanner()
    return [AnsweredQuery(q, run(Task(Image(q.scene.pixels), q.text), planner, sam3)) for q in queries]


def summarize_by_kind(answered: Sequence[AnsweredQuery]) -> dict[str, dict[str, float]]:
    """gIoU, cIoU and n of every kind that was asked and over all; for counting also the share of exact counts."""
    by_kind = {kind: [a for a in answered if a.query.kind == kind] for kind in KINDS}
    rows = {kind: reasonseg.score(a.mask_pair for a in some) for kind, some in by_kind.items() if some}
    if counted := by_kind["counting"]:
        rows["counting"]["exact"] = float(
            np.mean([len(a.episode.current_ids) == len(a.query.targets) for a in counted])
        )
    return rows | {"overall": reasonseg.score(a.mask_pair for a in answered)}


def format_query_table(rows: dict[str, dict[str, float]]) -> str:
    cells = [(kind, f"{row['giou']:.3f}", f"{row['ciou']:.3f}", f"{row['n']:.0f}") for kind, row in rows.items()]
    return format_columns(cells, head=("kind", "gIoU", "cIoU", "n"), right_aligned=(1, 2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3', a folder, or 'truth': exact masks")
    parser.add_argument("--number", type=int, default=300, help="queries, all kinds in turn (default 300)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    parser.add_argument("--below", type=float, default=0.0, help="list the queries whose IoU is below this")
    arguments = parser.parse_args()
    queries = list(generate_queries(arguments.number))
    exact = arguments.sam3 == "truth"
    sam3 = Sam3(TruthBackend([q.scene for q in queries])) if exact else Sam3.load(arguments.sam3)
    answered = answer_queries(sam3, queries)
    rows = summarize_by_kind(answered)
    print(format_query_table(rows))
    for a in answered:
        if reasonseg.score([a.mask_pair])["giou"] < arguments.below:
            print(f"{a.query.kind}: {a.query.text!r} -> {a.episode.message}", file=sys.stderr)
    if arguments.out:
        numbers = {kind: {name: round(value, 4) for name, value in row.items()} for kind, row in rows.items()}
        arguments.out.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
