"""Measure how well temporal queries are answered: `python -m evals.studies.grammar.temporal_queries --sam3 truth`.

J&F by kind of query on staged clips, as MeViS has it: the mean over all frames of the union of the answer's masklets.
`--sam3 truth` puts exact masklets in SAM 3's place, so that errors of planning and errors of perception are told apart.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import VIDEO, Episode, Task, run
from agent.core.planner import Planner
from agent.planners.loading import load_planner
from evals.datasets.synthetic.scenes import format_concept
from evals.datasets.synthetic.temporal import FRAME_RATE, KINDS, TemporalQuery, generate_temporal_queries
from evals.metrics import jf
from evals.reports.tables import format_columns
from sam3_tool import Image, Masklet, Masklets, Sam3, ScriptedBackend, Video
from sam3_tool.errors import UserError
from sam3_tool.masks.rle import decode_mask
from sam3_tool.synthetic.nouns import HYPERNYMS
from sam3_tool.synthetic.phrases import Concept


@dataclass(frozen=True, eq=False)
class AnsweredQuery:
    """A query with what was made of it."""

    query: TemporalQuery
    episode: Episode | None
    """None where the planner gave up with an error."""
    error: str = ""

    @property
    def curves(self) -> tuple[float, float]:
        """J and F, as fractions; without an answer, those of empty masks."""
        target = self.query.target
        found = np.zeros_like(target)
        if self.episode is not None:
            for masklet in self.episode.masklets.masklets:
                for frame, mask in zip(masklet.frames, masklet.rles, strict=True):
                    found[frame] |= decode_mask(mask)
        j, f = jf.compute_curves(zip(found, target, strict=True))
        return float(j.mean()), float(f.mean())


def open_video(query: TemporalQuery) -> Video:
    """The clip as the agent is shown it."""
    return Video.from_images([Image(frame) for frame in query.clip.frames], frame_rate=FRAME_RATE)


def build_truth(query: TemporalQuery) -> Sam3:
    """A scripted SAM 3 that knows the clip: every plain phrase that is true of an object finds its exact masklet."""
    video, things = open_video(query), query.clip.objects
    masklets = [Masklet.from_masks(query.clip.get_masks(index)) for index in range(len(things))]
    script = {}
    for concept in dict.fromkeys(_list_concepts(query)):
        found = concept.find_matches(things)
        chosen = tuple(masklets[index] for index in found)
        presence = np.array([any(m.at(frame) for m in chosen) for frame in range(len(video))], np.float32)
        size = (video.height, video.width)
        for many in (False, True):
            phrase = format_concept(concept, many=many)
            script[phrase] = Masklets(chosen, tuple(i + 1 for i in found), size, len(video), phrase, presence)
    return Sam3(ScriptedBackend.from_video(video, script))


def _list_concepts(query: TemporalQuery) -> Iterator[Concept]:
    """Nouns and families of all objects, with and without their colour."""
    for thing in query.clip.objects:
        for noun in (thing.noun, *(family for family, nouns in HYPERNYMS.items() if thing.noun in nouns)):
            yield from (Concept(noun), Concept(noun, thing.colour))


def answer_queries(
    planner: Planner, find_sam3: Callable[[TemporalQuery], Sam3], queries: Sequence[TemporalQuery]
) -> list[AnsweredQuery]:
    """Ask each query about its clip. A planner that stops with an error has no answer."""
    answered = []
    for query in queries:
        try:
            episode = run(Task.from_video(open_video(query), query.text), planner, find_sam3(query))
            answered.append(AnsweredQuery(query, episode))
        except UserError as error:
            answered.append(AnsweredQuery(query, None, str(error)))
    return answered


def average_by_kind(answered: Sequence[AnsweredQuery]) -> dict[str, dict[str, float]]:
    """`jf`, `j`, `f` as fractions, and `n`, of every kind that was asked and over all."""
    by_kind = {kind: [answer for answer in answered if answer.query.kind == kind] for kind in KINDS}
    rows = {kind: _average(some) for kind, some in by_kind.items() if some}
    return rows | {"overall": _average(answered)}


def _average(answered: Sequence[AnsweredQuery]) -> dict[str, float]:
    j, f = (float(np.mean(column)) for column in zip(*(answer.curves for answer in answered), strict=True))
    return {"jf": (j + f) / 2, "j": j, "f": f, "n": float(len(answered))}


def format_temporal_table(rows: dict[str, dict[str, float]]) -> str:
    cells = [
        (kind, *(f"{row[name]:.3f}" for name in ("jf", "j", "f")), f"{row['n']:.0f}") for kind, row in rows.items()
    ]
    return format_columns(cells, head=("kind", "J&F", "J", "F", "n"), right_aligned=(1, 2, 3, 4))


def main(words: Sequence[str] | None = None) -> None:
    """`words`: instead of those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planner", default="grammar", help="as `sam3-agent segment --planner` takes it")
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3', a folder, or 'truth': exact masklets")
    parser.add_argument("--number", type=int, default=200, help="queries, all kinds in turn (default 200)")
    parser.add_argument("--kinds", help="only these kinds, with commas")
    parser.add_argument("--only", help="of the set with all kinds, ask these, with commas")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    parser.add_argument("--below", type=float, default=0.0, help="list the queries whose J&F is below this")
    arguments = parser.parse_args(words)
    kinds = arguments.kinds.split(",") if arguments.kinds else None
    only = arguments.only.split(",") if arguments.only else list(KINDS)
    queries = [query for query in generate_temporal_queries(arguments.number, kinds=kinds) if query.kind in only]
    if arguments.sam3 == "truth":
        find_sam3 = build_truth
    else:
        sam3 = Sam3.load(arguments.sam3)

        def find_sam3(query: TemporalQuery) -> Sam3:
            return sam3

    answered = answer_queries(load_planner(arguments.planner, toolset=VIDEO), find_sam3, queries)
    rows = average_by_kind(answered)
    print(format_temporal_table(rows))
    for answer in answered:
        if sum(answer.curves) / 2 < arguments.below:
            said = answer.error if answer.episode is None else answer.episode.message
            print(f"{answer.query.kind}: {answer.query.text!r} -> {said}", file=sys.stderr)
    if arguments.out:
        numbers = {kind: {name: round(value, 4) for name, value in row.items()} for kind, row in rows.items()}
        arguments.out.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
