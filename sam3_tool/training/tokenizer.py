"""A CLIP tokenizer of some 1,500 entries, learnt from the phrases of the generated world."""

import json
from collections.abc import Iterator

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, NOUNS, PATTERNS, STRANGERS
from sam3_tool.synthetic.phrases import VISUAL_PHRASE, Concept, phrase_concept

CONTEXT = 32
"""Tokens a phrase may have, start and end included (as in SAM 3)."""
ENTRIES = 1500


def learn_tokenizer() -> CLIPTokenizer:
    """Learn byte-level BPE with `</w>` at word ends, as CLIP's: any text has tokens, known words have one."""
    blank = CLIPTokenizer()
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    bpe.normalizer = blank._tokenizer.normalizer
    bpe.pre_tokenizer = blank._tokenizer.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=ENTRIES,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(_generate_phrases(), trainer)
    learnt = json.loads(bpe.to_str())["model"]
    vocabulary: dict[str, int] = learnt["vocab"]
    for letter in letters:  # a word may end in any letter, also where training met none that does
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    return CLIPTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in learnt["merges"]], model_max_length=CONTEXT)


def _generate_phrases(count: int = 40_000) -> Iterator[str]:
    rng = np.random.default_rng(0)
    for _ in range(300):
        yield VISUAL_PHRASE
    for stranger in STRANGERS:
        yield from [stranger] * 20
    for _ in range(count):
        colour, pattern, size = (
            str(rng.choice(words)) if rng.random() < share else None
            for words, share in ((list(COLOURS), 0.4), (PATTERNS, 0.15), (("small", "large"), 0.15))
        )
        yield phrase_concept(Concept(str(rng.choice([*NOUNS, *HYPERNYMS])), colour, pattern, size), rng)
