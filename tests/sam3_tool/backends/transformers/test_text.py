"""Phrases become the tokens that the published code makes of them."""

import html

import ftfy
import pytest
import regex

from sam3_tool.backends.transformers.text import clean_phrase

PIECES = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)
"""How the published tokenizer splits a cleaned phrase (`sam3/model/tokenizer_ve.py`)."""

ALIKE = {
    "an apostrophe": ("dog\u2019s bowl", "dog's bowl"),
    "an apostrophe to the left": ("dog\u2018s bowl", "dog's bowl"),
    "quotes": ("the “red” cup", 'the "red" cup'),
    "low quotes": ("„red“ cup", '"red" cup'),
    "a ligature": ("ﬁsh and ﬂower", "fish and flower"),
    "full width": ("\uff52\uff45\uff44　\uff43\uff55\uff50", "red cup"),
    "mojibake": ("cafÃ© table", "café table"),
    "mojibake of an apostrophe": ("dogâ€™s bowl", "dog's bowl"),
    "an entity": ("cup &amp; saucer", "cup & saucer"),
    "an entity of an entity": ("cup &amp;amp; saucer", "cup & saucer"),
    "an entity beside a bracket": ("<cup> &amp; saucer", "<cup> & saucer"),
    "a numbered entity": ("dog&#39;s bowl", "dog's bowl"),
    "a letter in two parts": ("cafe\u0301 table", "café table"),
    "white space": (" red\t\n cup ", "red cup"),
    "a space that does not break": ("red\u00a0cup", "red cup"),
    "an ideographic space": ("red\u3000cup", "red cup"),
    "a control character": ("red\u0007 cup", "red cup"),
    "a colour of a terminal": ("\u001b[31mred\u001b[0m cup", "red cup"),
    "a mark of byte order": ("\ufeffred cup", "red cup"),
    "capitals": ("RED Cup", "red cup"),
    "a capital with a dot": ("İ cup", "i̇ cup"),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_a_phrase_is_cleaned_as_published(network, kind):
    written, plain = ALIKE[kind]
    assert clean_phrase(written) == plain
    published = html.unescape(html.unescape(ftfy.fix_text(written))).strip()
    assert clean_phrase(written) == regex.sub(r"\s+", " ", published).strip().lower()


SPECIAL = [
    "<|endoftext|>",
    "<|startoftext|>",
    "red <|endoftext|> cup",
    "a<|endoftext|>b",
    "!!<|startoftext|>!!",
    "<|ENDOFTEXT|>",
    "<|endoftext|><|endoftext|>",
    "&lt;|endoftext|&gt; cup",
]


@pytest.mark.parametrize("phrase", SPECIAL)
def test_names_of_special_tokens_in_a_phrase_are_text(network, phrase):
    tokenizer = network._prompts._tokenizer
    start, *inside, end = tokenizer(clean_phrase(phrase))["input_ids"]
    assert (start, end) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert not {start, end} & set(inside)
    published = html.unescape(html.unescape(ftfy.fix_text(phrase))).strip().lower()
    assert PIECES.findall(clean_phrase(phrase)) == PIECES.findall(published)


@pytest.mark.parametrize("kind", ["an apostrophe", "quotes", "an entity", "a ligature"])
def test_what_is_written_otherwise_finds_the_same(tiny, picture, kind):
    one, other = (tiny.segment(picture, phrase, threshold=0.0) for phrase in ALIKE[kind])
    assert one.scores.tolist() == other.scores.tolist()
    assert one.phrase == ALIKE[kind][0]
