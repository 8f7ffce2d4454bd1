"""The page: what is where on it, and which action follows which event."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shutil import rmtree
from typing import Any

import gradio as gr

from agent.conversation.conversation import Conversation
from agent.exports import EXPORTERS
from agent.planners.chat.views import reduce_image
from demo.actions import CONVERSATION, TRACE, Actions, ModelSelection, format_sentence
from demo.banner import render_banner, render_header
from demo.canvas import canvas_state, encode_data_url, image_payload
from demo.chat import WELCOME, build_messages
from demo.engine import STARTING, Choice, Engine
from demo.requests import Corners, Example, Kept, Point, Threshold, parse_event
from demo.sessions import Session
from sam3_tool import Image
from sam3_tool.errors import UserError

WEB = Path(str(files("demo") / "web"))
DAY, CLEANUP_INTERVAL = 86400, 600
"""Seconds."""
CONCURRENT_EVENTS = 2
"""Questions that are answered at the same time, and as many edits; the others queue."""
MAX_QUERY_LENGTH = 2000
"""Letters of a question."""
DOWNLOADS = {
    **{name: format.description for name, format in EXPORTERS.items()},
    CONVERSATION: "This conversation, to go on with later",
    TRACE: "The latest answer, step by step (HTML)",
}
EXAMPLES = {
    "fruit": "Watermelons, cherries and a banana",
    "shapes": "Hearts and stars in four colours",
    "cactus": "Cacti, hats and a bell",
    "horses": "Horses and mushrooms",
}
RECALL_SESSION_JS = "() => [sessionStorage.getItem('sam3-agent') || '']"
STORE_SESSION_JS = "(secret) => { sessionStorage.setItem('sam3-agent', secret); }"
CLICK_FILE_JS = "() => { setTimeout(() => document.querySelector('#file').click(), 50); }"


@dataclass(frozen=True)
class PageComponents:
    """What the wiring needs to know of the page."""

    canvas: Any
    masks: Any
    chat: Any
    query: Any
    planner: Any
    sam3: Any
    session_id: Any

    @property
    def outputs(self) -> list[Any]:
        """The components that an action may change, in the order of `render_session`."""
        return [self.canvas, self.masks, self.chat, self.query]


def build_page(actions: Actions) -> Any:
    """The whole page, as gradio's Blocks."""
    with gr.Blocks(title="sam3-agent", analytics_enabled=False, delete_cache=(CLEANUP_INTERVAL, DAY)) as page:
        head = gr.HTML(render_header(STARTING), elem_id="head")
        about = gr.HTML(render_banner(actions.engine.sam3_name), elem_id="about")
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="left"):
                canvas = _build_custom_component("stage", examples=_load_examples(actions.examples))
            with gr.Column(elem_id="right"):
                chat, query = _build_chat()
            with gr.Column(elem_id="below"):
                masks = _build_custom_component("masks")
                download_row = _build_download_row()
                planner, sam3 = _build_model_choices(actions.engine)
        components = PageComponents(canvas, masks, chat, query, planner, sam3, gr.State("", time_to_live=DAY))
        _wire_arrival(page, components, actions, head, about)
        _wire_chat(components, actions)
        _wire_image(components, actions)
        _wire_downloads(components, actions, download_row)
    return page


# what is on the page


