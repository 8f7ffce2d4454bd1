"""Phrases through a video beside transformers' own class: both do the same work, and each encode is counted."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.suites.videos.agreement import compare_objects
from bench.suites.videos.phrases_in_videos import COLUMNS, draw_pan, list_rows, main, measure_phrases
from bench.suites.videos.transformers_session import TransformersSessions, link_plain_checkpoint
from sam3_tool.backends.loading import load_backend

PHRASES = ("object", "green object")
FRAMES = 3


def test_transformers_finds_the_same_objects_and_encodes_a_frame_for_each_session(tmp_path: Path) -> None:
    device, folder = torch.device("cpu"), str(link_plain_checkpoint("tiny", tmp_path))
    model = TransformersSessions.load(folder, device=device, dtype=torch.float32)
    backend = load_backend(folder, device="cpu", dtype="float32", compile=None)
    ways = measure_phrases(backend, draw_pan(FRAMES), PHRASES, model=model, device=device)
    assert [way.encoded for way in ways] == [FRAMES, 2 * FRAMES, 2 * FRAMES, FRAMES]
    assert all(0 < way.encode_seconds + way.search_seconds < way.seconds for way in ways)
    for row in list_rows(ways, FRAMES):
        values = dict(zip(COLUMNS, row, strict=True))
        assert values["objects"] == values["the same"] == len(ways[0].found[0]) + len(ways[0].found[1]) > 4
        assert values["mean IoU"] > 0.98


def test_objects_that_only_one_way_found_are_not_the_same() -> None:
    left, right, none = np.zeros((1, 2, 4, 4), bool), np.zeros((1, 2, 4, 4), bool), np.zeros((0, 2, 4, 4), bool)
    left[:, :, :, :2] = right[:, :, :, 1:3] = True
    apart = compare_objects([left, left], [right, none])
    assert apart[:3] == (2, 1, 0)
    assert math.isnan(apart.mean_iou)
    assert compare_objects([np.concatenate([left, right])], [np.concatenate([right, left])]) == (2, 2, 2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--phrases", "1,9"], "'9' is no number of phrases; write 1 to 8, as in 1,4,8"),
        (["--frames", "0"], "'0' is no length of a video"),
        (["--sam3", __file__], "is a single file; expected a folder of type 'sam3_video'"),
        (["--sam3", "nowhere/at/all"], "no such folder or file"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(arguments, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
