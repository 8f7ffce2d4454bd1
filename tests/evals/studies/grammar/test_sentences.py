"""Sentences of people who have not read what the grammar takes, each with its answer by hand."""

from evals.studies.grammar.sentences import AnsweredSentence, Sentence, answer_sentences, draw_objects, read_sentences


def test_each_sentence_has_the_answer_that_was_written_down_by_hand():
    answered = answer_sentences(read_sentences())
    assert {each.sentence.text: each.message for each in answered if not each.is_right} == {}


def test_there_are_at_least_a_hundred_and_fifty_of_them_in_every_kind():
    sentences = read_sentences()
    assert len({sentence.text for sentence in sentences}) == len(sentences) >= 150
    kinds = [sentence.kind for sentence in sentences]
    assert {kind: kinds.count(kind) for kind in kinds if kinds.count(kind) < 3} == {}


def test_a_wrong_mask_or_a_silent_half_reading_is_not_right():
    cups = Sentence("without", "the cups without a lid", (17, 18), beyond=False)
    assert AnsweredSentence(cups, (17, 18), "2 masks: 'cup'.").is_right
    assert not AnsweredSentence(cups, (17,), "1 mask: 'cup'.").is_right
    assert not AnsweredSentence(cups, (17, 18), "2 masks; the rest of the query was not understood").is_right


def test_every_object_of_the_scene_is_seen():
    assert all(mask.any() for mask in draw_objects().masks)
