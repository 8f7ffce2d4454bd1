"""How well the grammar planner follows a conversation: `python -m evals.conversations --sam3 tiny`.

gIoU of the answer after every turn, by kind of turn, over generated conversations about generated scenes; `--sam3
truth` puts exact masks in SAM 3's place, so that errors of planning and errors of perception are told apart.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import GrammarPlanner
from agent.conversation import Conversation
from evals.datasets.conversations import KINDS, SceneTalk, Turn, scene_talks
from evals.datasets.scenes import TruthBackend
from evals.metrics import reasonseg
from sam3_tool import Picture, Sam3
from sam3_tool.rle import encode, ious
from sam3_tool.training.scenes import Scene


@dataclass(frozen=True, eq=False)
class Answered:
    turn: Turn
    scene: Scene
    query: str
    conversation: Conversation

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """What the answer is after the turn (the union of its masks) and what it should be."""
        target = np.isin(self.scene.ids, np.array(self.turn.targets, int) + 1).astype(np.uint8)
        return self.conversation.answer.union(), target


def hold(talk: SceneTalk, sam3: Sam3) -> Iterator[Answered]:
    """The conversation after each of its turns."""
    planner, scene = GrammarPlanner(), talk.scene
    conversation = Conversation.start(Picture(scene.pixels))
    for turn in talk.turns:
        if turn.shows is not None:
            scene = turn.shows
            conversation = conversation.show(Picture(scene.pixels))
        query = turn.text.format(*(_number(index, scene, conversation) for index in turn.named))
        conversation = conversation.say(query, planner, sam3)
        yield Answered(turn, scene, query, conversation)


def _number(index: int, scene: Scene, conversation: Conversation) -> int:
    """The number that a user reads on the object: that of the answer's mask that fits it best."""
    shown = conversation.selected or tuple(candidate.id for candidate in conversation.workspace)
    fit = ious(conversation.workspace.rles(shown), [encode(scene.masks[index])])
    return shown[int(fit[:, 0].argmax())] if shown else 1


def summarise(answered: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """gIoU, cIoU and n of every kind of turn and over all."""
    by_kind = {kind: [one for one in answered if one.turn.kind == kind] for kind in KINDS}
    rows = {kind: reasonseg.score(one.pair for one in some) for kind, some in by_kind.items() if some}
    return rows | {"overall": reasonseg.score(one.pair for one in answered)}


def table(rows: dict[str, dict[str, float]]) -> str:
    lines = [f"{'kind of turn':<24} {'gIoU':>6} {'cIoU':>6} {'n':>4}"]
    lines += [f"{kind:<24} {row['giou']:6.3f} {row['ciou']:6.3f} {row['n']:4.0f}" for kind, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3', a folder, or 'truth': exact masks")
    parser.add_argument("--number", type=int, default=100, help="conversations (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other conversations (default 0)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    parser.add_argument("--below", type=float, default=0.0, help="show the conversations with a turn below this IoU")
    arguments = parser.parse_args()
    talks = list(scene_talks(arguments.number, seed=arguments.seed))
    scenes = [scene for talk in talks for scene in (talk.scene, *(turn.shows for turn in talk.turns)) if scene]
    sam3 = Sam3(TruthBackend(scenes)) if arguments.sam3 == "truth" else Sam3.load(arguments.sam3)
    held = [list(hold(talk, sam3)) for talk in talks]
    rows = summarise([one for talk in held for one in talk])
    print(table(rows))
    for talk in held:
        if any(reasonseg.score([one.pair])["giou"] < arguments.below for one in talk):
            print(as_text(talk), file=sys.stderr)
    if arguments.out:
        numbers = {kind: {name: round(value, 4) for name, value in row.items()} for kind, row in rows.items()}
        arguments.out.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def as_text(talk: Sequence[Answered]) -> str:
    """What was said, what was answered, and how well."""
    scored = [(one, reasonseg.score([one.pair])["giou"]) for one in talk]
    return "\n".join([f"{iou:.2f} {one.query} -> {one.conversation.message}" for one, iou in scored] + [""])


if __name__ == "__main__":
    main()
