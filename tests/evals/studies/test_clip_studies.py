"""Objects that are followed, and masklets of phrases, on generated clips."""

from collections import Counter

import numpy as np
import pytest

from evals.datasets.synthetic.scenes import TruthBackend
from evals.studies import following, masklets
from evals.studies.following_losses import find_cause, format_losses
from sam3_tool import Sam3
from sam3_tool.synthetic.clips import Clip
from sam3_tool.synthetic.scenes import Scene


def to_scenes(clip: Clip) -> list[Scene]:
    """Return each frame as a scene of what is in sight."""
    scenes = []
    for pixels, ids in zip(clip.frames, clip.ids, strict=True):
        seen = np.unique(ids[ids > 0])
        renumbered = np.zeros(256, np.uint8)
        renumbered[seen] = np.arange(1, len(seen) + 1)
        scenes.append(Scene(pixels, renumbered[ids], tuple(clip.objects[number - 1] for number in seen)))
    return scenes


def test_clips_and_questions_are_the_same_each_time():
    (first, objects), (again, _) = (next(following.generate_clips(1)) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    assert all(first.find_masks(index)[0].mean() > following.MIN_AREA for index in objects)
    asked, same = (next(masklets.generate_questions(1)) for _ in range(2))
    assert asked.phrases == same.phrases
    assert any(asked.phrases.values())
    assert not all(asked.phrases.values())


def test_phrases_mean_all_objects_that_they_describe():
    for asked in masklets.generate_questions(3):
        for phrase, objects in asked.phrases.items():
            words = [{thing.noun, f"{thing.colour} {thing.noun}"} for thing in asked.clip.objects]
            seen = [bool(asked.clip.find_masks(index).any()) for index in range(len(words))]
            assert objects == [index for index, names in enumerate(words) if phrase in names and seen[index]]


def test_exact_masks_of_each_frame_find_every_phrase():
    """Only joining frames can go wrong then: objects that come back late are new ones."""
    clips = [asked.clip for asked in masklets.generate_questions(2)]
    exact = Sam3(TruthBackend([scene for clip in clips for scene in to_scenes(clip)]))
    numbers = masklets.measure_masklets(exact, number=2, ways=["detector alone"])["detector alone"]
    assert numbers["IL_MCC"] == pytest.approx(1)
    assert numbers["pDetA"] == pytest.approx(100)
    assert numbers["cgF1"] > 60
    assert "detector alone" in masklets.format_masklets_table({"detector alone": numbers})


def test_the_embedded_checkpoint_follows_better_than_a_copy_of_the_first_mask(tiny):
    """All 100 clips: `python -m evals.studies.following --sam3 tiny`, the numbers are in the card."""
    ways = ["copy of the first mask", "mask"]
    numbers = following.measure_following(tiny, number=1, ways=ways)
    assert numbers["mask"]["jf"] > numbers["copy of the first mask"]["jf"] + 10
    assert following.format_following_table(numbers).startswith("means of ")


def test_exact_boxes_are_asked_for_on_every_frame_that_shows_the_object(tiny):
    clip, objects = next(following.generate_clips(1))
    [found], truth = following.segment_true_boxes(tiny, clip, objects[:1]), clip.find_masks(objects[0])
    seen = truth.any(axis=(1, 2))
    assert np.array_equal(found.any(axis=(1, 2)), seen)
    inside = np.zeros_like(truth)
    for frame in np.flatnonzero(seen):
        rows, columns = (np.flatnonzero(truth[frame].any(axis=axis)) for axis in (1, 0))
        inside[frame, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    assert (found & inside).sum() > 0.7 * found.sum()


def test_what_a_followed_object_lacks_has_the_cause_that_was_made():
    box = np.zeros((20, 20), bool)
    box[2:12, 2:12] = True
    none, far, hidden = np.zeros_like(box), np.roll(box, 8, axis=(0, 1)), box.copy()
    hidden[2:8] = False
    cases = {
        "away, nothing drawn": (none, none, []),
        "away, still drawn": (none, box, []),
        "in sight, nothing drawn": (box, none, [far]),
        "on another object": (box, far, [far]),
        "beside the object": (box, far, [none]),
        "outline, in full sight": (box, np.roll(box, 1, axis=1), [far]),
        "outline, partly hidden": (hidden, hidden, [far]),
    }
    assert {cause: find_cause(*case, 100) for cause, case in cases.items()} == {cause: cause for cause in cases}
    losses, frames = Counter({"beside the object": 0.5}), Counter({"beside the object": 1, "away, nothing drawn": 1})
    told = format_losses(losses, frames)
    assert told.startswith("J 75.0 of 2 frames")
    assert told.splitlines()[-1].split() == ["beside", "the", "object", "50.0", "25.0"]
