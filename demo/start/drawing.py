"""Draws the answers of the start screen: asks the embedded model each question, and keeps its outlines."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from agent.cli.options.segment_options import Options
from agent.conversation.conversation import Conversation
from agent.core.workspace import Candidate
from agent.report.text import format_css_color
from demo.actions import Actions, ModelSelection
from demo.engine import Engine
from demo.picture.outlines import trace_outline
from demo.sessions import SessionStore
from demo.start.examples import ANSWERS, EXAMPLES
from demo.studio.rows import choose_mask_ink
from demo.uploads import Limits
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.rle import compute_areas

MODELS = ModelSelection("grammar", "tiny")
"""Who answers: both are in the package."""
OUTLINE_SIDE = 160
"""Outlines are traced at this reduced size: the image is about as large on the screen."""
RIM_SHARE, LINE_SHARE, PLATE_SHARE = 1 / 70, 1 / 130, 1 / 24
"""Of the image's width: the white rim about an outline, the outline, and the radius of a number's plate."""


def draw_answer(actions: Actions, name: str) -> str:
    """Ask the question of an example, and draw the masks of the answer.

    Args:
        actions: The engine that answers.
        name: One of `EXAMPLES`.

    Returns:
        An SVG that lies over the image.

    Raises:
        LookupError: The answer is empty, which would show nothing.
    """
    session_id = actions.sessions.open()
    actions.open_example(session_id, name)
    *_, session = actions.ask(session_id, EXAMPLES[name].question, MODELS)
    conversation = session.conversation
    if conversation is None or not conversation.selected:
        raise LookupError(f"{EXAMPLES[name].question!r} finds nothing in {name}; ask another question of it")
    return "".join(_list_parts(conversation))


def _list_parts(conversation: Conversation) -> Iterator[str]:
    image = conversation.image
    size = f"width='{image.width}' height='{image.height}' viewBox='0 0 {image.width} {image.height}'"
    yield f"<svg xmlns='http://www.w3.org/2000/svg' {size} fill-rule='evenodd' stroke-linejoin='round'"
    yield f" font-family='sans-serif' font-weight='700' font-size='{image.width / 20:.0f}' text-anchor='middle'>"
    chosen = conversation.workspace.pick(conversation.selected)
    for candidate in sorted(chosen, key=lambda mask: -int(compute_areas([mask.rle])[0])):
        yield _draw_mask(candidate, image.width)
    yield "</svg>"


def _draw_mask(candidate: Candidate, width: int) -> str:
    """A mask with its number, as the page draws it."""
    path, x, y = trace_outline(candidate.rle, OUTLINE_SIDE)
    color, ink = format_css_color(candidate.id), choose_mask_ink(get_mask_color(candidate.id))
    radius = width * PLATE_SHARE
    return (
        f"<g fill='{color}'><defs><path id='m{candidate.id}' d='{path}'/></defs>"
        f"<use href='#m{candidate.id}' fill='none' stroke='#fff' stroke-width='{width * RIM_SHARE:.0f}'/>"
        f"<use href='#m{candidate.id}' fill-opacity='.4' stroke='{color}' stroke-width='{width * LINE_SHARE:.0f}'/>"
        f"<circle cx='{x:.0f}' cy='{y:.0f}' r='{radius:.0f}'/>"
        f"<text x='{x:.0f}' y='{y + radius * 0.42:.0f}' fill='{ink}'>{candidate.id}</text></g>"
    )


def draw_answers(folder: Path = ANSWERS) -> None:
    """Write the answer of every example to an SVG file of its name in `folder`."""
    examples = Path(str(files("demo") / "examples"))
    actions = Actions(Engine(Options(planner=MODELS.planner)), SessionStore(), Limits(), examples)
    for name in EXAMPLES:
        path = folder / f"{name}.svg"
        path.write_text(draw_answer(actions, name), encoding="utf-8")
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    draw_answers()
