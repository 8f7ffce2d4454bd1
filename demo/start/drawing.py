"""Draws the answers of the start screen: asks the embedded model each question, and keeps what it found."""

from importlib.resources import files
from io import BytesIO
from pathlib import Path

from agent.cli.options.segment_options import Options
from agent.planners.chat.views import draw_overlay
from demo.actions import Actions, ModelSelection
from demo.engine import Engine
from demo.sessions import SessionStore
from demo.start.examples import ANSWERS, EXAMPLES, QUALITY, SIDE
from demo.uploads import Limits
from sam3_tool import Image

MODELS = ModelSelection("grammar", "tiny")
"""Who answers: both are in the package."""


def draw_answer(actions: Actions, name: str) -> Image:
    """Ask the question of an example, and draw the masks of the answer on its image.

    Args:
        actions: The engine that answers.
        name: One of `EXAMPLES`.

    Returns:
        The image in the size of the start screen.

    Raises:
        LookupError: The answer is empty, which would show nothing.
    """
    session_id = actions.sessions.open()
    actions.open_example(session_id, name)
    *_, session = actions.ask(session_id, EXAMPLES[name].question, MODELS)
    conversation = session.conversation
    if conversation is None or not conversation.selected:
        raise LookupError(f"{EXAMPLES[name].question!r} finds nothing in {name}; ask another question of it")
    chosen = [one for one in conversation.workspace if one.id in conversation.selected]
    return draw_overlay(conversation.image, chosen, [one.id for one in chosen], SIDE)


def encode_answer(answer: Image) -> bytes:
    """Return a WebP file of the quality that the start screen has."""
    file = BytesIO()
    answer.to_pil().save(file, "WEBP", quality=QUALITY, method=6)
    return file.getvalue()


def draw_answers(folder: Path = ANSWERS) -> None:
    """Write the answer of every example to a WebP file of its name in `folder`."""
    examples = Path(str(files("demo") / "examples"))
    actions = Actions(Engine(Options(planner=MODELS.planner)), SessionStore(), Limits(), examples)
    for name in EXAMPLES:
        path = folder / f"{name}.webp"
        path.write_bytes(encode_answer(draw_answer(actions, name)))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    draw_answers()
