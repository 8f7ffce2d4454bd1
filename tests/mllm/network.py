"""A tiny vision-language model of a real architecture, Qwen3-VL, with a tokenizer and a processor of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

TEMPLATE = Path(__file__).with_name("chat.jinja")
VOCABULARY = 640
CONTEXT = 8192
"""Tokens."""
WIDTH = 64
PATCH = 16
"""Pixels; a token of a picture is 2 x 2 of them."""
PICTURE_TOKENS = (1, 16)
"""Fewest and most; the processor shrinks pictures to fit."""
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
"""Dropped when a reply is decoded."""
TAGS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""One token each, and part of the text."""


def processor(texts: Iterable[str]) -> Qwen3VLProcessor:
    """A byte-level tokenizer that was trained on `texts`, and processors for small pictures."""
    tokenizer = _tokenizer(texts)
    fewest, most = (tokens * (2 * PATCH) ** 2 for tokens in PICTURE_TOKENS)
    sizes: dict[str, Any] = {
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": fewest, "longest_edge": most},
    }
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**sizes),
        chat_template=TEMPLATE.read_text(encoding="utf-8"),
    )


def network(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """With random weights, which torch's seed determines."""
    end, stop = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    model = Qwen3VLForConditionalGeneration(_config(tokenizer, end, stop))
    model.generation_config.eos_token_id = [stop, end]
    model.generation_config.pad_token_id = end
    return model


def _tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in SPECIAL] + [AddedToken(tag) for tag in TAGS]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=CONTEXT
    )


def _config(tokenizer: PreTrainedTokenizerFast, end: int, stop: int) -> Qwen3VLConfig:
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
    rope = {"rope_type": "default", "mrope_section": [6, 5, 5], "mrope_interleaved": True, "rope_theta": 5e6}
    text = {
        **heads,
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": rope,
        "tie_word_embeddings": True,
        "bos_token_id": end,
        "eos_token_id": stop,
        "pad_token_id": end,
    }
    vision = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_heads": 4,
        "out_hidden_size": WIDTH,
        "patch_size": PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    places = ("image_pad", "video_pad", "vision_start", "vision_end")
    image, video, start, finish = tokenizer.convert_tokens_to_ids([f"<|{place}|>" for place in places])
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=finish,
        tie_word_embeddings=True,
    )


def load(folder: Path) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """The model of a folder in float32, to learn on, and its processor."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model, Qwen3VLProcessor.from_pretrained(folder)


def save(model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, folder: Path) -> None:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
