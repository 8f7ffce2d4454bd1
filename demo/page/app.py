"""The layout of the page: which component is where. `demo.page.events` says what each of them does."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from demo.actions import Actions
from demo.album.serving import answer_album_request
from demo.album.telling import StripMemory
from demo.engine import STARTING, Choice, Engine
from demo.keeping.replies import answer_keep_request
from demo.page.banner import render_banner, render_header
from demo.page.downloads import describe_downloads
from demo.page.events import PageComponents, connect_events
from demo.page.joined import EditAnswerer
from demo.picture.sharing import answer_share_request
from demo.requests import ShownImage, ShownStep, parse_data
from demo.start.examples import load_examples
from demo.studio.component import MaskStudio
from demo.studio.preview import MaskPreviewer
from demo.studio.tiles import TileDrawer
from demo.talk.following import Follower

WEB = Path(str(files("demo") / "web"))
DAY, CLEANUP_INTERVAL = 86400, 600
"""Seconds."""
CONNECT_FORM_JS = "window.dispatchEvent(new CustomEvent('sam3-form'));"


def build_page(actions: Actions) -> Any:
    """Build the whole page.

    Args:
        actions: What the page's events call.

    Returns:
        Gradio's `Blocks`, not launched yet.
    """
    answerer = EditAnswerer(actions, Follower(actions), StripMemory())
    with gr.Blocks(title="sam3-agent", analytics_enabled=False, delete_cache=(CLEANUP_INTERVAL, DAY)) as page:
        with gr.Row(elem_id="top"):
            header = gr.HTML(render_header(STARTING), elem_id="head")
            banner = gr.HTML(render_banner(actions.engine.sam3_name), elem_id="about")
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="left"):
                canvas = MaskStudio(
                    {"masks": []},
                    examples=load_examples(actions.examples),
                    sam3=actions.engine.sam3_name,
                    server_functions=_build_canvas_functions(answerer),
                    elem_id="stage",
                    image=None,
                )
                album = _build_album(answerer)
            with gr.Column(elem_id="right"):
                talk = _build_talk(answerer.follower)
                masks = _build_custom_component("masks")
                with gr.Accordion("Export and models", open=False, elem_id="more"):
                    kind, fetch, file = _build_download_row()
                    planner, sam3 = _build_model_choices(actions.engine)
                gr.HTML(_read_web_file("ask.html"), js_on_load=CONNECT_FORM_JS, apply_default_css=False, elem_id="ask")
        components = PageComponents(
            header=header,
            banner=banner,
            canvas=canvas,
            album=album,
            masks=masks,
            talk=talk,
            download_kind=kind,
            download_button=fetch,
            download_file=file,
            planner=planner,
            sam3=sam3,
            session_id=gr.State("", time_to_live=DAY),
        )
        connect_events(page, components, actions)
    return page


def _build_custom_component(name: str, **props: Any) -> Any:
    """A component of our own: `demo/web/NAME.html`, moved by `demo/web/NAME.js`."""
    return gr.HTML(
        {"masks": []},
        html_template=_read_web_file(f"{name}.html"),
        js_on_load=_read_web_file(f"{name}.js"),
        apply_default_css=False,
        elem_id=name,
        image=None,
        **props,
    )


def _build_canvas_functions(answerer: EditAnswerer) -> list[Callable[[Any], Any]]:
    """What the canvas's script calls by these names; they wait in no queue."""
    actions = answerer.actions
    drawer, previewer = TileDrawer(), MaskPreviewer(actions.engine, actions.sessions)

    def apply_edits(data: Any) -> dict[str, Any]:
        return answerer.answer(data)

    def draw_tile(data: Any) -> str:
        return drawer.answer_visitor(data, actions.sessions)

    def preview_mask(data: Any) -> dict[str, Any]:
        return previewer.preview(data)

    return [apply_edits, draw_tile, preview_mask]


def _build_album(answerer: EditAnswerer) -> Any:
    """The film strip and the classes."""

    def album(data: Any) -> dict[str, Any]:
        return answer_album_request(answerer.actions, answerer.strips, Path(get_upload_folder()), data)

    def keep(data: Any) -> dict[str, Any]:
        return answer_keep_request(answerer.actions, data)

    return gr.HTML(
        {},
        html_template=_read_web_file("album.html"),
        js_on_load=_read_web_file("album.js"),
        apply_default_css=False,
        elem_id="album",
        server_functions=[album, keep],
    )


def _build_talk(follower: Follower) -> Any:
    """The conversation. Its script asks questions, and asks what has changed; images come once they are opened."""
    actions = follower.actions

    def draw_step(asked: Any) -> str:
        return actions.draw_step(parse_data(ShownStep, asked))

    def show_sight(asked: Any) -> list[dict[str, Any]]:
        return actions.describe_sight(parse_data(ShownStep, asked))

    def draw_sight(asked: Any) -> str:
        return actions.draw_sight(parse_data(ShownImage, asked))

    def ask(asked: Any) -> dict[str, Any]:
        return follower.ask(asked)

    def stop(asked: Any) -> dict[str, Any]:
        return follower.stop(asked)

    def switch(asked: Any) -> dict[str, Any]:
        return follower.switch(asked)

    def suggest(asked: Any) -> dict[str, Any]:
        return follower.suggest(asked)

    def share(asked: Any) -> dict[str, str]:
        return answer_share_request(actions, asked)

    async def follow(asked: Any) -> dict[str, Any]:
        return await follower.follow(asked)

    return gr.HTML(
        {},
        html_template=_read_web_file("talk.html"),
        js_on_load=_read_web_file("talk.js"),
        apply_default_css=False,
        elem_id="talk",
        planner=actions.engine.default_planner,
        planners=[choice.name for choice in actions.engine.planner_choices],
        sam3=actions.engine.sam3_name,
        server_functions=[draw_step, show_sight, draw_sight, ask, stop, switch, suggest, share, follow],
    )


def _read_web_file(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _build_download_row() -> tuple[Any, Any, Any]:
    with gr.Row(elem_id="save"):
        kind = gr.Dropdown(**describe_downloads(None), label="Download as", elem_id="kind")
        fetch = gr.Button("Download", elem_id="fetch")
    return kind, fetch, gr.DownloadButton("File", visible="hidden", elem_id="file")


def _build_model_choices(engine: Engine) -> tuple[Any, Any]:
    planner = _build_dropdown("Planner", "Breaks a query down into phrases and geometry.", engine.planner_choices)
    sam3 = _build_dropdown("SAM 3", "Finds and outlines what a phrase, a click or a box means.", engine.sam3_choices)
    return planner, sam3


def _build_dropdown(label: str, info: str, choices: list[Choice]) -> Any:
    names = [
        (f"{choice.name} ({choice.description})" if choice.description else choice.name, choice.name)
        for choice in choices
    ]
    return gr.Dropdown(names, value=choices[0].name, label=label, info=info, interactive=True)
