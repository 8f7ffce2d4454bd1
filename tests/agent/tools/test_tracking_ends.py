"""Following objects through a video, when it has to stop before the end."""

import pytest

from agent import VIDEO, Budget, Episode, GrammarPlanner, ScriptedPlanner, Task, run
from agent.tools.toolsets import SegmentVideo
from agent.tools.video.progress import keep_interrupted_work, listen_to_progress
from sam3_tool import Video, VideoError
from sam3_tool.errors import UserError
from tests.support.clips import make_clip


class BreakingSource:
    """The frames of a video, up to one whose reading raises."""

    def __init__(self, video: Video, frame: int, error: BaseException) -> None:
        self.video, self.frame, self.error = video, frame, error
        self.width, self.height, self.times, self.notes = video.width, video.height, video.times, ()

    def read_frame(self, index: int):
        if index >= self.frame:
            raise self.error
        return self.video.read_frame(index)

    def compute_key(self) -> str:
        return self.video.key


LENGTH = 24
"""Frames: tracking holds the first 15 of them back."""
LONG_CLIP = make_clip({"dog": [[(10, 10, 20, 20)] * LENGTH, [(60, 10, 70, 20)] * LENGTH]}, LENGTH)


def answer_broken(frame: int, error: BaseException) -> Episode:
    """The episode about a video that breaks at this frame."""
    task = Task.from_video(Video(BreakingSource(LONG_CLIP[0], frame, error)), "the leftmost dog")
    return run(task, GrammarPlanner(VIDEO), LONG_CLIP[1])


def test_ctrl_c_gives_what_was_found_where_that_is_wanted():
    with keep_interrupted_work() as kept:
        episode = answer_broken(20, KeyboardInterrupt())
    assert isinstance(kept.interruption, KeyboardInterrupt)
    assert episode.outcome == "failed"
    assert "as it was interrupted. The best answer so far is 1 and 2 (0:00.0 to" in episode.message
    assert episode.current_ids == (1, 2)
    assert 0 < len(episode.workspace[1].masklet) < LENGTH


def test_ctrl_c_ends_a_program_that_did_not_ask_for_what_was_found():
    with pytest.raises(KeyboardInterrupt):
        answer_broken(20, KeyboardInterrupt())


def test_ctrl_c_before_anything_was_found_ends_at_once():
    with keep_interrupted_work(), pytest.raises(KeyboardInterrupt):
        answer_broken(5, KeyboardInterrupt())


def test_a_video_that_cannot_be_read_on_gives_what_was_found():
    episode = answer_broken(20, VideoError("the file ends early"))
    assert episode.outcome == "failed"
    assert "because the file ends early. The best answer so far is 1" in episode.message


def test_a_video_that_cannot_be_read_at_all_is_an_error():
    with pytest.raises(UserError, match="the file ends early"):
        answer_broken(1, VideoError("the file ends early"))


def test_the_end_of_the_time_keeps_the_frames_so_far_under_a_question_of_their_own(dog_clip):
    video, sam3 = dog_clip
    planner = ScriptedPlanner([SegmentVideo(phrases=["dog"])], toolset=VIDEO)
    episode = run(Task.from_video(video, "q"), planner, sam3, budget=Budget(max_seconds=1e-6))
    assert episode.outcome == "budget"
    assert "stopped at 0:00.0 of 0:01.9, as the time is over" in episode.message
    assert "until" in episode.workspace.searches[0].how


def test_progress_is_told_frame_by_frame(dog_clip):
    said: list[str] = []
    with listen_to_progress(said.append):
        run(Task.from_video(dog_clip[0], "the dogs", until=0.5), GrammarPlanner(VIDEO), dog_clip[1])
    assert said[0] == "following 'dog': frame 1 of 5 (0:00.0), 2 in sight"
    assert len(said) == 5
