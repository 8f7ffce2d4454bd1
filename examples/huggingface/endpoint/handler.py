"""A custom handler for Hugging Face Inference Endpoints: an image and phrases, or a sentence, to masks.

Answers have the form of the image segmentation task: a list of `{"label", "score", "mask"}`, each mask a PNG in base64.
"""

import base64
import binascii
import io
import os
from pathlib import Path
from typing import Any

import PIL.Image

from agent import GrammarPlanner, Task, run
from sam3_tool import Image, Instances, Sam3, UserError

MAX_PIXELS = 50 * 10**6


class EndpointHandler:
    """Loaded once, and called for each request.

    Args:
        path: The folder of the endpoint's repository. Weights in it are used, in transformers' format; without any,
            what the variable SAM3 names, and else the embedded checkpoint, which only knows drawn scenes.
    """

    def __init__(self, path: str = "") -> None:
        has_weights = bool(path) and Path(path, "config.json").is_file()
        self.sam3 = Sam3.load(path if has_weights else os.environ.get("SAM3", "tiny"))
        self.planner = GrammarPlanner()

    def __call__(self, data: dict[str, Any]) -> list[dict[str, Any]] | dict[str, str]:
        """Answer one request.

        Args:
            data: `inputs` is an image: base64, a data URL, bytes, or an image of Pillow. `parameters` has `phrases`, a
                list of phrases, or `query`, a sentence; and may have `threshold`, in [0, 1).

        Returns:
            The masks; or `{"error": …}`, one sentence that says what was expected.
        """
        try:
            image = read_image(data.get("inputs"))
            return [
                row for found in self.find_instances(image, data.get("parameters") or {}) for row in list_rows(found)
            ]
        except (UserError, ValueError, TypeError) as error:
            return {"error": str(error)}

    def find_instances(self, image: Image, parameters: dict[str, Any]) -> list[Instances]:
        """Return what was found for each phrase, or the answer to the sentence."""
        phrases, query = parameters.get("phrases"), parameters.get("query")
        if isinstance(query, str) and query.strip() and phrases is None:
            return [run(Task(image, query), self.planner, self.sam3).answer]
        if (
            not isinstance(phrases, list)
            or not phrases
            or not all(isinstance(phrase, str) and phrase for phrase in phrases)
        ):
            raise ValueError('`parameters` must have `phrases`, e.g. ["cat", "red car"], or `query`, a sentence')
        threshold = float(parameters.get("threshold", 0.5))
        return [self.sam3.segment(image, phrase, threshold=threshold) for phrase in phrases]


def read_image(inputs: Any) -> Image:
    """Read what the endpoint was sent."""
    if isinstance(inputs, PIL.Image.Image):
        file = io.BytesIO()
        inputs.save(file, "PNG")
        inputs = file.getvalue()
    if isinstance(inputs, str):
        try:
            inputs = base64.b64decode(inputs.partition(",")[2] if inputs.startswith("data:") else inputs, validate=True)
        except binascii.Error:
            raise ValueError("`inputs` is a text, but no image in base64") from None
    if not isinstance(inputs, bytes):
        raise ValueError("`inputs` must be an image: base64, a data URL, or bytes")
    return Image.read(inputs, max_pixels=MAX_PIXELS)


def list_rows(found: Instances) -> list[dict[str, Any]]:
    """Describe each instance as the image segmentation task does."""
    return [
        {"label": found.phrase, "score": score, "mask": encode_mask(mask)}
        for mask, score in zip(found.masks, found.scores.tolist(), strict=True)
    ]


def encode_mask(mask: Any) -> str:
    """Return a PNG in base64, white where the mask is. `mask`: bool, (height, width)."""
    file = io.BytesIO()
    PIL.Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
