"""The page: what is where on it, and which action follows which event."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shutil import rmtree
from typing import Any

import gradio as gr

from agent.conversation import Conversation
from agent.exports import FORMATS
from agent.views import reduced
from demo.actions import CONVERSATION, TOLD, TRACE, Actions, Chosen, sentence
from demo.banner import banner, pill
from demo.chat import WELCOME, messages
from demo.engine import STARTING, Choice, Engine
from demo.exchange import Corners, Example, Kept, Point, Threshold, received
from demo.stage import data_url, photograph, stage
from demo.visits import Visit
from sam3_tool import Picture

WEB = Path(str(files("demo") / "web"))
DAY, OFTEN = 86400, 600
"""Seconds."""
AT_ONCE = 2
"""Questions that are answered at the same time, and as many edits; the others queue."""
LONGEST = 2000
"""Letters of a question."""
DOWNLOADS = {
    **{name: format.about for name, format in FORMATS.items()},
    CONVERSATION: "This conversation, to go on with later",
    TRACE: "The latest answer, step by step (HTML)",
}
EXAMPLES = {
    "fruit": "Watermelons, cherries and a banana",
    "shapes": "Hearts and stars in four colours",
    "cactus": "Cacti, hats and a bell",
    "horses": "Horses and mushrooms",
}
RECALL = "() => [sessionStorage.getItem('sam3-agent') || '']"
REMEMBER = "(secret) => { sessionStorage.setItem('sam3-agent', secret); }"
FETCH = "() => { setTimeout(() => document.querySelector('#file').click(), 50); }"


@dataclass(frozen=True)
class Parts:
    """What the wiring needs to know of the page."""

    stage: Any
    masks: Any
    chat: Any
    query: Any
    planner: Any
    sam3: Any
    secret: Any

    @property
    def changing(self) -> list[Any]:
        """The components that an action may change, in the order of `shown`."""
        return [self.stage, self.masks, self.chat, self.query]


def build(actions: Actions) -> Any:
    """The whole page, as gradio's Blocks."""
    with gr.Blocks(title="sam3-agent", analytics_enabled=False, delete_cache=(OFTEN, DAY)) as page:
        head = gr.HTML(pill(STARTING), elem_id="head")
        about = gr.HTML(banner(actions.engine.sam3_name), elem_id="about")
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="left"):
                picture = _custom("stage", examples=_examples(actions.examples))
            with gr.Column(elem_id="right"):
                chat, query = _talk()
            with gr.Column(elem_id="below"):
                masks = _custom("masks")
                save = _saving()
                planner, sam3 = _choices(actions.engine)
        parts = Parts(picture, masks, chat, query, planner, sam3, gr.State("", time_to_live=DAY))
        _wire_arrival(page, parts, actions, head, about)
        _wire_talk(parts, actions)
        _wire_picture(parts, actions)
        _wire_downloads(parts, actions, save)
    return page


# what is on the page


def _custom(name: str, **props: Any) -> Any:
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


def _talk() -> tuple[Any, Any]:
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
        max_length=LONGEST,
        submit_btn="Ask",
        interactive=False,  # until the visit has begun
    )
    return chat, query


def _saving() -> tuple[Any, Any, Any]:
    with gr.Row(elem_id="save"):
        kind = gr.Dropdown(
            [(words, name) for name, words in DOWNLOADS.items()], value="png-masks", label="Download as", elem_id="kind"
        )
        fetch = gr.Button("Download", elem_id="fetch")
    return kind, fetch, gr.DownloadButton("File", visible="hidden", elem_id="file")


def _choices(engine: Engine) -> tuple[Any, Any]:
    with gr.Accordion("Models", open=False, elem_id="models"):
        planner = _dropdown("Planner", "Breaks a question down into phrases and geometry.", engine.planners)
        sam3 = _dropdown("SAM 3", "Finds and outlines what a phrase, a click or a box means.", engine.segmenters)
        missing = "".join(f"\n- **{one.name}**: {one.detail}" for one in engine.missing)
        if missing:
            gr.Markdown(f"Not on this machine:\n{missing}", elem_id="missing")
    return planner, sam3


