"""The head of the page: its name, the state of its models, and what the embedded SAM 3 knows."""

import json
from functools import cache
from html import escape
from importlib.resources import files

from demo.engine import ModelState
from sam3_tool.backends.transformers.files.checkpoint import EMBEDDED_NAME
from sam3_tool.synthetic.nouns import COLOURS, SHAPES, THINGS

CLAIM = "Name anything in an image or a video, and get its exact outline."
"""What this page is, in one sentence."""


def render_header(state: ModelState) -> str:
    """Return HTML: the heading, what the page is, and the state of the models."""
    return (
        f'<header class="head"><h1>sam3-agent</h1><p class="claim">{CLAIM}</p>'
        f'<p class="pill {state.kind}" role="status"><span class="light"></span>{escape(state.message)}</p></header>'
    )


def render_banner(sam3: str) -> str:
    """Return HTML that says what the embedded SAM 3 knows; '' for any other checkpoint."""
    if sam3 != EMBEDDED_NAME:
        return ""
    shapes, things = list_known_nouns()
    return (
        f'<details class="banner"><summary>What it knows</summary><div class="about"><p>This is the small model that'
        f" comes with the program. It knows {len(shapes)} shapes and {len(things)} things, as drawings show them, and"
        " little of photographs.</p>"
        f"<p><b>Shapes</b> {', '.join(shapes)}, in {', '.join(COLOURS)}; plain, striped or dotted.</p>"
        f"<p><b>Things</b> {', '.join(things)}.</p>"
        "<p>For photographs, whoever runs this page can start it with open models:"
        " <code>sam3-agent demo --sam3 open</code></p></div></details>"
    )


@cache
def list_known_nouns() -> tuple[list[str], list[str]]:
    """Return the shapes and the things of the generated world that are in the embedded checkpoint's vocabulary."""
    file = files("sam3_tool") / EMBEDDED_NAME / "vocabulary.json"
    words = set(json.loads(file.read_text(encoding="utf-8"))["words"])
    return [noun for noun in SHAPES if noun in words], [noun for noun in THINGS if noun in words]
