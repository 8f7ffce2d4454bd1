"""The study of reading: words are printed where they fit, read by the product, and counted by kind."""

from itertools import islice

import numpy as np

from evals.datasets.synthetic.printing import ANGLES, FONTS, HEIGHTS, PrintedWord, choose_ink, draw_printed_scenes
from evals.datasets.synthetic.scenes import TruthBackend
from evals.studies.reading import ReadWord, format_reading_table, list_failures, measure_scene, summarize_words
from sam3_tool import Sam3


def test_words_lie_on_their_objects_and_every_run_prints_the_same() -> None:
    printed, again = (next(draw_printed_scenes()) for _ in range(2))
    assert np.array_equal(printed.scene.pixels, again.scene.pixels)
    assert printed.words == again.words
    assert len({word.text for word in printed.words}) == len({word.target for word in printed.words})
    for word in printed.words:
        assert (word.font in FONTS, word.height in HEIGHTS, word.angle in ANGLES) == (True, True, True)


def test_ink_stands_out_where_it_stands_out_least() -> None:
    dark, light = np.zeros((9, 3), np.uint8), np.full((9, 3), 255, np.uint8)
    assert (choose_ink(dark), choose_ink(light)) == (255.0, 0.0)


def test_a_scene_is_measured_with_the_product() -> None:
    [printed] = islice(draw_printed_scenes(), 1, 2)
    found = measure_scene(printed, Sam3(TruthBackend([printed.scene])))
    assert [one.word for one in found] == list(printed.words)
    assert any(one.bound and one.answered for one in found)


def test_words_are_counted_by_kind_and_failures_are_named() -> None:
    words = [PrintedWord(text, 0, "cmr10", 10, angle, "plain") for text, angle in (("tea", 0), ("12", 90))]
    found = [ReadWord(words[0], True, True, False), ReadWord(words[1], False, False, False)]
    summary = summarize_words(found)
    assert summary["all"]["all words"] == {"words": 2, "read": 0.5, "bound": 0.5, "answered": 0.0}
    assert summary["angle"]["90°"] == {"words": 1, "read": 0.0, "bound": 0.0, "answered": 0.0}
    assert list(summary["angle"]) == ["0°", "90°"]
    assert list_failures(found) == ["'12' in cmr10, 10 px, 90°: not read"]
    assert format_reading_table(summary).splitlines()[1].split() == ["all", "words", "2", "50.0", "50.0", "0.0"]