def _dropdown(label: str, info: str, choices: list[Choice]) -> Any:
    names = [(f"{one.name} ({one.about})" if one.about else one.name, one.name) for one in choices]
    return gr.Dropdown(names, value=choices[0].name, label=label, info=info, interactive=True)


def _examples(folder: Path) -> list[dict[str, str]]:
    pictures = {name: Picture.open(folder / f"{name}.webp") for name in EXAMPLES}
    return [
        {"name": name, "about": EXAMPLES[name], "url": data_url(reduced(picture, 192), quality=80)}
        for name, picture in pictures.items()
    ]


# what happens when


def shown(visit: Visit, *, chat: bool = True, picture: bool = False) -> list[Any]:
    """A visit as values for `Parts.changing`. `picture`: its photograph too, which the browser otherwise has."""
    seen, busy = stage(visit), visit.answering is not None
    of_stage: Any = seen
    if picture and visit.conversation is not None:
        of_stage = gr.HTML(seen, picture=photograph(visit.conversation.picture))
    of_masks = {"masks": seen["masks"], "busy": busy}
    return [of_stage, of_masks, messages(visit) if chat else gr.skip(), gr.Textbox(**_query(visit))]


def _query(visit: Visit) -> dict[str, Any]:
    """How the box for questions looks: while one is answered, its button stops that."""
    busy = visit.answering is not None
    selected = visit.conversation is not None and visit.conversation.selected
    return {
        "interactive": True,
        "submit_btn": False if busy else "Ask",
        "stop_btn": "Stop" if busy else False,
        "placeholder": "only the two largest" if selected else "all the watermelons",
    }


def _wire_arrival(page: Any, parts: Parts, actions: Actions, head: Any, about: Any) -> None:
    known = gr.Textbox(visible=False)

    def arrive(secret: str) -> list[Any]:
        secret = secret if secret in actions.visits else actions.visits.open()
        visit = actions.arrive(secret)
        *others, _ = shown(visit, picture=True)
        return [secret, secret, *others, gr.Textbox(visit.asked, **_query(visit))]

    def look(planner: str, sam3: str) -> list[Any]:
        state = actions.engine.state(planner, sam3)
        return [pill(state), banner(sam3), gr.Timer(active=state.kind == "loading")]

    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    page.load(arrive, [known], [known, parts.secret, *parts.changing], js=RECALL, **quiet).then(
        None, [known], js=REMEMBER
    )
    timer = gr.Timer(1.0)
    timer.tick(look, [parts.planner, parts.sam3], [head, about, timer], **quiet)
    for choice in (parts.planner, parts.sam3):
        choice.change(look, [parts.planner, parts.sam3], [head, about, timer], **quiet)


def _wire_talk(parts: Parts, actions: Actions) -> None:
    def ask(secret: str, query: str, planner: str, sam3: str) -> Iterator[list[Any]]:
        with _told():
            before = _key(actions.visits[secret])
            for number, visit in enumerate(actions.ask(secret, query, Chosen(planner, sam3))):
                *others, _ = shown(visit, picture=_key(visit) != before)
                yield [*others, gr.Textbox(**_query(visit), **({} if number else {"value": ""}))]

    def option(secret: str, planner: str, sam3: str, event: gr.SelectData) -> Iterator[list[Any]]:
        yield from ask(secret, str(event.value), planner, sam3)

    def stop(secret: str) -> None:
        with _told():
            actions.stop(secret)

    models = [parts.planner, parts.sam3]
    how = _how("minimal", "answers", show_progress_on=parts.chat)
    parts.query.submit(ask, [parts.secret, parts.query, *models], parts.changing, **how)
    parts.chat.option_select(option, [parts.secret, *models], parts.changing, **how)
    parts.query.stop(stop, [parts.secret], None, queue=False, api_visibility="private")


