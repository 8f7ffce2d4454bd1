"""A Label Studio labelling interface: which control tags there are, what they label, and which phrases find that."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from agent.core.errors import UsageError

Shape = Literal["brush", "polygon", "rectangle"]
"""What a control draws."""

_SHAPES: Mapping[str, Shape] = {
    "brushlabels": "brush",
    "polygonlabels": "polygon",
    "rectanglelabels": "rectangle",
}
"""By the name of the tag in small letters: Label Studio does not tell capitals apart there."""
_MAX_LABELS = 1000
_VARIABLE = re.compile(r"\$(\w+)")
_UNNAMED_DATA = "$undefined$"
"""Where Label Studio puts the image of a task that was imported before the project had a labelling interface."""
EXPECTED = (
    "expected an <Image> tag, and <BrushLabels>, <PolygonLabels> or <RectangleLabels> with a <Label> for each thing"
)


@dataclass(frozen=True)
class Control:
    """A control tag whose labels are given to what is found."""

    shape: Shape
    name: str
    image_name: str
    """The `<Image>` tag that it belongs to."""
    phrases: Mapping[str, tuple[str, ...]]
    """The phrases of each label, in the order of the tag."""
    threshold: float = 0.5
    """In [0, 1): what scores above it is kept."""

    @property
    def type_name(self) -> str:
        """How Label Studio calls the control's regions, and the list of their labels."""
        return f"{self.shape}labels"


@dataclass(frozen=True)
class LabelConfig:
    """A labelling interface."""

    controls: tuple[Control, ...]
    """Those whose labels are looked for."""
    image_values: Mapping[str, str]
    """The `value` of each `<Image>` tag, by name."""
    image_names: Mapping[str, str]
    """The name of the `<Image>` tag, by the name of any control."""

    @property
    def labelled_images(self) -> list[str]:
        """The names of the `<Image>` tags in which something is looked for; others are shown for comparison."""
        labelled = {control.image_name for control in self.controls}
        return [name for name in self.image_values if name in labelled]

    def find_control(self, label: str | None, image_name: str) -> Control | None:
        """Find the control that a mask of a label goes to: one that draws masks, if there is one; None for none."""
        own = [control for control in self.controls if control.image_name == image_name]
        own = [control for control in own if label in control.phrases] or (own if label is None else [])
        order: Sequence[Shape] = ("brush", "polygon", "rectangle")
        return min(own, key=lambda control: order.index(control.shape), default=None)


def parse_label_config(text: str) -> LabelConfig:
    """Read a labelling interface.

    A label is a phrase; its attribute `predicted_values`, phrases with commas, stands for other ones. A smart rectangle
    beside a tag that draws masks is for prompts, and so no label of it is looked for.

    Args:
        text: The XML of the project's settings.

    Returns:
        Its control tags for images.

    Raises:
        UsageError: It is no XML, or it has no image or no label to look for.

    >>> config = parse_label_config('<View><Image name="i" value="$photo"/><BrushLabels name="b" toName="i">'
    ...                             '<Label value="Car" predicted_values="car, van"/></BrushLabels></View>')
    >>> config.controls[0].phrases, config.image_values
    ({'Car': ('car', 'van')}, {'i': '$photo'})
    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"the labelling interface is no XML ({error}); {EXPECTED}") from error
    images = {
        tag.get("name", ""): tag.get("value") or tag.get("valueList") or ""
        for tag in root.iter()
        if tag.tag.lower() == "image"
    }
    named = [(tag, _find_image(tag, images)) for tag in root.iter() if tag.get("toName")]
    smart = {id(tag) for tag, _ in named if tag.get("smart", "").lower() == "true"}
    has_masks = any(tag.tag.lower() in ("brushlabels", "polygonlabels") for tag, _ in named)
    controls = [
        _build_control(tag, image)
        for tag, image in named
        if tag.tag.lower() in _SHAPES
        and image is not None
        and not (has_masks and tag.tag.lower() == "rectanglelabels" and id(tag) in smart)
    ]
    controls = [control for control in controls if control.phrases]
    if not controls:
        raise UsageError(f"the labelling interface has nothing to look for in an image; {EXPECTED}")
    if sum(len(control.phrases) for control in controls) > _MAX_LABELS:
        raise UsageError(f"the labelling interface has more than {_MAX_LABELS} labels")
    names = {tag.get("name", ""): image for tag, image in named if image is not None}
    return LabelConfig(tuple(controls), images, names)


def resolve_value(value: str, data: Mapping[str, Any]) -> Any:
    """Return what the `value` of a tag stands for in a task: what it names, or a text with that in it.

    Args:
        value: Of the tag, e.g. "$image", "$photo.url" or "https://images.example.org/$name".
        data: Of the task.

    Returns:
        What the task holds there, whatever it is; None where it holds nothing.

    >>> data = {"photo": {"urls": ["a.png", "b.png"]}, "name": "c.png"}
    >>> resolve_value("$photo.urls[1]", data), resolve_value("https://example.org/$name", data)
    ('b.png', 'https://example.org/c.png')
    """
    if value.startswith("$") and "/" not in value:
        found = _look_up(value[1:], data)
        return data.get(_UNNAMED_DATA) if found is None else found
    return _VARIABLE.sub(lambda name: str(data.get(name[1], "")), value)


def _look_up(name: str, data: Mapping[str, Any]) -> Any:
    """What lies under a name, which may lead through dictionaries and lists; None for nothing."""
    if name in data:
        return data[name]
    found: Any = data
    for part in filter(None, re.split(r"[.\[\]]", name)):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdigit() and len(part) < 9:
            found = dict(enumerate(found)).get(int(part))
        else:
            return None
    return found


def _find_image(tag: ElementTree.Element, images: Mapping[str, str]) -> str | None:
    """The image that a control tag belongs to: the first that it names."""
    names = (name.strip() for name in tag.get("toName", "").split(","))
    return next((name for name in names if name in images), None)


def _build_control(tag: ElementTree.Element, image_name: str) -> Control:
    labels = [label for label in tag.iter() if label.tag.lower() == "label" and label.get("value", "").strip()]
    phrases = {label.get("value", ""): _read_phrases(label) for label in labels}
    return Control(_SHAPES[tag.tag.lower()], tag.get("name", ""), image_name, phrases, _read_threshold(tag))


def _read_phrases(label: ElementTree.Element) -> tuple[str, ...]:
    given = [phrase.strip() for phrase in label.get("predicted_values", "").split(",")]
    return tuple(dict.fromkeys(phrase for phrase in given if phrase)) or (label.get("value", "").strip(),)


def _read_threshold(tag: ElementTree.Element) -> float:
    """Its attribute `model_score_threshold`."""
    text = tag.get("model_score_threshold")
    if text is None:
        return Control.threshold
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1
    if not 0 <= threshold < 1:
        raise UsageError(f"`model_score_threshold` must be at least 0 and below 1, got {text[:20]!r}")
    return threshold
