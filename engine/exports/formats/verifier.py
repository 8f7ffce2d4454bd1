"""Examples for training a verifier: chats with an image, a question under shuffled letters, and the right letter.

OUT/mv-train.jsonl, ev-train.jsonl, …    one chat a line: is this mask right; do these masks cover everything
OUT/views/*.jpg                          what the verifier is shown
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import PIL.Image

from agent.models.base import Messages
from engine.exports.formats.examples import VerifierExample, list_examples, list_sibling_examples
from engine.media.images import EngineImage
from engine.states import PairHistory, StatePolicy
from engine.store.store import EngineStore
from engine.verifiers.language_model.answer_log import make_item_key
from engine.verifiers.language_model.letters import LETTERS, draw_order
from engine.verifiers.language_model.mllm import build_question, load_choices
from engine.verifiers.language_model.views import draw_coverage_view, draw_mask_view
from sam3_tool.errors import ImageError
from sam3_tool.image import Image

VIEWS = "views"
JPEG_QUALITY = 95
KEPT_IMAGES = 8
"""In memory: pairs of an image mostly come one after the other."""


class VerifierExport:
    """Writes the examples that people's answers hold; what models decided teaches nothing here.

    Args:
        store: The data engine.
        folder: An empty folder.
        position: The last of the log that counts.
        seed: Of the order of letters.
    """

    def __init__(self, store: EngineStore, folder: Path, *, position: int, seed: str = "0") -> None:
        self._store, self._folder, self._position, self._seed = store, folder, position, seed
        self._images = {image.key: image for image in store.images()}
        self._open_image = lru_cache(KEPT_IMAGES)(EngineImage.open_pixels)
        self.unreadable: dict[str, str] = {}
        """Images that cannot be read any more, with the reason."""
        self.examples: Counter[str] = Counter()
        """By name of the file."""
        self.kinds: Counter[str] = Counter()
        """By how they came about."""

    def write_files(self) -> list[str]:
        """Write everything; return names of the files. Raises EngineError and OSError."""
        (self._folder / VIEWS).mkdir()
        with ExitStack() as stack:
            files: dict[str, TextIO] = {}
            for image, example in self._list_examples():
                try:
                    chat = self._build_chat(image, example)
                except ImageError as error:
                    self.unreadable[image.key] = str(error)
                    continue
                name = f"{example.stage}-{image.split}.jsonl"
                if name not in files:
                    files[name] = stack.enter_context((self._folder / name).open("w", encoding="utf-8"))
                files[name].write(json.dumps(chat, ensure_ascii=False) + "\n")
                self.examples[name] += 1
                self.kinds[f"{example.stage} {example.kind}"] += 1
        return sorted(self.examples)

    def _list_examples(self) -> Iterator[tuple[EngineImage, VerifierExample]]:
        for history in self._store.iterate_histories(StatePolicy(), until=self._position):
            image = self._images.get(history.state.pair.image)
            if image is None or image.key in self.unreadable:
                continue
            for example in [*list_examples(history), *self._list_siblings(history)]:
                yield image, example

    def _list_siblings(self, history: PairHistory) -> list[VerifierExample]:
        """List the masks of the positive that a negative came from: under the negative's phrase they are wrong."""
        parent = history.state.pair.parent
        if not (parent and history.state.is_negative):
            return []
        found = self._store.read_state(parent, until=self._position)
        return [] if found is None else list_sibling_examples(history.state, found)

    def _build_chat(self, image: EngineImage, example: VerifierExample) -> dict[str, Any]:
        key = make_item_key(example.stage, image.key, example.phrase, example.masks)
        order = draw_order([*load_choices(example.stage)], f"{self._seed}\0{key}", 0)
        pixels = self._open_image(image)
        view = draw_view(pixels, example)
        name = f"{VIEWS}/{key}.jpg"
        PIL.Image.fromarray(view.pixels).save(self._folder / name, quality=JPEG_QUALITY)
        question = build_question(example.stage, view, example.phrase, len(example.masks), order)
        return {
            "messages": to_chat(question, name, LETTERS[order.index(example.choice)]),
            "pair": example.pair,
            "phrase": example.phrase,
            "choice": example.choice,
            "order": order,
            "kind": example.kind,
            "by": example.by,
            "image_key": image.key,
            "split": image.split,
            "duplicate_group": image.group,
            "source": image.source,
            "licence": image.licence,
            "original_hash": image.original_hash,
            "log_position": self._position,
        }


def draw_view(image: Image, example: VerifierExample) -> Image:
    """Draw what a verifier is shown of an example."""
    if example.stage == "mv":
        return draw_mask_view(image, example.masks[0])
    return draw_coverage_view(image, example.masks)


def to_chat(question: Messages, view: str, letter: str) -> list[dict[str, Any]]:
    """Convert a question and its answer to the messages of a chat; the image is named by its file.

    >>> from agent.models.base import Message
    >>> [message["role"] for message in to_chat([Message("user", ("Right?",))], "a.jpg", "B")]
    ['user', 'assistant']
    """
    chat = [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": view}
                for part in message.content
            ],
        }
        for message in question
    ]
    return [*chat, {"role": "assistant", "content": [{"type": "text", "text": letter}]}]
