"""The head of the page: its name, the state of its models, and what the embedded SAM 3 knows."""

import json
from functools import cache
from html import escape
from importlib.resources import files

from demo.engine import ModelState
from sam3_tool.backends.transformers.checkpoint import EMBEDDED_NAME
from sam3_tool.synthetic.nouns import COLOURS, SHAPES, THINGS


def render_header(state: ModelState) -> str:
    """Return HTML: the heading, and beside it the state of the models."""
    return (
        '<header class="head"><h1>sam3-agent</h1><p class="claim">Segment by talking and clicking</p>'
        f'<p class="pill {state.kind}" role="status"><span class="light"></span>{escape(state.message)}</p></header>'
    )


def render_banner(sam3: str) -> str:
    """Return HTML that says what the embedded SAM 3 knows; '' for any other checkpoint."""
    if sam3 != EMBEDDED_NAME:
        return ""
    shapes, things = list_known_nouns()
    return (
        f'<details class="banner"><summary>This is the small SAM 3 that comes with the program. It knows {len(shapes)}'
        f" shapes and these {len(things)} things, as drawings show them, and little of photographs.</summary>"
        f"<p><b>Shapes</b> {', '.join(shapes)}, in {', '.join(COLOURS)}; plain, striped or dotted.</p>"
        f"<p><b>Things</b> {', '.join(things)}.</p>"
        "<p>For photographs, start the page with <code>--sam3 open</code> (no access needed) or"
        " <code>--sam3 facebook/sam3</code>.</p>"
        "</details>"
    )


@cache
def list_known_nouns() -> tuple[list[str], list[str]]:
    """Return the shapes and the things of the generated world that are in the embedded checkpoint's vocabulary."""
    file = files("sam3_tool") / EMBEDDED_NAME / "vocabulary.json"
    words = set(json.loads(file.read_text(encoding="utf-8"))["words"])
    return [noun for noun in SHAPES if noun in words], [noun for noun in THINGS if noun in words]
