"""The study of reading: words are printed where they fit, read by the product, and counted by kind."""

import numpy as np

from evals.datasets.synthetic.printing import (
    ANGLES,
    FONTS,
    HEIGHTS,
    PrintedScene,
    PrintedWord,
    choose_ink,
    draw_printed_scenes,
    place_word,
)
from evals.datasets.synthetic.scenes import TruthBackend
from evals.studies.reading import ReadWord, format_reading_table, list_failures, measure_scene, summarize_words
from sam3_tool import Sam3
from sam3_tool.synthetic.scenes import Scene, SceneObject


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
    mask = np.hypot(*np.mgrid[-60:60, -80:80]) < 55
    ink = place_word(mask, "milk", "DejaVuSans", 28, 0)
    assert ink is not None
    pixels = np.where(mask[..., None], (200 * (1 - ink))[..., None], 230).astype(np.uint8).repeat(3, axis=2)
    scene = Scene(pixels, mask.astype(np.uint8), (SceneObject("circle", "gray", "plain", "large"),))
    word = PrintedWord("milk", 0, "DejaVuSans", 28, 0, "plain")
    printed = PrintedScene(scene, (word,))
    assert measure_scene(printed, Sam3(TruthBackend([scene]))) == [ReadWord(word, True, True, True)]


def test_words_are_counted_by_kind_and_failures_are_named() -> None:
    words = [PrintedWord(text, 0, "cmr10", 10, angle, "plain") for text, angle in (("tea", 0), ("12", 90))]
    found = [ReadWord(words[0], True, True, False), ReadWord(words[1], False, False, False)]
    summary = summarize_words(found)
    assert summary["all"]["all words"] == {"words": 2, "read": 0.5, "bound": 0.5, "answered": 0.0}
    assert summary["angle"]["90°"] == {"words": 1, "read": 0.0, "bound": 0.0, "answered": 0.0}
    assert list(summary["angle"]) == ["0°", "90°"]
    assert list_failures(found) == ["'12' in cmr10, 10 px, 90°: not read"]
    assert format_reading_table(summary).splitlines()[1].split() == ["all", "words", "2", "50.0", "50.0", "0.0"]
