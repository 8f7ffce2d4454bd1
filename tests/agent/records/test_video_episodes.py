"""Episodes and conversations about a video, saved and read back."""

import json

import pytest

from agent import (
    VIDEO,
    Conversation,
    GrammarPlanner,
    Provenance,
    ReplayPlanner,
    Task,
    load_episode,
    run,
    save_episode,
)
from agent.report.html import to_html
from agent.report.output_folder import ANSWER_FILES, list_answer_files, write_answer_files
from agent.report.result import Result
from agent.tools.toolsets import AnswerWithTracks, SegmentVideo
from sam3_tool import Video
from sam3_tool.errors import RecordError, UserError
from sam3_tool.masks.rle import RleMask, decode_mask
from tests.support.clips import COUNT, RUNNER, draw_rectangle

MADE_BY = Provenance(planner="scripted", sam3="scripted", toolset=VIDEO)


@pytest.fixture(scope="module")
def answered(dog_clip):
    video, sam3 = dog_clip
    return run(Task.from_video(video, "the leftmost dog", until=1.5), GrammarPlanner(VIDEO), sam3)


def test_a_saved_episode_is_the_episode_without_the_video(answered, dog_clip, tmp_path):
    path, again = tmp_path / "episode.json", tmp_path / "again.json"
    save_episode(answered, path, provenance=MADE_BY, source="clips/dogs.mp4")
    transcript = load_episode(path)
    read = transcript.episode
    assert (read.message, read.current_ids, transcript.version) == (answered.message, (1,), 4)
    assert read.task.timeline == answered.task.timeline
    assert [one.masklet.to_dict() for one in read.workspace] == [one.masklet.to_dict() for one in answered.workspace]
    assert read.task.video is None
    save_episode(read, again, provenance=transcript.made_by, source="dogs.mp4")
    assert again.read_bytes() == path.read_bytes()
    video, sam3 = dog_clip
    assert load_episode(path, video=video).episode.task.video is video
    other = Video.from_images([video.read_frame(0)])
    with pytest.raises(RecordError, match="it is about another video than the one given"):
        load_episode(path, video=other)
    replayed = run(Task.from_video(video, "the leftmost dog", until=1.5), ReplayPlanner(read, toolset=VIDEO), sam3)
    assert replayed.message == answered.message


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda mask: mask["masklet"]["frames"].reverse(), "frames must increase"),
        (lambda mask: mask["masklet"]["counts"].__setitem__(0, "0"), "is damaged"),
        (lambda mask: mask["rle"].__setitem__("counts", "0h0"), "is damaged"),
        (lambda mask: mask.__setitem__("masklet", 3), "expected an object with 'frames' in it"),
    ],
)
def test_a_damaged_track_is_told_in_one_line(answered, tmp_path, spoil, complaint):
    path = tmp_path / "episode.json"
    save_episode(answered, path, provenance=MADE_BY)
    held = json.loads(path.read_text())
    spoil(held["steps"][0]["added"]["candidates"][0])
    path.write_text(json.dumps(held))
    with pytest.raises(RecordError, match=complaint) as raised:
        load_episode(path)
    assert "\n" not in str(raised.value)


def test_an_image_episode_says_nothing_of_videos(kitchen, kitchen_sam3, tmp_path):
    episode = run(Task(kitchen, "the cups"), GrammarPlanner(), kitchen_sam3)
    save_episode(episode, tmp_path / "episode.json")
    written = (tmp_path / "episode.json").read_text()
    assert json.loads(written)["version"] == 3
    assert not any(word in written for word in ("masklet", '"video"', '"spans"'))
    assert not {"video", "track"} & json.loads(Result.from_episode(episode, seconds=0).to_json()).keys()


def test_result_json_holds_each_track_on_each_frame(answered):
    held = json.loads(Result.from_episode(answered, seconds=1).to_json())
    [mask] = held["masks"]
    assert held["video"]["frames"] == COUNT
    assert (held["video"]["first_frame"], held["video"]["last_frame"]) == (0, 12)
    assert held["video"]["times"][:3] == [0, 0.125, 0.25]
    track = mask["track"]
    assert track["frames"] == list(range(13))
    assert track["spans"] == [[0, 1.5]]
    masks = [RleMask(tuple(mask["segmentation"]["size"]), counts) for counts in track["counts"]]
    assert (decode_mask(masks[5]) == draw_rectangle(RUNNER[5])).all()
    assert mask["segmentation"]["counts"] == track["counts"][track["key_frame"]]


def test_the_spans_of_an_answer_cut_its_tracks(play_clip):
    episode = play_clip(
        SegmentVideo(phrases=["dog"]),
        AnswerWithTracks(ids=[1, 2], spans=[{"id": 1, "since": 0.5, "until": 1.0}]),
    )
    assert [one.frames for one in episode.masklets.masklets] == [tuple(range(4, 9)), tuple(range(COUNT))]
    assert episode.masklets.ids == (1, 2)
    [first, second] = Result.from_episode(episode, seconds=1).masks
    assert (first.track.spans, second.track.spans) == ([(0.5, 1.0)], [(0.0, 1.875)])


def test_the_files_of_an_answer_are_written_with_and_without_the_video(answered, tmp_path):
    result = Result.from_episode(answered, seconds=1)
    write_answer_files(answered, result, tmp_path, provenance=MADE_BY, source="dogs.mp4")
    assert {path.name for path in tmp_path.iterdir()} >= set(ANSWER_FILES)
    read = load_episode(tmp_path / "episode.json").episode
    assert "Track 1" in to_html(read, MADE_BY)


def test_a_film_that_is_exported_is_not_written_twice(answered, tmp_path):
    made, named = [], []
    for exports in ((), ("coco", "mp4")):
        folder = tmp_path / str(len(exports))
        folder.mkdir()
        result = Result.from_episode(answered, seconds=1)
        write_answer_files(answered, result, folder, provenance=MADE_BY, source="dogs.mp4", exports=exports)
        made.append({path.name for path in folder.iterdir()})
        named.append(set(list_answer_files(is_video=True, exports=exports)))
    assert made == named == [{*ANSWER_FILES, "overlay.mp4"}, {*ANSWER_FILES}]


def test_a_conversation_about_a_video_goes_on_after_it_was_saved(dog_clip, tmp_path):
    video, sam3 = dog_clip
    planner, path = GrammarPlanner(VIDEO), tmp_path / "talk.json"
    talk = Conversation.start_video(video, "dogs.mp4")
    for query in ("the dogs", "only the left one", "undo", "the post too", "not number 2"):
        talk = talk.say(query, planner, sam3)
    assert talk.selected == (1, 3, 4)
    talk.save(path)
    opened = Conversation.open(path)
    assert (opened.selected, opened.timeline, opened.video) == (talk.selected, talk.timeline, None)
    assert opened.say("the largest of them", planner, sam3).selected == (4,)
    with pytest.raises(UserError, match="the video itself is not at hand"):
        opened.say("the cat", planner, sam3)
    handed_in = opened.show_video(video, "dogs.mp4")
    assert len(handed_in.events) == len(opened.events)
    assert handed_in.say("the puppy", planner, sam3).selected == (5,)


def test_a_mask_is_found_at_a_pixel_of_a_frame(dog_clip):
    video, sam3 = dog_clip
    talk = Conversation.start_video(video).say("the dogs", GrammarPlanner(VIDEO), sam3)
    assert [talk.mask_at(8, 45, at=at) for at in (0.0, 1.0)] == [1, None]
    assert talk.mask_at(48, 45, at=1.0) == 1
    assert talk.mask_at(8, 45) == 1
