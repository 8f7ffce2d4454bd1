"""The wiring of the page: which action follows which event, and how a session becomes values of components."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import gradio as gr

from demo.actions import Actions, ModelSelection, format_sentence
from demo.banner import render_banner, render_header
from demo.canvas import canvas_state, get_subject_key, subject_payload
from demo.chat import build_messages
from demo.downloads import describe_downloads
from demo.requests import Example, parse_event
from demo.sessions import Session
from sam3_tool.errors import UserError

CONCURRENT_EVENTS = 2
"""Queries that are answered at the same time, and as many edits; the others queue."""
STATE_INTERVAL = 1.0
"""Seconds between two looks at models that are being loaded."""
RECALL_SESSION_JS = "() => [sessionStorage.getItem('sam3-agent') || '']"
STORE_SESSION_JS = "(id) => { sessionStorage.setItem('sam3-agent', id); }"
CLICK_FILE_JS = "() => { setTimeout(() => document.querySelector('#file').click(), 50); }"


@dataclass(frozen=True)
class PageComponents:
    """The components of the page that events read or change."""

    header: Any
    banner: Any
    canvas: Any
    masks: Any
    chat: Any
    query: Any
    download_kind: Any
    download_button: Any
    download_file: Any
    """Hidden; the page clicks it once the file is written."""
    planner: Any
    sam3: Any
    session_id: Any

    @property
    def outputs(self) -> list[Any]:
        """The components that an action may change, in the order of `render_session`."""
        return [self.canvas, self.masks, self.chat, self.download_kind, self.query]

    @property
    def models(self) -> list[Any]:
        """The two choices of a `ModelSelection`."""
        return [self.planner, self.sam3]


def connect_events(page: Any, components: PageComponents, actions: Actions) -> None:
    """Connect every event of the page to the action that follows it.

    Args:
        page: Gradio's `Blocks`, still open.
        components: What is on the page.
        actions: What a visitor can do.
    """
    _connect_arrival(page, components, actions)
    _connect_models(components, actions)
    _connect_chat(components, actions)
    _connect_uploads(components, actions)
    _connect_canvas(components, actions)
    _connect_downloads(components, actions)


def render_session(session: Session, *, with_chat: bool = True, with_image: bool = False) -> list[Any]:
    """Return a session as values for `PageComponents.outputs`.

    Args:
        session: What is shown.
        with_chat: Render the conversation too, which is slower than the rest.
        with_image: Send the image too. The browser keeps it otherwise.
    """
    state, busy = canvas_state(session), session.pending_answer is not None
    canvas_value: Any = state
    if with_image and session.conversation is not None:
        canvas_value = gr.HTML(state, image=subject_payload(session.conversation))
    return [
        canvas_value,
        {"masks": state["masks"], "busy": busy},
        build_messages(session) if with_chat else gr.skip(),
        gr.Dropdown(**describe_downloads(session.conversation)) if with_image else gr.skip(),
        gr.Textbox(**_describe_query_box(session)),
    ]


def _describe_query_box(session: Session) -> dict[str, Any]:
    """How the query box looks: while a query is answered, its button stops that."""
    busy = session.pending_answer is not None
    selected = session.conversation is not None and session.conversation.selected
    return {
        "interactive": True,
        "submit_btn": False if busy else "Ask",
        "stop_btn": "Stop" if busy else False,
        "placeholder": "only the two largest" if selected else "all the watermelons",
    }


def _connect_arrival(page: Any, components: PageComponents, actions: Actions) -> None:
    known = gr.Textbox(visible=False)

    def arrive(session_id: str) -> list[Any]:
        session_id = session_id if session_id in actions.sessions else actions.sessions.open()
        session = actions.arrive(session_id)
        *others, _ = render_session(session, with_image=True)
        return [session_id, session_id, *others, gr.Textbox(session.unanswered_query, **_describe_query_box(session))]

    # the browser keeps the session id, so that a reload finds its work again
    page.load(
        arrive,
        [known],
        [known, components.session_id, *components.outputs],
        js=RECALL_SESSION_JS,
        **_build_instant_options(),
    ).then(None, [known], js=STORE_SESSION_JS)


def _connect_models(components: PageComponents, actions: Actions) -> None:
    timer = gr.Timer(STATE_INTERVAL)

    def refresh_state(planner: str, sam3: str) -> list[Any]:
        state = actions.engine.describe_state(planner, sam3)
        return [render_header(state), render_banner(sam3), gr.Timer(active=state.kind == "loading")]

    outputs = [components.header, components.banner, timer]
    for event in (timer.tick, *(choice.change for choice in components.models)):
        event(refresh_state, components.models, outputs, **_build_instant_options())


def _connect_chat(components: PageComponents, actions: Actions) -> None:
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

    session_id, query, outputs = components.session_id, components.query, components.outputs
    event_options = _build_event_options("minimal", "answers", show_progress_on=components.chat)
    query.submit(ask, [session_id, query, *components.models], outputs, **event_options)
    components.chat.option_select(choose_option, [session_id, *components.models], outputs, **event_options)
    query.stop(stop, [session_id], None, queue=False, api_visibility="private")


def _connect_uploads(components: PageComponents, actions: Actions) -> None:
    picker = gr.UploadButton(
        "Open an image or a video",
        file_types=["image", "video", ".json"],
        type="filepath",
        visible="hidden",
        elem_id="picker",
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


def _connect_canvas(components: PageComponents, actions: Actions) -> None:
    """What the canvas's script asks of the rest of the page; its edits go by `demo.studio.editing`."""

    def open_example(session_id: str, event: gr.EventData) -> Iterator[list[Any]]:
        with _show_errors():
            actions.open_example(session_id, parse_event(Example, event).name)
        yield from show_all(session_id)

    def show_all(session_id: str) -> Iterator[list[Any]]:
        with _show_errors():
            yield render_session(actions.sessions[session_id], with_image=True)

    def show_words(session_id: str) -> list[Any]:
        with _show_errors():
            return render_session(actions.sessions[session_id])[2:]

    session_id, options = [components.session_id], _build_event_options("hidden", trigger_mode="always_last")
    components.canvas.example(open_example, session_id, components.outputs, **options)
    components.canvas.moved(show_all, session_id, components.outputs, **options)
    components.canvas.settled(show_words, session_id, components.outputs[2:], **options)
    components.sam3.change(
        lambda name: gr.HTML(sam3=name), components.sam3, components.canvas, **_build_instant_options()
    )


