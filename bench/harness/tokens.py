"""Prompt tokens of a request: texts by a real tokenizer if one is installed, images by Qwen3-VL's rule."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent.models.base import Messages, Schema
from agent.models.rendering import collect_images, to_openai

SIDE = 32
"""Pixels of an image token's side: Qwen3-VL merges 2 x 2 patches of 16."""
LEAST, MOST = 256 * 256, 4096 * 4096
"""Pixels between which Qwen3-VL's processor resizes an image (`shortest_edge`, `longest_edge` of its settings)."""
TURN = 4
"""Tokens that a chat template puts around a turn."""
LETTERS = 4
"""Characters of a token, if no tokenizer is installed."""


def compute_image_tokens(width: int, height: int) -> int:
    """Return the tokens of an image of this size in pixels for Qwen3-VL, which rounds both sides to multiples of 32.

    >>> compute_image_tokens(1920, 1080), compute_image_tokens(1280, 720), compute_image_tokens(1024, 768)
    (2040, 880, 768)
    """
    columns, rows = round(width / SIDE), round(height / SIDE)
    scale = (width * height) ** 0.5
    if columns * rows * SIDE**2 > MOST:
        columns, rows = (max(1, int(side * MOST**0.5 / scale / SIDE)) for side in (width, height))
    elif columns * rows * SIDE**2 < LEAST:
        columns, rows = (-int(-side * LEAST**0.5 / scale // SIDE) for side in (width, height))
    return columns * rows


def count_image_tokens(conversation: Messages) -> int:
    """Return the tokens of all images of a conversation."""
    return sum(compute_image_tokens(image.width, image.height) for image in collect_images(conversation))


def count_text_tokens(conversation: Messages, tools: Sequence[Schema]) -> int:
    """Return the tokens of a request with native tools: its turns, its calls and the tools' schemas."""
    request = to_openai(conversation, tools, "native")
    count, _ = load_token_counter()
    written = [text for message in request["messages"] for text in _extract_texts(message)]
    offered = [json.dumps(tool, ensure_ascii=False) for tool in request.get("tools", ())]
    return sum(map(count, written + offered)) + TURN * len(request["messages"])


@cache
def load_token_counter() -> tuple[Callable[[str], int], str]:
    """Return a function that counts a text's tokens, and its name: Mistral's tekken if installed, or letters / 4."""
    if find_spec("mistral_common") is None:
        return (lambda text: -(-len(text) // LETTERS)), f"letters / {LETTERS}"
    import mistral_common
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    file = max((Path(mistral_common.__file__).parent / "data").glob("tekken_*.json"))
    tokenizer = Tekkenizer.from_file(file)
    return cache(lambda text: len(tokenizer.encode(text, bos=False, eos=False))), f"Mistral's {file.stem}"


def _extract_texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message["content"] or ""
    yield from [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]
    for call in message.get("tool_calls", ()):
        yield json.dumps(call["function"], ensure_ascii=False)
