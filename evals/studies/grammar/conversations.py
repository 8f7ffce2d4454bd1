"""Measure how well the grammar follows a conversation: `python -m evals.studies.grammar.conversations --sam3 tiny`.

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
from agent.conversation.conversation import Conversation
from evals.datasets.synthetic.conversations import KINDS, SceneDialogue, Turn, generate_dialogues
from evals.datasets.synthetic.scenes import TruthBackend
from evals.metrics import reasonseg
from evals.reports.tables import format_columns
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import compute_ious, encode_mask
from sam3_tool.synthetic.scenes import Scene


@dataclass(frozen=True, eq=False)
class AnsweredTurn:
    turn: Turn
    scene: Scene
    query: str
    conversation: Conversation

    @property
    def mask_pair(self) -> tuple[np.ndarray, np.ndarray]:
        """The union of the answer's masks after the turn, and the mask that it should be."""
        target = np.isin(self.scene.ids, np.array(self.turn.targets, int) + 1).astype(np.uint8)
        return self.conversation.answer.compute_union(), target


def run_dialogue(dialogue: SceneDialogue, sam3: Sam3) -> Iterator[AnsweredTurn]:
    """The conversation after each of its turns."""
    planner, scene = GrammarPlanner(), dialogue.scene
    conversation = Conversation.start(Image(scene.pixels))
    for turn in dialogue.turns:
        if turn.shown_scene is not None:
            scene = turn.shown_scene
            conversation = conversation.show(Image(scene.pixels))
        query = turn.text.format(*(_find_mask_id(index, scene, conversation) for index in turn.named_objects))
        conversation = conversation.say(query, planner, sam3)
        yield AnsweredTurn(turn, scene, query, conversation)


def _find_mask_id(index: int, scene: Scene, conversation: Conversation) -> int:
    """The number that a user reads on the object: that of the answer's mask that fits it best."""
    shown = conversation.selected or tuple(candidate.id for candidate in conversation.workspace)
    fit = compute_ious(conversation.workspace.get_rles(shown), [encode_mask(scene.masks[index])])
    return shown[int(fit[:, 0].argmax())] if shown else 1


def summarize_by_kind(answered: Sequence[AnsweredTurn]) -> dict[str, dict[str, float]]:
    """gIoU, cIoU and n of every kind of turn and over all."""
    by_kind = {kind: [answer for answer in answered if answer.turn.kind == kind] for kind in KINDS}
    rows = {
        kind: reasonseg.score(answer.mask_pair for answer in answers) for kind, answers in by_kind.items() if answers
    }
    return rows | {"overall": reasonseg.score(answer.mask_pair for answer in answered)}


def format_turn_table(rows: dict[str, dict[str, float]]) -> str:
    cells = [(kind, f"{row['giou']:.3f}", f"{row['ciou']:.3f}", f"{row['n']:.0f}") for kind, row in rows.items()]
    return format_columns(cells, head=("kind of turn", "gIoU", "cIoU", "n"), right_aligned=(1, 2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3', a folder, or 'truth': exact masks")
    parser.add_argument("--number", type=int, default=100, help="conversations (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other conversations (default 0)")
    parser.add_argument("--out", type=Path, help="write the numbers here as JSON, too")
    parser.add_argument("--below", type=float, default=0.0, help="show the conversations with a turn below this IoU")
    arguments = parser.parse_args()
    dialogues = list(generate_dialogues(arguments.number, seed=arguments.seed))
    scenes = [
        scene
        for dialogue in dialogues
        for scene in (dialogue.scene, *(turn.shown_scene for turn in dialogue.turns))
        if scene
    ]
    sam3 = Sam3(TruthBackend(scenes)) if arguments.sam3 == "truth" else Sam3.load(arguments.sam3)
    transcripts = [list(run_dialogue(dialogue, sam3)) for dialogue in dialogues]
    rows = summarize_by_kind([answer for transcript in transcripts for answer in transcript])
    print(format_turn_table(rows))
    for transcript in transcripts:
        if any(reasonseg.score([answer.mask_pair])["giou"] < arguments.below for answer in transcript):
            print(format_transcript(transcript), file=sys.stderr)
    if arguments.out:
        numbers = {kind: {name: round(value, 4) for name, value in row.items()} for kind, row in rows.items()}
        arguments.out.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def format_transcript(transcript: Sequence[AnsweredTurn]) -> str:
    """Format each turn: its IoU, the query and the answer's message."""
    scored = [(answer, reasonseg.score([answer.mask_pair])["giou"]) for answer in transcript]
    return "\n".join([f"{iou:.2f} {answer.query} -> {answer.conversation.message}" for answer, iou in scored] + [""])


if __name__ == "__main__":
    main()