def _build_custom_component(name: str, **props: Any) -> Any:
    """A component of our own: `web/NAME.html`, moved by `web/NAME.js`."""
    return gr.HTML(
        {"masks": []},
        html_template=(WEB / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=(WEB / f"{name}.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=name,
        picture=None,
        **props,
    )


def _build_chat() -> tuple[Any, Any]:
    chat = gr.Chatbot(
        label="Conversation",
        elem_id="chat",
        show_label=False,
        height=None,
        buttons=[],
        layout="bubble",
        placeholder=WELCOME,
        latex_delimiters=[],
        feedback_options=None,
        allow_file_downloads=False,
    )
    query = gr.Textbox(
        label="What to find, in your own words",
        placeholder="all the watermelons",
        elem_id="query",
        lines=1,
        max_lines=4,
        max_length=MAX_QUERY_LENGTH,
        submit_btn="Ask",
        interactive=False,  # until the visit has begun
    )
    return chat, query


def _build_download_row() -> tuple[Any, Any, Any]:
    with gr.Row(elem_id="save"):
        kind = gr.Dropdown(
            [(words, name) for name, words in DOWNLOADS.items()], value="png-masks", label="Download as", elem_id="kind"
        )
        fetch = gr.Button("Download", elem_id="fetch")
    return kind, fetch, gr.DownloadButton("File", visible="hidden", elem_id="file")


def _build_model_choices(engine: Engine) -> tuple[Any, Any]:
    with gr.Accordion("Models", open=False, elem_id="models"):
        planner = _build_dropdown(
            "Planner", "Breaks a question down into phrases and geometry.", engine.planner_choices
        )
        sam3 = _build_dropdown(
            "SAM 3", "Finds and outlines what a phrase, a click or a box means.", engine.sam3_choices
        )
        missing = "".join(f"\n- **{finding.name}**: {finding.detail}" for finding in engine.missing_models)
        if missing:
            gr.Markdown(f"Not on this machine:\n{missing}", elem_id="missing")
    return planner, sam3


def _build_dropdown(label: str, info: str, choices: list[Choice]) -> Any:
    names = [
        (f"{choice.name} ({choice.description})" if choice.description else choice.name, choice.name)
        for choice in choices
    ]
    return gr.Dropdown(names, value=choices[0].name, label=label, info=info, interactive=True)


def _load_examples(folder: Path) -> list[dict[str, str]]:
    images = {name: Image.open(folder / f"{name}.webp") for name in EXAMPLES}
    return [
        {"name": name, "about": EXAMPLES[name], "url": encode_data_url(reduce_image(image, 192), quality=80)}
        for name, image in images.items()
    ]


# what happens when


def render_session(session: Session, *, chat: bool = True, with_image: bool = False) -> list[Any]:
    """A visit as values for `PageComponents.outputs`. `with_image`: its photograph too, which the browser otherwise has."""
    seen, busy = canvas_state(session), session.pending_answer is not None
    canvas_value: Any = seen
    if with_image and session.conversation is not None:
        canvas_value = gr.HTML(seen, picture=image_payload(session.conversation.image))
    masks_value = {"masks": seen["masks"], "busy": busy}
    return [
        canvas_value,
        masks_value,
        build_messages(session) if chat else gr.skip(),
        gr.Textbox(**_describe_query_box(session)),
    ]


def _describe_query_box(session: Session) -> dict[str, Any]:
    """How the box for questions looks: while one is answered, its button stops that."""
    busy = session.pending_answer is not None
    selected = session.conversation is not None and session.conversation.selected
    return {
        "interactive": True,
        "submit_btn": False if busy else "Ask",
        "stop_btn": "Stop" if busy else False,
        "placeholder": "only the two largest" if selected else "all the watermelons",
    }


def _wire_arrival(page: Any, components: PageComponents, actions: Actions, head: Any, about: Any) -> None:
    known = gr.Textbox(visible=False)

    def arrive(session_id: str) -> list[Any]:
        session_id = session_id if session_id in actions.sessions else actions.sessions.open()
        session = actions.arrive(session_id)
        *others, _ = render_session(session, with_image=True)
        return [session_id, session_id, *others, gr.Textbox(session.unanswered_query, **_describe_query_box(session))]

    def refresh_state(planner: str, sam3: str) -> list[Any]:
        state = actions.engine.describe_state(planner, sam3)
        return [render_header(state), render_banner(sam3), gr.Timer(active=state.kind == "loading")]

    event_options: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    page.load(
        arrive, [known], [known, components.session_id, *components.outputs], js=RECALL_SESSION_JS, **event_options
    ).then(None, [known], js=STORE_SESSION_JS)
    timer = gr.Timer(1.0)
    timer.tick(refresh_state, [components.planner, components.sam3], [head, about, timer], **event_options)
    for choice in (components.planner, components.sam3):
        choice.change(refresh_state, [components.planner, components.sam3], [head, about, timer], **event_options)


def _wire_chat(components: PageComponents, actions: Actions) -> None:
    def ask(session_id: str, query: str, planner: str, sam3: str) -> Iterator[list[Any]]:
        with _show_errors():
            before = _get_image_key(actions.sessions[session_id])
            for number, session in enumerate(actions.ask(session_id, query, ModelSelection(planner, sam3))):
                *others, _ = render_session(session, with_image=_get_image_key(session) != before)
                yield [*others, gr.Textbox(**_describe_query_box(session), **({} if number else {"value": ""}))]

    def choose_option(session_id: str, planner: str, sam3: str, event: gr.SelectData) -> Iterator[list[Any]]:
        yield from ask(session_id, str(event.value), planner, sam3)

    def stop(session_id: str) -> None:
        with _show_errors():
            actions.stop(session_id)

    models = [components.planner, components.sam3]
    event_options = _build_event_options("minimal", "answers", show_progress_on=components.chat)
    components.query.submit(
        ask, [components.session_id, components.query, *models], components.outputs, **event_options
    )
    components.chat.option_select(choose_option, [components.session_id, *models], components.outputs, **event_options)
    components.query.stop(stop, [components.session_id], None, queue=False, api_visibility="private")


def _wire_image(components: PageComponents, actions: Actions) -> None:
    picker = gr.UploadButton(
        "Open a picture", file_types=["image", ".json"], type="filepath", visible="hidden", elem_id="picker"
    )

    def bind_event(event: Any, action: Callable[[str, str, Any], Session], *, quick: bool = False) -> None:
        """After `event`, what `action` makes of the secret, SAM 3's name and the event's own words."""

        def handle_event(session_id: str, sam3: str, event_data: gr.EventData) -> Iterator[list[Any]]:
            with _show_errors():
                before = _get_image_key(actions.sessions[session_id])
                session = action(session_id, sam3, event_data)
            yield render_session(
                session, with_image=_get_image_key(session) != before, chat=False
            )  # first what the eye is on
            with _show_errors():
                yield render_session(actions.sessions[session_id])  # a question may have begun meanwhile

        event_options = _build_event_options("hidden", trigger_mode="multiple")
        event(
            handle_event,
            [components.session_id, components.sam3],
            components.outputs,
            **{**event_options, **({"queue": False} if quick else {})},
        )

    def upload(session_id: str, path: str) -> list[Any]:
        with _show_errors():
            return [*render_session(actions.open_file(session_id, path), with_image=True), None]

    picker.upload(
        upload,
        [components.session_id, picker],
        [*components.outputs, picker],
        **_build_event_options("full", show_progress_on=components.canvas),
    )
    bind_event(
        components.canvas.point,
        lambda session_id, sam3, event_data: _apply_click(actions, session_id, sam3, parse_event(Point, event_data)),
    )
    bind_event(
        components.canvas.box,
        lambda session_id, sam3, event_data: actions.add_box(session_id, sam3, parse_event(Corners, event_data).box),
    )
    bind_event(
        components.canvas.keep,
        lambda session_id, _, event_data: _apply_mask_edit(actions, session_id, parse_event(Kept, event_data)),
    )
    bind_event(
        components.canvas.threshold,
        lambda session_id, _, event_data: _apply_mask_edit(actions, session_id, parse_event(Threshold, event_data)),
    )
    bind_event(components.canvas.undo, lambda session_id, _, event_data: actions.edit(session_id, Conversation.undo))
    bind_event(components.canvas.redo, lambda session_id, _, event_data: actions.edit(session_id, Conversation.redo))
    bind_event(
        components.canvas.example,
        lambda session_id, _, event_data: actions.open_example(session_id, parse_event(Example, event_data).name),
    )


def _apply_click(actions: Actions, session_id: str, sam3: str, point: Point) -> Session:
    return actions.click(session_id, sam3, point.x, point.y, positive=point.positive, id=point.active)


def _apply_mask_edit(actions: Actions, session_id: str, page_event: Kept | Threshold) -> Session:
    match page_event:
        case Kept():
            return actions.edit(session_id, lambda conversation: _keep_masks(conversation, page_event.ids))
        case Threshold():
            return actions.edit(session_id, lambda conversation: conversation.filter_by_score(page_event.value))


def _keep_masks(conversation: Conversation, ids: Sequence[int]) -> Conversation:
    """With these masks as the answer, said as what was done to it."""
    gone = [id for id in conversation.selected if id not in ids]
    new = [id for id in ids if id not in conversation.selected]
    if gone and not new:
        return conversation.remove(gone)
    return conversation.restore(new) if new and not gone else conversation.select(ids)


def _wire_downloads(components: PageComponents, actions: Actions, download_row: tuple[Any, Any, Any]) -> None:
    kind, fetch, file = download_row

    def write_download(session_id: str, kind: str, planner: str, sam3: str) -> list[Any]:
        with _show_errors():
            path = actions.download(session_id, kind, ModelSelection(planner, sam3))
        return [gr.DownloadButton(value=str(path)), path]

    written = gr.State(None)
    models = [components.planner, components.sam3]
    event_options = _build_event_options("minimal", show_progress_on=fetch)
    ready = fetch.click(write_download, [components.session_id, kind, *models], [file, written], **event_options)
    # gradio has made its own copy by now
    ready.success(_remove_folder, [written], None, queue=False, api_visibility="private").then(
        None, None, js=CLICK_FILE_JS
    )


def _remove_folder(path: Path) -> None:
    rmtree(path.parent, ignore_errors=True)


@contextmanager
def _show_errors() -> Iterator[None]:
    """An error that is meant for the visitor pops up in words."""
    try:
        yield
    except UserError as error:
        raise gr.Error(format_sentence(str(error)), title="", print_exception=False) from error


def _build_event_options(progress: str, lane: str = "edits", **more: Any) -> dict[str, Any]:
    """How an event that takes its time is handled. `lane`: whose events wait for each other."""
    return {
        "show_progress": progress,
        "concurrency_id": lane,
        "concurrency_limit": CONCURRENT_EVENTS,
        "api_visibility": "private",
        **more,
    }


def _get_image_key(session: Session) -> str:
    return "" if session.conversation is None else session.conversation.image.key
