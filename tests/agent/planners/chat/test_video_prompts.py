"""What a language model is shown of a video."""

from dataclasses import replace

import pytest

from agent import VIDEO, WORKSPACE, ChatPlanner, PlannerError, ScriptedModel, Task, View, run
from agent.models.base import Call
from agent.models.tokens import estimate_tokens
from agent.planners.loading import with_model_info
from agent.records.provenance import Provenance
from sam3_tool import Image

CALLS = (
    Call("segment", '{"phrases": ["dog", "post"]}'),
    Call("look", '{"ids": [1, 3], "frames": 4, "close": true}'),
    Call("examine", '{"ids": [1, 2, 3]}'),
    Call("answer", '{"ids": [1], "message": "It runs.", "spans": {"id": 1, "since": "0:00.5", "until": "0:01.0"}}'),
)


def plan(dog_clip, *, verdicts=None, **view):
    video, sam3 = dog_clip
    planner = ChatPlanner(ScriptedModel(CALLS, verdicts=verdicts or {}), toolset=VIDEO, view=View(**view))
    return planner, run(Task.from_video(video, "the running dog"), planner, sam3)


def shown_before(planner, episode, step: int):
    messages = planner.build_messages(replace(episode, steps=episode.steps[:step], outcome=None))
    texts = [part for message in messages for part in message.content if isinstance(part, str)]
    return texts, [part for message in messages for part in message.content if isinstance(part, Image)]


def test_a_model_sees_frames_then_tracks_then_what_it_asks_to_see(dog_clip):
    planner, episode = plan(dog_clip)
    assert episode.message == "It runs. Track 1, 0:00.5 to 0:01.0."
    texts, images = shown_before(planner, episode, 0)
    assert len(images) == 1
    assert "shows 8 frames of the video, at 0:00.0" in texts[-1]
    assert "The picture is 100 wide and 60 high." in texts[-1]
    texts, images = shown_before(planner, episode, 1)
    assert len(images) == 2
    assert "Drawn on frames of the video, with their numbers: 1 to 4." in texts[-1]
    assert "- 1 'dog': 0:00.0 to 0:01.9; from the bottom left to the bottom right; moves right; crosses" in texts[-1]
    texts, images = shown_before(planner, episode, 2)
    assert len(images) == 3  # the bare frames, and the close-ups of two tracks
    assert texts[-1].startswith("Shown: track 1 enlarged at 0:00.0")


def test_equal_episodes_have_equal_conversations(dog_clip):
    planner, episode = plan(dog_clip)
    first, second = (planner.build_messages(episode) for _ in range(2))
    assert [list_parts(message) for message in first] == [list_parts(message) for message in second]


def list_parts(message):
    return [part.key if isinstance(part, Image) else part for part in message.content]


@pytest.mark.parametrize("frames", [8, 16])
def test_a_step_costs_no_more_tokens_with_more_frames(dog_clip, frames):
    """Sheets keep their size, so more frames are smaller ones: 5,400 tokens at first and 6,800 later, as measured."""
    planner, episode = plan(dog_clip, frames=frames)
    costs = []
    for step in range(len(episode.steps)):
        messages = planner.build_messages(replace(episode, steps=episode.steps[:step], outcome=None))
        costs.append(estimate_tokens(messages, planner.schemas))
    assert costs[0] < 5800
    assert max(costs) < 7500


def test_images_beyond_a_servers_limit_are_dropped_from_the_oldest(dog_clip):
    planner, episode = plan(dog_clip, images=1)
    assert len(shown_before(planner, episode, 2)[1]) == 1


def test_only_the_unsure_tracks_are_looked_at_once_more_alone_and_closer(dog_clip):
    planner, episode = plan(dog_clip, verdicts={1: 0.9, 2: 0.1, 3: 0.5})
    examined = episode.steps[2].observation
    assert [(verdict.id, verdict.accept) for verdict in examined.verdicts] == [(1, True), (2, False), (3, True)]
    assert examined.usage.model_calls == 4  # three tracks, and the third once more
    sure = plan(dog_clip, verdicts={1: 0.9, 2: 0.1, 3: 0.8})[1].steps[2].observation
    assert sure.usage.model_calls == 3
    first = planner.build_verdict_requests(episode, [1, 2, 3, 4])
    assert len(first) == 1
    assert "Numbers: 1, 2, 3, 4" in first[0].messages[1].content[-1]


def test_tools_for_pictures_are_refused_for_a_video_before_anything_is_asked(dog_clip, kitchen):
    video, sam3 = dog_clip
    with pytest.raises(PlannerError, match="'workspace' is for images, and here stands a video; take 'video'"):
        run(Task.from_video(video, "q"), ChatPlanner(ScriptedModel([]), toolset=WORKSPACE), sam3)
    with pytest.raises(PlannerError, match="'video' is for videos, and here stands an image; take 'workspace'"):
        run(Task(kitchen, "q"), ChatPlanner(ScriptedModel([]), toolset=VIDEO), sam3)


def test_files_about_images_do_not_speak_of_frames():
    of_images = with_model_info(Provenance(planner="p", sam3="s"), ChatPlanner(ScriptedModel([])))
    assert "frames" not in of_images.view
    assert not any(name.startswith("video") for name in of_images.prompts)
    of_videos = with_model_info(Provenance(planner="p", sam3="s"), ChatPlanner(ScriptedModel([]), toolset=VIDEO))
    assert of_videos.view["frames"] == 8
    assert "video" in of_videos.prompts
