"""`MaskStudio`: a Gradio component in which masks are made and edited by hand."""

from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable
from pydantic import ValidationError

from agent.planners.chat.views import reduce_image
from demo.studio.local import edit_masks
from demo.studio.rows import IMAGE_SIDE, build_studio_rows, encode_data_url
from demo.studio.tiles import TileDrawer
from demo.studio.value import StudioValue
from sam3_tool import Image
from sam3_tool.cache import ByteCache

WEB = Path(str(files("demo") / "web"))
IMAGE_BYTES = 512 * 2**20
"""Bytes of the images that a component remembers."""
STYLES = ("studio-colors.css", "studio.css")
HEIGHT = 560
"""Pixels of the screen."""
_serial = count(1)


class _StublessMeta(ComponentMeta):  # type: ignore[misc]  # gradio is taken as Any
    """Makes components without Gradio's stub file, which it would write beside the source at each import.

    A class with events of its own is Gradio's to make.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
        if "EVENTS" in attrs:
            made: type = super().__new__(cls, name, bases, attrs)
            return made
        if "__init__" in attrs:
            attrs["__init__"] = updateable(attrs["__init__"])
        return ABCMeta.__new__(cls, name, bases, attrs)


class MaskStudio(gr.HTML, metaclass=_StublessMeta):  # type: ignore[misc]
    """Show an image with its masks, and let a person make and edit them.

    Brush, eraser, polygon and mending happen in the component, with undo and redo; the event `change` follows. What a
    click or a box means is your application's to say: the events `click` and `box` tell of them, and
    `read_studio_event` reads their data. `select` tells which mask was chosen.

    Args:
        value: What is shown at first.
        height: Of the component, in pixels of the screen.
        server_functions: Functions that the script calls in place of its own, by their names. With `apply_edits`, all
            edits go to it, and values are dicts that are sent as they are: so does `sam3-agent demo` use it.
        options: As those of `gr.HTML`.
    """

    def __init__(
        self,
        value: StudioValue | Mapping[str, Any] | None = None,
        *,
        height: int = HEIGHT,
        server_functions: Sequence[Callable[..., Any]] = (),
        **options: Any,
    ) -> None:
        self._images = ByteCache[str, Image](IMAGE_BYTES, size=lambda image: image.pixels.nbytes)
        self._lock = Lock()
        self._tiles = TileDrawer()
        functions = {**self._build_functions(), **{function.__name__: function for function in server_functions}}
        if "apply_edits" in functions:
            functions.pop("edit_masks")
        else:
            style = [f".stage {{ --studio-height: {height}px }}", *map(read_web_file, STYLES)]
            options.setdefault("css_template", "\n".join(style))
        super().__init__(
            value,
            html_template=read_web_file("stage.html"),
            js_on_load=read_web_file("stage.js"),
            apply_default_css=False,
            server_functions=[*functions.values()],
            **options,
        )

    def _build_functions(self) -> dict[str, Callable[[Any], Any]]:
        """What the script calls where the application answers nothing of its own."""

        def draw_image(data: Any) -> str:
            image = self._find_image(data)
            return "" if image is None else encode_data_url(reduce_image(image, IMAGE_SIDE), quality=88)

        def draw_tile(data: Any) -> str:
            return self._tiles.answer(data, self._find_image(data))

        return {"draw_image": draw_image, "draw_tile": draw_tile, "edit_masks": edit_masks}

    def postprocess(self, value: Any) -> Any:
        """Turn a `StudioValue` into what the script shows; None shows nothing."""
        if isinstance(value, Mapping):
            return value
        if value is None:
            value = StudioValue()
        if not isinstance(value, StudioValue):
            raise TypeError(f"a MaskStudio shows a StudioValue, not a {type(value).__name__}")
        image = value.image
        key = "" if image is None else image.key
        if image is not None:
            with self._lock:
                self._images[key] = image
        return {
            "serial": next(_serial),
            "key": key,
            "width": 0 if image is None else image.width,
            "height": 0 if image is None else image.height,
            "masks": build_studio_rows(value.masks),
            "active": value.active,
            "tool": value.tool,
        }

    def preprocess(self, payload: Any) -> Any:
        """Turn what the script holds into a `StudioValue`; what makes no sense is refused."""
        if not isinstance(payload, Mapping):
            return StudioValue()
        try:
            return StudioValue.model_validate({**payload, "image": self._find_image(payload)})
        except ValidationError as error:
            raise gr.Error("The page sent masks that make no sense; reload it.", print_exception=False) from error

    def _find_image(self, data: Any) -> Image | None:
        key = data.get("key") if isinstance(data, Mapping) else None
        with self._lock:
            return self._images.get(key) if isinstance(key, str) else None


def read_web_file(name: str) -> str:
    """Read a file that the page is made of."""
    return (WEB / name).read_text(encoding="utf-8")
