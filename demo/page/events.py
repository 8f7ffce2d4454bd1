"""The wiring of the page: which action follows which event, and how a session becomes values of components."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

import gradio as gr

from demo.actions import Actions, ModelSelection
from demo.album.asking import start_run
from demo.album.exporting import write_data_set
from demo.album.requests import AskAll, DataSet
from demo.page.banner import render_banner, render_header
from demo.page.downloads import describe_downloads
from demo.page.lanes import Lanes
from demo.picture.canvas import canvas_state, subject_payload
from demo.requests import Example, parse_event
from demo.sessions import Session
from demo.talk.messages import build_talk
from demo.talk.wording import describe_error
from sam3_tool.errors import UserError

_serial = count(1)
STATE_INTERVAL = 2.0
"""Seconds between two looks at models that are being loaded."""
RECALL_SESSION_JS = "() => { try { return [sessionStorage.getItem('sam3-agent') || '']; } catch { return ['']; } }"
STORE_SESSION_JS = """(id, query) => {
  window.sam3Memory ??= new Map();
  try { sessionStorage.setItem('sam3-agent', id); } catch { window.sam3Memory.set('sam3-agent', id); }
  window.dispatchEvent(new CustomEvent('sam3-question', { detail: query }));
}"""
CHOOSE_MODELS_JS = """(planner, sam3) => {
  window.dispatchEvent(new CustomEvent('sam3-models', { detail: { planner, sam3 } }));
}"""
CLICK_FILE_JS = "() => { setTimeout(() => document.querySelector('#file').click(), 50); }"


@dataclass(frozen=True)
class PageComponents:
    """The components of the page that events read or change."""

    header: Any
    banner: Any
    canvas: Any
    album: Any
    """The film strip and the classes."""
    masks: Any
    talk: Any
    """The conversation and the question."""
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
        return [self.canvas, self.masks, self.talk, self.download_kind]

    @property
    def models(self) -> list[Any]:
        """The two choices of a `ModelSelection`."""
        return [self.planner, self.sam3]


def connect_events(page: Any, components: PageComponents, actions: Actions) -> None:
    """Connect every event of the page to the action that follows it; none of them waits in Gradio's queue.

    Args:
        page: Gradio's `Blocks`, still open.
        components: What is on the page.
        actions: What a visitor can do.
    """
    _connect_arrival(page, components, actions)
    _connect_models(components, actions)
    _connect_talk(components)
    lanes = Lanes()
    _connect_album(components, actions, lanes)
    _connect_canvas(components, actions, lanes)
    _connect_downloads(components, actions, lanes)


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
        build_talk(session) if with_chat else gr.skip(),
        gr.Dropdown(**describe_downloads(session.conversation)) if with_image else gr.skip(),
    ]


def _connect_arrival(page: Any, components: PageComponents, actions: Actions) -> None:
    known, unanswered = gr.Textbox(visible=False), gr.Textbox(visible=False)

    def arrive(session_id: str) -> list[Any]:
        session_id = session_id if session_id in actions.sessions else actions.sessions.open()
        session = actions.arrive(session_id)
        return [session_id, session_id, session.unanswered_query, *render_session(session, with_image=True)]

    # the browser keeps the session id, so that a reload finds its work again
    page.load(
        arrive,
        [known],
        [known, components.session_id, unanswered, *components.outputs],
        js=RECALL_SESSION_JS,
        **_build_instant_options(),
    ).then(None, [known, unanswered], js=STORE_SESSION_JS)


def _connect_models(components: PageComponents, actions: Actions) -> None:
    timer = gr.Timer(STATE_INTERVAL)

    def refresh_state(planner: str, sam3: str) -> list[Any]:
        state = actions.engine.describe_state(planner, sam3)
        return [render_header(state), gr.Timer(active=state.kind == "loading")]

    def refresh_all(planner: str, sam3: str) -> list[Any]:
        return [*refresh_state(planner, sam3), render_banner(sam3)]

    outputs = [components.header, timer]
    timer.tick(refresh_state, components.models, outputs, **_build_instant_options())
    for choice in components.models:
        choice.change(refresh_all, components.models, [*outputs, components.banner], **_build_instant_options())


def _connect_talk(components: PageComponents) -> None:
    """The script of the talk asks with the models that are chosen; `demo.talk.following` answers it."""
    for choice in components.models:
        choice.change(None, components.models, None, js=CHOOSE_MODELS_JS, **_build_instant_options())


def _connect_album(components: PageComponents, actions: Actions, lanes: Lanes) -> None:
    """What the film strip asks for with the models that are chosen, and its data sets; `demo.album` does the rest."""

    def ask_all(session_id: str, planner: str, sam3: str, event: gr.EventData) -> dict[str, Any]:
        with _show_errors():
            start_run(actions, session_id, parse_event(AskAll, event).query, ModelSelection(planner, sam3))
        return {"serial": next(_serial)}

    def write_set(session_id: str, event: gr.EventData) -> list[Any]:
        with _show_errors(), lanes.hold():
            asked = parse_event(DataSet, event)
            path = write_data_set(
                actions,
                session_id,
                asked.format,
                only_done=asked.only_done,
                validation_share=asked.validation_share,
            )
        return [gr.DownloadButton(value=str(path)), path]

    album, session_id = components.album, components.session_id
    album.askall(ask_all, [session_id, *components.models], album, **_build_instant_options())
    written = gr.State(None)
    ready = album.dataset(write_set, [session_id], [components.download_file, written], **_build_instant_options())
    ready.success(_remove_folder, [written], None, queue=False, api_visibility="private").then(
        None, None, js=CLICK_FILE_JS
    )


def _connect_canvas(components: PageComponents, actions: Actions, lanes: Lanes) -> None:
    """What the canvas's script asks of the rest of the page; its edits go by `demo.studio.editing`."""

    def open_example(session_id: str, event: gr.EventData) -> list[Any]:
        with _show_errors(), lanes.hold():
            actions.open_example(session_id, parse_event(Example, event).name)
        return show_all(session_id)

    def show_all(session_id: str) -> list[Any]:
        with _show_errors(), lanes.hold():
            return render_session(actions.sessions[session_id], with_image=True)

    session_id, options = [components.session_id], _build_instant_options(trigger_mode="always_last")
    components.canvas.example(open_example, session_id, components.outputs, **options)
    components.canvas.moved(show_all, session_id, components.outputs, **options)
    components.sam3.change(
        lambda name: gr.HTML(sam3=name), components.sam3, components.canvas, **_build_instant_options()
    )


def _connect_downloads(components: PageComponents, actions: Actions, lanes: Lanes) -> None:
    def write_download(session_id: str, kind: str, planner: str, sam3: str) -> list[Any]:
        with _show_errors(), lanes.hold():
            path = actions.download(session_id, kind, ModelSelection(planner, sam3))
        return [gr.DownloadButton(value=str(path)), path]

    written = gr.State(None)
    ready = components.download_button.click(
        write_download,
        [components.session_id, components.download_kind, *components.models],
        [components.download_file, written],
        **_build_instant_options(show_progress="minimal", show_progress_on=components.download_button),
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
        raise gr.Error(describe_error(error), title="", print_exception=False) from error


def _build_instant_options(**others: Any) -> dict[str, Any]:
    """Options of an event that is answered at once, without Gradio's queue."""
    return {"queue": False, "show_progress": "hidden", "api_visibility": "private", **others}
