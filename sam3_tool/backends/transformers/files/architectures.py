"""Which network a folder holds, by the `model_type` of its config.json: SAM 3, or SAM 3 with a small text encoder."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.errors import CheckpointError
from sam3_tool.plugins import import_lock
from sam3_tool.system.files import decode_json

LITE_TEXT = "sam3_lite_text"
PUBLISHED_TOKENS = 72 * 72
"""Of one image in facebook/sam3: 1008 x 1008 pixels in patches of 14 x 14."""
_DETECTORS = {
    "sam3": "Sam3Model",
    "sam3_video": "Sam3Model",
    LITE_TEXT: "Sam3LiteTextModel",
    "sam3_lite_text_video": "Sam3LiteTextModel",
}
"""`model_type` -> the class of transformers that finds phrases."""

_OPEN_MODELS = {
    "grounding-dino": "`--sam3 open:{}`",
    "owlv2": "`--sam3 open:{}`",
    "sam2": "`--sam3 open:IDEA-Research/grounding-dino-tiny,{}`",
}
"""How a model is called -> how it is taken."""

TRACKERS = ("sam3_tracker", "sam3_tracker_video")
"""`model_type` of the tracker alone."""


def read_model_type(folder: Path) -> str:
    """Return the `model_type` of a checkpoint, of its detector where it has several parts; "" if it names none.

    >>> from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
    >>> read_model_type(locate_checkpoint("tiny"))
    'sam3'
    """
    with suppress(OSError, ValueError, AttributeError):  # a damaged file is told of by who reads all of it
        config = decode_json((folder / "config.json").read_bytes())
        detector = config.get("detector_config")
        kinds = ((detector or {}).get("model_type"), config.get("model_type"))
        return next((kind for kind in kinds if isinstance(kind, str) and kind), "")
    return ""


def describe_other_model(name: str, kind: str = "") -> str:
    """Say how a model that is no SAM 3 is taken; "" for one that is not taken.

    Args:
        name: Of its folder or its repository.
        kind: Its `model_type`, if that is known.

    >>> describe_other_model("models/dino", "grounding-dino")
    'take it with `--sam3 open:models/dino`'
    """
    called = (kind or name.rpartition("/")[2]).lower()
    return next(
        (f"take it with {how.format(name)}" for start, how in _OPEN_MODELS.items() if called.startswith(start)), ""
    )


def is_lite_text(folder: Path) -> bool:
    """Tell whether a folder holds SAM3-LiteText, by its config.json."""
    return _DETECTORS.get(read_model_type(folder)) == _DETECTORS[LITE_TEXT]


def import_detector_class(folder: Path) -> Any:
    """Return the class of transformers that a folder's detector is an instance of.

    Raises `CheckpointError` if the folder names another model.
    """
    with import_lock:
        import transformers

    kind = read_model_type(folder) or "sam3"
    if kind not in _DETECTORS:
        advice = describe_other_model(str(folder), kind) or f"expected one of {', '.join(_DETECTORS)}"
        raise CheckpointError(f"{folder} holds a model of the type {kind!r} (config.json); {advice}. {WORKS_NOW}")
    with import_lock:  # it is imported only now
        return getattr(transformers, _DETECTORS[kind])


def read_image_tokens(path: Path) -> int:
    """Return how many tokens the vision trunk makes of an image; those of facebook/sam3 where nothing is told.

    >>> from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
    >>> read_image_tokens(locate_checkpoint("tiny"))
    256
    """
    with suppress(OSError, ValueError, LookupError, AttributeError, TypeError, ZeroDivisionError):
        config = decode_json((path / "config.json").read_bytes())
        vision = (config.get("detector_config") or config)["vision_config"]
        trunk = vision.get("backbone_config") or vision
        return (int(trunk["image_size"]) // int(trunk["patch_size"])) ** 2
    return PUBLISHED_TOKENS
