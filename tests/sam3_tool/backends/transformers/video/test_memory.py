"""Objects followed through frames: against the published code, and against one another.

`published_clicks.npz` and `published_phrase.npz` hold what the published code computes for `SCENARIO` and
`PHRASE_SCENARIO` of `tests.support.small_tracker`, with the same weights and frames: every fourth row and column of the
mask logits of each object and frame, in the order of the steps, and the presence logits. They were made on a CPU in
float32 with `Sam3TrackerPredictor` of facebookresearch/sam3 (99d02f2), built as its `build_tracker` does it but for the
sizes, the weights under its names, one inference state for each object as
`Sam3VideoInferenceWithInstanceInteractivity` has it, and each frame's features put into the cache of the state. For
phrases, `add_new_mask` took the detector's masks, and memories were made as `_tracker_update_memories` makes them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3_tool import VisualPrompt
from sam3_tool.backends.base import LowMasks
from sam3_tool.backends.transformers.video.attention import MemoryAttention, MemoryGroup
from sam3_tool.backends.transformers.video.memory import FollowedObject, VideoMemory
from sam3_tool.backends.transformers.video.network import FrameLevels, FrameReader, VideoNetwork
from sam3_tool.backends.transformers.video.selection import choose_conditioning, choose_others
from tests.support.small_tracker import (
    PHRASE_SCENARIO,
    SCENARIO,
    Step,
    blob,
    box_mask,
    build_network,
    draw_levels,
    embed,
    open_memory,
)

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def small() -> VideoNetwork:
    return build_network()


@pytest.fixture(scope="module")
def levels() -> list[FrameLevels]:
    return draw_levels()


STEPS = SCENARIO[:24]
"""To where all four objects were followed for some frames."""


def run_scenario(memory: VideoMemory, steps: Sequence[Step] = SCENARIO) -> Iterator[LowMasks]:
    for kind, subject, frame, prompt in steps:
        if kind == "prompt":
            yield memory.prompt(embed(frame), frame, subject, prompt)
        else:
            yield memory.propagate(embed(frame), frame, reverse=subject < 0)


def run_phrase_scenario(memory: VideoMemory) -> Iterator[LowMasks]:
    for frame, born, again in PHRASE_SCENARIO:
        low = memory.propagate(embed(frame), frame, remember=False)
        yield low
        for ids in (again, born):
            if ids is born:
                memory.remember(embed(frame), frame, low.ids, low.logits)
            memory.begin(
                embed(frame), frame, ids, np.stack([blob(frame, number) for number in ids or (0,)])[: len(ids)]
            )


@pytest.mark.parametrize(
    ("name", "run"), [("published_clicks", run_scenario), ("published_phrase", run_phrase_scenario)]
)
def test_every_step_gives_what_the_published_code_gives(small, levels, name, run):
    expected = np.load(FOLDER / f"{name}.npz")
    found = list(run(open_memory(small, levels)))
    logits = np.concatenate([low.logits[:, ::4, ::4] for low in found])
    presences = np.concatenate([low.presences for low in found])
    # memories are rounded to bfloat16, which makes much of the last bit of a float32
    assert np.abs(presences - expected["presences"]).max() < 0.01
    assert np.abs(logits.clip(-32, 32) - expected["logits"].astype(np.float32).clip(-32, 32)).max() < 0.02


def test_objects_in_one_batch_are_found_as_each_is_found_alone(small, levels):
    together = list(run_scenario(open_memory(small, levels), STEPS))
    for subject in (2, 3):
        alone = open_memory(small, levels)
        for low, (kind, other, frame, prompt) in zip(together, STEPS, strict=True):
            if kind == "prompt" and other == subject:
                alone.prompt(embed(frame), frame, subject, prompt)
            elif kind == "track" and subject in low.ids:
                found, row = alone.propagate(embed(frame), frame, reverse=other < 0), low.ids.index(subject)
                assert np.abs(found.logits[0] - low.logits[row]).max() < 0.02
                assert found.presences[0] == pytest.approx(low.presences[row], abs=0.01)


@pytest.mark.parametrize("folded", [True, False])
@torch.inference_mode()
def test_memory_attention_is_that_of_transformers_for_every_length_of_memory(small, folded):
    whole, tokens = small.weights.memory_attention, torch.randn(1, 64, 128, generator=torch.Generator().manual_seed(1))
    places = torch.randn(1, 64, 128, generator=torch.Generator().manual_seed(2))
    groups = [
        MemoryGroup(*(torch.randn(count, 64 * frames + pointers, 64) for _ in range(2)), pointers)
        for count, frames, pointers in ((2, 3, 4), (1, 1, 0), (3, 2, 6))
    ]
    attention = MemoryAttention(whole, places, torch.float32)
    attention.max_folded_weights *= folded
    found = attention(tokens, groups)
    rows = [(group, row) for group in groups for row in range(len(group.values))]
    for (group, row), one in zip(rows, found, strict=True):
        expected = whole(
            current_vision_features=tokens.transpose(0, 1),
            current_vision_position_embeddings=places.transpose(0, 1),
            memory=group.values[row][:, None],
            memory_posision_embeddings=(group.keys - group.values)[row][:, None],
            num_object_pointer_tokens=group.pointer_count,
        )
        assert torch.allclose(one, expected.reshape(64, 128), atol=1e-4)


def test_memory_does_not_grow_with_the_video_and_forgets_nothing_that_counts(small):
    levels = draw_levels(36)
    lean, lavish = open_memory(small, levels, spare_bytes=0), open_memory(small, levels)
    sizes = []
    for memory in (lean, lavish):
        memory.prompt(embed(0), 0, 1, VisualPrompt(mask=box_mask(20, 10, 50, 30)))
        memory.prompt(embed(0), 0, 2, VisualPrompt(((30, 20),)))
    for frame in range(36):
        found, expected = (memory.propagate(embed(frame), frame) for memory in (lean, lavish))
        assert np.array_equal(found.logits, expected.logits)
        sizes.append(lean.nbytes - lean._logits.nbytes)
    assert sizes[20:] == sizes[20:21] * 16
    assert lavish.nbytes > lean.nbytes


def test_a_phrase_prompts_anew_for_ever_and_what_it_no_longer_needs_is_forgotten(small):
    levels, sizes = draw_levels(50), []
    lean, lavish = open_memory(small, levels), open_memory(small, levels)
    lavish.prompt(embed(0), 0, 9, VisualPrompt(((30, 20),)))  # whoever prompts may correct, so that all is kept
    lavish.forget((9,))
    for memory in (lean, lavish):
        memory.begin(embed(0), 0, (1,), blob(0, 1)[None])
    for frame in range(1, 50):
        lows = [memory.propagate(embed(frame), frame, remember=False) for memory in (lean, lavish)]
        assert np.array_equal(lows[0].logits, lows[1].logits)
        for memory, low in zip((lean, lavish), lows, strict=True):
            if frame % 5 == 1:
                memory.begin(embed(frame), frame, (1,), blob(frame % 12, 1)[None])
            memory.remember(embed(frame), frame, (1,), low.logits, conditioning=(1,) if frame % 7 == 0 else ())
        sizes.append(lean.nbytes)
    assert max(sizes[40:]) < 1.1 * max(sizes[30:40])
    assert lavish.nbytes > 1.5 * lean.nbytes
    lean.forget((1,))
    assert lean.nbytes == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_frames_that_are_forgotten_are_none_that_a_later_frame_would_look_at(reverse):
    rng = np.random.default_rng(5)
    lean, lavish = FollowedObject(1), FollowedObject(2)
    answer = LowMasks((1,), np.zeros((1, 1, 1), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))
    for frame in range(299, -1, -1) if reverse else range(300):
        assert choose_conditioning(lean.answers, frame) == choose_conditioning(lavish.answers, frame)
        others = [choose_others(item.found, frame, 300, reverse=reverse) for item in (lean, lavish)]
        assert others[0] == others[1]
        is_sure, is_prompted = rng.random(2) < (0.6, 0.1)
        for item in (lean, lavish):
            item.note_tracked(frame, float(is_sure))
            if is_prompted:
                item.note_answer(frame, answer)
        lean.forget_distant(reverse=reverse)
    assert len(lean.answers) + len(lean.tracked) < 40 < len(lavish.tracked)


def test_an_object_that_is_forgotten_leaves_nothing_behind(small, levels):
    memory = open_memory(small, levels)
    for number in (1, 2):
        memory.prompt(embed(0), 0, number, VisualPrompt(mask=box_mask(20, 10, 50, 30)))
    for frame in range(1, 4):
        memory.propagate(embed(frame), frame)
    memory.forget((1, 7))
    assert memory.ids == (2,)
    memory.forget((2,))
    assert (memory.ids, memory.nbytes) == ((), 0)
    assert memory.propagate(embed(4), 4).logits.shape == (0, 32, 32)
    memory.prompt(embed(5), 5, 1, VisualPrompt(mask=box_mask(20, 10, 50, 30)))
    assert memory.propagate(embed(5), 5).presences.tolist() == [10.0]


def test_of_many_clicks_the_first_and_the_last_go_in(small, levels):
    clicks = tuple((float(5 + 3 * number), 20.0) for number in range(20))
    most = clicks[:8] + clicks[-8:]
    found = [open_memory(small, levels).prompt(embed(0), 0, 1, VisualPrompt(points)) for points in (clicks, most)]
    assert np.array_equal(found[0].logits, found[1].logits)


def test_a_mask_with_clicks_is_mended_and_not_taken(small, levels):
    mask, clicks = box_mask(20, 10, 50, 30), ((30.0, 20.0), (20.0, 10.0))
    prompts = (VisualPrompt(clicks, mask=mask), VisualPrompt(clicks), VisualPrompt(mask=mask))
    found = [open_memory(small, levels).prompt(embed(9), 9, 1, prompt).logits for prompt in prompts]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_frame_cannot_be_remembered_before_it_was_tracked(small, levels):
    memory = open_memory(small, levels)
    memory.begin(embed(0), 0, (1,), blob(0, 1)[None])
    with pytest.raises(ValueError, match="frame 3 cannot be remembered"):
        memory.remember(embed(3), 3, (1,), blob(0, 1)[None])


def test_phrases_do_not_compete_and_a_frame_may_become_one_that_was_prompted(small, levels):
    logits = np.stack([blob(0, 1), blob(0, 1) - 0.5, blob(0, 3)])  # the second is covered by the first

    def follow(**options: object) -> LowMasks:
        memory = open_memory(small, levels)
        memory.begin(embed(0), 0, (1, 2, 3), logits)
        memory.propagate(embed(1), 1, remember=False)
        memory.remember(embed(1), 1, (1, 2, 3), logits, **options)
        return memory.propagate(embed(2), 2)

    one_phrase, two_phrases = follow(), follow(groups=(0, 1, 0))
    assert not np.array_equal(one_phrase.logits[1], two_phrases.logits[1])
    assert np.abs(one_phrase.logits[[0, 2]] - two_phrases.logits[[0, 2]]).max() < 0.02


@torch.inference_mode()
def test_a_frame_is_read_as_the_tracker_reads_an_image(network, picture):
    tracker, trunk = network._tracker, network.encode([picture])[0].trunk
    for found, expected in zip(FrameReader(tracker.model)(trunk), tracker.compute_levels(trunk), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)


def test_where_objects_are_equally_sure_the_first_one_has_the_pixel(small):
    logits = torch.full((3, *small.low_size), -5.0)
    logits[:2, 2:6, 2:6] = 3.0  # the same place, as surely
    logits[2, 8:12, 8:12] = 2.0
    _, presences = small.separate_associated(logits)
    assert (presences > 0).tolist() == [True, False, True]
    for row in (0, 2):
        apart, _ = small.separate_associated(logits[[row]])
        assert torch.equal(small.separate_associated(logits)[0][row], apart[0])