def _wire_picture(parts: Parts, actions: Actions) -> None:
    picker = gr.UploadButton(
        "Open a picture", file_types=["image", ".json"], type="filepath", visible="hidden", elem_id="picker"
    )

    def on(event: Any, act: Callable[[str, str, Any], Visit], *, quick: bool = False) -> None:
        """After `event`, what `act` makes of the secret, SAM 3's name and the event's own words."""

        def done(secret: str, sam3: str, sent: gr.EventData) -> Iterator[list[Any]]:
            with _told():
                before = _key(actions.visits[secret])
                visit = act(secret, sam3, sent)
            yield shown(visit, picture=_key(visit) != before, chat=False)  # first what the eye is on
            with _told():
                yield shown(actions.visits[secret])  # a question may have begun meanwhile

        how = _how("hidden", trigger_mode="multiple")
        event(done, [parts.secret, parts.sam3], parts.changing, **{**how, **({"queue": False} if quick else {})})

    def upload(secret: str, path: str) -> list[Any]:
        with _told():
            return [*shown(actions.show(secret, path), picture=True), None]

    picker.upload(
        upload, [parts.secret, picker], [*parts.changing, picker], **_how("full", show_progress_on=parts.stage)
    )
    on(parts.stage.point, lambda secret, sam3, sent: _click(actions, secret, sam3, received(Point, sent)))
    on(parts.stage.box, lambda secret, sam3, sent: actions.box(secret, sam3, received(Corners, sent).box))
    on(parts.stage.keep, lambda secret, _, sent: _edit(actions, secret, received(Kept, sent)))
    on(parts.stage.threshold, lambda secret, _, sent: _edit(actions, secret, received(Threshold, sent)))
    on(parts.stage.undo, lambda secret, _, sent: actions.edit(secret, Conversation.undo))
    on(parts.stage.redo, lambda secret, _, sent: actions.edit(secret, Conversation.redo))
    on(parts.stage.example, lambda secret, _, sent: actions.example(secret, received(Example, sent).name))


def _click(actions: Actions, secret: str, sam3: str, point: Point) -> Visit:
    return actions.click(secret, sam3, point.x, point.y, positive=point.positive, id=point.active)


def _edit(actions: Actions, secret: str, sent: Kept | Threshold) -> Visit:
    match sent:
        case Kept():
            return actions.edit(secret, lambda conversation: _keeping(conversation, sent.ids))
        case Threshold():
            return actions.edit(secret, lambda conversation: conversation.above(sent.value))


def _keeping(conversation: Conversation, ids: Sequence[int]) -> Conversation:
    """With these masks as the answer, said as what was done to it."""
    gone = [id for id in conversation.selected if id not in ids]
    new = [id for id in ids if id not in conversation.selected]
    if gone and not new:
        return conversation.remove(gone)
    return conversation.restore(new) if new and not gone else conversation.select(ids)


def _wire_downloads(parts: Parts, actions: Actions, save: tuple[Any, Any, Any]) -> None:
    kind, fetch, file = save

    def write(secret: str, kind: str, planner: str, sam3: str) -> list[Any]:
        with _told():
            path = actions.download(secret, kind, Chosen(planner, sam3))
        return [gr.DownloadButton(value=str(path)), path]

    written = gr.State(None)
    models = [parts.planner, parts.sam3]
    how = _how("minimal", show_progress_on=fetch)
    ready = fetch.click(write, [parts.secret, kind, *models], [file, written], **how)
    # gradio has made its own copy by now
    ready.success(_removed, [written], None, queue=False, api_visibility="private").then(None, None, js=FETCH)


def _removed(path: Path) -> None:
    rmtree(path.parent, ignore_errors=True)


@contextmanager
def _told() -> Iterator[None]:
    """An error that is meant for the visitor pops up in words."""
    try:
        yield
    except TOLD as error:
        raise gr.Error(sentence(str(error)), title="", print_exception=False) from error


def _how(progress: str, lane: str = "edits", **more: Any) -> dict[str, Any]:
    """How an event that takes its time is handled. `lane`: whose events wait for each other."""
    return {
        "show_progress": progress,
        "concurrency_id": lane,
        "concurrency_limit": AT_ONCE,
        "api_visibility": "private",
        **more,
    }


def _key(visit: Visit) -> str:
    return "" if visit.conversation is None else visit.conversation.picture.key