def _connect_downloads(components: PageComponents, actions: Actions) -> None:
    def write_download(session_id: str, kind: str, planner: str, sam3: str) -> list[Any]:
        with _show_errors():
            path = actions.download(session_id, kind, ModelSelection(planner, sam3))
        return [gr.DownloadButton(value=str(path)), path]

    written = gr.State(None)
    ready = components.download_button.click(
        write_download,
        [components.session_id, components.download_kind, *components.models],
        [components.download_file, written],
        **_build_event_options("minimal", show_progress_on=components.download_button),
    )
    # gradio has made its own copy by now
    ready.success(_remove_folder, [written], None, queue=False, api_visibility="private").then(
        None, None, js=CLICK_FILE_JS
    )


def _remove_folder(path: Path) -> None:
    rmtree(path.parent, ignore_errors=True)


@contextmanager
def _show_errors() -> Iterator[None]:
    """A `UserError` pops up as a sentence; everything else is a defect and keeps its traceback."""
    try:
        yield
    except UserError as error:
        raise gr.Error(format_sentence(str(error)), title="", print_exception=False) from error


def _build_instant_options() -> dict[str, Any]:
    """Options of an event that is quick and waits for no other."""
    return {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def _build_event_options(progress: str, lane: str = "edits", **more: Any) -> dict[str, Any]:
    """Options of an event that takes its time. `lane`: whose events wait for each other."""
    return {
        "show_progress": progress,
        "concurrency_id": lane,
        "concurrency_limit": CONCURRENT_EVENTS,
        "api_visibility": "private",
        **more,
    }


def _get_image_key(session: Session) -> str:
    """The key of the session's image or video; '' before the first one."""
    return "" if session.conversation is None else get_subject_key(session.conversation)
