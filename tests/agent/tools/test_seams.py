"""An object that the border of a region cuts is one object, whichever regions it was found in."""

import numpy as np
import pytest

from agent import Budget, Episode, ScriptedPlanner, Task, run
from agent.tools.toolsets import Segment
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend

SIZE = 90
OBJECTS = {"rope": [(10, 20, 80, 26)], "ball": [(5, 50, 20, 65), (40, 50, 50, 60)], "rod": [(40, 10, 46, 85)]}
"""Phrase -> rectangles x0 y0 x1 y1 in a picture of 90 by 90 pixels."""


class Cropped(ScriptedBackend):
    """Finds what a region shows of `OBJECTS`; each pixel of the picture says its own column and row."""

    def __init__(self):
        super().__init__({})
        self.corners = {}

    def encode(self, images):
        self.corners |= {picture.key: picture.pixels[0, 0, :2].tolist() for picture in images}
        return super().encode(images)

    def decode(self, embeddings, prompts):
        return [self.seen(embedding, prompt.phrase) for embedding, prompt in zip(embeddings, prompts, strict=True)]

    def seen(self, embedding, phrase):
        left, top = self.corners[embedding.key]
        y, x = np.mgrid[top : top + embedding.height, left : left + embedding.width]
        boxes = np.array(OBJECTS[phrase], np.float32)
        masks = np.array([(x >= x0) & (x < x1) & (y >= y0) & (y < y1) for x0, y0, x1, y1 in boxes])
        scores = np.full(len(boxes), 0.9, np.float32)
        return Instances(masks, boxes - np.array([left, top, left, top], np.float32), scores, 0.9, phrase)


@pytest.fixture
def look():
    """The episode of these regions, each searched for the phrase."""
    y, x = np.mgrid[:SIZE, :SIZE]
    picture = Image(np.stack([x, y, x], axis=-1).astype(np.uint8))

    def look(phrase, *regions) -> Episode:
        script = [Segment(phrases=[phrase], region=region) for region in regions]
        return run(Task(picture, "q"), ScriptedPlanner(script), Sam3(Cropped()), budget=Budget(max_steps=len(regions)))

    return look


LEFT, MIDDLE, RIGHT = [0, 0, 30, 90], [30, 0, 60, 90], [60, 0, 90, 90]


def test_two_parts_of_an_object_become_one_mask_with_a_number_of_its_own(look):
    episode = look("rope", LEFT, MIDDLE)
    assert episode.current_ids == (3,)
    assert episode.message.startswith(
        "Found 1 mask for 'rope': 2 (score 0.90); 1 and 2 are parts of one object across the border, which is mask 3;"
    )
    assert (episode.workspace[3].box, episode.workspace[3].origin) == ((10, 20, 60, 26), "merge of 1, 2")


@pytest.mark.parametrize("regions", [(LEFT, MIDDLE, RIGHT), (LEFT, RIGHT, MIDDLE), (RIGHT, MIDDLE, LEFT)])
def test_in_whatever_order_the_regions_are_looked_at_the_whole_object_is_there_in_the_end(look, regions):
    episode = look("rope", *regions)
    [whole] = episode.current_ids
    assert episode.workspace[whole].box == (10, 20, 80, 26)
    assert episode.answer.areas.tolist() == [70 * 6]


def test_regions_may_overlap(look):
    assert look("rope", [0, 0, 50, 90], [40, 0, 90, 90]).answer.areas.tolist() == [70 * 6]


def test_a_border_may_run_across_as_well(look):
    assert look("rod", [0, 0, 90, 45], [0, 45, 90, 90]).answer.areas.tolist() == [6 * 75]


def test_a_region_that_is_looked_at_again_adds_nothing(look):
    episode = look("rope", LEFT, MIDDLE, LEFT)
    assert (episode.current_ids, len(episode.workspace)) == ((3,), 3)


def test_objects_that_the_border_does_not_cut_stay_as_they_are(look):
    episode = look("ball", LEFT, MIDDLE)
    assert [candidate.origin for candidate in episode.workspace] == ["segment in 0,0,30,90", "segment in 30,0,60,90"]
    assert episode.current_ids == (2,)
