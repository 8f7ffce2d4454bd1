"""Phrases through a video, with a script in the network's place: what the rules do, exactly."""

import gc
import tracemalloc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from sam3_tool import (
    CheckpointError,
    ConceptPrompt,
    FramePrompt,
    Image,
    Instances,
    Masklet,
    Masklets,
    Sam3,
    ScriptedBackend,
    TrackedFrame,
    TrackingRules,
    Video,
    collect_masklets,
)
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.scripted import ScriptedMemory
from tests.support.image_backend import ImageBackend

SIZE = (12, 16)
BAR = (0, 4)
OTHER = (6, 10)


def make_video(length: int) -> Video:
    return Video.from_images([Image(np.full((*SIZE, 3), value, np.uint8)) for value in range(length)])


def make_masklet(columns: Sequence[tuple[int, int] | None], *, score: float = 0.9) -> Masklet:
    """An object that fills these columns of each frame, or is not there."""
    masks = np.zeros((len(columns), *SIZE), bool)
    for mask, span in zip(masks, columns, strict=True):
        if span is not None:
            mask[:, slice(*span)] = True
    return Masklet.from_masks(masks, score=score)


def make_masklets(*masklets: Masklet, length: int, phrase: str = "bar") -> Masklets:
    return Masklets(masklets, tuple(range(1, len(masklets) + 1)), SIZE, length, phrase, np.full(length, 0.75))


