"""Phrases of strangers: what is kept, in which form, and why the rest is dropped."""

import pytest

from engine.errors import EngineError
from engine.phrases.hygiene import HygieneRules, clean_phrases, drop_phrases
from engine.phrases.ontology_files import load_ontology
from engine.phrases.word_lists import load_block_list, load_groundable_words, parse_block_list, read_block_list


def drop_kind(text: str, **rules: object) -> str:
    """The kind of the reason for which one text is dropped; '' where it is kept."""
    cleaned = clean_phrases([text], HygieneRules(**rules))
    return cleaned.dropped[0].kind if cleaned.dropped else ""


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Dogs", "dog"),
        ("the Red\r\n  cups!", "red cup"),
        ("glasses", "glasses"),
        ("a pair of scissors", "scissors"),
        ("dog's bowl", "bowl"),
        ("my neighbour's cats", "cat"),
        ("women's shoes", "women's shoe"),
        ("people", "person"),
        ("cup of coffee", "cup of coffee"),
        ("café tables", "café table"),
        ("\u200bmug", "mug"),
        ("<b>mug</b>", "mug"),
        ("window blind", "window blind"),
        ("man in black", "man in black"),
        ("black horse", "black horse"),
    ],
)
def test_a_noun_phrase_is_kept_in_the_singular_beside_what_it_was(text, phrase):
    cleaned = clean_phrases([text])
    assert [(one.phrase, one.original) for one in cleaned.kept] == [(phrase, text)]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("empty", ["", "   ", "\n\t", "!!!", "\U0001f600", "7", "a\nb"]),
        ("too_long", ["x" * 500, "red " * 200]),
        ("language", ["der Hund", "perro rojo", "une voiture rouge", "赤い車", "красный мяч", "كلب"]),
        ("pronoun", ["it", "them", "everything", "something"]),
        ("position", ["the left one", "middle", "cup on the left"]),
        ("rank", ["the largest dog", "leftmost cup", "the second chair"]),
        ("count", ["3 dogs", "two glasses", "how many dogs"]),
        ("relation", ["red cup on the table", "cup without a lid", "dog left of the cat"]),
        ("exclusion", ["not a dog", "cups except the red ones"]),
        ("several", ["cups and plates", "dog, cat"]),
        ("text", ["bottle that says milk"]),
        ("sentence", ["dog wearing a hat", "what time is it"]),
        ("not_groundable", ["images", "christmas mood", "Background"]),
        ("blocked", ["Muslims", "black man", "the white men on the left", "blind people", "AIDS patients"]),
    ],
)
def test_what_sam3_cannot_be_asked_is_dropped_with_the_reason(kind, texts):
    assert [drop_kind(text) for text in texts] == [kind] * len(texts)
    assert all(one.reason and "\n" not in one.reason for one in clean_phrases(texts).dropped)


def test_the_reason_of_a_count_tells_the_phrase_that_would_do():
    assert clean_phrases(["3 dogs"]).dropped[0].reason == "it says how many; the phrase without that is 'dog'"


def test_near_duplicates_are_asked_once_and_the_first_wins():
    cleaned = clean_phrases(
        ["T-shirts", "tshirt", "t shirt", "gray big cats", "big grey cat", "wine glass", "wine glasses"]
    )
    assert [one.phrase for one in cleaned.kept] == ["t-shirt", "gray big cat", "wine glass", "wine glasses"]
    assert cleaned.dropped[0].reason == "'t-shirt' is asked about already"


def test_what_an_image_has_already_is_no_new_phrase():
    assert clean_phrases(["Dogs", "cat"], known=["dog"]).kept[0].phrase == "cat"


def test_an_ontology_knows_which_names_are_the_same():
    rules = HygieneRules(make_key=load_ontology("generated-world").make_key)
    cleaned = clean_phrases(["mug", "red cups", "cup", "red mug"], rules)
    assert [one.phrase for one in cleaned.kept] == ["mug", "red cup"]


def test_a_flagged_phrase_is_asked_in_no_image_in_any_form():
    flagged = frozenset({"old man"})
    assert [drop_kind(text, flagged=flagged) for text in ("old men", "an old man", "man")] == ["flagged", "flagged", ""]


def test_a_phrase_with_many_pairs_is_not_asked_again():
    rules = HygieneRules(max_pairs=5)
    cleaned = clean_phrases(["dogs", "cats"], rules, counts={"dog": 5, "cat": 4})
    assert [one.phrase for one in cleaned.kept] == ["cat"]
    assert cleaned.dropped[0].reason == "'dog' has 5 pairs; the limit is 5"
    with pytest.raises(ValueError, match="at least 1, got 0"):
        HygieneRules(max_pairs=0)


def test_every_text_is_either_kept_or_dropped():
    texts = ["cup", "", "cup", "it", "\ud800 plate", "x" * 10_000]
    cleaned = clean_phrases(texts)
    assert len(cleaned.kept) + len(cleaned.dropped) == len(texts)
    assert all(len(one.original.encode()) <= 200 for one in (*cleaned.kept, *cleaned.dropped))


def test_a_phrase_that_a_model_calls_vague_is_dropped_late():
    cleaned = drop_phrases(clean_phrases(["cup", "vibe"]), {"vibe": "the model sees no outline"})
    assert [one.phrase for one in cleaned.kept] == ["cup"]
    assert cleaned.dropped[0].kind == "not_groundable"


def test_a_users_list_adds_to_the_one_that_ships(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeff# ours\nclown; nobody wants them\nPERSON = nurse\ntired PERSON; mood\n".encode())
    blocked = load_block_list().extend(read_block_list(path))
    kinds = [drop_kind(text, blocked=blocked) for text in ("happy clowns", "tired nurses", "black man", "nurse")]
    assert kinds == ["blocked", "blocked", "blocked", ""]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"; no words", "line 1 of mine.txt has no words"),
        ("ä".encode("latin-1"), "is not in UTF-8"),
        (None, "cannot read"),
        (b"x" * (5 * 2**20), "has 5,242,880 bytes"),
    ],
)
def test_a_bad_list_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=said) as raised:
        read_block_list(path)
    assert "\n" not in str(raised.value)


def test_every_entry_of_the_shipped_lists_does_what_it_says():
    blocked = load_block_list()
    assert len(blocked.reasons) > 200
    assert all(blocked.find_reason(" ".join(words)) for words in blocked.reasons)
    words = load_groundable_words()
    assert not any(words.is_groundable(phrase) for phrase in words.phrases | {f"red {head}" for head in words.heads})
    assert parse_block_list("", "empty").reasons == {}