class CountingBackend(ScriptedBackend):
    """Counts what is asked, and keeps a weak reference to the memory it gives."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.encoded, self.detected, self.memory = [], [], None

    def encode(self, images):
        self.encoded += [image.key for image in images]
        return super().encode(images)

    def detect(self, embeddings, prompts):
        self.detected += [prompt.phrase or "boxes" for prompt in prompts]
        return super().detect(embeddings, prompts)

    def open_memory(self, height: int, width: int, length: int) -> ScriptedMemory:
        memory = super().open_memory(height, width, length)
        self.memory = weakref.ref(memory)
        return memory


def track(script: dict[str, Masklets], prompts: object, **options: object) -> list[TrackedFrame]:
    length = next(iter(script.values())).length
    video = make_video(length)
    return list(Sam3(ScriptedBackend.from_video(video, script)).track(video, prompts, **options))


def test_objects_keep_their_ids_while_they_hide_and_come_back() -> None:
    still, hides = make_masklet([BAR] * 24), make_masklet([OTHER] * 4 + [None] * 10 + [OTHER] * 10)
    video = make_video(24)
    script = {"bar": make_masklets(still, hides, length=24)}
    [found] = Sam3(ScriptedBackend.from_video(video, script)).track_masklets(video, "bar")
    assert found.ids == (1, 2)
    assert [each.rles for each in found.masklets] == [still.rles, hides.rles]
    assert [each.frames for each in found.masklets] == [still.frames, hides.frames]
    assert [each.score for each in found.masklets] == pytest.approx([0.9, 0.9])
    assert found.presence.tolist() == [0.75] * 24


@pytest.mark.parametrize("reverse", [False, True])
def test_what_the_detector_does_not_confirm_is_taken_back_and_was_never_shown(reverse: bool) -> None:
    """Its mask is followed, but is detected on one frame only: after 8 unmatched ones it goes."""
    length = 24
    seen = make_masklet([BAR] * length)
    flickers = make_masklet([OTHER] * length)
    backend = ScriptedBackend.from_video(make_video(length), {"bar": make_masklets(seen, flickers, length=length)})
    first = length - 1 if reverse else 0

    class Forgetful(ScriptedBackend):
        def detect(self, embeddings, prompts):
            found = backend.detect(embeddings, prompts)
            is_first = [embedding.key == make_video(length).read_frame(first).key for embedding in embeddings]
            return [each if now else each[np.arange(1)] for each, now in zip(found, is_first, strict=True)]

    forgetful = Forgetful(backend._script, ids=backend._ids)
    frames = list(Sam3(forgetful).track(make_video(length), "bar", reverse=reverse))
    assert [tracked.frame for tracked in frames] == list(range(length))[:: -1 if reverse else 1]
    assert {tracked.ids for tracked in frames} == {((1,),)}
    late = list(Sam3(forgetful).track(make_video(length), "bar", reverse=reverse, rules=TrackingRules(hot_start=0)))
    assert {tracked.ids for tracked in late} == {((1, 2),)}, "without a hot start nothing is taken back"


def test_output_is_held_back_for_the_hot_start() -> None:
    video = make_video(24)
    backend = CountingBackend({None: {}})
    frames = Sam3(backend).track(video, "bar")
    assert next(frames).frame == 0
    assert len(backend.encoded) == 16, "15 frames, encoded by fours"
    assert [tracked.frame for tracked in frames] == list(range(1, 24))


def test_every_frame_is_encoded_once_for_all_prompts() -> None:
    video = make_video(10)
    backend = CountingBackend({None: {}})
    box = FramePrompt(7, ConceptPrompt(boxes=((1, 1, 5, 5),)))
    sam3 = Sam3(backend)
    assert len(sam3.track_masklets(video, ["bar", "hat", "cup", "dog", box])) == 5
    assert sorted(backend.encoded) == sorted({video.read_frame(frame).key for frame in range(10)})
    assert {phrase: backend.detected.count(phrase) for phrase in set(backend.detected)} == {
        "bar": 10,
        "hat": 10,
        "cup": 10,
        "dog": 10,
        "boxes": 1,
    }
    sam3.track_masklets(video, "bar")
    assert len(backend.encoded) == 10, "another video of the same frames finds them encoded"


def test_prompts_together_find_what_each_finds_alone() -> None:
    """Even objects in the same place: those of different phrases do not suppress each other."""
    rng = np.random.default_rng(0)
    script = {
        phrase: make_masklets(
            *[
                make_masklet([(x, x + 4) if rng.random() < 0.8 else None for x in rng.integers(0, 12, 20)])
                for _ in range(3)
            ],
            length=20,
            phrase=phrase,
        )
        for phrase in ("bar", "pole", "stick")
    }
    together = track(script, list(script))
    for place, phrase in enumerate(script):
        alone = track(script, phrase)
        for both, single in zip(together, alone, strict=True):
            assert both.instances[place].rles == single.instances[0].rles
            assert both.instances[place].scores.tolist() == single.instances[0].scores.tolist()
    numbers = [id for tracked in together[:1] for ids in tracked.ids for id in ids]
    assert len(set(numbers)) == len(numbers) > 3
    assert min(numbers) == 1


def test_boxes_find_on_their_frame_and_are_followed_from_there() -> None:
    video = make_video(9)
    backend = ScriptedBackend.from_video(video, {"": make_masklets(make_masklet([BAR] * 9), length=9, phrase="")})
    prompt = FramePrompt(5, ConceptPrompt(boxes=((0, 0, 4, 12),)))
    [found] = Sam3(backend).track_masklets(video, prompt)
    assert found.masklets[0].frames == (5, 6, 7, 8)
    assert found.phrase == ""
    assert found.presence[:5].tolist() == [0] * 5
    assert found.presence[5:].min() >= 0.75, "where the detector is not asked, memory says it"
    [earlier] = Sam3(backend).track_masklets(video, prompt, reverse=True)
    assert earlier.masklets[0].frames == (0, 1, 2, 3, 4, 5)


def test_a_part_of_the_video_is_tracked_alone() -> None:
    video, script = make_video(9), {"bar": make_masklets(make_masklet([BAR] * 9), length=9)}
    backend = CountingBackend(ScriptedBackend.from_video(video, script)._script)
    [found] = Sam3(backend).track_masklets(video, "bar", start=2, stop=5)
    assert found.masklets[0].frames == (2, 3, 4)
    assert found.length == 9
    assert len(backend.encoded) == 3


@pytest.mark.parametrize("length", [1, 2, 15, 16])
def test_videos_of_any_length_give_each_frame_once(length: int) -> None:
    frames = track({"bar": make_masklets(make_masklet([BAR] * length), length=length)}, ["bar", "hat"])
    assert [tracked.frame for tracked in frames] == list(range(length))
    assert all(tracked.ids == ((1,), ()) for tracked in frames)


def test_no_more_objects_are_followed_than_allowed_and_the_best_begin() -> None:
    masklets = [make_masklet([(4 * n, 4 * n + 3)] * 3, score=score) for n, score in enumerate((0.75, 0.95, 0.85))]
    script = {
        "bar": make_masklets(*masklets, length=3),
        "hat": make_masklets(make_masklet([(13, 16)] * 3), length=3, phrase="hat"),
    }
    frames = track(script, ["bar", "hat"], rules=TrackingRules(most_objects=2))
    assert frames[0].ids == ((1, 2), ())
    assert frames[0].object_scores[0] == pytest.approx((0.95, 0.85))


def test_stopping_in_the_middle_frees_the_memory() -> None:
    backend = CountingBackend({None: {}})
    frames = Sam3(backend).track(make_video(20), "bar")
    next(frames)
    assert backend.memory is not None
    assert backend.memory() is not None
    frames.close()
    gc.collect()
    assert backend.memory() is None


def test_memory_does_not_grow_with_the_video() -> None:
    """As long as no new objects come: one that is followed is never given up, as published."""
    still = make_masklets(make_masklet([BAR]), length=1).at(0)
    video = Video.from_images([make_video(1).read_frame(0)] * 200)
    used = []
    tracemalloc.start()
    try:
        for tracked in Sam3(ScriptedBackend({None: {"bar": still}})).track(video, "bar"):
            assert tracked.ids == ((1,),)
            if tracked.frame in (60, 180):
                gc.collect()
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert used[1] < used[0] + 10_000


def test_videos_one_after_another_know_nothing_of_each_other() -> None:
    script = {"bar": make_masklets(make_masklet([BAR] * 3), length=3)}
    video = make_video(3)
    sam3 = Sam3(ScriptedBackend.from_video(video, script))
    first, second = sam3.track(video, "bar"), sam3.track(video, "bar")
    for one, other in zip(first, second, strict=True):  # even at the same time
        assert one.ids == other.ids == ((1,),)


def test_doubles_are_emptied_and_the_surer_object_has_the_pixels() -> None:
    """Two objects meet; afterwards no pixel is of both."""
    meets = make_masklet([(0, 6)] * 4 + [(3, 9)] * 4)
    stays = make_masklet([(6, 10)] * 8)
    for tracked in track({"bar": make_masklets(meets, stays, length=8)}, "bar"):
        assert tracked.instances[0].masks.sum(axis=0).max() == 1


@pytest.mark.parametrize(
    ("prompts", "options", "complaint"),
    [
        ([], {}, "there is no prompt"),
        (ConceptPrompt(boxes=((0, 0, 1, 1),)), {}, "say in which by `FramePrompt"),
        (FramePrompt(3, ConceptPrompt("bar")), {}, "is for frame 3, but frames 0 to 2 are tracked"),
        (FramePrompt(0, ConceptPrompt("bar")), {"start": 1}, "is for frame 0, but frames 1 to 2 are tracked"),
        ("bar", {"start": 2, "stop": 2}, "frames 2 to before 2: the video has 3 frames"),
        ("bar", {"stop": 4}, "frames 0 to before 4: the video has 3 frames"),
        (" ", {}, "a concept prompt needs a noun phrase"),
    ],
)
def test_what_cannot_be_tracked_is_refused_at_once(prompts: object, options: dict[str, int], complaint: str) -> None:
    with pytest.raises((ValueError, IndexError), match=complaint):
        Sam3(ScriptedBackend({})).track(make_video(3), prompts, **options)


def test_a_backend_without_memory_is_refused_at_once(tmp_path) -> None:
    for backend in (ImageBackend(), RecordingBackend(ImageBackend(), tmp_path)):
        with pytest.raises(CheckpointError, match="'images' cannot follow objects through a video"):
            Sam3(backend).track(make_video(1), "bar")


def test_a_cache_of_answers_hands_videos_on(tmp_path) -> None:
    """And encodes each frame once, although it holds images until something is asked."""
    video, script = make_video(6), {"bar": make_masklets(make_masklet([BAR] * 6), length=6)}
    inner = CountingBackend(ScriptedBackend.from_video(video, script)._script)
    caching = CachingBackend(inner, tmp_path, made_with={}, cache_bytes=2**20)
    [found] = Sam3(caching).track_masklets(video, "bar")
    assert found.masklets[0].frames == (0, 1, 2, 3, 4, 5)
    assert len(inner.encoded) == 6
    recording = RecordingBackend(ImageBackend(), tmp_path / "calls")
    with pytest.raises(CheckpointError, match="'images' cannot follow objects"):
        Sam3(CachingBackend(recording, tmp_path, made_with={}, cache_bytes=0)).track(video, "bar")


def test_frames_are_collected_in_any_order_and_the_later_of_two_counts() -> None:
    video = make_video(3)
    one, two = (make_masklet([span] * 3) for span in (BAR, OTHER))
    frames = track({"bar": make_masklets(one, length=3)}, "bar")
    other = track({"bar": make_masklets(two, length=3)}, "bar")
    [found] = collect_masklets([*frames[::-1], other[1]], video, ["bar"])
    assert found.masklets[0].rles == (one.rles[0], two.rles[1], one.rles[2])


def test_a_frame_must_name_each_of_its_instances() -> None:
    with pytest.raises(ValueError, match=r"\(0,\) instances per prompt"):
        TrackedFrame(0, (Instances.empty(*SIZE),), ((1,),))


def test_a_script_refuses_frames_that_it_cannot_tell_apart() -> None:
    blank = Video.from_images([Image(np.zeros((*SIZE, 3), np.uint8))] * 2)
    with pytest.raises(ValueError, match="frame 1 looks like an earlier one"):
        ScriptedBackend.from_video(blank, {"bar": make_masklets(make_masklet([BAR, OTHER]), length=2)})
    with pytest.raises(ValueError, match="are of 3 frames, the video has 2"):
        ScriptedBackend.from_video(blank, {"bar": make_masklets(make_masklet([BAR] * 3), length=3)})
